//! The center's events about hosts.

use std::sync::Arc;

use api::Core;
use vim::{DataId, DateTime, MoRef, Object, data_id, field, managed_id, vim};

use crate::estate::{Inventory, datacenter_of};

/// An occurrence that the center announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occurrence {
    Added,
    Connected,
    Disconnected,
    Lost,
    Removed,
}

impl Occurrence {
    fn event(self) -> DataId {
        match self {
            Self::Added => data_id!(HostAddedEvent),
            Self::Connected => data_id!(HostConnectedEvent),
            Self::Disconnected => data_id!(HostDisconnectedEvent),
            Self::Lost => data_id!(HostConnectionLostEvent),
            Self::Removed => data_id!(HostRemovedEvent),
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

    pub(super) async fn tell(&self, host: &MoRef, occurrence: Occurrence) {
        self.post(self.event(host, occurrence)).await;
    }

    pub(super) async fn post(&self, event: Object) {
        self.core.events.post(event).await;
    }

    /// The reason why a host is not connected, as an issue of its configuration; no event of it is posted.
    pub(super) fn issue(&self, host: &MoRef, reason: &str) -> Object {
        let mut issue = self.event(host, Occurrence::Lost);
        issue.set(field!(Event.key), 0);
        issue.set(field!(Event.chainId), 0);
        issue.set(field!(Event.createdTime), DateTime::now());
        issue.set(field!(Event.userName), "");
        issue.set(field!(Event.fullFormattedMessage), reason);
        issue
    }

    /// The event about a host that is still in the inventory.
    pub(super) fn event(&self, host: &MoRef, occurrence: Occurrence) -> Object {
        let records = self.inventory.records();
        let name = |object: &MoRef| records.get(object).map(|record| record.name()).unwrap_or_default();
        let mut event = Object::new(occurrence.event());
        event.set(field!(Event.host), vim!(HostEventArgument { name: name(host), host: host }));
        let parent = records.get(host).and_then(|record| record.parent());
        if let Some(compute) = parent.filter(|parent| parent.is_a(managed_id!(ComputeResource))) {
            let argument =
                vim!(ComputeResourceEventArgument { name: name(compute), computeResource: compute });
            event.set(field!(Event.computeResource), argument);
        }
        if let Some(datacenter) = datacenter_of(|at| records.get(at), host) {
            let argument = vim!(DatacenterEventArgument { name: name(&datacenter), datacenter: &datacenter });
            event.set(field!(Event.datacenter), argument);
        }
        event
    }
}
