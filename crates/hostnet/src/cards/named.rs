//! Translates between the names of cards (`vmnic0`), which everything above uses, and their interfaces, which the virtual switch
//! below uses. No other place does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use parking_lot::RwLock;
use store::{Batch, Store};
use vswitch::capture::{Captured, Filter};
use vswitch::declare::{Declaration, Dns, MirrorDestination, MirrorSource, MirrorVia};
use vswitch::discovery::OtherEnd;
use vswitch::layout::{Counters, Mirrored};
use vswitch::observed::ObservedRange;
use vswitch::vmkernel::Takeover;
use vswitch::{FlowCounters, Learned, State};

use super::known::Cards;
use crate::config::each_uplink;
use crate::fabric::{Card, Fabric, FabricError, Nic, StackTable};

/// A fabric whose cards have the names that the host gave them.
pub(crate) struct Named {
    below: Arc<dyn Fabric>,
    /// Keeps the names; `None` if the record is unreadable, so that nothing may be written or renamed.
    store: Option<Store>,
    cards: RwLock<Cards>,
    /// The last declaration, which is declared again when an interface is renamed.
    declared: tokio::sync::Mutex<Option<Declaration>>,
}

impl Named {
    /// A fabric over `below` with these cards.
    pub(crate) fn new(below: Arc<dyn Fabric>, store: Option<&Store>, cards: Cards) -> Self {
        Self { below, store: store.cloned(), cards: RwLock::new(cards), declared: Default::default() }
    }

    fn with<T>(&self, read: impl FnOnce(&Cards) -> T) -> T {
        read(&self.cards.read())
    }

    /// The interface of a port; only cards have another name.
    fn interface(&self, port: &str) -> String {
        self.with(|cards| cards.interface(port).unwrap_or(port).to_owned())
    }

    /// Notes new cards and renamed interfaces, and returns whether there were any.
    async fn look(&self) -> Result<bool, store::Error> {
        let before = self.with(Cards::clone);
        let mut now = before.clone();
        now.see(&self.below.nics());
        if now == before {
            return Ok(false);
        }
        if let Some(store) = &self.store {
            let mut batch = Batch::new();
            now.write(&before, &mut batch)?;
            if !batch.is_empty() {
                store.commit(batch).await?;
            }
            now.tell();
            self.below.call(now.present()).await;
        }
        *self.cards.write() = now;
        Ok(true)
    }

    async fn declare_below(&self, declaration: Declaration) -> Result<(), FabricError> {
        let declaration = self.with(|cards| in_interfaces(declaration, cards));
        self.below.declare(declaration).await.map_err(|error| self.with(|cards| named_error(error, cards)))
    }
}

/// The declaration with interfaces in place of cards, and the cards' names beside it. Uplinks without an interface are left out.
fn in_interfaces(mut declaration: Declaration, cards: &Cards) -> Declaration {
    let interface = |card: &str| cards.interface(card).unwrap_or(card).to_owned();
    let all = |list: &mut Vec<String>| {
        list.retain_mut(|card| match cards.interface(card) {
            Some(interface) => {
                *card = interface.to_owned();
                true
            }
            None => false,
        });
    };
    for switch in &mut declaration.switches {
        each_uplink(switch, all);
        let named = switch.uplinks.iter().filter_map(|uplink| Some((uplink.clone(), cards.name(uplink)?)));
        declaration.names.extend(named);
    }
    for session in &mut declaration.mirrors {
        if let MirrorSource::Ports { transmitted, received } = &mut session.source {
            transmitted.iter_mut().chain(received).for_each(|port| *port = interface(port));
        }
        use MirrorDestination::{Address, Ports, Uplink};
        if let Ports { interfaces, .. } | Uplink { interfaces, .. } = &mut session.destination {
            interfaces.iter_mut().for_each(|port| *port = interface(port));
        } else if let Address(to) = &mut session.destination {
            let (MirrorVia::Uplink { interface: port, .. } | MirrorVia::Port { interface: port }) =
                &mut to.via;
            *port = interface(port);
        }
    }
    declaration
}

fn named_error(error: FabricError, cards: &Cards) -> FabricError {
    let name = error.subject().and_then(|interface| cards.name(interface));
    match name {
        Some(name) => FabricError::about(&name, format!("{name}: {error}")),
        None => error,
    }
}

/// The state with cards in place of interfaces.
fn named_state(mut state: State, cards: &Cards) -> State {
    let name = |interface: String| cards.name(&interface).unwrap_or(interface);
    state.links = state.links.into_iter().map(|(of, link)| (name(of), link)).collect();
    state.isolated = state.isolated.into_iter().map(name).collect();
    for serving in state.seats.values_mut() {
        serving.iter_mut().for_each(|uplink| *uplink = uplink.take().map(name));
    }
    state.uplinks = state.uplinks.into_iter().map(|(port, uplink)| (port, name(uplink))).collect();
    state
}

#[async_trait]
impl Fabric for Named {
    fn nics(&self) -> Vec<Nic> {
        let mut nics = self.below.nics();
        self.with(|cards| {
            nics.retain_mut(|nic| match cards.name(&nic.interface) {
                Some(name) => {
                    nic.name = name;
                    true
                }
                // A new card has no name until the next look.
                None => false,
            });
            let names = cards.names();
            nics.sort_by_key(|nic| names.iter().position(|name| *name == nic.name));
        });
        nics
    }

    fn count_as_cards(&self, interfaces: Vec<String>) {
        self.below.count_as_cards(interfaces);
    }

    async fn call(&self, cards: Vec<(String, String)>) {
        self.below.call(cards).await;
    }

    async fn takeover(&self, card: &str) -> Result<Option<Takeover>, FabricError> {
        self.below.takeover(&self.interface(card)).await
    }

    fn names(&self) -> Dns {
        self.below.names()
    }

    async fn resolve(&self, names: &Dns) -> Result<(), FabricError> {
        self.below.resolve(names).await
    }

    async fn declare(&self, declaration: Declaration) -> Result<(), FabricError> {
        let mut declared = self.declared.lock().await;
        *declared = Some(declaration.clone());
        self.declare_below(declaration).await
    }

    async fn make_tap(&self, name: &str, owner: Option<u32>) -> Result<bool, FabricError> {
        self.below.make_tap(name, owner).await
    }

    async fn remove_tap(&self, name: &str) -> Result<(), FabricError> {
        self.below.remove_tap(name).await
    }

    fn taps(&self) -> Vec<String> {
        self.below.taps()
    }

    fn seen(&self) -> State {
        let seen = self.below.seen();
        self.with(|cards| named_state(seen, cards))
    }

    fn other_end(&self, card: &str) -> OtherEnd {
        self.below.other_end(&self.interface(card))
    }

    fn observed(&self, card: &str) -> Vec<ObservedRange> {
        self.below.observed(&self.interface(card))
    }

    fn card(&self, card: &str) -> Card {
        self.below.card(&self.interface(card))
    }

    async fn stack_table(&self, table: StackTable, namespace: Option<&Path>) -> Result<String, FabricError> {
        self.below.stack_table(table, namespace).await
    }

    async fn counters(&self, port: &str) -> Option<Counters> {
        self.below.counters(&self.interface(port)).await
    }

    async fn mirrored(&self) -> Result<BTreeMap<u32, Mirrored>, FabricError> {
        self.below.mirrored().await
    }

    fn flow_counters(&self, switch: &str) -> Option<FlowCounters> {
        self.below.flow_counters(switch)
    }

    async fn learned(&self, port: &str) -> Result<Option<Learned>, FabricError> {
        self.below.learned(port).await
    }

    async fn capture(&self, mut filter: Filter) -> Result<BoxStream<'static, Captured>, FabricError> {
        filter.interfaces.iter_mut().for_each(|port| *port = self.interface(port));
        let frames = self.below.capture(filter).await?;
        let cards = self.with(Cards::clone);
        let named = frames.map(move |mut frame| {
            if let Some(name) = cards.name(&frame.interface) {
                frame.interface = name;
            }
            frame
        });
        Ok(named.boxed())
    }

    async fn changed(&self) {
        self.below.changed().await;
        // The lock keeps others from declaring anything between the look at the cards and its consequences.
        let declared = self.declared.lock().await;
        match self.look().await {
            Ok(false) => {}
            Ok(true) => {
                let Some(last) = declared.clone() else { return };
                if let Err(error) = self.declare_below(last).await {
                    tracing::warn!(%error, "the network is not as it was declared");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot keep the changes of network cards"),
        }
    }
}

#[cfg(test)]
#[path = "named_tests.rs"]
mod tests;
