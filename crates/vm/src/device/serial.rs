//! The serial port and the super I/O chip that it belongs to.

use qemu::spec::SerialPort;
use vim::{Fault, Object, data_id, field, vim};

use super::backing::{file, flag, text};
use super::draft::{Change, Draft, connect, same_kind};
use super::faults::{backing, invalid};
use super::keys::{Keys, Prefix};
use super::kind::{DeviceKind, Kind, Reading, Shown, Writing, fixed, option, shown};
use super::parts::Parts;
use super::unusable::UNCHECKED;
use super::{Connect, Device, Devices, Looks, key};
use crate::faults::invalid_config;
use crate::file::FileRef;
use crate::ids;
use crate::text::{ReadError, file_name as name_in, numbered, resolve};

/// First word of the keys of a serial port.
const WORD: &str = "serial";
/// Most serial ports that a `.vmx` can have; of which this host gives a VM one.
const MAX_NUMBERS: u8 = 32;
const PIPE_END: &str = "pipe.endPoint";
const NO_RX_LOSS: &str = "tryNoRxLoss";

/// Super I/O, which has the serial ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sio;

/// A serial port.
#[derive(Debug, Clone, PartialEq)]
pub struct Serial {
    pub backing: SerialBacking,
    pub yield_on_poll: bool,
}

/// Where a serial port leads. Its console is a unix socket in the runtime directory in every case.
#[derive(Debug, Clone, PartialEq)]
pub enum SerialBacking {
    /// A named pipe of the host; kept as a name, the console is the socket.
    Pipe { name: String, endpoint: String, no_rx_loss: bool },
    /// The output is appended to a file.
    File(FileRef),
}

impl Serial {
    fn device(self, connect: Connect) -> Device {
        let mut device = Device::new(key::SERIAL, Some((key::SIO, 0)), self);
        device.connect = Some(connect);
        device
    }
}

impl DeviceKind for Sio {
    fixed!("VirtualSIOController", Device::new(key::SIO, None, Self));

    fn bus(&self) -> Option<i32> {
        Some(0)
    }

    fn label(&self, _at: &Shown<'_>) -> (String, String) {
        ("SIO controller 0".into(), "SIO controller 0".into())
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        shown!(at, VirtualSIOController { busNumber: 0, device: at.attached() })
    }
}

impl DeviceKind for Serial {
    const KEYS: &'static [Keys] = &[Keys {
        prefix: Prefix::Numbered(WORD, MAX_NUMBERS),
        names: &[
            "present",
            "fileType",
            "fileName",
            "network.endPoint",
            PIPE_END,
            NO_RX_LOSS,
            "yieldOnMsrRead",
            "startConnected",
            UNCHECKED,
        ],
    }];

    fn is(asked: &Object) -> bool {
        asked.is_a(data_id!(VirtualSerialPort))
    }

    fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
        draft.need_off("Serial ports")?;
        let default =
            || SerialBacking::Pipe { name: String::new(), endpoint: "server".into(), no_rx_loss: true };
        let serial = Self {
            backing: wanted(draft, change, None)?.unwrap_or_else(default),
            yield_on_poll: change.device.get(field!(VirtualSerialPort.yieldOnPoll)).unwrap_or(false),
        };
        let is_port = |device: &Device| match &device.kind {
            Kind::Serial(_) => true,
            Kind::Unusable(other) => other.looks == Looks::Serial,
            _ => false,
        };
        if draft.devices.values().any(is_port) {
            return Err(invalid(change.index, "device", "A VM has at most one serial port"));
        }
        draft.insert(change, serial.device(connect(change.device, Connect::default(), false)))
    }

    fn edit(draft: &mut Draft<'_>, change: &Change<'_>, mut device: Device) -> Result<(), Fault> {
        same_kind(change, &device, Self::is)?;
        let Kind::Serial(port) = &mut device.kind else { return Ok(()) };
        let before = port.clone();
        let wanted = wanted(draft, change, Some(&before.backing))?;
        port.backing = wanted.unwrap_or_else(|| before.backing.clone());
        port.yield_on_poll =
            change.device.get(field!(VirtualSerialPort.yieldOnPoll)).unwrap_or(before.yield_on_poll);
        let now = device.connect.unwrap_or_default();
        let wanted = connect(change.device, now, draft.around.running);
        if *port != before || wanted.now != now.now {
            draft.need_off("The serial port")?;
        }
        device.connect = Some(wanted);
        draft.devices.insert(device.key, device);
        Ok(())
    }

    fn label(&self, at: &Shown<'_>) -> (String, String) {
        (format!("Serial port {}", at.device.key - key::SERIAL + 1), "Serial port".into())
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        let backing: Object = match &self.backing {
            SerialBacking::Pipe { name, endpoint, no_rx_loss } => vim!(VirtualSerialPortPipeBackingInfo {
                pipeName: name,
                endpoint: endpoint,
                noRxLoss: *no_rx_loss,
            })
            .into(),
            SerialBacking::File(file) => vim!(VirtualSerialPortFileBackingInfo {
                fileName: at.names.file(file),
                datastore: ids::datastore(file.datastore),
            })
            .into(),
        };
        shown!(
            at,
            VirtualSerialPort {
                backing: backing,
                connectable: at.connectable(),
                yieldOnPoll: self.yield_on_poll,
            }
        )
    }

    fn options() -> Vec<Object> {
        vec![option("VirtualSerialPort", Some("VirtualSIOController"), false)]
    }

    fn prefix(&self, _device: &Device, _devices: &Devices) -> Option<String> {
        Some(format!("{WORD}0"))
    }

    fn read(from: &mut Reading<'_>) {
        let mut found = false;
        for number in from.source.devices(|prefix| numbered(prefix, WORD, MAX_NUMBERS)) {
            let read = match found {
                false => read_one(from, number),
                true => Err(invalid_config("config", "A VM has at most one serial port on this host").into()),
            };
            found = true;
            match read {
                Ok((serial, connect)) => from.insert(serial.device(connect)),
                Err(error) => {
                    // The port that can be used has the first key.
                    let (prefix, number) = (format!("{WORD}{number}"), i32::from(number));
                    from.unusable(&prefix, key::SERIAL + 1 + number, None, Looks::Serial, &error);
                }
            }
        }
    }

    fn write(&self, device: &Device, to: &mut Writing<'_>) {
        let (ty, file) = match &self.backing {
            SerialBacking::File(image) => ("file", name_in(to.home, image)),
            SerialBacking::Pipe { name, .. } => ("pipe", name.clone()),
        };
        let key = |name: &str| format!("{WORD}0.{name}");
        to.wanted.flag(key("present"), true);
        to.wanted.put(key("fileType"), ty);
        to.wanted.put(key("fileName"), file);
        to.wanted.flag(key("startConnected"), device.connect.is_none_or(|connect| connect.at_start));
        if self.yield_on_poll {
            to.wanted.flag(key("yieldOnMsrRead"), true);
        }
        if let SerialBacking::Pipe { endpoint, no_rx_loss, .. } = &self.backing {
            to.wanted.put(key(PIPE_END), endpoint.clone());
            to.wanted.flag_unless(&key(NO_RX_LOSS), *no_rx_loss, false);
        }
    }

    fn build(&self, _device: &Device, parts: &mut Parts<'_>) -> qemu::Result<()> {
        let log = match &self.backing {
            SerialBacking::File(file) => Some(parts.files.output(file)?),
            SerialBacking::Pipe { .. } => None,
        };
        parts.spec.serial = Some(SerialPort { log });
        Ok(())
    }
}

/// Where a specification wants the port to lead; `now` is where it leads, if it exists.
fn wanted(
    draft: &Draft<'_>,
    change: &Change<'_>,
    now: Option<&SerialBacking>,
) -> Result<Option<SerialBacking>, Fault> {
    let Some(found) = change.device.get(field!(VirtualDevice.backing)) else { return Ok(None) };
    match found.type_name() {
        "VirtualSerialPortPipeBackingInfo" => Ok(Some(SerialBacking::Pipe {
            name: text(found, "pipeName").to_owned(),
            endpoint: text(found, "endpoint").to_owned(),
            no_rx_loss: flag(found, "noRxLoss").unwrap_or(false),
        })),
        "VirtualSerialPortFileBackingInfo" => {
            let file = file(draft, found)?
                .ok_or_else(|| backing(change.index, ".fileName", "Name the file for the output"))?;
            let wanted = SerialBacking::File(file.clone());
            if now != Some(&wanted)
                && let Some(why) = (draft.around.unfit_for_output)(&file)?
            {
                return Err(backing(change.index, ".fileName", &why));
            }
            Ok(Some(wanted))
        }
        other => {
            let message = format!("A serial port cannot have the backing {other}; use a pipe or a file");
            Err(backing(change.index, "", &message))
        }
    }
}

fn read_one(from: &mut Reading<'_>, number: u8) -> Result<(Serial, Connect), ReadError> {
    let prefix = format!("{WORD}{number}");
    let key = |name: &str| format!("{prefix}.{name}");
    from.trust(&prefix)?;
    let ty = from.source.take(&key("fileType")).unwrap_or("device").to_ascii_lowercase();
    let name = from.source.take(&key("fileName")).unwrap_or_default();
    let (file, name) = match ty.as_str() {
        "file" => match resolve(from.storage, from.home, name) {
            Some(file) => (Some(file), ""),
            None => {
                let message = format!("{prefix}: {name} cannot be found on this host");
                return Err(invalid_config("config", &message).into());
            }
        },
        "pipe" => (None, name),
        "network" | "device" | "thinprint" => {
            let message = format!(
                "{prefix}.fileType: a serial port of the type \"{ty}\" is not supported on this host; use a pipe or a file"
            );
            return Err(invalid_config("config", &message).into());
        }
        _ => {
            let expected = "file, pipe, device, network or thinprint";
            return Err(from.source.bad(&key("fileType"), expected).into());
        }
    };
    let endpoint = from.source.take(&key(PIPE_END)).unwrap_or("server").to_owned();
    let no_rx_loss = from.source.is_true(&key(NO_RX_LOSS)).unwrap_or(false);
    let pipe = SerialBacking::Pipe { name: name.to_owned(), endpoint, no_rx_loss };
    let yield_on_poll = from.source.flag(&key("yieldOnMsrRead"))?.unwrap_or(false);
    let serial = Serial { backing: file.map_or(pipe, SerialBacking::File), yield_on_poll };
    Ok((serial, from.connect(&prefix)?))
}
