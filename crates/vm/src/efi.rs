//! What the EFI firmware can boot from. OVMF as distributions build it has drivers for IDE, SATA and NVMe, none for the
//! SCSI controllers that virtual machines here have; guests see those all the same.

use super::config::{Firmware, VmConfig};
use super::device::Kind;

/// What people are told of a machine that has disks, none of which its firmware can read; none if there is nothing to
/// tell.
pub fn warning(config: &VmConfig) -> Option<&'static str> {
    if config.firmware == Firmware::Bios {
        return None;
    }
    let on_scsi = |key: &i32| {
        let controller = config.devices.get(key).and_then(|device| device.controller);
        let controller = controller.and_then(|key| config.devices.get(&key));
        controller.is_some_and(|controller| matches!(controller.kind, Kind::Scsi { .. }))
    };
    let mut disks = config.disks().map(|(key, _)| key).peekable();
    let unread = disks.peek().is_some() && disks.all(|key| on_scsi(&key));
    unread.then_some(
        "The EFI firmware has no driver for SCSI controllers and cannot boot from the disks of this machine. Attach \
         the disk to boot from to an NVMe or SATA controller, or choose the firmware bios.",
    )
}

#[cfg(test)]
mod tests {
    use vim::DateTime;

    use super::super::device::{Device, Disk, FileRef, ScsiModel};
    use super::*;

    fn machine(firmware: Firmware, controllers: &[Kind]) -> VmConfig {
        let mut config = VmConfig::new("vm", DateTime::now());
        config.firmware = firmware;
        for (at, controller) in (1000..).zip(controllers) {
            let path = datastore::FilePath::parse("vm/vm.vmdk").unwrap();
            let disk = Disk {
                file: FileRef { datastore: uuid::Uuid::nil(), path },
                parents: Vec::new(),
                capacity_bytes: 1,
                independent: false,
                thin: true,
                eager_zero: false,
                uuid: uuid::Uuid::nil(),
            };
            let on = |key, controller, kind| Device { key, controller, unit: Some(0), connect: None, kind };
            config.devices.insert(at, on(at, None, controller.clone()));
            config.devices.insert(at + 1000, on(at + 1000, Some(at), Kind::Disk(disk)));
        }
        config
    }

    #[test]
    fn a_machine_is_warned_of_whose_firmware_can_read_none_of_its_disks() {
        let efi = Firmware::Efi { secure_boot: false };
        let scsi = Kind::Scsi { bus: 0, model: ScsiModel::ParaVirtual };
        let nvme = Kind::Nvme { bus: 0 };
        for (firmware, controllers, warned) in [
            (Firmware::Bios, vec![scsi.clone()], false),
            (efi, vec![], false),
            (efi, vec![scsi.clone()], true),
            (efi, vec![nvme.clone()], false),
            (efi, vec![scsi, nvme], false),
        ] {
            assert_eq!(warning(&machine(firmware, &controllers)).is_some(), warned, "{controllers:?}");
        }
    }
}
