//! What one client may ask for and how long it may take, so that none is a burden to others.

use std::time::Duration;

/// Connections at the same time; further ones are closed at once.
pub const MAX_CONNECTIONS: usize = 4_000;
/// The largest body of a SOAP or VI-JSON call, as sent and when inflated.
pub const MAX_BODY_BYTES: usize = 16 << 20;
/// The largest head of a request, in bytes and lines.
pub const MAX_HEAD_BYTES: usize = 128 << 10;
pub const MAX_HEAD_LINES: usize = 100;
/// The largest message on a console's WebSocket.
pub const MAX_CONSOLE_MESSAGE_BYTES: usize = 1 << 20;
/// Consoles that are open at the same time.
pub const MAX_CONSOLES: usize = 500;

/// For the TLS handshake.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// For the head of a request, from its first byte on.
pub const HEAD_TIME: Duration = Duration::from_secs(20);
/// For the body of a call.
pub const BODY_TIME: Duration = Duration::from_secs(120);
/// A body or an answer on which nothing moves for so long ends with its connection.
pub const STALL_TIME: Duration = Duration::from_secs(60);
/// A connection without a request. Clients that pool connections keep them for up to 15 minutes.
pub const IDLE_TIME: Duration = Duration::from_secs(16 * 60);
/// Requests under way may take so long to end when the server stops.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// How often a console is asked whether it is still there.
pub const CONSOLE_PING_TIME: Duration = Duration::from_secs(30);
/// How often sessions are looked through for idle ones.
pub const SESSION_SWEEP_TIME: Duration = Duration::from_secs(60);
/// How often the certificate's end is looked at.
pub const RENEWAL_TIME: Duration = Duration::from_secs(24 * 3600);

/// Answers from this size on are compressed for those who want that.
pub const MIN_GZIP_BYTES: usize = 4 << 10;
/// Compressing more than this is done beside the threads that serve connections.
pub const BLOCKING_GZIP_BYTES: usize = 128 << 10;
