//! NVMe controllers.

use qemu::spec::{Controller, ControllerKind};
use vim::{Fault, Object};

use super::draft::{Change, Draft};
use super::keys::{Keys, Prefix};
use super::kind::{DeviceKind, Reading, Shown, Writing, option, shown};
use super::parts::Parts;
use super::{Bus, Device, Devices, controller};

/// NVMe controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nvme {
    pub bus: i32,
}

impl DeviceKind for Nvme {
    const KEYS: &'static [Keys] = &[Keys {
        prefix: Prefix::Numbered(Bus::Nvme.prefix(), Bus::Nvme.controllers()),
        names: &["present"],
    }];

    fn is(asked: &Object) -> bool {
        asked.type_name() == "VirtualNVMEController"
    }

    fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
        controller::add(draft, change, Bus::Nvme, |bus| Self { bus })
    }

    fn edit(_draft: &mut Draft<'_>, change: &Change<'_>, device: Device) -> Result<(), Fault> {
        controller::edit(change, &device)
    }

    fn bus(&self) -> Option<i32> {
        Some(self.bus)
    }

    fn units(&self) -> Option<(Bus, i32)> {
        Some((Bus::Nvme, 15))
    }

    fn label(&self, _at: &Shown<'_>) -> (String, String) {
        (format!("NVME controller {}", self.bus), "NVME".into())
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        shown!(at, VirtualNVMEController { busNumber: self.bus, device: at.attached() })
    }

    fn options() -> Vec<Object> {
        vec![option("VirtualNVMEController", Some("VirtualPCIController"), false)]
    }

    fn prefix(&self, _device: &Device, _devices: &Devices) -> Option<String> {
        Some(format!("nvme{}", self.bus))
    }

    fn read(from: &mut Reading<'_>) {
        for number in controller::present(from, Bus::Nvme) {
            let bus = i32::from(number);
            from.insert(controller::device(Bus::Nvme, bus, Self { bus }));
        }
    }

    fn write(&self, _device: &Device, to: &mut Writing<'_>) {
        to.wanted.flag(format!("nvme{}.present", self.bus), true);
    }

    fn build(&self, _device: &Device, parts: &mut Parts<'_>) -> qemu::Result<()> {
        let index = controller::small(self.bus)?;
        parts.spec.controllers.push(Controller { index, kind: ControllerKind::Nvme });
        Ok(())
    }
}
