//! The devices that a machine has without being asked for.

use super::device::{Device, Kind, Video, key};

/// Default devices of a machine of this hardware version.
pub(crate) fn devices(_hardware_version: u32) -> Vec<Device> {
    let on = |key, controller, unit, kind| Device { key, controller, unit, connect: None, kind };
    vec![
        on(key::PCI, None, None, Kind::Pci),
        on(key::IDE, None, None, Kind::Ide { bus: 0 }),
        on(key::IDE + 1, None, None, Kind::Ide { bus: 1 }),
        on(key::PS2, None, None, Kind::Ps2),
        on(key::SIO, None, None, Kind::Sio),
        on(key::VIDEO, Some(key::PCI), Some(0), Kind::Video(Video::default())),
        on(key::KEYBOARD, Some(key::PS2), Some(0), Kind::Keyboard),
        on(key::POINTER, Some(key::PS2), Some(1), Kind::Pointer),
        on(key::VMCI, Some(key::PCI), Some(17), Kind::Vmci),
    ]
}

/// Whether a device is one of those, which cannot be removed.
pub fn is_default(device: &Device) -> bool {
    matches!(
        device.kind,
        Kind::Pci
            | Kind::Ide { .. }
            | Kind::Ps2
            | Kind::Sio
            | Kind::Video(_)
            | Kind::Keyboard
            | Kind::Pointer
            | Kind::Vmci
    )
}
