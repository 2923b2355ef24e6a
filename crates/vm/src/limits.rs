//! The bounds of one virtual machine, in one place. Reaching one is a typed fault.

/// Longest name of a VM or another managed entity, in characters, as it is kept (vSphere API reference, `ManagedEntity.name`).
pub const MAX_NAME: usize = 80;
/// Processors of one VM.
pub const MAX_CPUS: u32 = 255;
/// Memory of one VM, MiB.
pub const MAX_MEMORY_MIB: u64 = 4 << 20;
/// Smallest memory of a VM, MiB.
pub const MIN_MEMORY_MIB: u64 = 4;
/// Network adapters of one VM.
pub const MAX_NICS: usize = 10;
/// Controllers of one kind in one VM.
pub const MAX_CONTROLLERS: i32 = 4;
/// Largest disk, bytes (62 TiB, as vSphere has it).
pub const MAX_DISK_BYTES: u64 = 62 << 40;
/// Keys of `extraConfig` in one VM.
pub const MAX_EXTRA: usize = 2048;
/// Device changes in one specification.
pub const MAX_DEVICE_CHANGES: usize = 256;
/// Longest annotation, bytes.
pub const MAX_ANNOTATION: usize = 16 << 10;
/// A VM can grow to this many times the memory and processors that it was started with.
pub const HOT_ADD_FACTOR: u8 = 4;
/// Processors that every VM can grow to.
pub const HOT_ADD_PROCESSORS: u32 = 8;
/// Root ports kept free for disks and adapters added while a VM runs.
pub const SPARE_PORTS: u8 = 8;
