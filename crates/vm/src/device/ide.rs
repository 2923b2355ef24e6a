//! The two IDE channels, which every VM has.

use vim::{Fault, Object, field};

use super::draft::{Change, Draft};
use super::faults::invalid;
use super::keys::{Keys, Prefix};
use super::kind::{DeviceKind, Reading, Shown, option, shown};
use super::{Bus, Device, controller, key};

/// IDE channels of every VM.
const CHANNELS: i32 = 2;

/// IDE channel 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ide {
    pub bus: i32,
}

impl DeviceKind for Ide {
    const KEYS: &'static [Keys] =
        &[Keys { prefix: Prefix::Numbered(Bus::Ide.prefix(), Bus::Ide.controllers()), names: &["present"] }];

    const BUILT_IN: bool = true;

    fn built_in() -> Vec<Device> {
        (0..CHANNELS).map(|bus| Device::new(key::IDE + bus, None, Self { bus })).collect()
    }

    fn is(asked: &Object) -> bool {
        asked.type_name() == "VirtualIDEController"
    }

    fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
        let bus = change.device.get(field!(VirtualController.busNumber)).unwrap_or_default();
        if !(0..CHANNELS).contains(&bus) {
            let message = "A VM has the IDE channels 0 and 1";
            return Err(invalid(change.index, "device.busNumber", message));
        }
        draft.stands_for(change, key::IDE + bus).map(drop)
    }

    fn edit(_draft: &mut Draft<'_>, _change: &Change<'_>, _device: Device) -> Result<(), Fault> {
        Ok(())
    }

    fn bus(&self) -> Option<i32> {
        Some(self.bus)
    }

    fn units(&self) -> Option<(Bus, i32)> {
        Some((Bus::Ide, 2))
    }

    fn label(&self, _at: &Shown<'_>) -> (String, String) {
        (format!("IDE {}", self.bus), format!("IDE {}", self.bus))
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        shown!(at, VirtualIDEController { busNumber: self.bus, device: at.attached() })
    }

    fn options() -> Vec<Object> {
        vec![option("VirtualIDEController", None, false)]
    }

    fn read(from: &mut Reading<'_>) {
        // Both channels exist whatever the file says.
        controller::present(from, Bus::Ide);
    }
}
