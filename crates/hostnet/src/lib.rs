//! The host's network: what it is to be ([`config`], [`change`]), who connects it ([`fabric`]), the ports of virtual machines
//! ([`ports`]), and how it is shown ([`show`]). What a frame meets is the crate `vswitch`'s.
#![forbid(unsafe_code)]

mod adapters;
mod cards;
mod change;
mod config;
mod dns;
mod error;
mod extras;
mod fabric;
mod hint;
mod mirrors;
mod named;
mod pinned;
mod ports;
mod readings;
mod record;
mod routes;
mod show;
mod spec;
mod stacks;
mod switched;

use std::sync::{Arc, PoisonError, RwLock};

use store::{Batch, Store};
use vim::{Fault, fault};
use vswitch::declare::Ipv4Config;

pub use adapters::read as adapter_spec;
pub use change::Around;
pub use config::{DEFAULT_PORTS, NetworkConfig, StandardSwitch};
pub use error::{Error, Result};
pub use fabric::{Fabric, FabricError, Nic, NoFabric};
pub use hint::hint;
pub use mirrors::NamedMirror;
pub use ports::{NIC_KEY, PortError, PortSpec, Tap};
pub use readings::{Card, StackTable};
pub use routes::read as route_changes;
pub use show::{Scene, capabilities, net_config};
pub use spec::{SwitchSpec, group as group_spec, invalid, switch as switch_spec};
pub use stacks::GatewayChange;
pub use switched::Switched;

use cards::Cards;
use named::Named;
use ports::Ports;
use record::{Kept, Unreadable};

/// How the network of a host begins.
pub struct NetworkOptions {
    pub fabric: Arc<dyn Fabric>,
    /// Begins the names of taps: up to four letters.
    pub prefix: String,
    /// Uplinks of the first switch of a new host: names of cards or of their interfaces.
    pub uplinks: Vec<String>,
    /// Interfaces, or the names that they have as cards, that count as cards although they are virtual ones. Uplinks do.
    pub nics: Vec<String>,
    /// Port groups of a new host.
    pub networks: Vec<String>,
    /// Whether the first VMkernel adapter of a new host takes over what its first uplink had. If not, the host is reached otherwise.
    pub management: bool,
}

impl NetworkOptions {
    /// Without anything that connects: for simulated hosts.
    pub fn simulated(networks: Vec<String>) -> Self {
        let fabric = NoFabric::new(2);
        let uplinks = fabric.nics().into_iter().take(1).map(|nic| nic.name).collect();
        let nics = Vec::new();
        Self { fabric: Arc::new(fabric), prefix: "vm".into(), uplinks, nics, networks, management: false }
    }
}

/// The network of a host.
pub struct HostNetwork {
    store: Store,
    fabric: Arc<dyn Fabric>,
    prefix: String,
    /// Why what is kept of the network cannot be read, and what to do. Then nothing is declared, changed or written.
    unread: Option<String>,
    /// One change at a time.
    held: tokio::sync::Mutex<Held>,
    /// Held by whoever shows the network, from reading it until it is shown, so that what is shown last was read last.
    pub showing: std::sync::Mutex<()>,
    /// The configuration as of the last change, for whoever only reads.
    current: RwLock<Arc<NetworkConfig>>,
}

struct Held {
    config: Arc<NetworkConfig>,
    ports: Ports,
    /// What was wrong when the network was declared last.
    trouble: Option<FabricError>,
    /// What was wrong when the machine was told its name and whom to ask.
    nameless: Option<FabricError>,
}

impl HostNetwork {
    /// Names the cards, and reads the configuration or begins one. Nothing is declared before [`Self::adopt`].
    ///
    /// # Errors
    /// If it cannot be read or written; for a new host also if an uplink is not there.
    pub async fn open(store: &Store, options: NetworkOptions) -> Result<Self> {
        let below = options.fabric;
        let (before, damaged) = match Cards::read(store) {
            Err(error @ store::Error::Decode { .. }) => (Cards::default(), Some(Unreadable::damaged(error))),
            read => (read?, None),
        };
        let interface = |given: &String| before.interface(given).unwrap_or(given).to_owned();
        below.count_as_cards(options.nics.iter().chain(&options.uplinks).map(interface).collect());
        let mut cards = before.clone();
        cards.see(&below.nics());
        let kept = match record::read(store)? {
            Kept::Readable(known) => Some(known),
            Kept::Unreadable(unreadable) => {
                return Ok(Self::untouched(store, below, cards, &options.prefix, unreadable));
            }
            Kept::Nothing => None,
        };
        if let Some(damaged) = damaged {
            return Ok(Self::untouched(store, below, cards, &options.prefix, damaged));
        }
        let config = match kept.clone() {
            // It was kept when cards had no names yet.
            Some(mut known) if before.is_empty() => {
                cards.rename(&mut known);
                known
            }
            Some(known) => known,
            None => first(&*below, &cards, &options.uplinks, &options.networks, options.management).await?,
        };
        let mut changes = Batch::new();
        cards.write(&before, &mut changes)?;
        if kept.as_ref() != Some(&config) {
            record::put(&mut changes, &config)?;
        }
        if !changes.is_empty() {
            store.commit(changes).await?;
        }
        cards.tell();
        below.call(cards.present()).await;
        Ok(Self::with(store, Named::new(below, Some(store), cards), &options.prefix, config))
    }

    /// One whose record is left alone, as what the kernel has is.
    fn untouched(
        store: &Store,
        below: Arc<dyn Fabric>,
        cards: Cards,
        prefix: &str,
        unreadable: Unreadable,
    ) -> Self {
        tracing::error!(reason = unreadable.reason, "the network is left as it is");
        let fabric = Named::new(below, None, cards);
        Self { unread: Some(unreadable.reason), ..Self::with(store, fabric, prefix, unreadable.shown) }
    }

    fn with(store: &Store, fabric: Named, prefix: &str, config: NetworkConfig) -> Self {
        let config = Arc::new(config);
        Self {
            store: store.clone(),
            fabric: Arc::new(fabric),
            prefix: prefix.chars().take(4).collect(),
            unread: None,
            held: tokio::sync::Mutex::new(Held {
                config: config.clone(),
                ports: Ports::new(),
                trouble: None,
                nameless: None,
            }),
            showing: std::sync::Mutex::default(),
            current: RwLock::new(config),
        }
    }

    /// Why what is kept of the network cannot be read, and what to do, if that is so.
    pub fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// Whether the network may be touched.
    fn is_ours(&self) -> Result<(), FabricError> {
        self.unread.as_ref().map_or(Ok(()), |reason| Err(FabricError::new(reason)))
    }

    pub fn config(&self) -> Arc<NetworkConfig> {
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

    pub fn fabric(&self) -> &dyn Fabric {
        &*self.fabric
    }

    /// Changes the configuration: the kernel first, then the disk, so that what is acknowledged is both. If either fails, all is
    /// as it was.
    ///
    /// # Errors
    /// What `change` says; `HostConfigFault` if the switch cannot be brought to it, or what is kept cannot be read; those of the store.
    pub async fn change(
        &self,
        user: &(dyn Fn(&str) -> Option<String> + Sync),
        change: impl FnOnce(&mut NetworkConfig, &Around<'_>) -> Result<(), Fault>,
    ) -> Result<()> {
        self.is_ours()
            .map_err(|error| fault!(HostConfigFault {}, "The network cannot be changed: {error}"))?;
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
        let renamed = next.names != held.config.names;
        let applied = match declare(&next, &held.ports).await {
            Ok(()) => {
                held.trouble = None;
                Ok(())
            }
            // What was wrong before keeps nobody from changing something else, or from mending it in two steps.
            Err(error) if held.trouble.as_ref() == Some(&error) => {
                tracing::warn!(%error, "the network is not as it was declared");
                Ok(())
            }
            Err(error) => Err(error),
        };
        let applied = match applied {
            Ok(()) if renamed => self.name(&next).await,
            applied => applied,
        };
        let kept = match applied {
            Ok(()) => self.keep(&next).await,
            Err(error) => {
                tracing::error!(%error, "a change of the network was refused");
                Err(fault!(HostConfigFault {}, "The network cannot be changed so: {error}").into())
            }
        };
        if let Err(error) = kept {
            let mut undone = declare(&held.config, &held.ports).await;
            if renamed {
                undone = undone.and(self.name(&held.config).await);
            }
            if let Err(error) = undone {
                tracing::error!(%error, "the network is not as it was before a change that failed");
            }
            return Err(error);
        }
        held.config = next.clone();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// Sees to it that the machine has the name and asks those that were said, or that a lease says now.
    pub async fn resolve(&self) {
        if self.unread.is_some() {
            return;
        }
        let mut held = self.held.lock().await;
        let failed = self.name(&held.config).await.err();
        if let Some(error) = failed.as_ref().filter(|error| held.nameless.as_ref() != Some(error)) {
            tracing::warn!(%error, "names are not as they were asked for");
        }
        held.nameless = failed;
    }

    async fn name(&self, config: &NetworkConfig) -> Result<(), FabricError> {
        let names = config.names.as_ref().and_then(|said| said.effective(&self.fabric.seen()));
        match names {
            Some(names) => self.fabric.resolve(&names).await,
            None => Ok(()),
        }
    }

    async fn keep(&self, config: &NetworkConfig) -> Result<()> {
        self.store.commit(batch(config)?).await?;
        Ok(())
    }
}

/// What a new host has.
async fn first(
    below: &dyn Fabric,
    cards: &Cards,
    uplinks: &[String],
    networks: &[String],
    management: bool,
) -> Result<NetworkConfig> {
    let card = |given: &String| {
        let missing = || {
            let there = cards.names().join(", ");
            FabricError::new(format!("there is no network card {given}; there are: {there}")).into()
        };
        cards.resolve(given).ok_or_else(missing)
    };
    let uplinks = uplinks.iter().map(card).collect::<Result<Vec<String>>>()?;
    let interface = uplinks.first().filter(|_| management).and_then(|first| cards.interface(first));
    let takeover = match interface {
        Some(interface) => below.takeover(interface).await?,
        None => None,
    };
    let management = takeover.filter(|has| has.ipv4 != Ipv4Config::None);
    Ok(NetworkConfig::first(&uplinks, networks, management))
}

fn batch(config: &NetworkConfig) -> Result<Batch, store::Error> {
    let mut batch = Batch::new();
    record::put(&mut batch, config)?;
    Ok(batch)
}

#[cfg(test)]
mod tests;
