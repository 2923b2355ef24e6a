//! The bounds of a host and of one virtual machine, in one place. Reaching one is a typed fault.

use std::time::Duration;

/// Longest name of a virtual machine, in characters (vSphere API reference, `VirtualMachineConfigSpec.name`).
pub const MAX_NAME: usize = 80;
/// Processors of one machine.
pub const MAX_CPUS: u32 = 255;
/// Memory of one machine, MiB.
pub const MAX_MEMORY_MIB: u64 = 4 << 20;
/// Smallest memory of a machine, MiB.
pub const MIN_MEMORY_MIB: u64 = 4;
/// Network adapters of one machine.
pub const MAX_NICS: usize = 10;
/// Controllers of one kind in one machine.
pub const MAX_CONTROLLERS: i32 = 4;
/// Largest disk, bytes (62 TiB, as vSphere has it).
pub const MAX_DISK_BYTES: u64 = 62 << 40;
/// Keys of `extraConfig` in one machine.
pub const MAX_EXTRA: usize = 2048;
/// Device changes in one specification.
pub const MAX_DEVICE_CHANGES: usize = 256;
/// Longest annotation, bytes.
pub const MAX_ANNOTATION: usize = 16 << 10;
/// Deepest chain of snapshots.
pub const MAX_SNAPSHOT_DEPTH: usize = 32;
/// Registered machines of one host.
pub const MAX_VMS: usize = 4096;
/// Largest screenshot that is kept, bytes.
pub const MAX_SCREENSHOT_BYTES: u64 = 32 << 20;

/// How long a machine that does not answer is left alone before it is asked again.
pub const ASK_SILENT: Duration = Duration::from_secs(5);
/// How often a machine that does not say what it has merged is asked before the operation fails.
pub const MAX_ASKED: usize = 60;
/// Layers that one consolidation merges.
pub const MAX_MERGES: usize = 4096;
/// How often a running guest's agent is asked.
pub const GUEST_POLL: Duration = Duration::from_secs(15);
/// The same while nothing is known of the guest yet.
pub const GUEST_POLL_FIRST: Duration = Duration::from_secs(2);
/// How often the MACs of a running machine's adapters are looked at.
pub const GUEST_MACS: Duration = Duration::from_secs(5);
/// For a machine to say which they are when the daemon starts.
pub const GUEST_MACS_FIRST: Duration = Duration::from_secs(2);
/// How often use of memory, processors and datastores is looked at.
pub const STATISTICS: Duration = Duration::from_secs(20);
/// Root ports kept free for disks and adapters added while a machine runs.
pub const SPARE_PORTS: u8 = 8;
/// A console ticket is good for so long.
pub const TICKET_LIFE: Duration = Duration::from_secs(30);
/// What a guest says of itself that is shown: bytes of a text, its interfaces, and addresses of each. A guest may say
/// anything, and all of it would be kept and sent to every client that looks.
pub const MAX_GUEST_TEXT: usize = 255;
pub const MAX_GUEST_INTERFACES: usize = 32;
pub const MAX_GUEST_ADDRESSES: usize = 32;
