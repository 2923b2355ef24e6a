//! Changes of the network that come from outside: links that come and go, addresses that other stations take.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use vim::{Object, data_id, field};
use vswitch::Mac;

use super::Network;

impl Network {
    /// Shows links that come and go, and posts an event when another station takes an adapter's address, until `closing`.
    pub(crate) fn watch(self: &Arc<Self>, closing: CancellationToken) {
        let (service, network) = (Arc::downgrade(self), self.host_network.clone());
        tokio::spawn(async move {
            let mut known = BTreeSet::new();
            loop {
                tokio::select! {
                    () = closing.cancelled() => return,
                    () = network.fabric().changed() => {}
                }
                network.resolve().await;
                let Some(service) = service.upgrade() else { return };
                service.show();
                let adapters = network.fabric().seen().adapters;
                let conflicts: BTreeSet<_> = adapters
                    .iter()
                    .flat_map(|(device, has)| {
                        has.conflicts.iter().map(|own| (device.clone(), *own.0, *own.1))
                    })
                    .collect();
                for (device, address, mac) in conflicts.difference(&known) {
                    service.tell_duplicate(device, *address, *mac).await;
                }
                known = conflicts;
            }
        });
    }

    /// Posts an event that another station has an address of an adapter. The MAC address of a station with an IPv6 address is
    /// unknown, and the API's own event needs one.
    async fn tell_duplicate(&self, device: &str, address: IpAddr, mac: Option<Mac>) {
        let host = &self.system.name;
        let Some(mac) = mac else {
            let text = format!("{address}, an address of {device} on {host}, is also another station's");
            self.system.post_extended("esfera.host.warning", "warning", &text).await;
            return;
        };
        let mut event = Object::new(data_id!(DuplicateIpDetectedEvent));
        event.set(field!(DuplicateIpDetectedEvent.duplicateIP), address.to_string());
        event.set(field!(DuplicateIpDetectedEvent.macAddress), mac.to_string());
        let text = format!("{address}, the address of {device} on {host}, is also that of {mac}");
        self.system.post(event, &text).await;
    }

    /// If the host's record of its network cannot be read, posts an event that the network is left as it is, and shows that as
    /// an issue of the host.
    pub(crate) async fn tell_unread(&self) {
        if let Some(reason) = self.host_network.unread() {
            let text = format!("{}: {reason}", self.system.name);
            self.system.post_issue("esfera.host.network.unreadable", &text).await;
        }
    }
}
