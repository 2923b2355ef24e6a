//! SATA controllers.

use qemu::spec::{Controller, ControllerKind};
use vim::{Fault, Object};

use super::draft::{Change, Draft};
use super::keys::{Keys, Prefix};
use super::kind::{DeviceKind, Reading, Shown, Writing, option, shown};
use super::parts::Parts;
use super::{Bus, Device, Devices, controller};

/// AHCI controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sata {
    pub bus: i32,
}

impl DeviceKind for Sata {
    const KEYS: &'static [Keys] = &[Keys {
        prefix: Prefix::Numbered(Bus::Sata.prefix(), Bus::Sata.controllers()),
        names: &["present"],
    }];

    fn is(asked: &Object) -> bool {
        matches!(asked.type_name(), "VirtualAHCIController" | "VirtualSATAController")
    }

    fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
        controller::add(draft, change, Bus::Sata, |bus| Self { bus })
    }

    fn edit(_draft: &mut Draft<'_>, change: &Change<'_>, device: Device) -> Result<(), Fault> {
        controller::edit(change, &device)
    }

    fn bus(&self) -> Option<i32> {
        Some(self.bus)
    }

    fn units(&self) -> Option<(Bus, i32)> {
        // QEMU's AHCI controller has six ports.
        Some((Bus::Sata, 6))
    }

    fn label(&self, _at: &Shown<'_>) -> (String, String) {
        (format!("SATA controller {}", self.bus), "AHCI".into())
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        shown!(at, VirtualAHCIController { busNumber: self.bus, device: at.attached() })
    }

    fn options() -> Vec<Object> {
        vec![option("VirtualAHCIController", Some("VirtualPCIController"), false)]
    }

    fn prefix(&self, _device: &Device, _devices: &Devices) -> Option<String> {
        Some(format!("sata{}", self.bus))
    }

    fn read(from: &mut Reading<'_>) {
        for number in controller::present(from, Bus::Sata) {
            let bus = i32::from(number);
            from.insert(controller::device(Bus::Sata, bus, Self { bus }));
        }
    }

    fn write(&self, _device: &Device, to: &mut Writing<'_>) {
        to.wanted.flag(format!("sata{}.present", self.bus), true);
    }

    fn build(&self, _device: &Device, parts: &mut Parts<'_>) -> qemu::Result<()> {
        let index = controller::small(self.bus)?;
        parts.spec.controllers.push(Controller { index, kind: ControllerKind::Sata });
        Ok(())
    }
}
