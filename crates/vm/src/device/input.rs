//! Keyboard, mouse and their controller, which every VM has.

use vim::{Fault, Object};

use super::draft::{Change, Draft};
use super::kind::{DeviceKind, Shown, fixed, shown};
use super::{Device, key};

/// Controller of keyboard and mouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ps2;

/// Keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyboard;

/// Mouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointer;

impl DeviceKind for Ps2 {
    fixed!("VirtualPS2Controller", Device::new(key::PS2, None, Self));

    fn bus(&self) -> Option<i32> {
        Some(0)
    }

    fn label(&self, _at: &Shown<'_>) -> (String, String) {
        ("PS2 controller 0".into(), "PS2 controller 0".into())
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        shown!(at, VirtualPS2Controller { busNumber: 0, device: at.attached() })
    }
}

impl DeviceKind for Keyboard {
    fixed!("VirtualKeyboard", Device::new(key::KEYBOARD, Some((key::PS2, 0)), Self));

    fn label(&self, _at: &Shown<'_>) -> (String, String) {
        ("Keyboard".into(), "Keyboard".into())
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        shown!(at, VirtualKeyboard {})
    }
}

impl DeviceKind for Pointer {
    fixed!("VirtualPointingDevice", Device::new(key::POINTER, Some((key::PS2, 1)), Self));

    fn label(&self, _at: &Shown<'_>) -> (String, String) {
        ("Pointing device".into(), "Pointing device; Device".into())
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        shown!(
            at,
            VirtualPointingDevice {
                backing: VirtualPointingDeviceDeviceBackingInfo {
                    deviceName: "",
                    useAutoDetect: false,
                    hostPointingDevice: "autodetect",
                },
            }
        )
    }
}
