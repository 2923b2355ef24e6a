//! The connection to one monitor. A reader task hands out answers by id and broadcasts events; a writer task writes
//! whole lines, so that a call that is dropped or times out never leaves half a line or a stray answer behind.

use super::command::Command;
use super::line::{Event, Message, parse_line};
use crate::lines::{LineError, LineReader};
use crate::{Error, Result, limits};
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

type Lines = LineReader<BufReader<OwnedReadHalf>>;
type Answer = Result<Value, Refusal>;

/// Why a call ended without a result.
enum Refusal {
    ByQemu { class: String, desc: String },
    Closed,
    Protocol(String),
}

/// A negotiated monitor connection. Cheap to clone; it closes when the last clone is dropped.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Outgoing>,
    next_id: AtomicU64,
    version: [u64; 3],
    tasks: [JoinHandle<()>; 2],
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    pending: HashMap<u64, oneshot::Sender<Answer>>,
    /// `None` once the connection has ended, so that subscribers see the end after the last event.
    events: Option<broadcast::Sender<Arc<Event>>>,
    violation: Option<String>,
}

struct Outgoing {
    line: Vec<u8>,
    descriptor: Option<OwnedFd>,
}

impl Client {
    /// Connects to a monitor and negotiates, within `within`.
    pub async fn connect(path: &Path, within: Duration) -> Result<Client> {
        let command = format!("connect to {}", path.display());
        timeout(within, Self::negotiate(path)).await.map_err(|_| Error::Timeout { command })?
    }

    async fn negotiate(path: &Path) -> Result<Client> {
        let stream =
            UnixStream::connect(path).await.map_err(Error::io(format!("connect to {}", path.display())))?;
        let (read, write) = stream.into_split();
        let mut lines = LineReader::new(BufReader::new(read), limits::QMP_LINE_BYTES);
        let version = match next_message(&mut lines).await {
            Ok(Some(Message::Greeting { version })) => version,
            Ok(Some(_)) => return Err(Error::Protocol("the monitor did not greet first".into())),
            Ok(None) => return Err(Error::Closed),
            Err(reason) => return Err(Error::Protocol(reason)),
        };
        let (events, _) = broadcast::channel(limits::EVENT_QUEUE);
        let shared = Arc::new(Shared {
            state: Mutex::new(State { pending: HashMap::new(), events: Some(events), violation: None }),
        });
        let (outgoing, queue) = mpsc::channel(limits::COMMAND_QUEUE);
        let reader = tokio::spawn(read_all(lines, Arc::clone(&shared)));
        let writer = tokio::spawn(write_all(write, queue));
        let client = Client {
            inner: Arc::new(Inner {
                shared,
                outgoing,
                next_id: AtomicU64::new(1),
                version,
                tasks: [reader, writer],
            }),
        };
        client.raw("qmp_capabilities", json!({}), limits::QMP_CALL).await?;
        Ok(client)
    }

    /// QEMU's major, minor and micro version.
    #[must_use]
    pub fn version(&self) -> [u64; 3] {
        self.inner.version
    }

    /// Runs a command with the usual time bound.
    pub async fn run<C: Command>(&self, command: &C) -> Result<C::Reply> {
        self.run_within(command, limits::QMP_CALL).await
    }

    /// Runs a command with another time bound.
    pub async fn run_within<C: Command>(&self, command: &C, within: Duration) -> Result<C::Reply> {
        let arguments = serde_json::to_value(command).map_err(|e| Error::Protocol(e.to_string()))?;
        let value = self.raw(C::NAME, arguments, within).await?;
        serde_json::from_value(value).map_err(|e| Error::Protocol(format!("answer to {}: {e}", C::NAME)))
    }

    /// Runs a command that has no struct.
    pub async fn raw(&self, name: &str, arguments: Value, within: Duration) -> Result<Value> {
        self.call(name, arguments, None, within).await
    }

    /// Passes an open file descriptor to QEMU under a name that later commands can use.
    pub async fn send_descriptor(&self, name: &str, descriptor: OwnedFd) -> Result<()> {
        self.call("getfd", json!({ "fdname": name }), Some(descriptor), limits::QMP_CALL).await.map(drop)
    }

    /// Events from now on. The receiver ends when the connection does.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        match &self.inner.shared.lock().events {
            Some(sender) => sender.subscribe(),
            None => broadcast::channel(1).1,
        }
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.shared.lock().events.is_none()
    }

    /// The violation of the protocol that ended the connection, if one did.
    #[must_use]
    pub fn violation(&self) -> Option<String> {
        self.inner.shared.lock().violation.clone()
    }

    async fn call(
        &self,
        name: &str,
        arguments: Value,
        descriptor: Option<OwnedFd>,
        within: Duration,
    ) -> Result<Value> {
        let id = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        let message = match &arguments {
            Value::Object(fields) if fields.is_empty() => json!({ "execute": name, "id": id }),
            Value::Null => json!({ "execute": name, "id": id }),
            _ => json!({ "execute": name, "arguments": arguments, "id": id }),
        };
        let mut line = message.to_string().into_bytes();
        line.push(b'\n');
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.inner.shared.lock();
            if state.events.is_none() {
                return Err(state.violation.clone().map_or(Error::Closed, Error::Protocol));
            }
            state.pending.insert(id, answer);
        }
        let _forget = Forget { shared: &self.inner.shared, id };
        let exchange = async {
            if self.inner.outgoing.send(Outgoing { line, descriptor }).await.is_err() {
                return Err(Refusal::Closed);
            }
            answered.await.unwrap_or(Err(Refusal::Closed))
        };
        match timeout(within, exchange).await {
            Err(_) => Err(Error::Timeout { command: name.to_owned() }),
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Refusal::ByQemu { class, desc })) => {
                Err(Error::Qmp { command: name.to_owned(), class, desc })
            }
            Ok(Err(Refusal::Closed)) => Err(Error::Closed),
            Ok(Err(Refusal::Protocol(reason))) => Err(Error::Protocol(reason)),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Removes a call from the list however it ends, so that a late answer finds nobody.
struct Forget<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.lock().pending.remove(&self.id);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn answer(&self, id: Option<u64>, answer: Answer) {
        match id.and_then(|id| self.lock().pending.remove(&id)) {
            Some(waiting) => drop(waiting.send(answer)),
            None => tracing::debug!(?id, "an answer came after its call had given up"),
        }
    }

    fn end(&self, violation: Option<String>) {
        let mut state = self.lock();
        state.events = None;
        state.violation.clone_from(&violation);
        for (_, waiting) in state.pending.drain() {
            let refusal = violation.clone().map_or(Refusal::Closed, Refusal::Protocol);
            drop(waiting.send(Err(refusal)));
        }
    }
}

async fn next_message(lines: &mut Lines) -> Result<Option<Message>, String> {
    match lines.next().await {
        Ok(Some(line)) => parse_line(&line).map(Some).map_err(|e| e.to_string()),
        Ok(None) => Ok(None),
        Err(e @ LineError::TooLong(_)) => Err(e.to_string()),
        Err(LineError::Io(e)) => {
            tracing::debug!(error = %e, "the monitor connection broke");
            Ok(None)
        }
    }
}

async fn read_all(mut lines: Lines, shared: Arc<Shared>) {
    let violation = loop {
        match next_message(&mut lines).await {
            Ok(Some(Message::Return { id, value })) => shared.answer(id, Ok(value)),
            Ok(Some(Message::Error { id, class, desc })) => {
                shared.answer(id, Err(Refusal::ByQemu { class, desc }));
            }
            Ok(Some(Message::Event(event))) => {
                if let Some(events) = &shared.lock().events {
                    // An event without subscribers is dropped.
                    drop(events.send(Arc::new(event)));
                }
            }
            Ok(Some(Message::Greeting { .. })) => break Some("a second greeting".to_owned()),
            Ok(None) => break None,
            Err(reason) => break Some(reason),
        }
    };
    shared.end(violation);
}

async fn write_all(mut write: OwnedWriteHalf, mut queue: mpsc::Receiver<Outgoing>) {
    while let Some(Outgoing { line, descriptor }) = queue.recv().await {
        let sent = match &descriptor {
            Some(descriptor) => send_with_descriptor(&write, &line, descriptor).await,
            None => Ok(0),
        };
        let written = match sent {
            Ok(already) => write.write_all(&line[already..]).await,
            Err(e) => Err(e),
        };
        if let Err(e) = written {
            // The reader sees the end of the connection and tells everyone who waits.
            tracing::debug!(error = %e, "the monitor takes no more commands");
            return;
        }
    }
}

/// Sends as much of the line as fits, with the descriptor beside its first byte (`SCM_RIGHTS`, unix(7)).
async fn send_with_descriptor(
    write: &OwnedWriteHalf,
    line: &[u8],
    descriptor: &OwnedFd,
) -> std::io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    loop {
        write.writable().await?;
        let sent = write.as_ref().try_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let descriptors = [descriptor.as_fd()];
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
            let socket = write.as_ref().as_fd();
            Ok(sendmsg(socket, &[IoSlice::new(line)], &mut ancillary, SendFlags::NOSIGNAL)?)
        });
        match sent {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}
