//! [`HostNetwork`]: the declared network, what is connected to it, and the one place that changes both.

mod change;
mod ports;
mod record;

use std::sync::Arc;

use parking_lot::RwLock;
use store::{Batch, Store};
use vswitch::declare::Ipv4Config;

pub use ports::{PortError, PortSpec, Tap};

use crate::Result;
use crate::cards::{Cards, Named};
use crate::config::NetworkConfig;
use crate::fabric::{Fabric, FabricError, NoFabric};
use ports::Ports;
use record::{Kept, Unreadable};

/// How the network of a host is opened.
pub struct NetworkOptions {
    pub fabric: Arc<dyn Fabric>,
    /// Begins the names of taps: up to four letters.
    pub prefix: String,
    /// Uplinks of a new host's first switch: names of cards or of their interfaces.
    pub uplinks: Vec<String>,
    /// Virtual interfaces that count as cards, by interface or card name. Uplinks count as cards in any case.
    pub nics: Vec<String>,
    /// Port groups of a new host.
    pub networks: Vec<String>,
    /// Whether the first VMkernel adapter of a new host takes over the addresses of its first uplink.
    pub management: bool,
}

impl NetworkOptions {
    /// Options of a simulated host, whose fabric connects nothing. With a number it has cards and a management adapter of its own.
    pub fn simulated(networks: Vec<String>, number: Option<u32>) -> Self {
        let fabric = match number {
            Some(number) => NoFabric::numbered(2, number),
            None => NoFabric::new(2),
        };
        let uplinks = fabric.nics().into_iter().take(1).map(|nic| nic.name).collect();
        let nics = Vec::new();
        Self {
            fabric: Arc::new(fabric),
            prefix: "vm".into(),
            uplinks,
            nics,
            networks,
            management: number.is_some(),
        }
    }
}

/// The network of a host.
pub struct HostNetwork {
    store: Store,
    fabric: Arc<dyn Fabric>,
    prefix: String,
    /// Why the record of the network cannot be read, and what to do. Nothing is declared, changed or written then.
    unread: Option<String>,
    /// Held during a change, so that there is one at a time.
    held: tokio::sync::Mutex<Held>,
    /// The configuration as of the last change, for readers.
    current: RwLock<Arc<NetworkConfig>>,
}

struct Held {
    config: Arc<NetworkConfig>,
    ports: Ports,
    /// The error of the last declaration.
    trouble: Option<FabricError>,
    /// The error of the last attempt to set the system's names.
    nameless: Option<FabricError>,
}

impl HostNetwork {
    /// Names the cards, and reads the configuration or makes the first one. Nothing is declared before [`Self::adopt`].
    ///
    /// # Errors
    /// If the store fails; for a new host also if an uplink is missing.
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
            // A configuration from before cards had names.
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

    /// A network with an unreadable record: neither the record nor the kernel's state is touched.
    fn untouched(
        store: &Store,
        below: Arc<dyn Fabric>,
        cards: Cards,
        prefix: &str,
        unreadable: Unreadable,
    ) -> Self {
        tracing::error!(reason = unreadable.reason, "the network stays as it is");
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
            current: RwLock::new(config),
        }
    }

    /// Why the record of the network cannot be read, and what to do; `None` if it is readable.
    pub fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// Fails if the record is unreadable, so that the network may not be touched.
    fn is_ours(&self) -> Result<(), FabricError> {
        self.unread.as_ref().map_or(Ok(()), |reason| Err(FabricError::new(reason)))
    }

    /// The current configuration.
    pub fn config(&self) -> Arc<NetworkConfig> {
        self.current.read().clone()
    }

    /// Names of the port groups that adapters can be on.
    pub fn names(&self) -> Vec<String> {
        self.config().groups().map(|(_, group)| group.name.clone()).collect()
    }

    /// Whether the host has a port group of this name.
    pub fn has(&self, name: &str) -> bool {
        self.config().group(name).is_some()
    }

    /// The fabric, which knows cards by their names.
    pub fn fabric(&self) -> &dyn Fabric {
        &*self.fabric
    }
}

/// The configuration of a new host.
async fn first(
    below: &dyn Fabric,
    cards: &Cards,
    uplinks: &[String],
    networks: &[String],
    management: bool,
) -> Result<NetworkConfig> {
    let card = |given: &String| {
        let missing = || {
            let there = match cards.names().join(", ") {
                none if none.is_empty() => "none; name a virtual one with --nic, too".to_owned(),
                some => some,
            };
            FabricError::new(format!("the host has no network card {given}; it has {there}")).into()
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

#[cfg(test)]
mod tests;
