//! CD-ROM drives.

use qemu::spec as machine;
use vim::{Fault, Object, data_id, fault, field, vim};

use super::backing::{file, text};
use super::draft::{Change, Draft, Step, connect, same_kind};
use super::faults::{backing, invalid_controller};
use super::keys::{Keys, Prefix};
use super::kind::{DeviceKind, Kind, Reading, Shown, Writing, option, shown};
use super::parts::{Parts, attachment};
use super::place::choose;
use super::slots::{self, Content};
use super::unusable::UNCHECKED;
use super::{Bus, Connect, Device, Devices, Looks, Slot, drive_id, slot};
use crate::file::FileRef;
use crate::ids;
use crate::text::{ReadError, file_name as name_in, resolve};

/// A CD-ROM drive.
#[derive(Debug, Clone, PartialEq)]
pub struct Cdrom {
    /// Its content.
    pub medium: Medium,
}

/// The content of a CD-ROM drive.
#[derive(Debug, Clone, PartialEq)]
pub enum Medium {
    /// An image on a datastore.
    Iso(FileRef),
    /// An image that cannot be found on this host, by the name that its `.vmx` has for it; never connected.
    Lost {
        name: String,
        /// The VM was registered with it, so that the privilege to use it was not checked.
        unchecked: bool,
    },
    /// A drive of the client's computer, which is never connected here.
    Client { device: String, atapi: bool },
    /// A drive of the host, which is never connected here.
    HostDrive { device: String },
}

impl Cdrom {
    /// The image that is in the drive when the VM is powered on.
    fn inserted(&self, device: &Device) -> Option<&FileRef> {
        match &self.medium {
            Medium::Iso(file) if device.connect.is_none_or(|connect| connect.now) => Some(file),
            _ => None,
        }
    }
}

impl DeviceKind for Cdrom {
    const KEYS: &'static [Keys] = &[Keys {
        prefix: Prefix::Slot,
        names: &["present", "deviceType", "fileName", "clientDevice", "startConnected", UNCHECKED],
    }];

    fn is(asked: &Object) -> bool {
        asked.is_a(data_id!(VirtualCdrom))
    }

    fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
        draft.need_off("CD-ROM drives")?;
        let place = choose(draft, change, |controller| matches!(controller.kind, Kind::Ide(_)))?;
        if place.bus == Bus::Nvme {
            return Err(invalid_controller(change.index, place.controller));
        }
        let medium = medium(draft, change)?.unwrap_or(Medium::Client { device: String::new(), atapi: false });
        let before = Connect { at_start: matches!(medium, Medium::Iso(_)), ..Connect::default() };
        let mut device = Device::new(place.key, Some((place.controller, place.unit)), Self { medium });
        device.connect = Some(connect(change.device, before, false));
        draft.insert(change, device)
    }

    fn edit(draft: &mut Draft<'_>, change: &Change<'_>, existing: Device) -> Result<(), Fault> {
        same_kind(change, &existing, Self::is)?;
        let mut device = existing.clone();
        if let Some(medium) = edited_medium(draft, change, &existing)? {
            device.kind = Self { medium }.into();
        }
        let mut wanted = connect(change.device, existing.connect.unwrap_or_default(), draft.around.running);
        // Only images can be connected here.
        wanted.now &= matches!(device.kind, Kind::Cdrom(Self { medium: Medium::Iso(_) }));
        device.connect = Some(wanted);
        let inserted = |device: &Device| {
            let file = match &device.kind {
                Kind::Cdrom(Self { medium: Medium::Iso(file) }) => Some(file.clone()),
                _ => None,
            };
            file.filter(|_| device.connect.is_some_and(|connect| connect.now))
        };
        if draft.around.running && inserted(&device) != inserted(&existing) {
            draft.steps.push(Step::ChangeMedium(device.key));
        }
        draft.devices.insert(device.key, device);
        Ok(())
    }

    fn label(&self, at: &Shown<'_>) -> (String, String) {
        let summary = match &self.medium {
            Medium::Iso(file) => format!("ISO {}", file.path.as_str()),
            Medium::Lost { name, .. } => format!("ISO {name}"),
            Medium::Client { .. } => "Remote device".into(),
            Medium::HostDrive { device } => format!("ATAPI {device}"),
        };
        (format!("CD/DVD drive {}", at.nth(|kind| matches!(kind, Kind::Cdrom(_)))), summary)
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        let backing: Object = match &self.medium {
            Medium::Iso(file) => vim!(VirtualCdromIsoBackingInfo {
                fileName: at.names.file(file),
                datastore: ids::datastore(file.datastore),
            })
            .into(),
            Medium::Lost { name, .. } => vim!(VirtualCdromIsoBackingInfo { fileName: name }).into(),
            Medium::Client { device, atapi: true } => {
                vim!(VirtualCdromRemoteAtapiBackingInfo { deviceName: device, useAutoDetect: false }).into()
            }
            Medium::Client { device, atapi: false } => vim!(VirtualCdromRemotePassthroughBackingInfo {
                deviceName: device,
                useAutoDetect: false,
                exclusive: false,
            })
            .into(),
            Medium::HostDrive { device } => {
                vim!(VirtualCdromAtapiBackingInfo { deviceName: device, useAutoDetect: false }).into()
            }
        };
        shown!(at, VirtualCdrom { backing: backing, connectable: at.connectable() })
    }

    fn options() -> Vec<Object> {
        vec![option("VirtualCdrom", Some("VirtualIDEController"), false)]
    }

    fn prefix(&self, device: &Device, devices: &Devices) -> Option<String> {
        slot(devices, device).map(|slot| slot.to_string())
    }

    fn read(from: &mut Reading<'_>) {
        for (slot, content) in slots::all(from) {
            let Content::Cdrom { image } = content else { continue };
            if let Err(error) = read_one(from, slot, image) {
                slots::unusable(from, slot, Looks::Cdrom, &error);
            }
        }
    }

    fn write(&self, device: &Device, to: &mut Writing<'_>) {
        let Some(slot) = slot(to.devices, device) else { return };
        let key = |name: &str| format!("{slot}.{name}");
        let (ty, file) = match &self.medium {
            Medium::Iso(image) => ("cdrom-image", name_in(to.home, image)),
            Medium::Lost { name, .. } => ("cdrom-image", name.clone()),
            Medium::HostDrive { device } => ("atapi-cdrom", device.clone()),
            Medium::Client { .. } => ("cdrom-raw", String::new()),
        };
        to.wanted.flag(key("present"), true);
        to.wanted.put(key("deviceType"), ty);
        to.wanted.put(key("fileName"), file);
        if matches!(self.medium, Medium::Client { .. }) {
            to.wanted.flag(key("clientDevice"), true);
        }
        if matches!(self.medium, Medium::Lost { unchecked: true, .. }) {
            to.wanted.flag(key(UNCHECKED), true);
        }
        to.wanted.flag(key("startConnected"), device.connect.is_some_and(|connect| connect.at_start));
    }

    fn build(&self, device: &Device, parts: &mut Parts<'_>) -> qemu::Result<()> {
        let iso = self.inserted(device).map(|file| parts.files.shared(file)).transpose()?;
        parts.spec.cdroms.push(machine::Cdrom {
            id: drive_id(device.key),
            attach: attachment(parts.devices, device)?,
            iso,
            boot_index: parts.boot_index(device.key),
        });
        Ok(())
    }
}

/// The medium that an edit asks for. A lost image that is sent back as it was shown stays.
fn edited_medium(draft: &Draft<'_>, change: &Change<'_>, existing: &Device) -> Result<Option<Medium>, Fault> {
    let lost = match &existing.kind {
        Kind::Cdrom(Cdrom { medium: Medium::Lost { name, .. } }) => Some(name),
        _ => None,
    };
    let found = change.device.get(field!(VirtualDevice.backing));
    let same = lost.zip(found).is_some_and(|(name, found)| text(found, "fileName") == name);
    if same { Ok(None) } else { medium(draft, change) }
}

/// The medium that a specification asks for.
fn medium(draft: &Draft<'_>, change: &Change<'_>) -> Result<Option<Medium>, Fault> {
    let Some(found) = change.device.get(field!(VirtualDevice.backing)) else { return Ok(None) };
    let device = || text(found, "deviceName").to_owned();
    Ok(Some(match found.type_name() {
        "VirtualCdromIsoBackingInfo" => {
            let file =
                file(draft, found)?.ok_or_else(|| backing(change.index, ".fileName", "Name the image"))?;
            if !(draft.around.exists)(&file)? {
                let name = draft.around.storage.show(&file);
                return Err(fault!(FileNotFound { file: &*name }, "{name} does not exist"));
            }
            Medium::Iso(file)
        }
        "VirtualCdromRemotePassthroughBackingInfo" => Medium::Client { device: device(), atapi: false },
        "VirtualCdromRemoteAtapiBackingInfo" => Medium::Client { device: device(), atapi: true },
        "VirtualCdromAtapiBackingInfo" | "VirtualCdromPassthroughBackingInfo" => {
            Medium::HostDrive { device: device() }
        }
        other => {
            let message = format!("A CD-ROM drive cannot have the backing {other}");
            return Err(backing(change.index, "", &message));
        }
    }))
}

fn read_one(from: &mut Reading<'_>, slot: Slot, image: bool) -> Result<(), ReadError> {
    let medium = read_medium(from, slot, image)?;
    let connect = from.connect(&slot.to_string())?;
    slots::insert(from, slot, Some(connect), Cdrom { medium })
}

fn read_medium(from: &mut Reading<'_>, slot: Slot, image: bool) -> Result<Medium, ReadError> {
    let client = from.source.flag(&format!("{slot}.clientDevice"))? == Some(true);
    let name = from.source.take(&format!("{slot}.fileName")).unwrap_or_default();
    Ok(match (client, image) {
        (true, _) => Medium::Client { device: String::new(), atapi: false },
        (false, true) => {
            let unchecked = from.is_unchecked(&slot.to_string());
            match resolve(from.storage, from.home, name).filter(|_| !unchecked) {
                Some(image) => Medium::Iso(image),
                None => Medium::Lost { name: name.to_owned(), unchecked },
            }
        }
        (false, false) => Medium::HostDrive { device: name.to_owned() },
    })
}
