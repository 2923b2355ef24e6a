//! The bounds of a host, in one place; those of one VM are in `vm::limits`. Reaching one is a typed fault.

use std::time::Duration;

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
/// A console ticket is good for so long.
pub const TICKET_LIFE: Duration = Duration::from_secs(30);
/// What a guest says of itself that is shown: bytes of a text, its interfaces, and addresses of each. A guest may say
/// anything, and all of it would be kept and sent to every client that looks.
pub const MAX_GUEST_TEXT: usize = 255;
pub const MAX_GUEST_INTERFACES: usize = 32;
pub const MAX_GUEST_ADDRESSES: usize = 32;
