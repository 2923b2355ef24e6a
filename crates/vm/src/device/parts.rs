//! The specification of a QEMU process while the devices of a VM add their parts.

use std::path::PathBuf;

use qemu::MachineSpec;
use qemu::spec::{Attachment, ImageFormat};

use super::controller::small;
use super::{Device, Devices, Kind};
use crate::file::FileRef;

/// Files as a QEMU process opens them.
pub trait Files {
    /// Path of a file that belongs to the VM alone, after its process got access to it.
    ///
    /// # Errors
    /// If the file cannot be reached, or access cannot be given.
    fn own(&self, file: &FileRef) -> qemu::Result<PathBuf>;

    /// Path of a file that several VMs may read, after the process got access to it.
    ///
    /// # Errors
    /// As [`Files::own`].
    fn shared(&self, file: &FileRef) -> qemu::Result<PathBuf>;

    /// Path of a file that takes the output of a serial port, after it was checked and the process got access to it.
    ///
    /// # Errors
    /// As [`Files::own`]; if the file is something that a host or VM would read as something else.
    fn output(&self, file: &FileRef) -> qemu::Result<PathBuf>;

    /// The images below a disk image, nearest first, as its header says now.
    ///
    /// # Errors
    /// If one of them is not on the datastore, has no plain format, or keeps its data in another file.
    fn parents(&self, image: &FileRef) -> qemu::Result<Vec<FileRef>>;

    /// Format of a disk image, as its header says now.
    ///
    /// # Errors
    /// If the image cannot be read.
    fn format(&self, image: &FileRef) -> qemu::Result<ImageFormat>;
}

/// The specification so far, and what devices need to add to it.
pub(crate) struct Parts<'a> {
    pub(crate) devices: &'a Devices,
    pub(crate) files: &'a dyn Files,
    /// Disks show their UUID to the guest.
    pub(crate) disk_uuid: bool,
    /// Keys of the devices to boot from, first first.
    pub(crate) boot_order: &'a [i32],
    /// Tap of the network adapter with this key.
    pub(crate) tap: &'a dyn Fn(i32) -> Option<String>,
    pub(crate) spec: MachineSpec,
}

impl Parts<'_> {
    pub(super) fn boot_index(&self, key: i32) -> Option<u32> {
        let at = self.boot_order.iter().position(|at| *at == key)?;
        u32::try_from(at).ok()
    }
}

/// The place of a drive.
pub(super) fn attachment(devices: &Devices, device: &Device) -> qemu::Result<Attachment> {
    let unit = device.unit.unwrap_or_default();
    let controller = device.controller.and_then(|key| devices.get(&key));
    match controller.map(|controller| &controller.kind) {
        Some(Kind::Ide(ide)) => Ok(Attachment::Ide { port: small(ide.bus * 2 + unit)? }),
        Some(Kind::Sata(sata)) => Ok(Attachment::Sata { controller: small(sata.bus)?, port: small(unit)? }),
        Some(Kind::Scsi(scsi)) => Ok(Attachment::Scsi { controller: small(scsi.bus)?, target: small(unit)? }),
        Some(Kind::Nvme(nvme)) => {
            Ok(Attachment::Nvme { controller: small(nvme.bus)?, namespace: small::<u16>(unit)? + 1 })
        }
        _ => Err(qemu::Error::Spec(format!("device {} has no controller", device.key))),
    }
}
