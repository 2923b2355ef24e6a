//! The configuration of a VM, typed. [`crate::vmx`] is its text on disk, [`crate::show`] its form in the API,
//! [`crate::plan`] how a specification changes it.

use std::collections::BTreeMap;

use uuid::Uuid;
use vim::DateTime;

use crate::device::{self, Device, Devices, Disk, Kind, Nic, Serial};

/// The virtual hardware version of new VMs, and the newest that is known.
pub const HARDWARE_VERSION: u32 = 21;
/// The versions that a VM can be given, oldest first. vSphere skipped two.
pub const HARDWARE_VERSIONS: [u32; 16] =
    [4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, HARDWARE_VERSION];

/// A version as the API writes it: `vmx-21`.
pub fn hardware_key(version: u32) -> String {
    format!("vmx-{version:02}")
}

/// The version that a text of the API means; `None` if VMs cannot be given it.
pub fn parse_hardware(key: &str) -> Option<u32> {
    let number = key.strip_prefix("vmx-")?.parse().ok()?;
    HARDWARE_VERSIONS.contains(&number).then_some(number)
}

/// The configuration of a VM.
#[derive(Debug, Clone, PartialEq)]
pub struct VmConfig {
    pub name: String,
    /// UUID in the guest's SMBIOS.
    pub bios_uuid: Uuid,
    /// Unique in an inventory.
    pub instance_uuid: Uuid,
    /// One of `VirtualMachineGuestOsIdentifier`.
    pub guest_id: String,
    /// Name of a guest system without an id.
    pub alternate_guest_name: String,
    /// The number of `vmx-21`.
    pub hardware_version: u32,
    pub memory_mib: u64,
    pub cpus: u32,
    pub cores_per_socket: u32,
    pub cpu_hot_add: bool,
    pub memory_hot_add: bool,
    pub firmware: Firmware,
    pub boot: Boot,
    pub annotation: String,
    /// Extra configuration: keys that no other field stands for.
    pub extra: BTreeMap<String, String>,
    pub devices: Devices,
    pub cpu: Allocation,
    pub memory: Allocation,
    pub tools: Tools,
    /// Disks show their UUID to the guest.
    pub disk_uuid: bool,
    pub managed_by: Option<ManagedBy>,
    pub template: bool,
    /// File of the firmware's variables, if the `.vmx` names it.
    pub nvram: Option<String>,
    /// Keys of the `.vmx` that stand for fields but that nothing takes, such as those of floppy drives and of absent devices: they are
    /// neither shown nor changed. Also the spelling of settings that may have words that nothing here understands.
    pub kept: Vec<(String, String)>,
    /// Changes with every change of the configuration.
    pub change_version: String,
    pub modified: DateTime,
    pub created: Option<DateTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Firmware {
    #[default]
    Bios,
    Efi {
        secure_boot: bool,
    },
}

impl Firmware {
    /// As the API and `.vmx` write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Efi { .. } => "efi",
        }
    }
}

/// How the VM boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// Pause before the firmware starts, ms.
    pub delay_ms: i64,
    pub retry: bool,
    pub retry_delay_ms: i64,
    /// Enter the firmware's set-up once.
    pub setup: bool,
    /// Devices to try, in this order; empty for the firmware's own order.
    pub order: Vec<BootDevice>,
}

/// Default pause before another try to boot, ms.
pub const BOOT_RETRY_DELAY_MS: i64 = 10_000;

impl Default for Boot {
    fn default() -> Self {
        Self {
            delay_ms: 0,
            retry: false,
            retry_delay_ms: BOOT_RETRY_DELAY_MS,
            setup: false,
            order: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootDevice {
    Disk(i32),
    Nic(i32),
    Cdrom,
}

/// Share, guarantee and ceiling of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocation {
    pub shares: Shares,
    /// MHz or MiB.
    pub reservation: i64,
    /// MHz or MiB; -1 for none.
    pub limit: i64,
}

impl Default for Allocation {
    fn default() -> Self {
        Self { shares: Shares::Normal, reservation: 0, limit: -1 }
    }
}

/// Shares of one processor at the level `normal`.
const NORMAL_CPU_SHARES: i32 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shares {
    Low,
    Normal,
    High,
    Custom(i32),
}

impl Shares {
    /// The number, where `normal` is the share at the level `normal`.
    pub fn number(self, normal: i32) -> i32 {
        match self {
            Self::Low => normal / 2,
            Self::Normal => normal,
            Self::High => normal.saturating_mul(2),
            Self::Custom(shares) => shares,
        }
    }
}

/// When the guest tools run their scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tools {
    pub after_power_on: bool,
    pub after_resume: bool,
    pub before_standby: bool,
    pub before_shutdown: bool,
    pub sync_time: bool,
}

impl Default for Tools {
    fn default() -> Self {
        Self {
            after_power_on: true,
            after_resume: true,
            before_standby: true,
            before_shutdown: true,
            sync_time: false,
        }
    }
}

/// The extension that manages the VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedBy {
    pub extension: String,
    pub ty: String,
}

impl VmConfig {
    /// A VM with nothing but the devices that every VM has.
    pub fn new(name: &str, now: DateTime) -> Self {
        Self {
            name: name.into(),
            bios_uuid: Uuid::new_v4(),
            instance_uuid: Uuid::new_v4(),
            guest_id: "otherGuest64".into(),
            alternate_guest_name: String::new(),
            hardware_version: HARDWARE_VERSION,
            memory_mib: 128,
            cpus: 1,
            cores_per_socket: 1,
            cpu_hot_add: false,
            memory_hot_add: false,
            firmware: Firmware::default(),
            boot: Boot::default(),
            annotation: String::new(),
            extra: BTreeMap::new(),
            devices: device::built_in(),
            cpu: Allocation::default(),
            memory: Allocation::default(),
            tools: Tools::default(),
            disk_uuid: false,
            managed_by: None,
            template: false,
            nvram: None,
            kept: Vec::new(),
            change_version: change_version(now),
            modified: now,
            created: Some(now),
        }
    }

    /// Shares of the host's processors.
    pub fn cpu_shares(&self) -> i32 {
        self.cpu.shares.number(self.normal_cpu_shares())
    }

    /// Shares of the host's processors at the level `normal`.
    pub fn normal_cpu_shares(&self) -> i32 {
        NORMAL_CPU_SHARES.saturating_mul(i32::try_from(self.cpus).unwrap_or(i32::MAX))
    }

    /// Disks with their keys, in order of keys.
    pub fn disks(&self) -> impl Iterator<Item = (i32, &Disk)> {
        self.devices.values().filter_map(|device| device.disk().map(|disk| (device.key, disk)))
    }

    /// Network adapters with their keys.
    pub fn nics(&self) -> impl Iterator<Item = (i32, &Nic)> {
        self.devices.values().filter_map(|device| device.nic().map(|nic| (device.key, nic)))
    }

    /// The devices on a controller.
    pub fn attached_to(&self, controller: i32) -> impl Iterator<Item = &Device> {
        device::attached_to(&self.devices, controller)
    }

    /// The serial port with its key.
    pub fn serial(&self) -> Option<(i32, &Serial)> {
        self.devices.values().find_map(|device| match &device.kind {
            Kind::Serial(serial) => Some((device.key, serial)),
            _ => None,
        })
    }

    /// Notes that the configuration has changed.
    pub fn touch(&mut self, now: DateTime) {
        let next = change_version(now);
        // Two changes in one microsecond are still two.
        self.change_version = if next == self.change_version { format!("{next}.1") } else { next };
        self.modified = now;
    }
}

fn change_version(now: DateTime) -> String {
    now.to_string()
}
