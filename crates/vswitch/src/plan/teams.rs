//! The slots of teams. This part of a plan needs nothing of ports, so fail-over need not wait for them.

use std::collections::BTreeMap;

use super::failover::{self, Serving};
use super::{Links, Numbers};
use crate::declare::{Declaration, Teaming};
use crate::kernel::layout::{TEAM_SLOTS, Team, Uplink};

/// Who serves in each team, by the number of its port group: what teams remember from one plan to the next.
pub type Seats = BTreeMap<u32, Serving>;

/// The teams of all port groups, and who serves in them. `works` says of an uplink whether it does by a team's criteria.
pub fn teams(
    declared: &Declaration,
    links: &Links,
    numbers: &Numbers,
    before: &Seats,
    works: impl Fn(&Teaming, &str) -> bool,
) -> (BTreeMap<u32, Team>, Seats) {
    let (mut teams, mut seats) = (BTreeMap::new(), Seats::new());
    for switch in &declared.switches {
        for group in &switch.port_groups {
            let teaming = switch.policy_of(group).teaming;
            let is_ours = |name: &str| switch.uplinks.iter().any(|uplink| uplink == name);
            let usable = |name: &str| is_ours(name) && works(&teaming, name);
            let serving = failover::serving(&teaming, before.get(&group.number), usable);
            teams.insert(group.number, slots(&serving, links, numbers));
            seats.insert(group.number, serving);
        }
    }
    (teams, seats)
}

/// Deals the slots out to the positions; those of a position that nobody serves go to the others in turn, so that a failure
/// moves no more than it must.
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
    fn a_team_without_uplinks_has_empty_slots() {
        assert_eq!(dealt(&[None, None]), [0; TEAM_SLOTS]);
        assert_eq!(dealt(&[Some("unknown")]), [0; TEAM_SLOTS]);
    }
}
