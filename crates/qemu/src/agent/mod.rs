//! The agent inside the guest (`qemu-guest-agent`), over its unix socket. The guest is not trusted and may never
//! answer. Every call is therefore bounded, and one call is under way at a time; after any error the connection is dropped
//! and synchronised anew (`guest-sync-delimited`), so that no answer is ever taken for another's.

mod calls;
mod line;

pub use calls::{ExecOutput, GuestAddress, GuestInterface, Info, OsInfo, ShutdownMode};
pub use line::{Answer, ParseError, parse_line};

use crate::lines::LineReader;
use crate::{Error, Result, limits};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// The agent of one VM. Cheap to clone; the clones share one connection, made at the first call.
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
    next_sync: AtomicU64,
}

struct Connection {
    lines: LineReader<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("path", &self.inner.path).finish()
    }
}

impl Agent {
    /// The agent behind a socket. Does not connect yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Agent {
        let path = path.into();
        // Differs from the first number that every other client starts with.
        let next_sync = AtomicU64::new(u64::from(std::process::id()) << 20);
        Agent { inner: Arc::new(Inner { path, connection: Mutex::new(None), next_sync }) }
    }

    /// Runs any command; [`Error::AgentSilent`] without an answer in time.
    pub async fn call(&self, command: &str, arguments: Value, within: Duration) -> Result<Value> {
        let silent = || Error::AgentSilent { command: command.to_owned() };
        match timeout(within, self.exchange(command, &arguments)).await {
            Err(_) | Ok(Err(Error::Closed)) => Err(silent()),
            Ok(other) => other,
        }
    }

    async fn exchange(&self, command: &str, arguments: &Value) -> Result<Value> {
        let mut slot = self.inner.connection.lock().await;
        // Out of its slot while in use: if the future is dropped, so is the connection.
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        connection.send(&[], command, arguments).await?;
        let answer = connection.next().await?.map_err(|e| Error::Protocol(format!("{command}: {e}")))?;
        *slot = Some(connection);
        match answer {
            Answer::Return(value) => Ok(value),
            Answer::Error { class, desc } => Err(Error::Agent { command: command.to_owned(), class, desc }),
        }
    }

    async fn connect(&self) -> Result<Connection> {
        let what = format!("connect to {}", self.inner.path.display());
        let stream = UnixStream::connect(&self.inner.path).await.map_err(Error::io(what))?;
        let (read, write) = stream.into_split();
        let lines = LineReader::new(BufReader::new(read), limits::AGENT_LINE_BYTES);
        let mut connection = Connection { lines, write };
        let id = self.inner.next_sync.fetch_add(1, Ordering::Relaxed);
        // The first byte makes the agent discard half a command of an earlier client.
        connection.send(&[line::SENTINEL], "guest-sync-delimited", &json!({ "id": id })).await?;
        loop {
            // Earlier lines answer an earlier client.
            if let Ok(Answer::Return(value)) = connection.next().await?
                && value.as_u64() == Some(id)
            {
                return Ok(connection);
            }
        }
    }
}

impl Connection {
    async fn send(&mut self, before: &[u8], command: &str, arguments: &Value) -> Result<()> {
        let message = match arguments {
            Value::Object(fields) if !fields.is_empty() => {
                json!({"execute": command, "arguments": arguments})
            }
            _ => json!({ "execute": command }),
        };
        let mut line = before.to_vec();
        line.extend_from_slice(message.to_string().as_bytes());
        line.push(b'\n');
        self.write.write_all(&line).await.map_err(|_| Error::Closed)
    }

    async fn next(&mut self) -> Result<std::result::Result<Answer, ParseError>> {
        match self.lines.next().await {
            Ok(Some(line)) => Ok(parse_line(&line)),
            Ok(None) => Err(Error::Closed),
            Err(e) => Err(Error::Protocol(e.to_string())),
        }
    }
}
