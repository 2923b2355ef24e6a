//! The common parts of the DHCP clients of both families: each client is a task, which reports its status.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::stacks::Stacks;
use crate::declare::StackName;
use crate::limits::DHCP_RELEASE;

/// Longer timers are set in parts.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_secs(86_400);

/// The properties that identify the client of an adapter; if they change, another client begins.
pub(crate) trait Identity: Clone + PartialEq {
    fn device(&self) -> &str;
    fn stack(&self) -> &StackName;
}

/// The status of a client; its lease is an `L`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status<L> {
    /// An address that the interface has may still be leased.
    Unknown,
    Nothing,
    /// Leased at this time.
    Have(L, Instant),
}

/// A running client. `T` describes an offered address that cannot be used.
pub(crate) struct Client<I, L, T> {
    pub(crate) identity: I,
    status: watch::Receiver<Status<L>>,
    taken: watch::Receiver<Option<T>>,
    stop: Option<oneshot::Sender<bool>>,
    task: JoinHandle<()>,
}

/// The channel on which a client reports its status.
pub(super) struct Telling<L, T> {
    status: watch::Sender<Status<L>>,
    taken: watch::Sender<Option<T>>,
    changed: Arc<Notify>,
}

impl<I: Identity, L: Clone, T: Copy> Client<I, L, T> {
    /// Starts a client as a task of the runtime that the thread has entered. `run` gets the channel for its reports,
    /// and a receiver that tells it to end, and whether to release its lease. `is_found` says that the interface has an
    /// address that may be leased, and `changed` is notified of every change.
    pub(super) fn start<F: Future<Output = ()> + Send + 'static>(
        identity: I,
        is_found: bool,
        changed: Arc<Notify>,
        run: impl FnOnce(Telling<L, T>, oneshot::Receiver<bool>) -> F,
    ) -> Self {
        let (publish, status) = watch::channel(if is_found { Status::Unknown } else { Status::Nothing });
        let (tell, taken) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(Telling { status: publish, taken: tell, changed }, stopped));
        Self { identity, status, taken, stop: Some(stop), task }
    }

    pub(crate) fn status(&self) -> Status<L> {
        self.status.borrow().clone()
    }

    /// Ends the client; `release` gives the lease back.
    pub(crate) async fn end(mut self, release: bool) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(release);
            let _ = timeout(DHCP_RELEASE, &mut self.task).await;
        }
    }
}

impl<I, L, T> Drop for Client<I, L, T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<L, T> Telling<L, T> {
    /// Reports a lease, given at this time.
    pub(super) fn have(&self, lease: L, given: Instant) {
        self.taken.send_replace(None);
        self.status.send_replace(Status::Have(lease, given));
        self.changed.notify_one();
    }

    /// Reports that the lease is lost, or that the earlier address is not the client's any more.
    pub(super) fn nothing(&self) {
        self.status.send_replace(Status::Nothing);
        self.changed.notify_one();
    }

    /// Reports that an offered address cannot be used, until a server gives one that can.
    pub(super) fn is_taken(&self, by: T) {
        self.taken.send_replace(Some(by));
        self.changed.notify_one();
    }

    /// Reports that something else must be looked at.
    pub(super) fn changed(&self) {
        self.changed.notify_one();
    }
}

/// Seconds since a lease was given.
pub(super) fn seconds_since(given: Instant) -> u32 {
    u32::try_from(given.elapsed().as_secs()).unwrap_or(u32::MAX)
}

/// The seed of a client's random numbers: another one for each client, and at each start.
pub(super) fn seed(device: &str) -> u64 {
    RandomState::new().hash_one(device)
}

/// Clients by device.
pub(crate) struct Clients<I, L, T> {
    by_device: BTreeMap<String, Client<I, L, T>>,
    changed: Arc<Notify>,
}

impl<I: Identity, L: Clone, T: Copy> Clients<I, L, T> {
    /// `changed` is notified when a client has got or lost an address.
    pub(super) fn new(changed: Arc<Notify>) -> Self {
        Self { by_device: BTreeMap::new(), changed }
    }

    pub(super) fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    /// The status of an adapter's client; without a client it is [`Status::Unknown`].
    pub(super) fn status(&self, device: &str) -> Status<L> {
        self.by_device.get(device).map_or(Status::Unknown, Client::status)
    }

    /// The lease of an adapter.
    pub(super) fn lease(&self, device: &str) -> Option<L> {
        match self.status(device) {
            Status::Have(lease, _) => Some(lease),
            Status::Unknown | Status::Nothing => None,
        }
    }

    /// The offered address of an adapter that another station has.
    pub(super) fn taken(&self, device: &str) -> Option<T> {
        *self.by_device.get(device)?.taken.borrow()
    }

    /// Takes out clients that are not needed any more.
    pub(super) fn take_unneeded(
        &mut self,
        is_needed: impl Fn(&str) -> bool,
    ) -> Vec<(String, Client<I, L, T>)> {
        let unneeded: Vec<String> =
            self.by_device.keys().filter(|device| !is_needed(device)).cloned().collect();
        unneeded.into_iter().filter_map(|device| self.by_device.remove_entry(&device)).collect()
    }

    /// Starts a client in its stack, unless it runs; another client of the device ends, and keeps its lease.
    pub(super) async fn need(
        &mut self,
        stacks: &Stacks,
        identity: I,
        start: impl FnOnce(I, Arc<Notify>) -> io::Result<Client<I, L, T>> + Send,
    ) -> io::Result<()>
    where
        I: Send,
        Client<I, L, T>: Send,
    {
        let (device, stack) = (identity.device().to_owned(), identity.stack().clone());
        if self.by_device.get(&device).is_some_and(|client| client.identity == identity) {
            return Ok(());
        }
        if let Some(client) = self.by_device.remove(&device) {
            client.end(false).await;
        }
        let (changed, runtime) = (self.changed(), Handle::current());
        let start = || {
            let _entered = runtime.enter();
            start(identity, changed)
        };
        let client = stacks.run(&stack, start).and_then(|started| started)?;
        self.by_device.insert(device, client);
        Ok(())
    }
}
