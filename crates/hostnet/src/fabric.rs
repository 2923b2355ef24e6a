//! The seam to what really connects: the virtual switch in the kernel, or nothing for a simulated host.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use vswitch::capture::{Captured, Filter};
use vswitch::declare::{Declaration, Dns};
use vswitch::discovery::OtherEnd;
use vswitch::kernel::layout::{Counters, Mirrored};
use vswitch::observed::ObservedRange;
use vswitch::vmkernel::Takeover;
use vswitch::{FlowCounters, Learned, State};

use super::readings::{Card, StackTable};

/// A physical network card, or what stands for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nic {
    /// Its name: that of its interface, until the host has given it one.
    pub name: String,
    /// What Linux calls its interface.
    pub interface: String,
    pub mac: String,
    /// The MAC address that it was made with, if it was.
    pub permanent_mac: Option<String>,
    /// Bus address; empty for what is on no bus.
    pub pci: String,
    pub driver: Option<String>,
    /// Megabits a second, and whether full duplex; none without a link.
    pub link: Option<(i32, bool)>,
    pub wake_on_lan: bool,
}

/// Why the fabric could not do something, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct FabricError {
    words: String,
    /// The interface or the adapter that it is about, if it is about one.
    about: Option<String>,
}

impl FabricError {
    /// Of the whole.
    pub fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), about: None }
    }

    /// Of one interface or adapter.
    pub fn about(interface: &str, words: impl Into<String>) -> Self {
        Self { words: words.into(), about: Some(interface.into()) }
    }

    /// The interface or the adapter that it is about, if it is about one.
    pub(super) fn subject(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// Whether it is about something else than this interface: what was asked of that one is done all the same.
    pub fn is_of_another(&self, interface: &str) -> bool {
        self.about.as_ref().is_some_and(|about| about != interface)
    }
}

/// What connects ports.
#[async_trait]
pub trait Fabric: Send + Sync {
    /// Physical network cards, and interfaces that the administrator named as such.
    fn nics(&self) -> Vec<Nic>;

    /// Interfaces that are to count as physical network cards, whatever they are.
    fn count_as_cards(&self, _interfaces: Vec<String>) {}

    /// Lets the system know cards by their names, too: interface, and name.
    async fn call(&self, _cards: Vec<(String, String)>) {}

    /// What a card has that is to become an uplink, for an adapter to take over; none where there is nothing to be had.
    async fn takeover(&self, _nic: &str) -> Result<Option<Takeover>, FabricError> {
        Ok(None)
    }

    /// What the machine calls itself, and whom it asks for names.
    fn names(&self) -> Dns {
        Dns::default()
    }

    /// Gives the machine this name, and these to ask.
    async fn resolve(&self, _names: &Dns) -> Result<(), FabricError> {
        Ok(())
    }

    /// Makes this the state of the network.
    async fn declare(&self, declaration: Declaration) -> Result<(), FabricError>;

    /// Makes a tap that `owner` may open, in the place of one of the same name; none where there are no taps.
    async fn make_tap(&self, name: &str, owner: Option<u32>) -> Result<bool, FabricError>;

    /// Removes a tap; one that is not there is no error.
    async fn remove_tap(&self, name: &str) -> Result<(), FabricError>;

    /// Taps that this host has made.
    fn taps(&self) -> Vec<String>;

    /// What is seen of links and adapters.
    fn seen(&self) -> State;

    /// Who is at the other end of a card's cable; nobody where there are no cables.
    fn other_end(&self, _nic: &str) -> OtherEnd {
        OtherEnd::default()
    }

    /// The IP ranges that are observed behind a card, VLAN by VLAN; none where no frames are.
    fn observed(&self, _nic: &str) -> Vec<ObservedRange> {
        Vec::new()
    }

    /// What the kernel says of a card; nothing of one that no kernel has.
    fn card(&self, _nic: &str) -> Card {
        Card::default()
    }

    /// A table of the TCP/IP stack in a namespace, or of the daemon's own; empty where there is none.
    async fn stack_table(
        &self,
        _table: StackTable,
        _namespace: Option<&Path>,
    ) -> Result<String, FabricError> {
        Ok(String::new())
    }

    /// What has passed a port.
    async fn counters(&self, interface: &str) -> Option<Counters>;

    /// What mirroring sessions have done, by number: those that mirror now.
    async fn mirrored(&self) -> Result<BTreeMap<u32, Mirrored>, FabricError> {
        Ok(BTreeMap::new())
    }

    /// What collectors were told of the flows of a switch; none if it tells nobody.
    fn flow_counters(&self, _switch: &str) -> Option<FlowCounters> {
        None
    }

    /// How many MACs a port has learned; none if it does not learn.
    async fn learned(&self, _port: &str) -> Result<Option<Learned>, FabricError> {
        Ok(None)
    }

    /// Frames that pass ports, from now on.
    async fn capture(&self, filter: Filter) -> Result<BoxStream<'static, Captured>, FabricError>;

    /// Returns when something about links has changed since the last time.
    async fn changed(&self);
}

/// Connects nothing: the network of a simulated host. It remembers what was declared last.
#[derive(Debug, Default)]
pub struct NoFabric {
    nics: Vec<Nic>,
    declared: Mutex<Declaration>,
}

impl NoFabric {
    /// With this many cards, `vmnic0` onwards, all with a link.
    pub fn new(cards: u8) -> Self {
        let nic = |number| Nic {
            name: format!("vmnic{number}"),
            interface: format!("vmnic{number}"),
            mac: format!("02:00:00:00:00:{number:02x}"),
            permanent_mac: Some(format!("02:00:00:00:00:{number:02x}")),
            pci: format!("0000:0b:{number:02x}.0"),
            driver: None,
            link: Some((10_000, true)),
            wake_on_lan: false,
        };
        Self { nics: (0..cards).map(nic).collect(), ..Self::default() }
    }

    /// What was declared last.
    pub fn declared(&self) -> Declaration {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Fabric for NoFabric {
    fn nics(&self) -> Vec<Nic> {
        self.nics.clone()
    }

    async fn declare(&self, declaration: Declaration) -> Result<(), FabricError> {
        *self.declared.lock().unwrap_or_else(PoisonError::into_inner) = declaration;
        Ok(())
    }

    async fn make_tap(&self, _: &str, _: Option<u32>) -> Result<bool, FabricError> {
        Ok(false)
    }

    async fn remove_tap(&self, _: &str) -> Result<(), FabricError> {
        Ok(())
    }

    fn taps(&self) -> Vec<String> {
        Vec::new()
    }

    fn seen(&self) -> State {
        State::default()
    }

    async fn counters(&self, _: &str) -> Option<Counters> {
        None
    }

    async fn capture(&self, _: Filter) -> Result<BoxStream<'static, Captured>, FabricError> {
        Err(FabricError::new("A simulated host has no frames"))
    }

    async fn changed(&self) {
        std::future::pending().await
    }
}
