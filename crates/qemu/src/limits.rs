//! Every bound of the crate in one place: sizes, queues and waits. A caller that reaches one gets a typed error.

use std::time::Duration;

/// Longest line accepted from a QMP monitor, in bytes.
pub const QMP_LINE_BYTES: usize = 16 << 20;
/// Longest line accepted from a guest agent, in bytes. The guest is not trusted; exec output comes as base64.
pub const AGENT_LINE_BYTES: usize = 8 << 20;
/// Events kept for a slow subscriber before it is told that it lost some.
pub const EVENT_QUEUE: usize = 512;
/// Commands waiting to be written to one monitor.
pub const COMMAND_QUEUE: usize = 64;
/// Root ports one VM can have (13 slots of 8 functions).
pub const MAX_ROOT_PORTS: u8 = 104;
/// Longest path of a unix socket, in bytes (`sun_path` less its terminator).
pub const SOCKET_PATH_BYTES: usize = 107;
/// Length of the tail of QEMU's log that is read back to explain its end, in bytes.
pub const LOG_TAIL_BYTES: u64 = 2048;
/// Largest launch record read back, in bytes.
pub const RECORD_BYTES: u64 = 4 << 20;
/// Longest text of a VM's owner read back, in bytes.
pub const CONFIGURATION_BYTES: u64 = 4 << 20;
/// Most output kept of a child such as `qemu-img`, per stream, in bytes.
pub const CHILD_OUTPUT_BYTES: usize = 8 << 20;

/// Answer to an ordinary monitor command.
pub const QMP_CALL: Duration = Duration::from_secs(10);
/// From spawn to a negotiated monitor.
pub const START: Duration = Duration::from_secs(60);
/// Connecting to the monitor of a running VM.
pub const ADOPT: Duration = Duration::from_secs(10);
/// From `quit` to the end of the process, before it is killed.
pub const QUIT: Duration = Duration::from_secs(10);
/// From SIGKILL to the end of the process.
pub const KILL: Duration = Duration::from_secs(30);
/// Time for the guest to release a device.
pub const UNPLUG: Duration = Duration::from_secs(20);
/// Answer of a guest agent to a short question.
pub const AGENT_CALL: Duration = Duration::from_secs(5);
/// Time for guest file systems to thaw, and to freeze if nobody asks for another time.
pub const AGENT_FREEZE: Duration = Duration::from_secs(60);
/// `qemu-img` operations that only touch metadata.
pub const IMAGE_QUICK: Duration = Duration::from_secs(60);
/// `qemu-img` operations that move data.
pub const IMAGE_COPY: Duration = Duration::from_secs(24 * 3600);
/// From the stop of the processors to the switch of a disk to another file; after it the switch is abandoned.
pub const SWITCH: Duration = Duration::from_secs(60);
/// Saving or loading the state of a VM.
pub const STATE_TRANSFER: Duration = Duration::from_secs(3600);
/// Wait for the last monitor events once the process has gone.
pub const LAST_WORDS: Duration = Duration::from_millis(500);
/// One attempt to reconnect a monitor that was lost while the process lives.
pub const RECONNECT: Duration = Duration::from_secs(5);
