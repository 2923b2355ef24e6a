//! The VM communication interface, which vSphere's clients expect of every VM. The guest sees none.

use vim::{Fault, Object};

use super::draft::{Change, Draft};
use super::kind::{DeviceKind, Shown, fixed, shown};
use super::{Device, key};

/// VM communication interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vmci;

impl DeviceKind for Vmci {
    fixed!("VirtualMachineVMCIDevice", Device::new(key::VMCI, Some((key::PCI, 17)), Self));

    fn label(&self, _at: &Shown<'_>) -> (String, String) {
        let summary = "Device on the virtual machine PCI bus that provides support for the virtual machine \
                       communication interface";
        ("VMCI device".into(), summary.into())
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        shown!(at, VirtualMachineVMCIDevice { id: -1i64, allowUnrestrictedCommunication: false })
    }
}
