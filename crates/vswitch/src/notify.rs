//! Telling physical switches where a MAC is now ("notify switches"): a RARP request from that MAC, out of the uplink
//! that it uses. Without it all traffic towards a silent VM would still go where the VM was.

use std::collections::BTreeMap;

use crate::Mac;
use crate::frame::{self, ETHER_IPV4, ETHER_RARP};
use crate::layout::{
    HASH_IP, HASH_SOURCE_MAC, Learned, PORT_LEARNS, PORT_UPLINK, Port, StationKey, TEAM_SLOTS, Team,
    VLAN_TRUNK,
};
use crate::limits::LEARNED_NOTICES;
use crate::plan::slot_of_mac;

/// Hardware type *Ethernet*.
const ETHERNET: u16 = 1;
/// Operation: *request reverse* (RFC 903).
const REQUEST_REVERSE: u16 = 3;

/// A frame that announces `mac` in a VLAN (0 for none).
pub(crate) fn rarp(mac: Mac, vlan: u16) -> Vec<u8> {
    let mut frame = frame::ethernet(Mac::BROADCAST, mac, vlan, ETHER_RARP);
    frame.extend(ETHERNET.to_be_bytes());
    frame.extend(ETHER_IPV4.to_be_bytes());
    frame.extend([6, 4]);
    frame.extend(REQUEST_REVERSE.to_be_bytes());
    for _ in ["sender", "target"] {
        frame.extend(mac.0);
        frame.extend([0; 4]);
    }
    frame::pad(frame)
}

/// The uplink of a port's frames from a MAC. IP hash has no single uplink; physical switches know that, since it needs
/// a LAG.
fn uplink(port: &Port, mac: [u8; 6], teams: &BTreeMap<u32, Team>) -> Option<u32> {
    if port.flags & PORT_UPLINK != 0 || port.hashing == HASH_IP {
        return None;
    }
    let slot = if port.hashing == HASH_SOURCE_MAC { slot_of_mac(Mac(mac)) } else { usize::from(port.slot) };
    let slot = teams.get(&port.team)?.slot[slot % TEAM_SLOTS];
    (slot.ifindex != 0).then_some(slot.ifindex)
}

/// Ports and their teams at one time.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub ports: &'a BTreeMap<u32, Port>,
    pub teams: &'a BTreeMap<u32, Team>,
}

/// All frames that are due after a change, each with its uplink. Learned MACs come last and are read only after the
/// others, since reading them is slow.
pub(crate) fn notices<'a>(
    before: Scene<'a>,
    now: Scene<'a>,
    wanted: impl Fn(u32) -> bool + Copy + 'a,
    read_learned: impl FnOnce() -> Vec<(StationKey, Learned)> + 'a,
) -> impl Iterator<Item = (u32, Vec<u8>)> + 'a {
    let of_learned = move || {
        let learned = if may_concern_learned(before, now) { read_learned() } else { Vec::new() };
        due_for_learned(before, now, &learned, wanted).take(LEARNED_NOTICES).collect::<Vec<_>>()
    };
    due(before, now, wanted).into_iter().chain(std::iter::once_with(of_learned).flatten())
}

/// The frames that are due after a change, each with its uplink: one for every port that is new, has another MAC or
/// VLAN, or uses another uplink. A trunk port is announced untagged.
fn due(before: Scene<'_>, now: Scene<'_>, wanted: impl Fn(u32) -> bool) -> Vec<(u32, Vec<u8>)> {
    let ports = now.ports.iter().filter(|(_, port)| wanted(port.team));
    ports
        .filter_map(|(index, _)| {
            let (mac, vlan, uplink) = place(now, index).filter(|here| Some(*here) != place(before, index))?;
            Some((uplink, rarp(Mac(mac), if vlan == VLAN_TRUNK { 0 } else { vlan })))
        })
        .collect()
}

/// Whether a learning port may have changed its uplink, so that its learned MACs must be read.
fn may_concern_learned(before: Scene<'_>, now: Scene<'_>) -> bool {
    now.ports.iter().filter(|(_, port)| port.flags & PORT_LEARNS != 0).any(|(index, port)| {
        let place = |port: &Port| (port.team, port.slot, port.hashing);
        before.ports.get(index).is_none_or(|old| place(old) != place(port))
            || before.teams.get(&port.team) != now.teams.get(&port.team)
    })
}

/// As [`due`], for learned MACs.
fn due_for_learned(
    before: Scene<'_>,
    now: Scene<'_>,
    learned: &[(StationKey, Learned)],
    wanted: impl Fn(u32) -> bool,
) -> impl Iterator<Item = (u32, Vec<u8>)> {
    let way = |scene: Scene<'_>, index: u32, mac| {
        let port = scene.ports.get(&index)?;
        Some((port.team, uplink(port, mac, scene.teams)?))
    };
    learned.iter().filter_map(move |(key, learned)| {
        let (team, here) = way(now, learned.ifindex(), key.mac)?;
        let there = way(before, learned.ifindex(), key.mac).map(|(_, uplink)| uplink);
        (wanted(team) && there != Some(here)).then(|| (here, rarp(Mac(key.mac), key.vlan)))
    })
}

fn place(scene: Scene<'_>, index: &u32) -> Option<([u8; 6], u16, u32)> {
    let port = scene.ports.get(index)?;
    Some((port.mac, port.vlan, uplink(port, port.mac, scene.teams)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Uplink;

    #[test]
    fn a_notice_is_a_reverse_request_for_ones_own_address() {
        let mac = Mac([0, 0x50, 0x56, 1, 2, 3]);
        let plain = rarp(mac, 0);
        assert_eq!((plain.len(), &plain[..6], &plain[6..12]), (60, &[0xff; 6][..], &mac.0[..]));
        assert_eq!(plain[12..22], [0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3]);
        assert_eq!(rarp(mac, 10)[12..18], [0x81, 0, 0, 10, 0x80, 0x35]);
    }

    #[test]
    fn only_ports_that_moved_are_announced() {
        let team = |first: u32| Team {
            slot: std::array::from_fn(|slot| Uplink {
                ifindex: first + slot as u32 % 2,
                number: 0,
                flags: 0,
            }),
        };
        let port = |slot, vlan| Port { team: 1, slot, vlan, mac: [2, 0, 0, 0, 0, slot], ..Port::default() };
        let ports: BTreeMap<u32, Port> = [(5, port(0, 10)), (6, port(1, 10))].into();
        let (one, two) = ([(1, team(90))].into(), [(1, team(91))].into());
        let (before, now) = (Scene { ports: &ports, teams: &one }, Scene { ports: &ports, teams: &two });
        assert!(due(before, before, |_| true).is_empty());
        assert_eq!(
            due(before, now, |_| true),
            [(91, rarp(Mac([2, 0, 0, 0, 0, 0]), 10)), (92, rarp(Mac([2, 0, 0, 0, 0, 1]), 10))]
        );
        assert!(due(before, now, |_| false).is_empty());
        let mut more = ports.clone();
        more.insert(7, port(0, 4095));
        more.insert(8, Port { hashing: HASH_IP, ..port(1, 0) });
        let grown = Scene { ports: &more, teams: &one };
        assert_eq!(due(before, grown, |_| true), [(90, rarp(Mac([2, 0, 0, 0, 0, 0]), 0))]);
    }

    #[test]
    fn learned_macs_move_with_their_port() {
        let team = |odd: u32| Team {
            slot: std::array::from_fn(|slot| Uplink {
                ifindex: if slot % 2 == 0 { 90 } else { odd },
                number: 0,
                flags: 0,
            }),
        };
        let port = |hashing, flags| Port { team: 1, slot: 1, hashing, flags, ..Port::default() };
        let entry = |index: u64, last| {
            let key = StationKey { network: 1, vlan: 20, mac: [2, 0, 0, 0, 1, last] };
            (key, Learned { owner: index << 32, seen_ns: 0 })
        };
        let (one, two) = ([(1, team(91))].into(), [(1, team(92))].into());
        let learned: Vec<_> = (0..8).map(|last| entry(5, last)).chain([entry(6, 0)]).collect();
        let told = |hashing, flags| {
            let ports = [(5, port(hashing, flags))].into();
            let (before, now) = (Scene { ports: &ports, teams: &one }, Scene { ports: &ports, teams: &two });
            assert!(!may_concern_learned(before, before));
            assert!(due_for_learned(before, before, &learned, |_| true).next().is_none());
            assert!(due_for_learned(before, now, &learned, |_| false).next().is_none());
            may_concern_learned(before, now)
                .then(|| due_for_learned(before, now, &learned, |_| true).collect::<Vec<_>>())
        };
        assert_eq!(told(0, 0), None, "it does not learn");
        let all: Vec<_> = (0..8).map(|last| (92, rarp(Mac([2, 0, 0, 0, 1, last]), 20))).collect();
        assert_eq!(told(0, PORT_LEARNS), Some(all));
        let odd = |last: &u8| slot_of_mac(Mac([2, 0, 0, 0, 1, *last])) % 2 == 1;
        let some: Vec<_> =
            (0..8).filter(odd).map(|last| (92, rarp(Mac([2, 0, 0, 0, 1, last]), 20))).collect();
        assert!(!some.is_empty() && some.len() < 8);
        assert_eq!(told(HASH_SOURCE_MAC, PORT_LEARNS), Some(some), "each by its own hash");
        assert_eq!(told(HASH_IP, PORT_LEARNS), Some(vec![]));
    }

    #[test]
    fn learned_macs_are_read_after_ports_are_announced() {
        let team = |first: u32| Team {
            slot: std::array::from_fn(|_| Uplink { ifindex: first, number: 0, flags: 0 }),
        };
        let port = |number| Port { team: 1, mac: [2, 0, 0, 0, 0, number], ..Port::default() };
        let learns = Port { flags: PORT_LEARNS, ..port(6) };
        let ports = [(5, port(5)), (6, learns)].into();
        let (one, two) = ([(1, team(90))].into(), [(1, team(91))].into());
        let (before, now) = (Scene { ports: &ports, teams: &one }, Scene { ports: &ports, teams: &two });
        let is_read = std::cell::Cell::new(false);
        let read = || {
            is_read.set(true);
            let key = StationKey { network: 1, vlan: 20, mac: [2, 0, 0, 0, 1, 1] };
            vec![(key, Learned { owner: 6 << 32, seen_ns: 0 })]
        };
        let mut told = notices(before, now, |_| true, read);
        for number in [5, 6] {
            assert_eq!(told.next(), Some((91, rarp(Mac([2, 0, 0, 0, 0, number]), 0))));
            assert!(!is_read.get());
        }
        assert_eq!(told.next(), Some((91, rarp(Mac([2, 0, 0, 0, 1, 1]), 20))));
        assert_eq!(told.next(), None);
        assert!(notices(before, before, |_| true, || panic!("nothing has moved")).next().is_none());
    }
}
