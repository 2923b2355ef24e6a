//! The DHCP clients of adapters.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::sync::Notify;

use super::client::{Clients, Status, seconds_since};
use super::dhcp::{self, Identity, Lease, Taken};
use super::netlink::Refusal;
use super::stacks::Stacks;
use super::wanted::Given;
use crate::declare::{Adapter, Ipv4Config};

/// A client that is needed, and the address that its interface still has, with its remaining seconds.
pub(crate) type Need = (Identity, Option<(Ipv4Addr, u32)>);

pub(crate) struct Leases {
    clients: Clients<Identity, Lease, Taken>,
}

impl Leases {
    /// `changed` is notified when a client has got or lost an address.
    pub(crate) fn new(changed: Arc<Notify>) -> Self {
        Self { clients: Clients::new(changed) }
    }

    /// The lease of an adapter, for planning.
    pub(crate) fn given(&self, device: &str) -> Given {
        match self.clients.status(device) {
            Status::Unknown => Given::Unknown,
            Status::Nothing => Given::Nothing,
            Status::Have(lease, given) => Given::Lease {
                address: lease.address,
                prefix: lease.prefix,
                valid: lease.seconds.saturating_sub(seconds_since(given)).max(1),
                router: lease.router,
                mtu: lease.mtu.map(u32::from),
            },
        }
    }

    /// The lease of an adapter.
    pub(crate) fn lease(&self, device: &str) -> Option<Lease> {
        self.clients.lease(device)
    }

    /// An offered address of an adapter that another station has.
    pub(crate) fn taken(&self, device: &str) -> Option<Taken> {
        self.clients.taken(device)
    }

    /// Releases leases that no adapter needs any more, while it still has the address to do it from.
    pub(crate) async fn end_unneeded(&mut self, adapters: &[Adapter]) {
        let find = |device: &str| adapters.iter().find(|own| own.device == device).map(|own| own.ipv4);
        for (device, client) in self.clients.take_unneeded(|device| find(device) == Some(Ipv4Config::Dhcp)) {
            let stays = match (client.status(), find(&device)) {
                (Status::Have(lease, _), Some(Ipv4Config::Static { address, .. })) => {
                    lease.address == address
                }
                _ => false,
            };
            client.end(!stays).await;
        }
    }

    /// Starts missing clients; returns those that could not be started.
    pub(crate) async fn start(&mut self, stacks: &Stacks, needs: Vec<Need>) -> Vec<(String, Refusal)> {
        let mut failed = Vec::new();
        for (identity, found) in needs {
            let device = identity.device.clone();
            let start = |identity, changed| dhcp::start(identity, found, changed);
            if let Err(error) = self.clients.need(stacks, identity, start).await {
                failed.push((device, format!("cannot start a DHCP client: {error}")));
            }
        }
        failed
    }
}
