//! What a `.vmx` file says, as plain data.

use uuid::Uuid;

use super::device::{Bus, Cdrom, Controller, Disk, Floppy, Nic, OtherKeys, Serial, Slot, words};
use crate::dictionary::DictionaryError;

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

    /// The value of an extra key, whatever its case; keys of devices (`ethernet0.filter1`) included.
    pub fn extra_value(&self, key: &str) -> Option<&str> {
        let found =
            |keys: &'_ OtherKeys, key: &str| keys.iter().position(|(k, _)| k.eq_ignore_ascii_case(key));
        if let Some((prefix, rest)) = key.split_once('.')
            && let Some(other) = self.other_keys(&prefix.to_ascii_lowercase())
        {
            return found(other, rest).map(|at| other[at].1.as_str());
        }
        found(&self.extra, key).map(|at| self.extra[at].1.as_str())
    }

    /// Sets an extra key, of the machine or of the device that it begins with; an empty value removes it, as
    /// `extraConfig` of the API does.
    ///
    /// # Errors
    /// [`DictionaryError::Value`] for a key that has a field in this type.
    pub fn set_extra(&mut self, key: &str, value: &str) -> Result<(), DictionaryError> {
        check_extra_key(key, value)?;
        let (keys, key) = match key.split_once('.') {
            Some((prefix, rest)) if self.other_keys(&prefix.to_ascii_lowercase()).is_some() => {
                let other = self.other_keys_mut(&prefix.to_ascii_lowercase()).expect("it was found before");
                (other, rest)
            }
            _ => (&mut self.extra, key),
        };
        match keys.iter().position(|(k, _)| k.eq_ignore_ascii_case(key)) {
            Some(at) if value.is_empty() => drop(keys.remove(at)),
            Some(at) => value.clone_into(&mut keys[at].1),
            None if value.is_empty() => {}
            None => keys.push((key.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    /// The keys without a field of the device that keys begin with (`scsi0:1`).
    pub(super) fn other_keys(&self, prefix: &str) -> Option<&OtherKeys> {
        match Owner::parse(prefix)? {
            Owner::Drive(slot) => {
                let disks = self.disks.iter().filter(|disk| disk.slot == slot).map(|disk| &disk.other);
                let cdroms = self.cdroms.iter().filter(|cdrom| cdrom.slot == slot).map(|cdrom| &cdrom.other);
                disks.chain(cdroms).next()
            }
            Owner::Controller(bus, n) => {
                self.controllers.iter().find(|c| c.bus == bus && c.number == n).map(|c| &c.other)
            }
            Owner::Nic(n) => self.nics.iter().find(|nic| nic.number == n).map(|nic| &nic.other),
            Owner::Serial(n) => self.serials.iter().find(|port| port.number == n).map(|port| &port.other),
            Owner::Floppy(n) => {
                self.floppies.iter().find(|drive| drive.number == n).map(|drive| &drive.other)
            }
        }
    }

    /// [`VmxConfig::other_keys`], to change them.
    pub(super) fn other_keys_mut(&mut self, prefix: &str) -> Option<&mut OtherKeys> {
        match Owner::parse(prefix)? {
            Owner::Drive(slot) => {
                let disks =
                    self.disks.iter_mut().filter(|disk| disk.slot == slot).map(|disk| &mut disk.other);
                let cdroms =
                    self.cdroms.iter_mut().filter(|drive| drive.slot == slot).map(|drive| &mut drive.other);
                disks.chain(cdroms).next()
            }
            Owner::Controller(bus, n) => {
                self.controllers.iter_mut().find(|c| c.bus == bus && c.number == n).map(|c| &mut c.other)
            }
            Owner::Nic(n) => self.nics.iter_mut().find(|nic| nic.number == n).map(|nic| &mut nic.other),
            Owner::Serial(n) => {
                self.serials.iter_mut().find(|port| port.number == n).map(|port| &mut port.other)
            }
            Owner::Floppy(n) => {
                self.floppies.iter_mut().find(|drive| drive.number == n).map(|drive| &mut drive.other)
            }
        }
    }
}

/// The device that keys belong to.
enum Owner {
    Drive(Slot),
    Controller(Bus, u8),
    Nic(u8),
    Serial(u8),
    Floppy(u8),
}

impl Owner {
    /// From what keys begin with, in lower case.
    fn parse(prefix: &str) -> Option<Self> {
        if prefix.contains(':') {
            return prefix.parse().ok().map(Self::Drive);
        }
        let digits = prefix.trim_start_matches(|c: char| c.is_ascii_lowercase());
        let number: u8 = digits.parse().ok().filter(|n: &u8| n.to_string() == digits)?;
        match &prefix[..prefix.len() - digits.len()] {
            "ethernet" => Some(Self::Nic(number)),
            "serial" => Some(Self::Serial(number)),
            "floppy" => Some(Self::Floppy(number)),
            bus => Bus::ALL.into_iter().find(|b| b.prefix() == bus).map(|bus| Self::Controller(bus, number)),
        }
    }
}

/// Keys of the machine that fields stand for.
const MACHINE_KEYS: [&str; 18] = [
    ".encoding",
    "config.version",
    "virtualHW.version",
    "displayName",
    "guestOS",
    "annotation",
    "firmware",
    "uefi.secureBoot.enabled",
    "nvram",
    "memsize",
    "mem.hotadd",
    "numvcpus",
    "vcpu.hotadd",
    "cpuid.coresPerSocket",
    "uuid.bios",
    "vc.uuid",
    "bios.bootOrder",
    "checkpoint.vmState",
];

/// Refuses keys of the machine that have fields of their own.
pub(super) fn check_extra_key(key: &str, value: &str) -> Result<(), DictionaryError> {
    if MACHINE_KEYS.iter().any(|known| known.eq_ignore_ascii_case(key)) {
        let value = value.chars().take(80).collect();
        return Err(DictionaryError::Value {
            key: key.to_owned(),
            value,
            expected: "a key without a field of its own",
        });
    }
    Ok(())
}
