//! The DHCPv6 clients of adapters.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::client::{Clients, Status, seconds_since};
use super::dhcp6::{self, Identity, Lease};
use super::names::device_number;
use super::netlink::Refusal;
use super::stacks::Stacks;
use super::view::{LEASED, Lifetime, View};
use super::wanted::Given6;
use crate::declare::Adapter;

/// How long to wait until checking again whether a link-local address is settled.
const LOCAL_WAIT: Duration = Duration::from_millis(500);

/// A client that is needed, and the address that its interface still has, with its remaining seconds.
type Need = (Identity, Option<(Ipv6Addr, u32)>);

pub(crate) struct Leases6 {
    clients: Clients<Identity, Lease, Ipv6Addr>,
    /// Waits until an adapter has a link-local address.
    waiting: Option<JoinHandle<()>>,
}

impl Leases6 {
    /// `changed` is notified when a client has got or lost an address, and when one can be started.
    pub(crate) fn new(changed: Arc<Notify>) -> Self {
        Self { clients: Clients::new(changed), waiting: None }
    }

    /// The lease of an adapter, for planning.
    pub(crate) fn given(&self, device: &str) -> Given6 {
        match self.clients.status(device) {
            Status::Unknown => Given6::Unknown,
            Status::Nothing => Given6::Nothing,
            Status::Have(lease, given) => {
                let passed = seconds_since(given);
                let valid = lease.seconds.saturating_sub(passed).max(1);
                let preferred = lease.preferred.saturating_sub(passed);
                Given6::Lease(lease.address, Lifetime { valid, preferred })
            }
        }
    }

    /// The lease of an adapter.
    pub(crate) fn lease(&self, device: &str) -> Option<Lease> {
        self.clients.lease(device)
    }

    /// An offered address of an adapter that another station has.
    pub(crate) fn taken(&self, device: &str) -> Option<Ipv6Addr> {
        self.clients.taken(device)
    }

    /// Releases leases that no adapter needs any more, while it still has an address to do it from. A released address
    /// is removed from the interface first (RFC 8415 section 18.2.7).
    pub(crate) async fn end_unneeded(&mut self, stacks: &Stacks, adapters: &[Adapter]) {
        let find = |device: &str| adapters.iter().find(|own| own.device == device)?.ipv6.as_ref();
        let is_needed = |device: &str| find(device).is_some_and(|ipv6| ipv6.dhcp);
        for (device, client) in self.clients.take_unneeded(is_needed) {
            let Status::Have(lease, _) = client.status() else {
                client.end(true).await;
                continue;
            };
            let declared = find(&device).map(|ipv6| &ipv6.addresses);
            let stays = declared.into_iter().flatten().any(|(address, _)| *address == lease.address);
            if !stays && let Some(routing) = stacks.routing(&client.identity.stack) {
                let own = (lease.address.into(), LEASED);
                if let Err(refusal) = routing.remove_address(client.identity.index, own).await {
                    tracing::debug!(device, refusal, "cannot remove a released address");
                }
            }
            client.end(!stays).await;
        }
    }

    /// Starts missing clients; returns those that could not be started.
    pub(crate) async fn start(
        &mut self,
        stacks: &Stacks,
        adapters: &[Adapter],
        views: &BTreeMap<crate::declare::StackName, View>,
    ) -> Vec<(String, Refusal)> {
        let mut failed = Vec::new();
        for adapter in adapters.iter().filter(|adapter| adapter.ipv6.as_ref().is_some_and(|ipv6| ipv6.dhcp)) {
            let Some(view) = views.get(&adapter.stack) else { continue };
            let Some((identity, found)) = need(adapter, view) else {
                self.look_again(view, &adapter.device);
                continue;
            };
            let start = |identity, changed| dhcp6::start(identity, found, changed);
            if let Err(error) = self.clients.need(stacks, identity, start).await {
                failed.push((adapter.device.clone(), format!("cannot start a DHCPv6 client: {error}")));
            }
        }
        failed
    }

    /// A link-local address settles about a second after the link is up, without an event.
    fn look_again(&mut self, view: &View, device: &str) {
        let runs = view.links.get(device).is_some_and(|link| link.running);
        if !runs || self.waiting.as_ref().is_some_and(|waiting| !waiting.is_finished()) {
            return;
        }
        let changed = self.clients.changed();
        self.waiting = Some(tokio::spawn(async move {
            tokio::time::sleep(LOCAL_WAIT).await;
            changed.notify_one();
        }));
    }
}

/// The client that an adapter needs, once it has a link-local address, and the address that the interface still has.
fn need(adapter: &Adapter, view: &View) -> Option<Need> {
    let link = view.links.get(&adapter.device).filter(|link| link.up)?;
    let own = || view.addresses.iter().filter(|own| own.index == link.index);
    let local = own().find_map(|own| match own.address {
        IpAddr::V6(address) if own.settled && address.is_unicast_link_local() => Some(address),
        _ => None,
    })?;
    let found = own().find_map(|own| match (own.address, own.lifetime) {
        (IpAddr::V6(address), Some(left)) if own.is_leased() => Some((address, left.valid)),
        _ => None,
    });
    let identity = Identity {
        device: adapter.device.clone(),
        number: device_number(&adapter.device)?,
        index: link.index,
        mac: adapter.mac,
        stack: adapter.stack.clone(),
        port_group: adapter.port_group,
        local,
    };
    Some((identity, found))
}
