//! The PCI bus, which every VM has.

use vim::{Fault, Object};

use super::draft::{Change, Draft};
use super::kind::{DeviceKind, Shown, fixed, shown};
use super::{Device, key};

/// PCI bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pci;

impl DeviceKind for Pci {
    fixed!("VirtualPCIController", Device::new(key::PCI, None, Self));

    fn bus(&self) -> Option<i32> {
        Some(0)
    }

    fn label(&self, _at: &Shown<'_>) -> (String, String) {
        ("PCI controller 0".into(), "PCI controller 0".into())
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        shown!(at, VirtualPCIController { busNumber: 0, device: at.attached() })
    }
}
