//! Multicast filtering, which is not part of a declaration: known memberships are added to the planned tables.

use std::collections::{BTreeMap, BTreeSet};

use super::{Members, Tables};
use crate::Mac;
use crate::layout::{PORT_LISTENED, StationKey, VLAN_ANY};
use crate::limits::{GROUPS, MEMBERS};
use crate::snoop::{Family, Memberships, Place, is_always_flooded};

/// Keys for frames to groups without members, as in `bpf/deliver.h`.
const OTHERS_V4: Mac = Mac([0x01, 0x00, 0x5e, 0, 0, 0]);
const OTHERS_V6: Mac = Mac([0x33, 0x33, 0, 0, 0, 0]);

/// A group, and the ports that joined it.
type Wanted = (Mac, BTreeSet<u32>);

/// Adds the filtered groups. A place has none if nobody queries for members there (RFC 4541, 2.1.2) or not all members
/// have had time to answer. Promiscuous ports, and ports whose memberships are uncertain, receive all groups. Returns
/// the places for which there was no room, where all groups are flooded too.
pub fn filter_multicast(tables: &mut Tables, memberships: &Memberships) -> BTreeSet<Place> {
    let listens = tables.ports.values().filter(|port| port.flags & PORT_LISTENED != 0);
    let networks: BTreeSet<u32> = listens.map(|port| port.network).collect();
    let mut wanted: BTreeMap<(Place, Family), Vec<Wanted>> = BTreeMap::new();
    for ((place, mac), ports) in memberships.groups() {
        if !is_always_flooded(mac) {
            wanted.entry((place, family(mac))).or_default().push((mac, ports));
        }
    }
    // A changing list exists twice for a moment.
    let members: usize = tables.groups.values().map(Members::len).sum();
    let mut room = (GROUPS.saturating_sub(tables.groups.len()) / 2, MEMBERS.saturating_sub(members) / 2);
    let mut crowded = BTreeSet::new();
    for (place, family, asked) in memberships.answered() {
        let Some(everyone) =
            find(tables, place, Mac::BROADCAST).filter(|_| networks.contains(&place.network))
        else {
            continue;
        };
        let listeners = find(tables, place, Mac::ZERO);
        let promiscuous: BTreeSet<u32> = listeners.into_iter().flat_map(Members::numbers).collect();
        let get_all: BTreeSet<u32> = everyone
            .numbers()
            .filter(|number| promiscuous.contains(number) || !memberships.is_certain(*number, asked))
            .collect();
        let wanted = wanted.get(&(place, family)).map(Vec::as_slice).unwrap_or_default();
        let Some((lists, size)) = lists(everyone, family, &get_all, wanted, room) else {
            crowded.insert(place);
            continue;
        };
        room = (room.0 - lists.len(), room.1 - size);
        for (mac, members) in lists {
            let key = StationKey { network: place.network, vlan: place.vlan, mac: mac.0 };
            tables.groups.insert(key, members);
        }
    }
    crowded
}

/// The lists of a place, and how many members they have together. `None` as soon as they exceed the room, so that a
/// place with too many groups costs no more time than one that fits.
fn lists(
    everyone: &Members,
    family: Family,
    get_all: &BTreeSet<u32>,
    wanted: &[Wanted],
    room: (usize, usize),
) -> Option<(Vec<(Mac, Members)>, usize)> {
    let others = everyone.only(|number| get_all.contains(&number));
    // Each list has at least the ports that receive all groups.
    if wanted.len() >= room.0 || others.len().saturating_mul(wanted.len() + 1) > room.1 {
        return None;
    }
    let mut size = others.len();
    let mut lists = vec![(self::others(family), others)];
    for (mac, ports) in wanted {
        let members = everyone.only(|number| get_all.contains(&number) || ports.contains(&number));
        size += members.len();
        if size > room.1 {
            return None;
        }
        lists.push((*mac, members));
    }
    Some((lists, size))
}

fn family(mac: Mac) -> Family {
    if mac.0[0] == OTHERS_V6.0[0] { Family::V6 } else { Family::V4 }
}

fn others(family: Family) -> Mac {
    match family {
        Family::V4 => OTHERS_V4,
        Family::V6 => OTHERS_V6,
    }
}

/// A list as the programs find it: that of the VLAN, or that of the trunk ports.
fn find(tables: &Tables, place: Place, mac: Mac) -> Option<&Members> {
    let key = |vlan| StationKey { network: place.network, vlan, mac: mac.0 };
    tables.groups.get(&key(place.vlan)).or_else(|| tables.groups.get(&key(VLAN_ANY)))
}

impl Members {
    fn len(&self) -> usize {
        self.untagged.len() + self.tagged.len()
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        self.untagged.iter().chain(&self.tagged).map(|target| target.number)
    }

    /// Only the members whose number is wanted.
    fn only(&self, is_wanted: impl Fn(u32) -> bool) -> Self {
        let only = |targets: &[_]| {
            targets.iter().copied().filter(|target: &super::Target| is_wanted(target.number)).collect()
        };
        Self { untagged: only(&self.untagged), tagged: only(&self.tagged) }
    }
}

#[cfg(test)]
#[path = "multicast_tests.rs"]
mod tests;
