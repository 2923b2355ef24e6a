//! The names of physical network cards: `vmnic0` onwards, as clients expect them. A card keeps its name for as long as the host
//! lives, whatever Linux calls its interface and however the bus is numbered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use store::{Batch, Collection, Store};

use crate::config::NetworkConfig;
use crate::fabric::Nic;
use crate::limits::MOST_CARDS;

const PREFIX: &str = "vmnic";
const CARDS: Collection<Card> = Collection::new("network-card");

/// A card as the host remembers it. Without MAC and bus address it is known by its interface alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Card {
    /// The permanent MAC address, if it has one.
    mac: Option<String>,
    /// Bus address; empty for a card without a bus.
    bus: String,
    /// Its interface when the host saw it last.
    interface: String,
}

impl Card {
    fn of(nic: &Nic) -> Self {
        Self { mac: nic.permanent_mac.clone(), bus: nic.pci.clone(), interface: nic.interface.clone() }
    }

    fn is_known_by_name(&self) -> bool {
        self.mac.is_none() && self.bus.is_empty()
    }
}

/// Tests whether a card is a remembered one, the surest first. The MAC decides, since plugging in a card can renumber buses; the bus
/// tells cards apart that share a MAC or have none.
const LIKENESS: [fn(&Card, &Card) -> bool; 5] = [
    |known, seen| known == seen,
    |known, seen| known.mac.is_some() && (&known.mac, &known.bus) == (&seen.mac, &seen.bus),
    |known, seen| known.mac.is_some() && known.mac == seen.mac,
    |known, seen| (&known.mac, &seen.mac) == (&None, &None) && !known.bus.is_empty() && known.bus == seen.bus,
    |known, seen| known.is_known_by_name() && known.interface == seen.interface,
];

/// All cards that the host has seen, and which of them are present.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cards {
    known: BTreeMap<u32, Card>,
    /// Numbers of the present cards, by interface.
    present: BTreeMap<String, u32>,
}

impl Cards {
    /// Reads the cards that the host remembers.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn read(store: &Store) -> Result<Self, store::Error> {
        let numbered = |(name, card): (String, Card)| Some((number(&name)?, card));
        let known = CARDS.all(store)?.into_iter().filter_map(numbered).collect();
        Ok(Self { known, present: BTreeMap::new() })
    }

    /// Adds the differences from `before` to a batch.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn write(&self, before: &Self, batch: &mut Batch) -> Result<(), store::Error> {
        for (number, card) in
            self.known.iter().filter(|(number, card)| before.known.get(number) != Some(card))
        {
            CARDS.put(batch, &name(*number), card)?;
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Notes the present cards. New ones get numbers in the order of the bus, then of their interfaces.
    pub(crate) fn see(&mut self, nics: &[Nic]) {
        let mut unknown: Vec<Card> = nics.iter().map(Card::of).collect();
        let mut found = BTreeMap::new();
        for is_like in LIKENESS {
            unknown.retain(|seen| {
                let same =
                    self.known.iter().find(|(at, known)| !found.contains_key(*at) && is_like(known, seen));
                let same = same.map(|(at, _)| *at);
                if let Some(at) = same {
                    found.insert(at, seen.clone());
                }
                same.is_none()
            });
        }
        unknown.sort_by_cached_key(|card| {
            let (text, digits) = split(&card.interface);
            (card.bus.is_empty(), card.bus.clone(), text.to_owned(), digits)
        });
        for card in unknown {
            if self.known.len() >= MOST_CARDS {
                tracing::warn!(
                    card.interface,
                    "the host already remembers {MOST_CARDS} network cards, its maximum: this card gets no name"
                );
                continue;
            }
            found.insert(self.next(), card.clone());
            self.known.insert(self.next(), card);
        }
        self.present = found.iter().map(|(at, card)| (card.interface.clone(), *at)).collect();
        self.known.extend(found);
    }

    fn next(&self) -> u32 {
        self.known.last_key_value().map_or(0, |(last, _)| last + 1)
    }

    /// The name of the card that has this interface.
    pub(crate) fn name(&self, interface: &str) -> Option<String> {
        self.present.get(interface).map(|at| name(*at))
    }

    /// The interface of a card, by its name. An absent card keeps its last interface, unless another card has that
    /// now.
    pub(crate) fn interface(&self, card: &str) -> Option<&str> {
        let at = number(card)?;
        let known = &self.known.get(&at)?.interface;
        let holder = self.present.iter().find(|(_, number)| **number == at);
        match (holder, self.present.get(known)) {
            (Some((interface, _)), _) => Some(interface),
            (None, None) => Some(known),
            (None, Some(_)) => None,
        }
    }

    /// The name of a present card, by its name or its interface.
    pub(crate) fn resolve(&self, given: &str) -> Option<String> {
        let is_there = || self.present.values().any(|at| name(*at) == given);
        self.name(given).or_else(|| is_there().then(|| given.to_owned()))
    }

    /// Names of the present cards.
    pub(crate) fn names(&self) -> Vec<String> {
        self.present.values().copied().collect::<BTreeSet<u32>>().into_iter().map(name).collect()
    }

    /// Interfaces and names of the present cards.
    pub(crate) fn present(&self) -> Vec<(String, String)> {
        self.present.iter().map(|(interface, at)| (interface.clone(), name(*at))).collect()
    }

    /// Renames the uplinks of a configuration that was kept before cards had names.
    pub(crate) fn rename(&mut self, config: &mut NetworkConfig) {
        config.each_uplink(|uplink| *uplink = self.name_for_good(uplink));
    }

    /// The name of the card with this interface, which is added if it is unknown.
    fn name_for_good(&mut self, interface: &str) -> String {
        if let Some(name) = self.name(interface) {
            return name;
        }
        let absent = Card { mac: None, bus: String::new(), interface: interface.to_owned() };
        let known = self.known.iter().find(|(_, card)| **card == absent).map(|(at, _)| *at);
        let at = known.unwrap_or_else(|| self.next());
        self.known.insert(at, absent);
        name(at)
    }

    /// Logs the present cards with their names.
    pub(crate) fn tell(&self) {
        for (interface, at) in &self.present {
            let card = &self.known[at];
            tracing::info!(
                card = name(*at),
                interface,
                bus = card.bus,
                mac = card.mac,
                "a physical network card"
            );
        }
    }
}

fn name(number: u32) -> String {
    format!("{PREFIX}{number}")
}

fn number(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// The number at the end of an interface's name, so that `eth10` comes behind `eth2`.
fn split(interface: &str) -> (&str, u64) {
    let text = interface.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (text, interface[text.len()..].parse().unwrap_or_default())
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
