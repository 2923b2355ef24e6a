//! The center's events about hosts.

use std::sync::Arc;

use api::Core;
use vim::{DataId, DateTime, MoRef, Object, data_id, field, vim};

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

    /// The same as each VM of the host experiences it.
    fn event_of_vms(self) -> Option<DataId> {
        match self {
            Self::Connected => Some(data_id!(VmConnectedEvent)),
            Self::Disconnected | Self::Lost => Some(data_id!(VmDisconnectedEvent)),
            _ => None,
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

    /// Posts the event about the host, then those about its VMs.
    pub(super) async fn tell(&self, host: &ManagedHost, occurrence: Occurrence) {
        let mut events = vec![self.event(host, occurrence)];
        events.extend(self.events_of_vms(host, occurrence));
        if let Err(error) = self.core.events.post_all(events, store::Batch::new()).await {
            tracing::error!(host = host.name, %error, "events about a host could not be stored");
        }
    }

    /// In the order of their names, which a loss of many VMs is read by.
    fn events_of_vms(&self, host: &ManagedHost, occurrence: Occurrence) -> Vec<Object> {
        let Some(event) = occurrence.event_of_vms() else { return Vec::new() };
        let mut vms: Vec<(String, MoRef)> =
            host.reported().vms().map(|vm| (self.inventory.name_of(vm), vm.clone())).collect();
        vms.sort_unstable();
        let about = |(name, vm): &(String, MoRef)| {
            let mut event = Object::new(event);
            event.set(field!(Event.vm), vim!(VmEventArgument { name: name, vm: vm }));
            set_place(&self.inventory, host, &mut event);
            event
        };
        vms.iter().map(about).collect()
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
