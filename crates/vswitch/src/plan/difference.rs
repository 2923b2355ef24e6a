//! The steps from what the maps hold to what they should hold, in an order in which nothing refers to a missing entry:
//! referenced entries are written first and removed last.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{changed, gone};
use super::extras::{Extra, Extras};
use super::{Members, Tables};
use crate::layout::{Group, MemberKey, Port, StationKey, Target, Team};

/// The present content of the maps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actual {
    pub ports: BTreeMap<u32, Port>,
    pub stations: BTreeMap<StationKey, Target>,
    pub groups: BTreeMap<StationKey, Group>,
    pub members: BTreeMap<MemberKey, Target>,
    pub teams: BTreeMap<u32, Team>,
    pub extras: Extras,
}

/// A change of one entry of one map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Extra(Extra),
    Team(u32, Box<Team>),
    Member(MemberKey, Target),
    Group(StationKey, Group),
    Station(StationKey, Target),
    Port(u32, Port),
    NoPort(u32),
    NoStation(StationKey),
    NoGroup(StationKey),
    NoMember(MemberKey),
    NoTeam(u32),
}

/// The steps that lead from `actual` to `wanted`.
pub fn difference(actual: &Actual, wanted: &Tables) -> Vec<Step> {
    let mut steps = Vec::new();
    let (written, removed) = actual.extras.difference(&wanted.extras);
    steps.extend(written.into_iter().map(Step::Extra));
    changed(&actual.teams, &wanted.teams, |key, team| steps.push(Step::Team(key, Box::new(team))));
    let kept = lists(actual, wanted, &mut steps);
    changed(&actual.stations, &wanted.stations, |key, target| steps.push(Step::Station(key, target)));
    changed(&actual.ports, &wanted.ports, |key, port| steps.push(Step::Port(key, port)));

    gone(&actual.ports, &wanted.ports, |key| steps.push(Step::NoPort(key)));
    gone(&actual.stations, &wanted.stations, |key| steps.push(Step::NoStation(key)));
    gone(&actual.groups, &wanted.groups, |key| steps.push(Step::NoGroup(key)));
    let unused = actual.members.keys().filter(|member| !kept.contains(member));
    steps.extend(unused.copied().map(Step::NoMember));
    gone(&actual.teams, &wanted.teams, |key| steps.push(Step::NoTeam(key)));
    steps.extend(removed.into_iter().map(Step::Extra));
    steps
}

/// Writes a changed list anew under another number, to which the group then switches at once. Returns the members that
/// stay.
fn lists(actual: &Actual, wanted: &Tables, steps: &mut Vec<Step>) -> BTreeSet<MemberKey> {
    let mut kept = BTreeSet::new();
    let in_groups = actual.groups.values().map(|group| group.list);
    let in_members = actual.members.keys().map(|member| member.list);
    let used: BTreeSet<u32> = in_groups.chain(in_members).collect();
    let mut free = (1..=u32::MAX).filter(|list| !used.contains(list));
    for (key, members) in &wanted.groups {
        let list = match actual.groups.get(key) {
            Some(group) if is_list(actual, *group, members) => group.list,
            _ => {
                let list = free.next().expect("there are fewer groups than numbers");
                let new = members.all().enumerate();
                steps.extend(new.map(|(at, target)| Step::Member(member(list, at), *target)));
                let group =
                    Group { list, untagged: count(&members.untagged), tagged: count(&members.tagged) };
                steps.push(Step::Group(*key, group));
                continue;
            }
        };
        kept.extend((0..members.all().count()).map(|at| member(list, at)));
    }
    kept
}

fn is_list(actual: &Actual, group: Group, members: &Members) -> bool {
    group.untagged == count(&members.untagged)
        && group.tagged == count(&members.tagged)
        && members
            .all()
            .enumerate()
            .all(|(at, target)| actual.members.get(&member(group.list, at)) == Some(target))
}

fn member(list: u32, at: usize) -> MemberKey {
    MemberKey { list, position: u32::try_from(at).expect("a list has fewer members than there are ports") }
}

fn count(members: &[Target]) -> u32 {
    u32::try_from(members.len()).expect("a list has fewer members than there are ports")
}

impl Members {
    fn all(&self) -> impl Iterator<Item = &Target> {
        self.untagged.iter().chain(&self.tagged)
    }
}

impl Actual {
    /// Applies a step, as the kernel does.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Extra(change) => self.extras.apply(change),
            Step::Team(key, value) => _ = self.teams.insert(*key, **value),
            Step::Member(key, value) => _ = self.members.insert(*key, *value),
            Step::Group(key, value) => _ = self.groups.insert(*key, *value),
            Step::Station(key, value) => _ = self.stations.insert(*key, *value),
            Step::Port(key, value) => _ = self.ports.insert(*key, *value),
            Step::NoPort(key) => _ = self.ports.remove(key),
            Step::NoStation(key) => _ = self.stations.remove(key),
            Step::NoGroup(key) => _ = self.groups.remove(key),
            Step::NoMember(key) => _ = self.members.remove(key),
            Step::NoTeam(key) => _ = self.teams.remove(key),
        }
    }
}

#[cfg(test)]
#[path = "difference_tests.rs"]
mod tests;
