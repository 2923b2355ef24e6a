//! The bounds of a host, in one place; those of one VM are in `vm::limits`. Reaching one is a typed fault.

use std::time::Duration;

/// Deepest chain of snapshots.
pub const MAX_SNAPSHOT_DEPTH: usize = 32;
/// Registered VMs of one host.
pub const MAX_VMS: usize = 4096;
/// Largest screenshot that is kept, bytes.
pub const MAX_SCREENSHOT_BYTES: u64 = 32 << 20;

/// Time for a guest's file systems to come to rest for a snapshot.
pub const QUIESCE: Duration = Duration::from_secs(60);
/// The same where a `quiesceSpec` says nothing else, and what it may say, in minutes: as vSphere has it.
pub const QUIESCE_SPEC: Duration = Duration::from_secs(15 * 60);
pub const QUIESCE_MINUTES: std::ops::RangeInclusive<u64> = 5..=240;
/// How long the host leaves a QEMU process alone that does not answer before it asks again.
pub const ASK_SILENT: Duration = Duration::from_secs(5);
/// How often the host asks a QEMU process that does not say what it has merged before the operation fails.
pub const MAX_ASKED: usize = 60;
/// Layers that one consolidation merges.
pub const MAX_MERGES: usize = 4096;
/// How often the host asks a running guest's agent.
pub const GUEST_POLL: Duration = Duration::from_secs(15);
/// The same while nothing is known of the guest yet.
pub const GUEST_POLL_FIRST: Duration = Duration::from_secs(2);
/// How often the host looks at the MACs of a running VM's adapters.
pub const GUEST_MACS: Duration = Duration::from_secs(5);
/// How long a QEMU process may take to say which they are when the daemon starts.
pub const GUEST_MACS_FIRST: Duration = Duration::from_secs(2);
/// How often the host looks at the use of memory, processors and datastores.
pub const STATISTICS: Duration = Duration::from_secs(20);
/// Storage that does not answer for so long is taken for gone.
pub const STORAGE_ANSWERS: Duration = Duration::from_secs(30);
/// A console ticket is good for so long.
pub const TICKET_LIFE: Duration = Duration::from_secs(30);
/// A guest may say anything of itself, and every client that looks gets all that is kept: so a text is kept up to this many
/// bytes.
pub const MAX_GUEST_TEXT: usize = 255;
/// Interfaces that are kept of a guest's report.
pub const MAX_GUEST_INTERFACES: usize = 32;
/// Addresses that are kept of each.
pub const MAX_GUEST_ADDRESSES: usize = 32;
