//! The fabric of a simulated host.

use std::net::Ipv4Addr;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use vswitch::capture::{Captured, Filter};
use vswitch::declare::{Declaration, Gateways, Ipv4Config};
use vswitch::layout::Counters;
use vswitch::vmkernel::Takeover;
use vswitch::{Mac, State};

use super::{Fabric, FabricError, Nic};

/// The management network of simulated hosts is 172.16.0.0/12.
const PREFIX: u8 = 12;
const MTU: u32 = 1500;

/// Connects nothing: the network of a simulated host. It remembers the last declaration.
#[derive(Debug, Default)]
pub struct NoFabric {
    nics: Vec<Nic>,
    /// The address that the first management adapter takes over.
    address: Option<(Mac, Ipv4Addr)>,
    declared: Mutex<Declaration>,
}

impl NoFabric {
    /// A fabric with this many cards, `vmnic0` onwards, all with a link.
    pub fn new(cards: u8) -> Self {
        Self::with([0; 3], cards)
    }

    /// The fabric of the host with this number: the MAC addresses of its cards, and an address for its management adapter, which no
    /// other one of the first million has.
    pub fn numbered(cards: u8, number: u32) -> Self {
        let [a, b, c, d] = number.wrapping_add(1).to_be_bytes();
        let address = Ipv4Addr::new(172, 16 | b & 0x0f, c, d);
        let made = Self::with([b, c, d], cards);
        Self { address: Some((Mac([2, 1, a, b, c, d]), address)), ..made }
    }

    fn with([a, b, c]: [u8; 3], cards: u8) -> Self {
        let nic = |number| Nic {
            name: format!("vmnic{number}"),
            interface: format!("vmnic{number}"),
            mac: format!("02:00:{a:02x}:{b:02x}:{c:02x}:{number:02x}"),
            permanent_mac: Some(format!("02:00:{a:02x}:{b:02x}:{c:02x}:{number:02x}")),
            pci: format!("0000:0b:{number:02x}.0"),
            driver: None,
            link: Some((10_000, true)),
            wake_on_lan: false,
        };
        Self { nics: (0..cards).map(nic).collect(), ..Self::default() }
    }

    /// The last declaration.
    pub fn declared(&self) -> Declaration {
        self.declared.lock().clone()
    }
}

#[async_trait]
impl Fabric for NoFabric {
    fn nics(&self) -> Vec<Nic> {
        self.nics.clone()
    }

    async fn takeover(&self, _: &str) -> Result<Option<Takeover>, FabricError> {
        Ok(self.address.map(|(mac, address)| Takeover {
            mac,
            mtu: MTU,
            ipv4: Ipv4Config::Static { address, prefix: PREFIX },
            ipv6: None,
            gateways: Gateways::default(),
            routes: Vec::new(),
        }))
    }

    async fn declare(&self, declaration: Declaration) -> Result<(), FabricError> {
        *self.declared.lock() = declaration;
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
        Err(FabricError::new("a simulated host has no frames to capture"))
    }

    async fn changed(&self) {
        std::future::pending().await
    }
}
