//! Limits for the size and the time of a client's requests, so that no client is a burden to others.

use std::time::Duration;

/// Connections at the same time. When there are as many, one without a login gives way to a new one, or one without a request.
pub const MAX_CONNECTIONS: usize = 4_000;
/// Connections without a login, of all addresses and of one. When there are as many, the oldest gives way to a new one.
pub const MAX_STRANGERS: usize = 1_500;
pub const MAX_ADDRESS_STRANGERS: usize = 500;
/// Connections of one account; further ones remain those of strangers.
pub const MAX_ACCOUNT_CONNECTIONS: usize = 1_000;
/// The server's memory that a connection without a login may take. The following limits, and the buffers of TLS for one record,
/// stay below it together.
pub const MAX_STRANGER_BYTES: usize = 64 << 10;
/// The largest body of a request without a login, as sent and when inflated. A token of an identity source fits into it.
pub const MAX_STRANGE_BODY_BYTES: usize = 20 << 10;
/// The bytes of a head that such a request has for nothing: those of a longer one take room from its body.
pub const FREE_HEAD_BYTES: usize = 4 << 10;
/// The bytes that are read at a time from a client without a login.
pub const STRANGE_READ_BYTES: usize = 4 << 10;
/// The rest of a refused body that the server still reads, so that the client reads the answer.
pub const MAX_DRAINED_BYTES: usize = 1 << 20;
/// The same for what the client sends after the answer, on a connection that ends.
pub const MAX_LINGER_BYTES: usize = 16 << 20;
/// The largest body of a SOAP or VI-JSON call, as sent and when inflated.
pub const MAX_BODY_BYTES: usize = 16 << 20;
/// Bytes of a client before the TLS handshake ends: its hello, and its certificate if it has one.
pub const MAX_HANDSHAKE_BYTES: usize = 20 << 10;
/// Encrypted bytes of an answer that wait for a client without a login to read.
pub const MAX_STRANGE_UNSENT_BYTES: usize = 16 << 10;
/// The largest head of a request, in bytes and lines.
pub const MAX_HEAD_BYTES: usize = 16 << 10;
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
/// For a pause in a body or an answer; the connection ends after it.
pub const STALL_TIME: Duration = Duration::from_secs(60);
/// For a connection without a request. Clients that pool connections keep them for up to 15 minutes.
pub const IDLE_TIME: Duration = Duration::from_secs(16 * 60);
/// The same for a connection without a login: people type their passwords meanwhile.
pub const STRANGE_IDLE_TIME: Duration = Duration::from_secs(2 * 60);
/// For a connection without a login: for the body of a request, and for a pause in reading an answer.
pub const STRANGE_TIME: Duration = Duration::from_secs(30);
/// For the rest of a refused body, before the answer and after it.
pub const DRAIN_TIME: Duration = Duration::from_secs(5);
/// For requests under way to end when the server stops.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// The interval of pings to a console's client.
pub const CONSOLE_PING_TIME: Duration = Duration::from_secs(30);
/// The interval at which idle sessions are ended.
pub const SESSION_SWEEP_TIME: Duration = Duration::from_secs(60);
/// The interval at which the server checks whether its certificate expires.
pub const RENEWAL_TIME: Duration = Duration::from_secs(24 * 3600);

/// Answers from this size on are compressed for clients that accept it.
pub const MIN_GZIP_BYTES: usize = 4 << 10;
/// Larger answers are compressed on other threads than those that serve connections.
pub const BLOCKING_GZIP_BYTES: usize = 128 << 10;
