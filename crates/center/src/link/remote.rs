//! A host on the network: its own API over VI-JSON and mutual TLS.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api::Acting;
use api::client::{CallError, Client, Updates};
use api::files::Files;
use api::ticket::ByteStream;
use api::tree::share;
use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;
use vim::{Args, Kind, List, MoRef, Record as _, Value, call, data_id, field, schema};

use super::remote_files::RemoteFiles;
use super::{Changes, HostLink, HostStream, LinkError, ObjectChange, remote_filter};

/// The length of one wait for changes. A host that does not answer within the client's grace after its end has gone silent, and is lost.
const WAIT: Duration = Duration::from_secs(5);
/// The time for a whole state, which a host that is just starting may take long to tell.
const WHOLE: Duration = Duration::from_secs(60);
/// Attempts to continue the same stream after the connection broke, and the pause before each.
const BRIDGE_ATTEMPTS: u32 = 3;
const BRIDGE_PAUSE: Duration = Duration::from_millis(200);
/// The pause between requests to end a wait early.
const NUDGE: Duration = Duration::from_millis(100);

pub(crate) struct RemoteLink {
    address: String,
    client: Client,
    /// The number of marks that were requested.
    asked: Arc<AtomicU64>,
    stream: Mutex<Option<Current>>,
}

/// The present stream, as the link sees it.
struct Current {
    collector: MoRef,
    /// The mark that it has passed; closed when the stream has ended.
    passed: watch::Receiver<u64>,
}

impl RemoteLink {
    /// `client` is logged in.
    pub(crate) fn new(address: &str, client: Client) -> Self {
        Self { address: address.to_owned(), client, asked: Arc::default(), stream: Mutex::default() }
    }
}

/// Translates a failed call: has the host carried it out, or may it have?
pub(crate) fn link_error(host: &str, error: CallError) -> LinkError {
    let host = host.to_owned();
    match error {
        CallError::Fault(fault) if fault.is_a(data_id!(NotAuthenticated)) => LinkError::SessionEnded { host },
        CallError::Fault(fault) => LinkError::Fault(fault),
        CallError::Unreachable { reason, maybe_done: false, .. } => LinkError::Unreachable { host, reason },
        CallError::Tls { reason, .. } => LinkError::NotTrusted { host, reason },
        CallError::Unreachable { reason, .. } => LinkError::Unknown { host, reason },
        CallError::TimedOut { seconds, .. } => {
            LinkError::Unknown { host, reason: format!("no answer within {seconds} s") }
        }
        error @ (CallError::Http { .. } | CallError::Answer { .. }) => {
            LinkError::Unknown { host, reason: error.to_string() }
        }
        CallError::Usage(reason) => LinkError::NotSent { host, reason },
    }
}

#[async_trait]
impl HostLink for RemoteLink {
    fn address(&self) -> &str {
        &self.address
    }

    async fn invoke(
        &self,
        this: &MoRef,
        args: Args,
        acting: Option<Acting>,
    ) -> Result<Option<Value>, LinkError> {
        let answer = match acting {
            Some(acting) => self.client.invoke_for(&acting, this, &args).await,
            None => self.client.invoke(this, &args).await,
        };
        answer.map_err(|error| link_error(&self.address, error))
    }

    async fn read(&self, object: &MoRef, property: u16) -> Result<Option<Value>, LinkError> {
        let ty = schema().managed(object.ty());
        let name = ty.members()[usize::from(property)].name;
        let read = self.client.property(object, name).await;
        read.map_err(|error| match link_error(&self.address, error) {
            // A read does not change anything.
            LinkError::Unknown { host, reason } => LinkError::Unreachable { host, reason },
            other => other,
        })
    }

    async fn follow(&self) -> Result<Box<dyn HostStream>, LinkError> {
        let updates = self
            .client
            .follow(remote_filter::everything())
            .await
            .map_err(|error| link_error(&self.address, error))?;
        // The whole state, which is read from now on, covers all marks so far.
        let (passed, seen) = watch::channel(self.asked.load(Ordering::SeqCst));
        let old =
            self.stream.lock().replace(Current { collector: updates.collector().clone(), passed: seen });
        if let Some(Current { collector, .. }) = old {
            let destroyed = self.client.invoke(&collector, &call!(DestroyPropertyCollector {})).await;
            if let Err(error) = destroyed {
                tracing::debug!(host = self.address, %error, "the collector of the old stream could not be destroyed");
            }
        }
        Ok(Box::new(RemoteStream {
            address: self.address.clone(),
            updates,
            asked: self.asked.clone(),
            passed,
            covered: None,
        }))
    }

    async fn mark(&self) -> Result<u64, LinkError> {
        let mark = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let current = self.stream.lock().as_ref().map(|now| (now.collector.clone(), now.passed.clone()));
        let Some((collector, mut passed)) = current else { return Ok(mark) };
        let client = self.client.clone();
        // The present wait began before the mark. Cancel waits until one has begun after it.
        tokio::spawn(async move {
            while *passed.borrow_and_update() < mark {
                if client.invoke(&collector, &call!(CancelWaitForUpdates {})).await.is_err() {
                    return;
                }
                let waited = tokio::time::timeout(NUDGE, passed.wait_for(|passed| *passed >= mark)).await;
                // The stream has ended, so nobody waits for its marks.
                if matches!(waited, Ok(Err(_))) {
                    return;
                }
            }
        });
        Ok(mark)
    }

    async fn close(&self) {
        if let Err(error) = self.client.logout().await {
            tracing::debug!(host = self.address, %error, "the session on the host stays until it times out");
        }
    }

    fn files(&self) -> Option<Arc<dyn Files>> {
        Some(Arc::new(RemoteFiles::new(self.client.clone())))
    }

    async fn console(&self, ticket: &str) -> io::Result<Box<dyn ByteStream>> {
        let console = self.client.console(ticket).await.map_err(io::Error::other)?;
        Ok(Box::new(console))
    }
}

struct RemoteStream {
    address: String,
    updates: Updates,
    asked: Arc<AtomicU64>,
    passed: watch::Sender<u64>,
    /// The marks that the state covers whose portions are arriving.
    covered: Option<u64>,
}

#[async_trait]
impl HostStream for RemoteStream {
    async fn next(&mut self) -> Result<Changes, LinkError> {
        let mut broken = 0;
        loop {
            let asked = self.asked.load(Ordering::SeqCst);
            let hurry = asked > *self.passed.borrow();
            let wait = match self.updates.version() {
                "" => WHOLE,
                _ if hurry => Duration::ZERO,
                _ => WAIT,
            };
            let error = match self.updates.next(Some(wait)).await {
                Ok(batch) => {
                    broken = 0;
                    // A state that arrives in portions dates from the request for the first of them.
                    let covered = *self.covered.get_or_insert(asked);
                    if let Some(portion) = batch.as_ref().filter(|batch| is_portion(batch)) {
                        return Ok(Self::changes(portion, 0));
                    }
                    self.covered = None;
                    let passed = self.passed.send_replace(covered);
                    match batch {
                        Some(batch) => return Ok(Self::changes(&batch, covered)),
                        None if hurry && covered > passed => {
                            return Ok(Changes { mark: covered, ..Changes::default() });
                        }
                        None => continue,
                    }
                }
                Err(error) => error,
            };
            match &error {
                CallError::Fault(fault) if fault.is_a(data_id!(RequestCanceled)) => continue,
                CallError::Unreachable { .. } if broken < BRIDGE_ATTEMPTS => {
                    broken += 1;
                    tokio::time::sleep(BRIDGE_PAUSE * broken).await;
                }
                _ => return Err(lost(&self.address, error)),
            }
        }
    }
}

/// The end of a stream is never the host's refusal of a request.
fn lost(address: &str, error: CallError) -> LinkError {
    match link_error(address, error) {
        LinkError::Fault(fault) => LinkError::Lost { host: address.to_owned(), reason: fault.to_string() },
        LinkError::Unknown { host, reason } => LinkError::Lost { host, reason },
        other => other,
    }
}

impl RemoteStream {
    fn changes(batch: &api::client::Batch, mark: u64) -> Changes {
        let filters = batch.set.get(field!(UpdateSet.filterSet)).into_iter().flatten();
        let mut changes = Vec::new();
        for filter in filters {
            for update in filter.get(field!(PropertyFilterUpdate.objectSet)).into_iter().flatten() {
                let Some(object) = update.get(field!(ObjectUpdate.obj)).cloned() else { continue };
                if update.get(field!(ObjectUpdate.kind)).is_some_and(|kind| kind.name() == "leave") {
                    changes.push(ObjectChange::Removed { object });
                    continue;
                }
                let ty = schema().managed(object.ty());
                let set = update.get(field!(ObjectUpdate.changeSet)).into_iter().flatten();
                let properties = set.filter_map(|change| {
                    let number = ty.member(change.get(field!(PropertyChange.name))?)?;
                    let value = change.get(field!(PropertyChange.val)).map(share);
                    Some((number, value.map(|value| declared(ty.members()[usize::from(number)].kind, value))))
                });
                let properties = properties.collect();
                changes.push(ObjectChange::Set { object, properties });
            }
        }
        Changes { reset: batch.full, more: is_portion(batch), changes, mark }
    }
}

/// Whether more of the same state follows.
fn is_portion(batch: &api::client::Batch) -> bool {
    batch.set.get(field!(UpdateSet.truncated)).unwrap_or(false)
}

/// A list of references that arrived as `anyType` does not know their type; the property does.
fn declared(kind: Kind, value: Value) -> Value {
    match value {
        Value::List(list) if list.element() != kind => Value::List(List::new(kind, list.items())),
        value => value,
    }
}
