//! Changes of devices for `esfera vm create` and `reconfigure`.

use vim::{Object, Value, data_id, field, vim};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Found;

/// Temporary keys of devices that a specification adds; the server assigns the real ones.
const NEW_CONTROLLER: i32 = -1;
const NEW_DISK: i32 = -2;
const NEW_DRIVE: i32 = -3;
/// The unit of a SCSI controller itself.
const SCSI_CONTROLLER_UNIT: i32 = 7;

/// A disk on a SCSI controller: the existing one in `file`, or a new one of `gib`.
pub fn disk(controller: i32, unit: i32, file: Option<&str>, gib: Option<i64>) -> Object {
    let backing = vim!(VirtualDiskFlatVer2BackingInfo {
        fileName: file.unwrap_or_default(),
        diskMode: "persistent",
        thinProvisioned: true,
    });
    let device = vim!(VirtualDisk {
        key: NEW_DISK,
        controllerKey: controller,
        unitNumber: unit,
        backing: backing,
        capacityInKB: gib.unwrap_or(0).saturating_mul(1 << 20),
    });
    let mut change = vim!(VirtualDeviceConfigSpec { operation: "add", device: device });
    if file.is_none() {
        change.set(
            field!(VirtualDeviceConfigSpec.fileOperation),
            vim::vim_enum!(VirtualDeviceConfigSpecFileOperation.create),
        );
    }
    change.into()
}

/// A new paravirtual SCSI controller, and its temporary key.
pub fn scsi_controller(bus: i32) -> (Object, i32) {
    let device =
        vim!(ParaVirtualSCSIController { key: NEW_CONTROLLER, busNumber: bus, sharedBus: "noSharing" });
    (vim!(VirtualDeviceConfigSpec { operation: "add", device: device }).into(), NEW_CONTROLLER)
}

/// The changes that add a new disk to a VM with these devices (`config.hardware.device`).
pub fn new_disk(devices: &Found, gib: i64) -> Result<Vec<Object>, Failure> {
    let devices: Vec<&Object> = objects(devices).collect();
    let controller = devices.iter().find(|device| device.is_a(data_id!(VirtualSCSIController)));
    let Some(controller) = controller.and_then(|device| device.get(field!(VirtualDevice.key))) else {
        let (change, key) = scsi_controller(0);
        return Ok(vec![change, disk(key, 0, None, Some(gib))]);
    };
    let taken = |unit: i32| {
        devices.iter().any(|device| {
            device.get(field!(VirtualDevice.controllerKey)) == Some(controller)
                && device.get(field!(VirtualDevice.unitNumber)) == Some(unit)
        })
    };
    match (0..16).find(|unit| *unit != SCSI_CONTROLLER_UNIT && !taken(*unit)) {
        Some(unit) => Ok(vec![disk(controller, unit, None, Some(gib))]),
        None => Err(Failure::new(Reason::Failed, "the first SCSI controller has no free unit")),
    }
}

/// A CD drive with an ISO image, on the IDE controller with this key.
pub fn drive(controller: i32, unit: i32, iso: &str) -> Object {
    let device = vim!(VirtualCdrom {
        key: NEW_DRIVE,
        controllerKey: controller,
        unitNumber: unit,
        backing: VirtualCdromIsoBackingInfo { fileName: iso },
        connectable: VirtualDeviceConnectInfo {
            startConnected: true,
            allowGuestControl: true,
            connected: true
        },
    });
    vim!(VirtualDeviceConfigSpec { operation: "add", device: device }).into()
}

/// The change that puts an ISO image into the first CD drive, adding a drive if the VM has none.
pub fn insert_iso(devices: &Found, path: &str) -> Result<Object, Failure> {
    if let Some(drive) = objects(devices).find(|device| device.is_a(data_id!(VirtualCdrom))) {
        let mut drive = drive.clone();
        drive.set(field!(VirtualDevice.backing), vim!(VirtualCdromIsoBackingInfo { fileName: path }));
        let connected =
            vim!(VirtualDeviceConnectInfo { startConnected: true, allowGuestControl: true, connected: true });
        drive.set(field!(VirtualDevice.connectable), connected);
        return Ok(vim!(VirtualDeviceConfigSpec { operation: "edit", device: drive }).into());
    }
    let controllers = objects(devices).filter(|device| device.is_a(data_id!(VirtualIDEController)));
    for controller in controllers.filter_map(|device| device.get(field!(VirtualDevice.key))) {
        let taken = |unit: i32| {
            objects(devices).any(|device| {
                device.get(field!(VirtualDevice.controllerKey)) == Some(controller)
                    && device.get(field!(VirtualDevice.unitNumber)) == Some(unit)
            })
        };
        if let Some(unit) = (0..2).find(|unit| !taken(*unit)) {
            return Ok(drive(controller, unit, path));
        }
    }
    Err(Failure::new(Reason::Failed, "the virtual machine has no free unit for a CD drive"))
}

fn objects(found: &Found) -> impl Iterator<Item = &Object> {
    found.at(0).into_iter().flat_map(Value::items).filter_map(Value::as_object).map(|object| &**object)
}
