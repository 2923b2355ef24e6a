//! Faults about one entry of `deviceChange`.

use vim::{DataId, Fault, Object, data_id, field};

/// A fault of type `ty` (`InvalidVmConfig` or derived from it) about a member of the device at `index`.
pub(crate) fn device_fault(ty: DataId, index: usize, member: &str, message: &str) -> Fault {
    let mut object = Object::new(ty);
    let property = if member.is_empty() {
        format!("deviceChange[{index}]")
    } else {
        format!("deviceChange[{index}].{member}")
    };
    object.set(field!(InvalidVmConfig.property), property);
    if object.is_a(data_id!(InvalidDeviceSpec)) {
        object.set(field!(InvalidDeviceSpec.deviceIndex), i32::try_from(index).unwrap_or(i32::MAX));
    }
    Fault::new(object, message)
}

/// `InvalidDeviceSpec`.
pub(crate) fn invalid(index: usize, member: &str, message: &str) -> Fault {
    device_fault(data_id!(InvalidDeviceSpec), index, member, message)
}

/// `InvalidDeviceBacking`.
pub(super) fn backing(index: usize, member: &str, message: &str) -> Fault {
    device_fault(data_id!(InvalidDeviceBacking), index, &format!("device.backing{member}"), message)
}

/// `DeviceUnsupportedForVmVersion`.
pub(crate) fn unsupported(index: usize, ty: &str, version: u32) -> Fault {
    let mut object = Object::new(data_id!(DeviceUnsupportedForVmVersion));
    object.set(field!(InvalidVmConfig.property), format!("deviceChange[{index}].device"));
    object.set(field!(InvalidDeviceSpec.deviceIndex), i32::try_from(index).unwrap_or(i32::MAX));
    object.set(field!(DeviceUnsupportedForVmVersion.currentVersion), format!("vmx-{version}"));
    object.set(field!(DeviceUnsupportedForVmVersion.expectedVersion), "");
    Fault::new(object, format!("Devices of type {ty} are not supported on this host"))
}

/// `InvalidDeviceOperation`.
pub(crate) fn operation(index: usize, message: &str) -> Fault {
    device_fault(data_id!(InvalidDeviceOperation), index, "operation", message)
}

/// `MissingController`.
pub(super) fn missing_controller(index: usize) -> Fault {
    let message = "The device needs a controller: add one, or name one that the VM has";
    device_fault(data_id!(MissingController), index, "device.controllerKey", message)
}

/// `InvalidController`.
pub(super) fn invalid_controller(index: usize, key: i32) -> Fault {
    let mut object = Object::new(data_id!(InvalidController));
    object.set(field!(InvalidVmConfig.property), format!("deviceChange[{index}].device.controllerKey"));
    object.set(field!(InvalidDeviceSpec.deviceIndex), i32::try_from(index).unwrap_or(i32::MAX));
    object.set(field!(InvalidController.controllerKey), key);
    Fault::new(object, format!("The device {key} is not a controller that can take this device"))
}
