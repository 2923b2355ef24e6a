//! What a `.vmx` file says, as plain data.

use uuid::Uuid;

use super::device::{Cdrom, Controller, Disk, Floppy, Nic, OtherKeys, Serial, words};

/// Firmware of a virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Firmware {
    /// BIOS.
    #[default]
    Bios,
    /// UEFI.
    Efi,
}
words!(Firmware {
    Bios => "bios",
    Efi => "efi",
});

/// The configuration of a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmxConfig {
    /// `displayName`
    pub name: String,
    /// `memsize`, in MiB.
    pub memory_mib: u32,
    /// `numvcpus`
    pub cpus: u32,
    /// `cpuid.coresPerSocket`; `None` if the file does not say.
    pub cores_per_socket: Option<u32>,
    /// `vcpu.hotadd`
    pub cpu_hot_add: bool,
    /// `mem.hotadd`
    pub memory_hot_add: bool,
    /// `guestOS`, in the file's spelling (`debian12-64`, `other3xlinux-64`).
    pub guest_os: String,
    /// `uuid.bios`
    pub bios_uuid: Option<Uuid>,
    /// `vc.uuid`: identity in the center's inventory.
    pub instance_uuid: Option<Uuid>,
    /// `firmware`
    pub firmware: Firmware,
    /// `uefi.secureBoot.enabled`
    pub secure_boot: bool,
    /// `annotation`: notes, may have several lines.
    pub annotation: String,
    /// `virtualHW.version`
    pub hardware_version: u32,
    /// `nvram`: file of the firmware's variables.
    pub nvram: Option<String>,
    /// `checkpoint.vmState`: file with the state of a suspended machine.
    pub suspend_file: Option<String>,
    /// `bios.bootOrder`: `cdrom`, `hdd`, `ethernet0`, `floppy`…, first first.
    pub boot_order: Vec<String>,
    /// Disk controllers.
    pub controllers: Vec<Controller>,
    /// Disks.
    pub disks: Vec<Disk>,
    /// CD-ROM drives.
    pub cdroms: Vec<Cdrom>,
    /// Network adapters.
    pub nics: Vec<Nic>,
    /// Serial ports.
    pub serials: Vec<Serial>,
    /// Floppy drives.
    pub floppies: Vec<Floppy>,
    /// All other keys, in their order: `extraConfig`.
    pub extra: OtherKeys,
}

/// Memory of a machine whose file does not say, in MiB.
pub(super) const DEFAULT_MEMORY_MIB: u32 = 32;
/// Most memory of a machine, in MiB (24 TiB).
pub(super) const MAX_MEMORY_MIB: u32 = 24 << 20;
/// Most processors of a machine.
pub(super) const MAX_CPUS: u32 = 768;
/// Hardware version of a machine that is made new.
const NEW_HARDWARE_VERSION: u32 = 19;

impl VmxConfig {
    /// A machine with one processor, 1 GiB of memory and no devices.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            memory_mib: 1024,
            cpus: 1,
            cores_per_socket: None,
            cpu_hot_add: false,
            memory_hot_add: false,
            guest_os: "other-64".into(),
            bios_uuid: None,
            instance_uuid: None,
            firmware: Firmware::Bios,
            secure_boot: false,
            annotation: String::new(),
            hardware_version: NEW_HARDWARE_VERSION,
            nvram: None,
            suspend_file: None,
            boot_order: Vec::new(),
            controllers: Vec::new(),
            disks: Vec::new(),
            cdroms: Vec::new(),
            nics: Vec::new(),
            serials: Vec::new(),
            floppies: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// The value of an extra key, whatever its case.
    pub fn extra_value(&self, key: &str) -> Option<&str> {
        self.extra.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
    }

    /// Sets an extra key; an empty value removes it, as in `extraConfig` of the API. A key that belongs to a field
    /// of this type is refused with `false` when it is written, so check with [`VmxConfig::is_extra_key`] before.
    pub fn set_extra(&mut self, key: &str, value: &str) {
        let found = self.extra.iter().position(|(k, _)| k.eq_ignore_ascii_case(key));
        match found {
            Some(at) if value.is_empty() => drop(self.extra.remove(at)),
            Some(at) => value.clone_into(&mut self.extra[at].1),
            None if value.is_empty() => {}
            None => self.extra.push((key.to_owned(), value.to_owned())),
        }
    }
}
