//! The hosts that the center manages: how to reach each of them, and how it is connected.

pub mod connector;
mod join;
mod remote;
mod settle;
pub(crate) mod supervise;

pub use join::Place;
pub(crate) use join::{Wanted, connect_fault};
pub(crate) use remote::NoNetwork;
pub use remote::RemoteConnector;
pub(crate) use settle::Shown;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vim::{Fault, MoRef, fault, vim_enum};

use crate::link::HostLink;
use crate::mirror::{Refs, TaskBook};
use crate::objects::host::Connection;

/// All of them, by the center's reference.
#[derive(Default)]
pub(crate) struct Hosts {
    by_ref: RwLock<HashMap<MoRef, Arc<ManagedHost>>>,
}

/// One host.
pub(crate) struct ManagedHost {
    pub(crate) me: MoRef,
    /// As people know it, for messages.
    pub(crate) name: String,
    refs: RwLock<Refs>,
    link: RwLock<Option<Arc<dyn HostLink>>>,
    pub(crate) tasks: TaskBook,
    /// Held by whoever takes over its events.
    pub(crate) events: tokio::sync::Mutex<()>,
    /// How the center is connected with it.
    pub(crate) connection: watch::Sender<Connection>,
    /// How far its changes are in the center's tree.
    pub(crate) shown: watch::Sender<Shown>,
    /// Whoever works for this host stops when it is removed or disconnected.
    stop: RwLock<CancellationToken>,
}

impl ManagedHost {
    pub(crate) fn new(me: MoRef, name: &str, refs: Refs) -> Arc<Self> {
        Arc::new(Self {
            me,
            name: name.to_owned(),
            refs: RwLock::new(refs),
            link: RwLock::new(None),
            tasks: TaskBook::default(),
            events: tokio::sync::Mutex::default(),
            connection: watch::Sender::new(vim_enum!(HostSystemConnectionState.disconnected)),
            shown: watch::Sender::default(),
            stop: RwLock::default(),
        })
    }

    pub(crate) fn refs(&self) -> RwLockReadGuard<'_, Refs> {
        self.refs.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn refs_mut(&self) -> RwLockWriteGuard<'_, Refs> {
        self.refs.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the link that was there.
    pub(crate) fn set_link(&self, link: Option<Arc<dyn HostLink>>) -> Option<Arc<dyn HostLink>> {
        std::mem::replace(&mut *self.link.write().unwrap_or_else(PoisonError::into_inner), link)
    }

    pub(crate) fn any_link(&self) -> Option<Arc<dyn HostLink>> {
        self.link.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn is_connected(&self) -> bool {
        *self.connection.borrow() == vim_enum!(HostSystemConnectionState.connected)
    }

    /// The way to the host, while it is connected.
    ///
    /// # Errors
    /// `HostNotConnected`, which names the host.
    pub(crate) fn link(&self) -> Result<Arc<dyn HostLink>, Fault> {
        self.any_link().filter(|_| self.is_connected()).ok_or_else(|| {
            let (name, state) = (&self.name, self.connection.borrow().name());
            fault!(
                HostNotConnected {},
                "Host {name} is not connected ({state}); reconnect it, then try again"
            )
        })
    }

    /// Stops what works for the host; what begins afterwards has the token that this gives.
    pub(crate) fn halt(&self) -> CancellationToken {
        let mut stop = self.stop.write().unwrap_or_else(PoisonError::into_inner);
        stop.cancel();
        *stop = CancellationToken::new();
        stop.clone()
    }

    /// Has the link give back what it holds on the host, without waiting for it: the host may be away.
    pub(crate) fn let_go(link: Arc<dyn HostLink>) {
        tokio::spawn(async move { link.close().await });
    }
}

impl Hosts {
    pub(crate) fn find(&self, host: &MoRef) -> Option<Arc<ManagedHost>> {
        self.by_ref.read().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }

    /// The host.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    pub(crate) fn get(&self, host: &MoRef) -> Result<Arc<ManagedHost>, Fault> {
        self.find(host).ok_or_else(|| crate::inventory::not_found(host))
    }

    pub(crate) fn all(&self) -> Vec<Arc<ManagedHost>> {
        self.by_ref.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn add(&self, host: &Arc<ManagedHost>) {
        let mut hosts = self.by_ref.write().unwrap_or_else(PoisonError::into_inner);
        hosts.insert(host.me.clone(), host.clone());
    }

    pub(crate) fn remove(&self, host: &MoRef) -> Option<Arc<ManagedHost>> {
        self.by_ref.write().unwrap_or_else(PoisonError::into_inner).remove(host)
    }
}
