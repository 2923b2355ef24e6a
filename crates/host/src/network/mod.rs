//! The host's network: what it is to be ([`config`], [`change`]), who connects it ([`fabric`]), the ports of virtual machines
//! ([`ports`]), and how it is shown ([`show`]). What a frame meets is the crate `vswitch`'s.

mod adapters;
mod captured;
mod change;
mod config;
mod fabric;
mod hint;
mod ports;
mod readings;
mod routes;
mod show;
mod spec;
mod switched;

use std::sync::{Arc, PoisonError, RwLock};

use store::{Batch, Collection, Store};
use vim::{Fault, fault};
use vswitch::vmkernel::Takeover;

pub(crate) use adapters::read as adapter_spec;
pub(crate) use change::Around;
pub(crate) use config::{DEFAULT_PORTS, NetworkConfig, StandardSwitch};
pub use fabric::{Fabric, FabricError, Nic, NoFabric};
pub(crate) use hint::hint;
pub use ports::{PortError, PortSpec, Tap};
pub use readings::{Card, StackTable};
pub(crate) use routes::read as route_changes;
pub(crate) use show::{Scene, capabilities, net_config};
pub(crate) use spec::{SwitchSpec, group as group_spec, invalid, switch as switch_spec};
pub use switched::Switched;

use crate::error::store_fault;
use ports::Ports;

/// The whole configuration, under one key.
const CONFIG: Collection<NetworkConfig> = Collection::new("network");
const KEY: &str = "standard";

/// How the network of a host begins.
pub struct NetworkOptions {
    pub fabric: Arc<dyn Fabric>,
    /// Begins the names of taps: up to four letters.
    pub prefix: String,
    /// Uplinks of the first switch of a new host.
    pub uplinks: Vec<String>,
    /// Port groups of a new host.
    pub networks: Vec<String>,
    /// What the first uplink of a new host had: its first VMkernel adapter takes it over. None if the host is reached otherwise.
    pub management: Option<Takeover>,
}

impl NetworkOptions {
    /// Without anything that connects: for simulated hosts.
    pub fn simulated(networks: Vec<String>) -> Self {
        let fabric = NoFabric::new(2);
        let uplinks = fabric.nics().into_iter().take(1).map(|nic| nic.name).collect();
        Self { fabric: Arc::new(fabric), prefix: "vm".into(), uplinks, networks, management: None }
    }
}

/// The network of a host.
pub struct HostNetwork {
    store: Store,
    fabric: Arc<dyn Fabric>,
    prefix: String,
    /// One change at a time.
    held: tokio::sync::Mutex<Held>,
    /// Held by whoever shows the network, from reading it until it is shown, so that what is shown last was read last.
    pub(crate) showing: std::sync::Mutex<()>,
    /// The configuration as of the last change, for whoever only reads.
    current: RwLock<Arc<NetworkConfig>>,
}

struct Held {
    config: Arc<NetworkConfig>,
    ports: Ports,
    /// What was wrong when the network was declared last.
    trouble: Option<FabricError>,
}

impl HostNetwork {
    /// Reads the configuration, or begins one. Nothing is declared before [`Self::adopt`].
    ///
    /// # Errors
    /// If it cannot be read or, for a new host, written.
    pub(crate) async fn open(store: &Store, options: NetworkOptions) -> Result<Self, store::Error> {
        let config = match CONFIG.get(store, KEY)? {
            Some(known) => known,
            None => {
                let first = NetworkConfig::first(&options.uplinks, &options.networks, options.management);
                store.commit(batch(&first)?).await?;
                first
            }
        };
        let config = Arc::new(config);
        Ok(Self {
            store: store.clone(),
            fabric: options.fabric,
            prefix: options.prefix.chars().take(4).collect(),
            held: tokio::sync::Mutex::new(Held {
                config: config.clone(),
                ports: Ports::new(),
                trouble: None,
            }),
            showing: std::sync::Mutex::default(),
            current: RwLock::new(config),
        })
    }

    pub(crate) fn config(&self) -> Arc<NetworkConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Names of the port groups that adapters can be on.
    pub fn names(&self) -> Vec<String> {
        self.config().groups().map(|(_, group)| group.name.clone()).collect()
    }

    /// Whether there is a port group of this name.
    pub fn has(&self, name: &str) -> bool {
        self.config().group(name).is_some()
    }

    pub(crate) fn fabric(&self) -> &dyn Fabric {
        &*self.fabric
    }

    /// Changes the configuration: the kernel first, then the disk, so that what is acknowledged is both. If either fails, all is
    /// as it was.
    ///
    /// # Errors
    /// What `change` says; `HostConfigFault` if the switch cannot be brought to it.
    pub(crate) async fn change(
        &self,
        user: &(dyn Fn(&str) -> Option<String> + Sync),
        change: impl FnOnce(&mut NetworkConfig, &Around<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut held = self.held.lock().await;
        let mut next = NetworkConfig::clone(&held.config);
        {
            let nics = self.fabric.nics();
            let has_nic = |name: &str| nics.iter().any(|nic| nic.name == name);
            change(&mut next, &Around { has_nic: &has_nic, user })?;
        }
        if next == *held.config {
            return Ok(());
        }
        let next = Arc::new(next);
        let declare = async |config: &NetworkConfig, ports: &Ports| {
            self.fabric.declare(config.declaration(ports::declared(config, ports))).await
        };
        let applied = match declare(&next, &held.ports).await {
            Ok(()) => {
                held.trouble = None;
                self.keep(&next).await
            }
            // What was wrong before keeps nobody from changing something else, or from mending it in two steps.
            Err(error) if held.trouble.as_ref() == Some(&error) => {
                tracing::warn!(%error, "the network is not as it was declared");
                self.keep(&next).await
            }
            Err(error) => {
                tracing::error!(%error, "a change of the network was refused");
                Err(fault!(HostConfigFault {}, "The network cannot be changed so: {error}"))
            }
        };
        if let Err(fault) = applied {
            if let Err(error) = declare(&held.config, &held.ports).await {
                tracing::error!(%error, "the network is not as it was before a change that failed");
            }
            return Err(fault);
        }
        held.config = next.clone();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    async fn keep(&self, config: &NetworkConfig) -> Result<(), Fault> {
        let batch = batch(config).map_err(|error| store_fault(&error))?;
        self.store.commit(batch).await.map(drop).map_err(|error| store_fault(&error))
    }
}

fn batch(config: &NetworkConfig) -> Result<Batch, store::Error> {
    let mut batch = Batch::new();
    CONFIG.put(&mut batch, KEY, config)?;
    Ok(batch)
}
