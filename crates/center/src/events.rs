//! Events of the center's own: what happens to hosts and containers.

use vim::{DataId, MoRef, Object, data_id, field, managed_id, prop, vim};

use crate::state::State;

/// What is said of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostWord {
    Added,
    Connected,
    Disconnected,
    Lost,
    Removed,
}

impl HostWord {
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

impl State {
    /// Posts an event about a host.
    pub(crate) async fn tell(&self, host: &MoRef, word: HostWord) {
        let event = self.host_event(host, word);
        self.core.events.post(event).await;
    }

    /// The event, made while the host is still there.
    pub(crate) fn host_event(&self, host: &MoRef, word: HostWord) -> Object {
        let tree = self.inventory.tree.snapshot();
        let name = |object: &MoRef| {
            let node = tree.find(object);
            node.and_then(|node| node.get(prop!(ManagedEntity.name))).unwrap_or_default().to_owned()
        };
        let mut event = Object::new(word.event());
        event.set(field!(Event.host), vim!(HostEventArgument { name: name(host), host: host }));
        let parent = tree.find(host).and_then(|node| node.get(prop!(HostSystem.parent)).cloned());
        if let Some(compute) = parent.filter(|parent| parent.is_a(managed_id!(ComputeResource))) {
            let argument =
                vim!(ComputeResourceEventArgument { name: name(&compute), computeResource: compute });
            event.set(field!(Event.computeResource), argument);
        }
        let records = self.inventory.records();
        if let Some(datacenter) = crate::inventory::datacenter_of(|at| records.get(at), host) {
            let argument = vim!(DatacenterEventArgument { name: name(&datacenter), datacenter: datacenter });
            event.set(field!(Event.datacenter), argument);
        }
        event
    }
}
