//! The center's events about hosts.

use std::sync::Arc;

use api::Core;
use vim::{DataId, DateTime, Object, data_id, field};

use crate::estate::Inventory;
use crate::mirror::{ManagedHost, set_place};

/// An occurrence that the center announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occurrence {
    Added,
    Connected,
    Disconnected,
    Lost,
    Removed,
    EnteringMaintenance,
    EnteredMaintenance,
    LeftMaintenance,
}

impl Occurrence {
    fn event(self) -> DataId {
        match self {
            Self::Added => data_id!(HostAddedEvent),
            Self::Connected => data_id!(HostConnectedEvent),
            Self::Disconnected => data_id!(HostDisconnectedEvent),
            Self::Lost => data_id!(HostConnectionLostEvent),
            Self::Removed => data_id!(HostRemovedEvent),
            Self::EnteringMaintenance => data_id!(EnteringMaintenanceModeEvent),
            Self::EnteredMaintenance => data_id!(EnteredMaintenanceModeEvent),
            Self::LeftMaintenance => data_id!(ExitMaintenanceModeEvent),
        }
    }
}

/// Posts events about hosts.
pub(crate) struct Announcer {
    core: Arc<Core>,
    inventory: Arc<Inventory>,
}

impl Announcer {
    pub(crate) fn new(core: Arc<Core>, inventory: Arc<Inventory>) -> Self {
        Self { core, inventory }
    }

    pub(super) async fn tell(&self, host: &ManagedHost, occurrence: Occurrence) {
        self.post(self.event(host, occurrence)).await;
    }

    pub(super) async fn post(&self, event: Object) {
        self.core.events.post(event).await;
    }

    /// The reason why a host is not connected, as an issue of its configuration; no event of it is posted.
    pub(super) fn issue(&self, host: &ManagedHost, reason: &str) -> Object {
        let mut issue = self.event(host, Occurrence::Lost);
        issue.set(field!(Event.key), 0);
        issue.set(field!(Event.chainId), 0);
        issue.set(field!(Event.createdTime), DateTime::now());
        issue.set(field!(Event.userName), "");
        issue.set(field!(Event.fullFormattedMessage), reason);
        issue
    }

    /// The event about a host, which may have been removed.
    pub(super) fn event(&self, host: &ManagedHost, occurrence: Occurrence) -> Object {
        let mut event = Object::new(occurrence.event());
        set_place(&self.inventory, host, &mut event);
        event
    }
}
