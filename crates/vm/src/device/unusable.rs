//! Devices of a `.vmx` that this host cannot give to a VM. The VM has them all the same: they are shown, their keys stay as they
//! are, and they keep the VM from being powered on until they are removed.

use vim::{Fault, Object, vim};

use super::draft::{Change, Draft};
use super::faults::{invalid, operation};
use super::kind::{DeviceKind, Kind, Reading, Shown, Writing, shown};
use super::parts::Parts;
use super::{Cdrom, Device, Devices, Medium, key};
use crate::faults::invalid_config;
use crate::text::ReadError;

/// Behind the prefix: the device was registered while nobody could tell which privileges it takes.
pub(super) const UNCHECKED: &str = "esfera.unchecked";

/// A device that this host cannot give to a VM.
#[derive(Debug, Clone, PartialEq)]
pub struct Unusable {
    /// The part of its keys before the first dot: `scsi0:1`.
    pub prefix: String,
    pub looks: Looks,
    /// The reason, for people.
    pub reason: String,
    /// All of its keys, as they are.
    pub keys: Vec<(String, String)>,
}

/// The kind of device that an unusable one would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    Disk,
    Cdrom,
    Nic,
    Serial,
    /// A SCSI controller with this bus number.
    Scsi(i32),
}

impl Looks {
    fn has_file(self) -> bool {
        matches!(self, Self::Disk | Self::Cdrom | Self::Serial)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Disk => "Hard disk",
            Self::Cdrom => "CD/DVD drive",
            Self::Nic => "Network adapter",
            Self::Serial => "Serial port",
            Self::Scsi(_) => "SCSI controller",
        }
    }
}

impl Unusable {
    /// Its name for people.
    pub fn name(&self) -> String {
        format!("{} {}", self.looks.name(), self.prefix)
    }

    /// Where a serial port would lead; none if its type is not known.
    fn serial_backing(&self) -> Option<Object> {
        let file = self.value("fileName");
        let backing = match self.value("fileType").to_ascii_lowercase().as_str() {
            "network" => {
                let proxy = Some(self.value("vspc")).filter(|uri| !uri.is_empty());
                let direction = if self.value("network.endPoint").eq_ignore_ascii_case("client") {
                    "client"
                } else {
                    "server"
                };
                vim!(VirtualSerialPortURIBackingInfo {
                    serviceURI: file,
                    direction: direction,
                    proxyURI: proxy
                })
                .into()
            }
            "device" | "" => vim!(VirtualSerialPortDeviceBackingInfo { deviceName: file }).into(),
            "thinprint" => vim!(VirtualSerialPortThinPrintBackingInfo {}).into(),
            "file" => vim!(VirtualSerialPortFileBackingInfo { fileName: file }).into(),
            "pipe" => vim!(VirtualSerialPortPipeBackingInfo {
                pipeName: file,
                endpoint: self.value("pipe.endPoint"),
            })
            .into(),
            _ => return None,
        };
        Some(backing)
    }

    fn value(&self, name: &str) -> &str {
        let is = |key: &str| {
            let rest = key.get(self.prefix.len() + 1..);
            rest.is_some_and(|rest| rest.eq_ignore_ascii_case(name))
        };
        self.keys.iter().find(|(key, _)| is(key)).map_or("", |(_, value)| value)
    }
}

/// Marks the devices that name files and that cannot be had, so that no restart makes them usable: whoever registers a VM has to
/// have privileges on the datastores of its files, and those of these files cannot be told. A client that may do so removes
/// such a device and adds it again.
pub fn distrust(devices: &mut Devices) {
    for device in devices.values_mut() {
        match &mut device.kind {
            Kind::Unusable(unusable) if unusable.looks.has_file() && unusable.value(UNCHECKED).is_empty() => {
                unusable.keys.push((format!("{}.{UNCHECKED}", unusable.prefix), "TRUE".into()));
            }
            Kind::Cdrom(Cdrom { medium: Medium::Lost { unchecked, .. } }) => *unchecked = true,
            _ => {}
        }
    }
}

impl Reading<'_> {
    /// Whether a device with these keys was registered unchecked.
    pub(super) fn is_unchecked(&mut self, prefix: &str) -> bool {
        self.source.is_true(&format!("{prefix}.{UNCHECKED}")) == Some(true)
    }

    /// Refuses a device that was registered unchecked.
    ///
    /// # Errors
    /// `InvalidVmConfig`.
    pub(super) fn trust(&mut self, prefix: &str) -> Result<(), ReadError> {
        if !self.is_unchecked(prefix) {
            return Ok(());
        }
        let message = "It could not be used when the VM was registered, so that the privilege to use its file was not checked; \
                       remove it and add it again";
        Err(invalid_config("config", message).into())
    }

    /// Adds the device with these keys as one that cannot be used, because of an error in them.
    pub(super) fn unusable(
        &mut self,
        prefix: &str,
        key: i32,
        place: Option<(i32, i32)>,
        looks: Looks,
        error: &ReadError,
    ) {
        let prefix = prefix.to_ascii_lowercase();
        let keys = self.source.take_all(&format!("{prefix}."));
        let reason = error.reason();
        tracing::warn!(vm = %self.home.path, device = prefix, reason, "a device cannot be used");
        self.insert(Device::new(key, place, Unusable { prefix, looks, reason, keys }));
    }
}

impl DeviceKind for Unusable {
    fn is(_asked: &Object) -> bool {
        false
    }

    fn add(_draft: &mut Draft<'_>, _change: &Change<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn edit(_draft: &mut Draft<'_>, change: &Change<'_>, device: Device) -> Result<(), Fault> {
        let Kind::Unusable(this) = &device.kind else { return Ok(()) };
        let message =
            format!("{} cannot be used on this host and can only be removed: {}", this.name(), this.reason);
        Err(invalid(change.index, "device", &message))
    }

    fn remove(draft: &mut Draft<'_>, change: &Change<'_>, device: &Device) -> Result<(), Fault> {
        let Kind::Unusable(this) = &device.kind else { return Ok(()) };
        if change.file_operation.is_some() {
            let message = format!("{} cannot be used on this host, so that its files stay", this.name());
            return Err(operation(change.index, &message));
        }
        draft.need_off("The devices of a VM that cannot be used")
    }

    fn label(&self, _at: &Shown<'_>) -> (String, String) {
        (self.name(), format!("Cannot be used: {}", self.reason))
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        let network = || {
            vim!(VirtualEthernetCardNetworkBackingInfo {
                deviceName: self.value("networkName"),
                useAutoDetect: false,
            })
        };
        match self.looks {
            Looks::Disk => shown!(
                at,
                VirtualDisk {
                    backing: VirtualDiskFlatVer2BackingInfo {
                        fileName: self.value("fileName"),
                        diskMode: self.value("mode"),
                    },
                    capacityInKB: 0i64,
                }
            ),
            Looks::Cdrom => shown!(
                at,
                VirtualCdrom { backing: VirtualCdromIsoBackingInfo { fileName: self.value("fileName") } }
            ),
            Looks::Nic if self.value("virtualDev").eq_ignore_ascii_case("vmxnet") => {
                shown!(at, VirtualVmxnet { backing: network() })
            }
            Looks::Nic => shown!(at, VirtualPCNet32 { backing: network() }),
            Looks::Serial => {
                let yields = self.value("yieldOnMsrRead").eq_ignore_ascii_case("TRUE");
                shown!(at, VirtualSerialPort { backing: self.serial_backing(), yieldOnPoll: yields })
            }
            Looks::Scsi(bus) => {
                shown!(
                    at,
                    VirtualSCSIController { busNumber: bus, sharedBus: "noSharing", device: at.attached() }
                )
            }
        }
    }

    fn write(&self, _device: &Device, to: &mut Writing<'_>) {
        // A device that works may have taken the place.
        if to.wanted.has(&format!("{}.present", self.prefix)) {
            return;
        }
        for (key, value) in &self.keys {
            to.wanted.put(key, value);
        }
    }

    fn build(&self, _device: &Device, _parts: &mut Parts<'_>) -> qemu::Result<()> {
        Err(qemu::Error::Spec(format!("{} cannot be used: {}", self.name(), self.reason)))
    }
}

/// The key of a drive that has no place on this host, which follows from the one that its keys name.
pub(super) fn unplaced(slot: super::Slot) -> i32 {
    let bus = super::Bus::ALL.iter().position(|bus| *bus == slot.bus).unwrap_or_default();
    let bus = i32::try_from(bus).unwrap_or_default();
    key::UNPLACED + (bus * 4 + i32::from(slot.controller)) * 64 + i32::from(slot.unit)
}
