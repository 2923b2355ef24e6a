//! The fabric of a simulated host.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use vswitch::State;
use vswitch::capture::{Captured, Filter};
use vswitch::declare::Declaration;
use vswitch::layout::Counters;

use super::{Fabric, FabricError, Nic};

/// Connects nothing: the network of a simulated host. It remembers the last declaration.
#[derive(Debug, Default)]
pub struct NoFabric {
    nics: Vec<Nic>,
    declared: Mutex<Declaration>,
}

impl NoFabric {
    /// A fabric with this many cards, `vmnic0` onwards, all with a link.
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
