//! Which uplinks carry traffic: vSphere's failover order as a pure function.

use crate::declare::{Balancing, Teaming};

/// How many uplinks serve at once, if as many work.
pub(super) fn positions(teaming: &Teaming) -> usize {
    match teaming.balancing {
        Balancing::Explicit => 1,
        _ => teaming.active.len().max(1),
    }
}

/// The serving uplinks, by their position in the team; `None` where no uplink is left to serve.
pub type Serving = Vec<Option<String>>;

/// The uplinks that serve now, given those before. The first standby that works and does not serve elsewhere replaces a
/// failed active uplink at its position. With failback the active uplink takes its position back as soon as it works
/// again; without, only when its replacement fails.
pub fn serving(teaming: &Teaming, before: Option<&Serving>, works: impl Fn(&str) -> bool) -> Serving {
    let order: Vec<&String> = teaming.active.iter().chain(&teaming.standby).collect();
    let positions = positions(teaming);
    let remembered = before.filter(|before| !teaming.failback && before.len() == positions);
    let mut serving: Serving = vec![None; positions];
    for position in 0..positions {
        let incumbent = match remembered {
            Some(before) => before[position].as_ref().filter(|name| order.contains(name)),
            None if teaming.balancing == Balancing::Explicit => None,
            None => teaming.active.get(position),
        };
        serving[position] = incumbent.filter(|name| works(name)).cloned();
    }
    for position in 0..positions {
        if serving[position].is_none() {
            let free =
                order.iter().find(|name| works(name) && !serving.iter().flatten().any(|s| s == **name));
            serving[position] = free.map(|name| (*name).clone());
        }
    }
    serving
}

#[cfg(test)]
mod tests {
    use super::*;

    fn teaming(balancing: Balancing, failback: bool, active: &[&str], standby: &[&str]) -> Teaming {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        Teaming { balancing, failback, active: names(active), standby: names(standby), ..Teaming::default() }
    }

    /// Plays a sequence of sets of working uplinks, written as words; the answer is who serves after each.
    fn play(teaming: &Teaming, states: &[&str]) -> Vec<String> {
        let mut before = None;
        let mut seen = Vec::new();
        for state in states {
            let works: Vec<&str> = state.split_whitespace().collect();
            let now = serving(teaming, before.as_ref(), |name| works.contains(&name));
            let words: Vec<&str> = now.iter().map(|name| name.as_deref().unwrap_or("-")).collect();
            seen.push(words.join(" "));
            before = Some(now);
        }
        seen
    }

    #[test]
    fn a_standby_takes_the_place_of_an_active_uplink_that_fails() {
        let back = teaming(Balancing::Port, true, &["a", "b"], &["c", "d"]);
        let states = ["a b c d", "b c d", "b d", "a b c d", "c d", "d", ""];
        assert_eq!(play(&back, &states), ["a b", "c b", "d b", "a b", "c d", "d -", "- -"]);
    }

    #[test]
    fn without_failback_who_replaced_stays_until_it_fails() {
        let stays = teaming(Balancing::Port, false, &["a", "b"], &["c"]);
        let states = ["a b c", "b c", "a b c", "a b", "a b c"];
        assert_eq!(play(&stays, &states), ["a b", "c b", "c b", "a b", "a b"]);
    }

    #[test]
    fn explicit_order_uses_one_uplink_the_first_that_works() {
        let back = teaming(Balancing::Explicit, true, &["a", "b"], &["c"]);
        assert_eq!(play(&back, &["a b c", "b c", "c", "a b c", ""]), ["a", "b", "c", "a", "-"]);
        let stays = teaming(Balancing::Explicit, false, &["a", "b"], &["c"]);
        assert_eq!(play(&stays, &["a b c", "b c", "a b c", "a c"]), ["a", "b", "b", "a"]);
    }

    #[test]
    fn a_team_of_standbys_has_one_position() {
        let team = teaming(Balancing::Port, true, &[], &["c", "d"]);
        assert_eq!(play(&team, &["c d", "d", ""]), ["c", "d", "-"]);
        assert_eq!(play(&teaming(Balancing::Port, true, &[], &[]), &["a"]), ["-"]);
    }

    #[test]
    fn an_uplink_that_left_the_order_does_not_serve() {
        let before = vec![Some("z".to_owned())];
        let team = teaming(Balancing::Port, false, &["a"], &[]);
        assert_eq!(serving(&team, Some(&before), |_| true), [Some("a".to_owned())]);
    }
}
