//! Drives in a `.vmx`: disks and CD-ROM drives share the keys of their places.

use super::kind::{Kind, Reading};
use super::place::{controller_key, drive_key, is_usable};
use super::unusable::unplaced;
use super::{Connect, Device, Looks, Slot};
use crate::faults::invalid_config;
use crate::text::ReadError;

/// The kind of a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Disk,
    /// A CD-ROM drive; `image` if its type says that the disc in it is a file.
    Cdrom {
        image: bool,
    },
    /// Of a type that is neither.
    Other,
}

impl Content {
    fn parse(device_type: &str) -> Self {
        match device_type.to_ascii_lowercase().as_str() {
            "cdrom-image" => Self::Cdrom { image: true },
            "atapi-cdrom" | "cdrom-raw" | "scsi-cdrom" => Self::Cdrom { image: false },
            "" | "disk" | "scsi-harddisk" | "ata-harddisk" | "nvme-harddisk" => Self::Disk,
            _ => Self::Other,
        }
    }
}

/// The drives that are present, with their content.
pub(super) fn all(from: &mut Reading<'_>) -> Vec<(Slot, Content)> {
    let slots: Vec<Slot> = from.source.devices(|prefix| prefix.parse().ok());
    let content =
        |slot: &Slot| Content::parse(from.source.take(&format!("{slot}.deviceType")).unwrap_or_default());
    let contents: Vec<Content> = slots.iter().map(content).collect();
    slots.into_iter().zip(contents).collect()
}

/// Adds a drive whose keys cannot be understood, or that this host cannot have.
pub(super) fn unusable(from: &mut Reading<'_>, slot: Slot, looks: Looks, error: &ReadError) {
    let (number, unit) = (i32::from(slot.controller), i32::from(slot.unit));
    let controller = controller_key(slot.bus, number);
    let placed = from.devices.get(&controller).is_some_and(|device| is_usable(device, unit));
    let (key, place) = match placed {
        true => (drive_key(slot.bus, number, unit), Some((controller, unit))),
        false => (unplaced(slot), None),
    };
    from.unusable(&slot.to_string(), key, place, looks, error);
}

/// Adds a drive that was read.
///
/// # Errors
/// `InvalidVmConfig` if this host has no such place.
pub(super) fn insert(
    from: &mut Reading<'_>,
    slot: Slot,
    connect: Option<Connect>,
    kind: impl Into<Kind>,
) -> Result<(), ReadError> {
    let (number, unit) = (i32::from(slot.controller), i32::from(slot.unit));
    let controller = controller_key(slot.bus, number);
    if !from.devices.get(&controller).is_some_and(|device| is_usable(device, unit)) {
        let message =
            format!("{slot} is not a place for a drive on this host; its controller is missing or smaller");
        return Err(invalid_config("config", &message).into());
    }
    let mut device = Device::new(drive_key(slot.bus, number, unit), Some((controller, unit)), kind);
    device.connect = connect;
    from.insert(device);
    Ok(())
}
