//! The bounds of one virtual machine, in one place. Reaching one is a typed fault.

/// Longest name of a virtual machine, in characters (vSphere API reference, `VirtualMachineConfigSpec.name`).
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
