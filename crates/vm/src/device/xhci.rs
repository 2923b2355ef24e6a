//! The USB 3 controller. It is only configured: QEMU's own one, for the tablet of the console, is there in any case.

use vim::{Fault, Object};

use super::draft::{Change, Draft};
use super::keys::{Keys, Prefix};
use super::kind::{DeviceKind, Reading, Shown, Writing, option, shown};
use super::{Device, controller, key};

/// Place on the PCI bus.
const UNIT: i32 = 23;
const PRESENT: &str = "usb_xhci.present";

/// USB 3 controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xhci;

fn device() -> Device {
    Device::new(key::XHCI, Some((key::PCI, UNIT)), Xhci)
}

impl DeviceKind for Xhci {
    const KEYS: &'static [Keys] = &[Keys { prefix: Prefix::Word("usb_xhci"), names: &["present"] }];

    fn is(asked: &Object) -> bool {
        asked.type_name() == "VirtualUSBXHCIController"
    }

    fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
        draft.need_off("Controllers")?;
        draft.insert(change, device())
    }

    fn edit(_draft: &mut Draft<'_>, change: &Change<'_>, device: Device) -> Result<(), Fault> {
        controller::edit(change, &device)
    }

    fn bus(&self) -> Option<i32> {
        Some(0)
    }

    fn label(&self, _at: &Shown<'_>) -> (String, String) {
        ("USB xHCI controller".into(), "USB xHCI controller".into())
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        shown!(at, VirtualUSBXHCIController { busNumber: 0, autoConnectDevices: false })
    }

    fn options() -> Vec<Object> {
        vec![option("VirtualUSBXHCIController", Some("VirtualPCIController"), false)]
    }

    fn read(from: &mut Reading<'_>) {
        if from.source.is_true(PRESENT).unwrap_or(false) {
            from.insert(device());
        }
    }

    fn write(&self, _device: &Device, to: &mut Writing<'_>) {
        to.wanted.flag_unless(PRESENT, true, false);
    }
}
