use super::*;
use crate::layout::{Shaper, Uplink, WayKey};
use proptest::prelude::*;

fn target(ifindex: u32) -> Target {
    Target { ifindex, number: ifindex, ..Target::default() }
}

fn any_tables() -> impl Strategy<Value = Tables> {
    let key = (0u32..2, 0u16..3, 0u8..4).prop_map(|(network, vlan, last)| StationKey {
        network,
        vlan,
        mac: [0, 0, 0, 0, 0, last],
    });
    let targets = || prop::collection::vec((1u32..6).prop_map(target), 0..4);
    let members = (targets(), targets()).prop_map(|(untagged, tagged)| Members { untagged, tagged });
    let port = (0u32..3, 0u32..3).prop_map(|(number, flags)| Port { number, flags, ..Port::default() });
    let team = (1u32..4).prop_map(|ifindex| Team { slot: [Uplink { ifindex, number: 0, flags: 0 }; 32] });
    let shaper = (1u64..4).prop_map(|average_cost| Shaper { average_cost, ..Shaper::default() });
    let way = (0u32..3, 0u32..2).prop_map(|(number, way)| WayKey { number, way });
    (
        prop::collection::btree_map(1u32..6, port, 0..5),
        prop::collection::btree_map(key.clone(), (1u32..6).prop_map(target), 0..6),
        prop::collection::btree_map(key, members, 0..5),
        prop::collection::btree_map(0u32..4, team, 0..4),
        prop::collection::btree_map(way, shaper, 0..4),
    )
        .prop_map(|(ports, stations, groups, teams, shapers)| {
            let extras = Extras { shapers, ..Extras::default() };
            Tables { ports, stations, groups, teams, extras }
        })
}

/// The content as a reader of the maps sees it, or the inconsistency that it meets.
fn seen(actual: &Actual) -> Result<Tables, String> {
    let mut groups = BTreeMap::new();
    for (key, group) in &actual.groups {
        let at = |position| {
            let key = MemberKey { list: group.list, position };
            actual.members.get(&key).copied().ok_or(format!("{key:?} is not there"))
        };
        let untagged = (0..group.untagged).map(at).collect::<Result<_, _>>()?;
        let tagged = (group.untagged..group.untagged + group.tagged).map(at).collect::<Result<_, _>>()?;
        groups.insert(*key, Members { untagged, tagged });
    }
    let (ports, stations, teams) = (actual.ports.clone(), actual.stations.clone(), actual.teams.clone());
    Ok(Tables { ports, stations, groups, teams, extras: actual.extras.clone() })
}

proptest! {
    /// From any state to any other, including one that was left halfway; at every step in between each group has its
    /// old list or its new one, whole.
    #[test]
    fn steps_lead_to_what_is_wanted_and_no_list_is_ever_torn(
        before in any_tables(), wanted in any_tables(), cut in 0usize..60, again in any_tables(),
    ) {
        let mut actual = Actual::default();
        let play = |actual: &mut Actual, from: &Tables, to: &Tables, most: usize| {
            for step in difference(actual, to).iter().take(most) {
                actual.apply(step);
                for (key, members) in seen(actual).map_err(TestCaseError::fail)?.groups {
                    let is_old = from.groups.get(&key) == Some(&members);
                    prop_assert!(is_old || to.groups.get(&key) == Some(&members));
                }
            }
            Ok(())
        };
        play(&mut actual, &Tables::default(), &before, usize::MAX)?;
        prop_assert_eq!(&seen(&actual).map_err(TestCaseError::fail)?, &before);
        play(&mut actual, &before, &wanted, cut)?;
        let middle = seen(&actual).map_err(TestCaseError::fail)?;
        play(&mut actual, &middle, &again, usize::MAX)?;
        prop_assert_eq!(seen(&actual).map_err(TestCaseError::fail)?, again.clone());
        let members: usize = again.groups.values().map(|group| group.all().count()).sum();
        prop_assert_eq!(actual.members.len(), members, "nothing is left over");
        prop_assert!(difference(&actual, &again).is_empty());
    }
}
