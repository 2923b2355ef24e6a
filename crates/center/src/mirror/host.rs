//! One host that the center manages: its connection, and everything that the center knows of it beyond its record.

use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vim::{Fault, MoRef, fault, vim_enum};

use super::refs::Refs;
use super::reported::Reported;
use super::shown::Shown;
use super::tasks::TaskBook;
use crate::estate::show::host::Connection;
use crate::link::HostLink;

pub(crate) struct ManagedHost {
    pub(crate) me: MoRef,
    /// The host's address, for messages.
    pub(crate) name: String,
    refs: RwLock<Refs>,
    reported: RwLock<Reported>,
    link: RwLock<Option<Arc<dyn HostLink>>>,
    pub(crate) tasks: TaskBook,
    /// Held while the host's events are taken over.
    pub(super) events: tokio::sync::Mutex<()>,
    pub(crate) connection: watch::Sender<Connection>,
    /// How far its changes are in the center's tree.
    pub(super) shown: watch::Sender<Shown>,
    /// Stops the work for the host when it is removed or disconnected.
    stop: RwLock<CancellationToken>,
}

impl ManagedHost {
    pub(crate) fn new(me: MoRef, name: &str, refs: Refs) -> Arc<Self> {
        Arc::new(Self {
            me,
            name: name.to_owned(),
            refs: RwLock::new(refs),
            reported: RwLock::default(),
            link: RwLock::new(None),
            tasks: TaskBook::default(),
            events: tokio::sync::Mutex::default(),
            connection: watch::Sender::new(vim_enum!(HostSystemConnectionState.disconnected)),
            shown: watch::Sender::default(),
            stop: RwLock::default(),
        })
    }

    pub(crate) fn refs(&self) -> RwLockReadGuard<'_, Refs> {
        self.refs.read()
    }

    pub(crate) fn refs_mut(&self) -> RwLockWriteGuard<'_, Refs> {
        self.refs.write()
    }

    pub(crate) fn reported(&self) -> RwLockReadGuard<'_, Reported> {
        self.reported.read()
    }

    pub(super) fn reported_mut(&self) -> RwLockWriteGuard<'_, Reported> {
        self.reported.write()
    }

    /// Returns the link that was there.
    pub(crate) fn set_link(&self, link: Option<Arc<dyn HostLink>>) -> Option<Arc<dyn HostLink>> {
        std::mem::replace(&mut *self.link.write(), link)
    }

    /// The link, whether the host is connected or not.
    pub(crate) fn any_link(&self) -> Option<Arc<dyn HostLink>> {
        self.link.read().clone()
    }

    /// A stream of the host begins on this link, its whole state first; returns the link that it replaces.
    pub(crate) fn begin(&self, link: &Arc<dyn HostLink>) -> Option<Arc<dyn HostLink>> {
        // Both change at once, for a caller that waits by a mark of the link.
        let mut at = self.link.write();
        self.shown.send_modify(|shown| *shown = shown.next_stream());
        at.replace(link.clone()).filter(|old| !Arc::ptr_eq(old, link))
    }

    /// The link with the number of the stream that runs on it.
    pub(super) fn link_and_stream(&self) -> Option<(Arc<dyn HostLink>, u64)> {
        let link = self.link.read();
        link.clone().map(|link| (link, self.shown.borrow().stream()))
    }

    pub(crate) fn is_connected(&self) -> bool {
        *self.connection.borrow() == vim_enum!(HostSystemConnectionState.connected)
    }

    /// The link, while the host is connected.
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

    /// Stops the work for the host; the token that this returns is for the work that begins afterwards.
    pub(crate) fn halt(&self) -> CancellationToken {
        let mut stop = self.stop.write();
        stop.cancel();
        *stop = CancellationToken::new();
        stop.clone()
    }

    /// Ends the link's session on the host without waiting for it, since the host may be away.
    pub(crate) fn close(link: Arc<dyn HostLink>) {
        tokio::spawn(async move { link.close().await });
    }
}
