//! The slots of teams. This part of a plan depends on no port, so fail-over need not wait for ports.

use std::collections::BTreeMap;
use std::time::Duration;

use super::failover::{self, Serving};
use super::{Links, Numbers};
use crate::declare::{Declaration, Teaming};
use crate::layout::{TEAM_SLOTS, Team, Uplink};

/// The serving uplinks of each team, by the number of its port group: the memory of teams from one plan to the next.
pub type Seats = BTreeMap<u32, Serving>;

/// The fitness of an uplink by a team's criteria.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fitness {
    Broken,
    /// It came up at this time, too recently: it serves only if no other can, and of several the one that came up
    /// first.
    Fresh(Duration),
    Works,
}

/// The teams of all port groups, and their serving uplinks. `fitness` judges an uplink by a team's criteria.
pub fn teams(
    declared: &Declaration,
    links: &Links,
    numbers: &Numbers,
    before: &Seats,
    fitness: impl Fn(&Teaming, &str) -> Fitness,
) -> (BTreeMap<u32, Team>, Seats) {
    let (mut teams, mut seats) = (BTreeMap::new(), Seats::new());
    for switch in &declared.switches {
        for group in &switch.port_groups {
            let teaming = switch.policy_of(group).teaming;
            let order = || teaming.active.iter().chain(&teaming.standby);
            let ours = order().filter(|name| switch.uplinks.contains(name));
            let judged: Vec<(&String, Fitness)> = ours.map(|name| (name, fitness(&teaming, name))).collect();
            let works = |is: Fitness| is == Fitness::Works;
            let fresh = judged.iter().filter_map(|(name, is)| match is {
                Fitness::Fresh(since) => Some((*since, *name)),
                Fitness::Broken | Fitness::Works => None,
            });
            let alone = match judged.iter().any(|(_, is)| works(*is)) {
                true => None,
                false => fresh.min_by_key(|(since, _)| *since).map(|(_, name)| name),
            };
            let is_usable =
                |name: &str| judged.iter().any(|(it, is)| *it == name && (works(*is) || alone == Some(*it)));
            let serving = failover::serving(&teaming, before.get(&group.number), is_usable);
            teams.insert(group.number, slots(&serving, links, numbers));
            seats.insert(group.number, serving);
        }
    }
    (teams, seats)
}

/// The serving uplinks when these teams were made, so that a new engine moves no port back without failback. A position
/// without a serving uplink cannot be recovered: its slots were dealt out to others.
pub fn remembered(declared: &Declaration, links: &Links, teams: &BTreeMap<u32, Team>) -> Seats {
    let name = |index: u32| links.iter().find(|(_, link)| link.index == index).map(|(name, _)| name.clone());
    let groups = declared.switches.iter().flat_map(|switch| {
        switch.port_groups.iter().map(move |group| (group.number, switch.policy_of(group).teaming))
    });
    let seats = groups.filter_map(|(number, teaming)| {
        let team = teams.get(&number)?;
        let mut serving = Serving::new();
        for slot in team.slot.iter().take(failover::positions(&teaming)) {
            let uplink = name(slot.ifindex).map(Some).filter(|uplink| !serving.contains(uplink));
            serving.push(uplink.flatten());
        }
        Some((number, serving))
    });
    seats.collect()
}

/// Deals the slots out to the positions; those of a position without an uplink go to the others in turn, so that a
/// failure moves no more slots than it must.
fn slots(serving: &Serving, links: &Links, numbers: &Numbers) -> Team {
    let uplink = |name: &Option<String>| {
        let index = links.get(name.as_ref()?)?.index;
        Some(Uplink { ifindex: index, number: *numbers.get(&index)?, flags: 0 })
    };
    let positions: Vec<Option<Uplink>> = serving.iter().map(uplink).collect();
    let left: Vec<Uplink> = positions.iter().copied().flatten().collect();
    let mut team = Team::default();
    if left.is_empty() {
        return team;
    }
    for slot in 0..TEAM_SLOTS {
        let (round, position) = (slot / positions.len(), slot % positions.len());
        team.slot[slot] = positions[position].unwrap_or(left[round % left.len()]);
    }
    team
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::Balancing;
    use crate::plan::Link;

    fn dealt(serving: &[Option<&str>]) -> Vec<u32> {
        let links = ["a", "b", "c"]
            .into_iter()
            .zip(1..)
            .map(|(name, index)| (name.to_owned(), Link { index, running: true }));
        let numbers = (1..=3).map(|index| (index, index + 10)).collect();
        let serving = serving.iter().map(|name| name.map(str::to_owned)).collect();
        slots(&serving, &links.collect(), &numbers).slot.iter().map(|slot| slot.ifindex).collect()
    }

    #[test]
    fn the_serving_uplinks_are_read_from_the_slots() {
        use crate::declare::{Override, PortGroup, Switch};
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let links: Links = ["a", "b", "c"]
            .into_iter()
            .zip(1..)
            .map(|(name, index)| (name.into(), Link { index, running: true }))
            .collect();
        let numbers = (1..=3).map(|index| (index, index + 10)).collect();
        for (balancing, serving, expected) in [
            (Balancing::Explicit, vec![Some("b")], vec![Some("b")]),
            (Balancing::Port, vec![Some("c"), Some("b")], vec![Some("c"), Some("b")]),
            (Balancing::Port, vec![Some("b"), None], vec![Some("b"), None]),
            (Balancing::Port, vec![None, None], vec![None, None]),
        ] {
            let teaming =
                Teaming { balancing, failback: false, active: names(&["a", "b"]), ..Teaming::default() };
            let group = PortGroup {
                number: 3,
                name: "pg3".into(),
                vlan: crate::Vlan::None,
                policy: Override::default(),
            };
            let switch = Switch {
                number: 1,
                name: "vSwitch0".into(),
                mtu: 1500,
                uplinks: names(&["a", "b", "c"]),
                policy: crate::declare::Policy { teaming, ..Default::default() },
                discovery: None,
                multicast: Default::default(),
                ipfix: None,
                port_groups: vec![group],
            };
            let declared = Declaration { switches: vec![switch], ..Declaration::default() };
            let words = |serving: &[Option<&str>]| -> Serving {
                serving.iter().map(|name| name.map(str::to_owned)).collect()
            };
            let teams = [(3, slots(&words(&serving), &links, &numbers))].into();
            assert_eq!(remembered(&declared, &links, &teams), [(3, words(&expected))].into());
        }
    }

    #[test]
    fn a_failure_moves_only_the_slots_of_the_uplink_that_failed() {
        let whole = dealt(&[Some("a"), Some("b"), Some("c")]);
        assert_eq!(whole[..6], [1, 2, 3, 1, 2, 3]);
        let without_b = dealt(&[Some("a"), None, Some("c")]);
        for (before, after) in whole.iter().zip(&without_b) {
            assert!(before == after || *before == 2, "a slot of {before} moved to {after}");
        }
        let given_to = |index| without_b.iter().filter(|now| **now == index).count();
        assert_eq!(given_to(1) + given_to(3), TEAM_SLOTS);
        assert!(given_to(1).abs_diff(given_to(3)) <= 2);
    }

    #[test]
    fn an_uplink_that_just_came_up_serves_only_if_no_other_does() {
        use crate::declare::{Override, Policy, PortGroup, Switch};
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let policy = Policy::default();
        let group = PortGroup {
            number: 1,
            name: "pg1".into(),
            vlan: crate::Vlan::None,
            policy: Override { order: Some((names(&["a", "b"]), names(&["c"]))), ..Override::default() },
        };
        let switch = Switch {
            number: 1,
            name: "vSwitch0".into(),
            mtu: 1500,
            // In another order, and with one that the group does not use.
            uplinks: names(&["d", "c", "b", "a"]),
            policy,
            discovery: None,
            multicast: Default::default(),
            ipfix: None,
            port_groups: vec![group],
        };
        let declared = Declaration { switches: vec![switch], ..Declaration::default() };
        let serving = |works: &str, fresh: &str| {
            // Uplinks later in the text came up later.
            let fitness = |_: &Teaming, name: &str| match (works.contains(name), fresh.find(name)) {
                (true, _) => Fitness::Works,
                (_, Some(at)) => Fitness::Fresh(Duration::from_millis(at.try_into().unwrap())),
                _ => Fitness::Broken,
            };
            let (links, numbers) = (Links::new(), Numbers::new());
            let (_, seats) = teams(&declared, &links, &numbers, &Seats::new(), fitness);
            seats[&1].iter().map(|name| name.clone().unwrap_or("-".into())).collect::<String>()
        };
        assert_eq!(serving("abc", ""), "ab");
        assert_eq!(serving("b", "a"), "-b", "the fresh one waits");
        assert_eq!(serving("c", "ab"), "c-");
        assert_eq!(serving("", "abc"), "a-", "one of them serves alone");
        assert_eq!(serving("", "cba"), "c-", "the one that came up first");
        assert_eq!(serving("d", "b"), "-b", "it is the only one of its team");
        assert_eq!(serving("d", ""), "--");
    }

    #[test]
    fn a_team_without_uplinks_has_empty_slots() {
        assert_eq!(dealt(&[None, None]), [0; TEAM_SLOTS]);
        assert_eq!(dealt(&[Some("unknown")]), [0; TEAM_SLOTS]);
    }
}
