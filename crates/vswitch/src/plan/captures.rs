//! Captures, which are not part of a declaration: they are added to the planned tables.

use std::collections::BTreeMap;

use super::{Numbers, Tables};
use crate::layout::{Capture, PORT_CAPTURED, PointKey, Team};

/// The points that captures look at.
pub type Looks = BTreeMap<PointKey, Capture>;

fn flag(looks: &Looks, number: u32) -> u32 {
    let mut of = looks.range(PointKey { number, point: 0 }..=PointKey { number, point: u32::MAX });
    if of.next().is_some() { PORT_CAPTURED } else { 0 }
}

/// Marks the uplinks of teams that captures look at.
pub fn look_at_teams(teams: &mut BTreeMap<u32, Team>, looks: &Looks) {
    if !looks.is_empty() {
        for uplink in teams.values_mut().flat_map(|team| &mut team.slot) {
            uplink.flags |= flag(looks, uplink.number);
        }
    }
}

/// Marks the ports that captures look at, in both directions.
pub fn look_at_ports(tables: &mut Tables, numbers: &Numbers, looks: &Looks) {
    if looks.is_empty() {
        return;
    }
    for (index, port) in &mut tables.ports {
        debug_assert_eq!(numbers.get(index), Some(&port.number), "a port has the number of its interface");
        port.flags |= flag(looks, port.number);
    }
    let members =
        tables.groups.values_mut().flat_map(|group| group.untagged.iter_mut().chain(&mut group.tagged));
    let learners = tables.extras.learners.values_mut().map(|learner| &mut learner.target);
    for target in tables.stations.values_mut().chain(members).chain(learners) {
        target.flags |= flag(looks, target.number);
    }
    tables.extras.captures = looks.clone();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Learner, POINT_DROPPED, POINT_TO, Port, StationKey, TEAM_SLOTS, Target, Uplink};
    use crate::plan::Members;

    #[test]
    fn only_what_is_looked_at_has_the_flag_everywhere() {
        let looks: Looks = [(1, POINT_TO), (1, POINT_DROPPED), (3, POINT_TO)]
            .into_iter()
            .map(|(number, point)| (PointKey { number, point }, Capture { captures: 1, snap: 64 }))
            .collect();
        let target = |number| Target { ifindex: number + 10, number, ..Target::default() };
        let key = |last| StationKey { network: 1, vlan: 0, mac: [2, 0, 0, 0, 0, last] };
        let mut tables = Tables::default();
        for number in 1..=3 {
            tables.ports.insert(number + 10, Port { number, ..Port::default() });
            tables.stations.insert(key(number as u8), target(number));
        }
        let members = Members { untagged: vec![target(1), target(2)], tagged: vec![target(3)] };
        tables.groups.insert(key(0), members);
        tables.extras.learners.insert(1, Learner { target: target(1), ..Learner::default() });
        let numbers = (1..=3).map(|number| (number + 10, number)).collect();
        let before = tables.clone();
        look_at_ports(&mut tables, &numbers, &Looks::new());
        assert_eq!(tables, before);
        look_at_ports(&mut tables, &numbers, &looks);
        let flags: Vec<u32> = tables.ports.values().map(|port| port.flags).collect();
        let c = PORT_CAPTURED;
        assert_eq!(flags, [c, 0, c]);
        assert_eq!(tables.stations.values().map(|target| target.flags).collect::<Vec<_>>(), [c, 0, c]);
        let group = &tables.groups[&key(0)];
        assert_eq!((group.untagged[0].flags, group.untagged[1].flags, group.tagged[0].flags), (c, 0, c));
        assert_eq!(tables.extras.learners[&1].target.flags, c);
        let uplink = |slot: usize| Uplink { ifindex: 90, number: if slot == 5 { 3 } else { 2 }, flags: 0 };
        let mut teams = [(1, Team { slot: std::array::from_fn(uplink) })].into();
        look_at_teams(&mut teams, &looks);
        let looked_at: Vec<usize> = (0..TEAM_SLOTS).filter(|slot| teams[&1].slot[*slot].flags == c).collect();
        assert_eq!(looked_at, [5]);
    }
}
