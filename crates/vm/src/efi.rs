//! Disks that the EFI firmware can boot from. OVMF as distributions build it has drivers for IDE, SATA and NVMe, but
//! none for the SCSI controllers that VMs here have; guests see those all the same.

use crate::config::{Firmware, VmConfig};
use crate::device::Kind;

/// A warning for people if a VM has disks and its firmware can read none of them.
pub fn warning(config: &VmConfig) -> Option<&'static str> {
    if config.firmware == Firmware::Bios {
        return None;
    }
    let on_scsi = |key: &i32| {
        let controller = config.devices.get(key).and_then(|device| device.controller);
        let controller = controller.and_then(|key| config.devices.get(&key));
        controller.is_some_and(|controller| matches!(controller.kind, Kind::Scsi(_)))
    };
    let mut disks = config.disks().map(|(key, _)| key).peekable();
    let unread = disks.peek().is_some() && disks.all(|key| on_scsi(&key));
    unread.then_some(
        "The EFI firmware has no driver for SCSI controllers and cannot boot from the disks of this VM. Attach \
         the disk to boot from to an NVMe or SATA controller, or choose the firmware bios.",
    )
}

#[cfg(test)]
mod tests {
    use vim::DateTime;

    use super::*;
    use crate::device::{Device, Disk, Nvme, Scsi, ScsiModel};
    use crate::file::FileRef;

    fn vm(firmware: Firmware, controllers: &[Kind]) -> VmConfig {
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
    fn a_vm_whose_firmware_can_read_none_of_its_disks_is_warned_of() {
        let efi = Firmware::Efi { secure_boot: false };
        let scsi = Kind::Scsi(Scsi { bus: 0, model: ScsiModel::ParaVirtual });
        let nvme = Kind::Nvme(Nvme { bus: 0 });
        for (firmware, controllers, warned) in [
            (Firmware::Bios, vec![scsi.clone()], false),
            (efi, vec![], false),
            (efi, vec![scsi.clone()], true),
            (efi, vec![nvme.clone()], false),
            (efi, vec![scsi, nvme], false),
        ] {
            assert_eq!(warning(&vm(firmware, &controllers)).is_some(), warned, "{controllers:?}");
        }
    }
}
