//! The seam to what connects ports: the virtual switch in the kernel ([`Switched`]), or nothing for a simulated host ([`NoFabric`]).

mod error;
mod none;
mod readings;
pub(crate) mod resolv_conf;
mod switched;
mod tap;

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use vswitch::capture::{Captured, Filter};
use vswitch::declare::{Declaration, Dns};
use vswitch::discovery::OtherEnd;
use vswitch::layout::{Counters, Mirrored};
use vswitch::observed::ObservedRange;
use vswitch::vmkernel::Takeover;
use vswitch::{FlowCounters, Learned, State};

pub use error::FabricError;
pub use none::NoFabric;
pub use readings::{Card, StackTable};
pub use switched::Switched;
pub use tap::NIC_KEY;
pub(crate) use tap::{is_tap_of, tap_name};

/// A physical network card, or what stands for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nic {
    /// Its name, which is that of its interface until the host has named it.
    pub name: String,
    /// The Linux name of its interface.
    pub interface: String,
    pub mac: String,
    /// The MAC address that the card was made with, if the driver knows it.
    pub permanent_mac: Option<String>,
    /// Bus address; empty for a card without a bus.
    pub pci: String,
    pub driver: Option<String>,
    /// Speed in Mbit/s, and whether full duplex; `None` without a link.
    pub link: Option<(i32, bool)>,
    pub wake_on_lan: bool,
}

/// Connects ports.
#[async_trait]
pub trait Fabric: Send + Sync {
    /// Physical network cards, and interfaces that the administrator named as such.
    fn nics(&self) -> Vec<Nic>;

    /// Counts these interfaces as physical network cards, whatever they are.
    fn count_as_cards(&self, _interfaces: Vec<String>) {}

    /// Makes the cards' names known to Linux as well: pairs of interface and name.
    async fn call(&self, _cards: Vec<(String, String)>) {}

    /// The addresses and routes of a card that becomes an uplink, for a VMkernel adapter to take over; `None` on a simulated host.
    async fn takeover(&self, _nic: &str) -> Result<Option<Takeover>, FabricError> {
        Ok(None)
    }

    /// The Linux system's name, domain and name servers.
    fn names(&self) -> Dns {
        Dns::default()
    }

    /// Sets the Linux system's name, domain and name servers.
    async fn resolve(&self, _names: &Dns) -> Result<(), FabricError> {
        Ok(())
    }

    /// Brings the switch to this declaration.
    async fn declare(&self, declaration: Declaration) -> Result<(), FabricError>;

    /// Makes a tap that `owner` may open, replacing one of the same name; `false` on a simulated host, which has no taps.
    async fn make_tap(&self, name: &str, owner: Option<u32>) -> Result<bool, FabricError>;

    /// Removes a tap; removing a missing one succeeds.
    async fn remove_tap(&self, name: &str) -> Result<(), FabricError>;

    /// The taps that this host has made.
    fn taps(&self) -> Vec<String>;

    /// The current state of links and adapters.
    fn seen(&self) -> State;

    /// The neighbour at the other end of a card's cable, if it has announced itself.
    fn other_end(&self, _nic: &str) -> OtherEnd {
        OtherEnd::default()
    }

    /// The IP ranges observed behind a card, VLAN by VLAN.
    fn observed(&self, _nic: &str) -> Vec<ObservedRange> {
        Vec::new()
    }

    /// The kernel's settings and counters of a card; all unset on a simulated host.
    fn card(&self, _nic: &str) -> Card {
        Card::default()
    }

    /// A table of the TCP/IP stack in a namespace, or in the daemon's own; empty on a simulated host.
    async fn stack_table(
        &self,
        _table: StackTable,
        _namespace: Option<&Path>,
    ) -> Result<String, FabricError> {
        Ok(String::new())
    }

    /// The counters of a port.
    async fn counters(&self, interface: &str) -> Option<Counters>;

    /// The counters of the active mirroring sessions, by number.
    async fn mirrored(&self) -> Result<BTreeMap<u32, Mirrored>, FabricError> {
        Ok(BTreeMap::new())
    }

    /// The counters of a switch's flow reports; `None` if it has no collector.
    fn flow_counters(&self, _switch: &str) -> Option<FlowCounters> {
        None
    }

    /// The number of MACs that a port has learned; `None` if it does not learn.
    async fn learned(&self, _port: &str) -> Result<Option<Learned>, FabricError> {
        Ok(None)
    }

    /// The frames that pass ports from now on.
    async fn capture(&self, filter: Filter) -> Result<BoxStream<'static, Captured>, FabricError>;

    /// Returns when links have changed since the last call.
    async fn changed(&self);
}
