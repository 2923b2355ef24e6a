//! The DHCP clients of adapters.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::dhcp::{Client, Identity, Lease, Status};
use super::netlink::Refusal;
use super::stacks::Stacks;
use super::wanted::Given;
use crate::Mac;
use crate::declare::{Adapter, Ipv4Config};

/// A client that is needed, and an address that its interface has from before, with the seconds that are left of it.
pub(crate) type Need = (Identity, Option<(Ipv4Addr, u32)>);

/// Clients by device.
#[derive(Default)]
pub(crate) struct Leases {
    clients: BTreeMap<String, Client>,
    changed: Arc<Notify>,
}

impl Leases {
    /// Told when a client has got or lost an address.
    pub(crate) fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    /// What an adapter was given.
    pub(crate) fn given(&self, device: &str) -> Given {
        match self.clients.get(device).map(Client::status) {
            None | Some(Status::Unknown) => Given::Unknown,
            Some(Status::Nothing) => Given::Nothing,
            Some(Status::Have(lease, since)) => {
                let passed = u32::try_from(since.elapsed().as_secs()).unwrap_or(u32::MAX);
                Given::Lease {
                    address: lease.address,
                    prefix: lease.prefix,
                    valid: lease.seconds.saturating_sub(passed).max(1),
                    router: lease.router,
                    mtu: lease.mtu.map(u32::from),
                }
            }
        }
    }

    /// The lease of an adapter.
    pub(crate) fn lease(&self, device: &str) -> Option<Lease> {
        match self.clients.get(device)?.status() {
            Status::Have(lease, _) => Some(lease),
            Status::Unknown | Status::Nothing => None,
        }
    }

    /// An address that a server gave an adapter although another station has it.
    pub(crate) fn taken(&self, device: &str) -> Option<(Ipv4Addr, Mac)> {
        self.clients.get(device)?.taken()
    }

    /// Gives leases back that no adapter needs any more, while it still has the address to do it from.
    pub(crate) async fn end_unneeded(&mut self, adapters: &[Adapter]) {
        let find = |device: &str| adapters.iter().find(|own| own.device == device).map(|own| own.ipv4);
        let needs = |device: &&String| find(device) != Some(Ipv4Config::Dhcp);
        let unneeded: Vec<String> = self.clients.keys().filter(needs).cloned().collect();
        for device in unneeded {
            let Some(client) = self.clients.remove(&device) else { continue };
            let stays = match (client.status(), find(&device)) {
                (Status::Have(lease, _), Some(Ipv4Config::Static { address, .. })) => {
                    lease.address == address
                }
                _ => false,
            };
            client.end(!stays).await;
        }
    }

    /// Starts the clients that are needed and not there; answers with those that cannot be.
    pub(crate) async fn start(&mut self, stacks: &Stacks, needs: Vec<Need>) -> Vec<(String, Refusal)> {
        let mut failed = Vec::new();
        for (identity, found) in needs {
            let device = identity.device.clone();
            if self.clients.get(&device).is_some_and(|client| client.identity == identity) {
                continue;
            }
            if let Some(client) = self.clients.remove(&device) {
                client.end(false).await;
            }
            let (stack, changed, runtime) = (identity.stack.clone(), self.changed(), Handle::current());
            let start = || {
                let _entered = runtime.enter();
                Client::start(identity, found, changed)
            };
            match stacks.run(&stack, start).and_then(|started| started) {
                Ok(client) => _ = self.clients.insert(device, client),
                Err(error) => failed.push((device, format!("no DHCP client: {error}"))),
            }
        }
        failed
    }
}
