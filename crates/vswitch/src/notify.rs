//! Telling physical switches where a MAC is now ("notify switches"): a RARP request from it, out of the uplink that it uses.
//! Without it all traffic towards a silent VM goes where the VM was.

use std::collections::BTreeMap;

use crate::Mac;
use crate::frame::{self, ETHER_IPV4, ETHER_RARP};
use crate::kernel::layout::{HASH_IP, PORT_UPLINK, Port, TEAM_SLOTS, Team, VLAN_TRUNK};

/// Hardware type *Ethernet*.
const ETHERNET: u16 = 1;
/// Operation: *request reverse* (RFC 903).
const REQUEST_REVERSE: u16 = 3;

/// A frame that says that `mac` is here, in a VLAN (0 for none).
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

/// Where each port's frames go up; for the IP hash there is no one uplink, and physical switches know that (it needs a LAG).
fn uplink(port: &Port, teams: &BTreeMap<u32, Team>) -> Option<u32> {
    if port.flags & PORT_UPLINK != 0 || port.hashing == HASH_IP {
        return None;
    }
    let slot = teams.get(&port.team)?.slot[usize::from(port.slot) % TEAM_SLOTS];
    (slot.ifindex != 0).then_some(slot.ifindex)
}

/// Ports and their teams at one time.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub ports: &'a BTreeMap<u32, Port>,
    pub teams: &'a BTreeMap<u32, Team>,
}

/// The frames that are due after a change, each with the uplink that it leaves by: for every port that is new, has another MAC
/// or VLAN, or goes up by another uplink. A port that takes all tags has no VLAN to say it in but the untagged one.
pub(crate) fn due(before: Scene<'_>, now: Scene<'_>, wanted: impl Fn(u32) -> bool) -> Vec<(u32, Vec<u8>)> {
    let ports = now.ports.iter().filter(|(_, port)| wanted(port.team));
    ports
        .filter_map(|(index, _)| {
            let (mac, vlan, uplink) = place(now, index).filter(|here| Some(*here) != place(before, index))?;
            Some((uplink, rarp(Mac(mac), if vlan == VLAN_TRUNK { 0 } else { vlan })))
        })
        .collect()
}

fn place(scene: Scene<'_>, index: &u32) -> Option<([u8; 6], u16, u32)> {
    let port = scene.ports.get(index)?;
    Some((port.mac, port.vlan, uplink(port, scene.teams)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::layout::Uplink;

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
}
