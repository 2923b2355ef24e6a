//! The way in which a simulated center reaches hosts that are added at run time: every name leads to a simulated host.
//!
//! A name below the domain `invalid`, which RFC 2606 keeps free, leads to no host, and a host lets nobody in without a password.
//! A host that is removed keeps its VMs, and is the same host when it is added again.

use std::collections::HashMap;
use std::sync::Arc;

use api::server::Site;
use async_trait::async_trait;
use center::link::connector::{Address, Certificate, Connector, Credentials};
use center::link::{HostLink, LinkError, LocalLink};
use center::sim::{Host as Described, NETWORK};
use datastore::Datastore;
use vim::{Fault, fault};

use super::hosts::Plan;
use super::identity::Seed;

/// Most hosts that can be added.
const MOST: u32 = 4096;
/// The number of the first added host; those of the first inventory are below.
const FIRST_NUMBER: u32 = 500_000;
const THREADS: u16 = 16;
const MEMORY_MIB: u64 = 64 << 10;
const DATASTORE: &str = "datastore1";
const DATASTORE_BYTES: u64 = 10 << 40;

/// Makes simulated hosts as they are added.
pub struct SimulatedHosts {
    seed: Seed,
    /// Hosts by address. It is held while a host is made, so that an address leads to one host.
    known: tokio::sync::Mutex<Known>,
}

#[derive(Default)]
struct Known {
    sites: HashMap<String, Site>,
    /// How many of them were added at run time.
    added: u32,
}

impl SimulatedHosts {
    pub fn new(seed: Seed) -> Self {
        Self { seed, known: tokio::sync::Mutex::default() }
    }

    /// Makes a host of the first inventory reachable by its name.
    pub async fn know(&self, name: &str, site: &Site) {
        self.known.lock().await.sites.insert(name.to_lowercase(), site.clone());
    }

    async fn link(&self, address: &Address) -> Result<Arc<dyn HostLink>, LinkError> {
        let name = address.host.to_lowercase();
        let mut known = self.known.lock().await;
        let site = match known.sites.get(&name) {
            Some(site) => site.clone(),
            None if known.added >= MOST => return Err(no_host(address).into()),
            None => {
                let made = self.make(&address.host, FIRST_NUMBER + known.added).await;
                let made = made.map_err(|error| LinkError::Lost {
                    host: address.host.clone(),
                    reason: format!("{error:#}"),
                })?;
                known.added += 1;
                known.sites.insert(name, made.clone());
                made
            }
        };
        Ok(Arc::new(LocalLink::new(&address.host, site.service, site.files)?))
    }

    async fn make(&self, name: &str, number: u32) -> anyhow::Result<Site> {
        let host = Described {
            name: name.to_owned(),
            threads: THREADS,
            memory_mib: MEMORY_MIB,
            datastores: vec![DATASTORE.into()],
            networks: vec![NETWORK.into()],
            vms: Vec::new(),
        };
        let store = Arc::new(Datastore::memory(self.seed.uuid("datastore", &["", name]), DATASTORE_BYTES));
        let plan = Plan {
            host: &host,
            names: ["", name],
            datastores: vec![(DATASTORE.into(), store)],
            number,
            first_adapter: 0,
            seed: self.seed,
            with_vms: true,
            administrator: None,
        };
        plan.make().await
    }
}

fn is_nowhere(address: &Address) -> bool {
    let name = address.host.trim_end_matches('.').to_lowercase();
    name == "invalid" || name.ends_with(".invalid")
}

fn no_host(address: &Address) -> Fault {
    fault!(NoHost { name: &address.host }, "The simulator has no host {}", address.host)
}

fn admit(credentials: &Credentials) -> Result<(), Fault> {
    if credentials.user.is_empty() || credentials.password.is_empty() {
        return Err(fault!(
            InvalidLogin {},
            "A simulated host lets in any user, but with a name and a password"
        ));
    }
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[async_trait]
impl Connector for SimulatedHosts {
    async fn probe(&self, address: &Address) -> Result<Certificate, Fault> {
        if is_nowhere(address) {
            return Err(no_host(address));
        }
        let bits = self.seed.bits("certificate", &[&address.host.to_lowercase()]);
        let fingerprint = hexadecimal(&bits);
        let thumbprint = hexadecimal(&bits[..20]);
        Ok(Certificate { thumbprint, pin: fingerprint.clone(), fingerprint, self_signed: true })
    }

    async fn enroll(&self, _: &Address, _: &str, credentials: &Credentials, _: bool) -> Result<(), Fault> {
        admit(credentials)
    }

    async fn visit(
        &self,
        address: &Address,
        _: &str,
        credentials: &Credentials,
    ) -> Result<Arc<dyn HostLink>, Fault> {
        admit(credentials)?;
        self.link(address).await.map_err(LinkError::into_fault)
    }

    async fn connect(&self, address: &Address, _: &str) -> Result<Arc<dyn HostLink>, LinkError> {
        if is_nowhere(address) {
            return Err(no_host(address).into());
        }
        self.link(address).await
    }

    async fn release(&self, _: &Arc<dyn HostLink>) {}
}
