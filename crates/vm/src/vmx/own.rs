//! Keys of the VM itself, and whether a key stands for a field of the VM or of a device.

use crate::device::is_key;

/// Names keys, and lists them all.
macro_rules! keys {
    ($($name:ident = $key:literal;)+) => {
        $(pub(crate) const $name: &str = $key;)+
        const ALL: &[&str] = &[$($key),+];
    };
}

keys! {
    ENCODING = ".encoding";
    NAME = "displayName";
    GUEST_OS = "guestOS";
    ANNOTATION = "annotation";
    HARDWARE_VERSION = "virtualHW.version";
    CONFIG_VERSION = "config.version";
    MEMORY_MIB = "memsize";
    MEMORY_HOT_ADD = "mem.hotadd";
    CPUS = "numvcpus";
    CPU_HOT_ADD = "vcpu.hotadd";
    CORES_PER_SOCKET = "cpuid.coresPerSocket";
    BIOS_UUID = "uuid.bios";
    INSTANCE_UUID = "vc.uuid";
    FIRMWARE = "firmware";
    SECURE_BOOT = "uefi.secureBoot.enabled";
    NVRAM = "nvram";
    SUSPEND_FILE = "checkpoint.vmState";
    BOOT_ORDER = "bios.bootOrder";
    CHANGE_VERSION = "esfera.changeVersion";
    MODIFIED = "esfera.modified";
    CREATED = "createdDate";
    TEMPLATE = "esfera.template";
    ALTERNATE_NAME = "guestOSAltName";
    DISK_UUID = "disk.EnableUUID";
    BOOT_DELAY = "bios.bootDelay";
    BOOT_RETRY = "bios.bootRetry.enabled";
    BOOT_RETRY_DELAY = "bios.bootRetry.delay";
    BOOT_SETUP = "bios.forceSetupOnce";
    DISK_ORDER = "bios.hddOrder";
    CPU_SHARES = "sched.cpu.shares";
    CPU_RESERVATION = "sched.cpu.min";
    CPU_LIMIT = "sched.cpu.max";
    MEMORY_SHARES = "sched.mem.shares";
    MEMORY_RESERVATION = "sched.mem.min";
    MEMORY_LIMIT = "sched.mem.max";
    SYNC_TIME = "tools.syncTime";
    AFTER_POWER_ON = "toolScripts.afterPowerOn";
    AFTER_RESUME = "toolScripts.afterResume";
    BEFORE_STANDBY = "toolScripts.beforeSuspend";
    BEFORE_SHUTDOWN = "toolScripts.beforePowerOff";
    MANAGER = "esfera.managedBy.extensionKey";
    MANAGER_TYPE = "esfera.managedBy.type";
}

/// The keys of an allocation: shares, guarantee, ceiling.
pub(super) type AllocationKeys = [&'static str; 3];
pub(super) const CPU: AllocationKeys = [CPU_SHARES, CPU_RESERVATION, CPU_LIMIT];
pub(super) const MEMORY: AllocationKeys = [MEMORY_SHARES, MEMORY_RESERVATION, MEMORY_LIMIT];

/// Most floppy drives of a VM.
pub(super) const MAX_FLOPPIES: u8 = 2;
/// First word of the keys of floppy drives, all of which are only kept.
pub(super) const FLOPPY: &str = "floppy";
/// Begins the host's own keys.
const HOST: &str = "esfera.";

/// Whether a key is the host's own.
pub(crate) fn is_hosts(key: &str) -> bool {
    key.to_ascii_lowercase().starts_with(HOST)
}

/// Whether a key stands for a field of the VM or of a device, or is kept for one: it is not extra configuration. Everything
/// that is read from a `.vmx` has such a key.
pub(crate) fn is_field(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let floppy = |prefix: &str| (0..MAX_FLOPPIES).any(|number| prefix == format!("{FLOPPY}{number}"));
    ALL.iter().any(|own| own.eq_ignore_ascii_case(&key))
        || is_hosts(&key)
        || key.split_once('.').is_some_and(|(prefix, _)| floppy(prefix))
        || is_key(&key)
}
