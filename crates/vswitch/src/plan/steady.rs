//! Links that have been up for long enough. A flapping link would move its ports to and fro, so a returning uplink is
//! used only once it has been up for a while without a break (`Net.TeamPolicyUpDelay`).

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Fitness, Links};
use crate::declare::Declaration;

/// Since when uplinks are up, by name. Times count from a fixed moment and never go back.
#[derive(Debug, Clone, Default)]
pub struct Steady {
    uplinks: BTreeMap<String, Since>,
    delay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    /// It was up when it was first seen, so there is nothing to wait for.
    Ever,
    Time(Duration),
    Down,
}

impl Steady {
    /// Records the present state of links.
    pub fn see(&mut self, now: Duration, declared: &Declaration, links: &Links) {
        self.delay = declared.up_delay;
        let before = std::mem::take(&mut self.uplinks);
        for name in declared.switches.iter().flat_map(|switch| &switch.uplinks) {
            let is_up = links.get(name).is_some_and(|link| link.running);
            let since = match (is_up, before.get(name)) {
                (false, _) => Since::Down,
                (true, None) => Since::Ever,
                (true, Some(Since::Down)) => Since::Time(now),
                (true, Some(known)) => *known,
            };
            self.uplinks.insert(name.clone(), since);
        }
    }

    /// The fitness of an uplink, by its link alone.
    pub fn fitness(&self, now: Duration, name: &str) -> Fitness {
        match self.uplinks.get(name) {
            Some(Since::Time(since)) if now.saturating_sub(*since) < self.delay => Fitness::Fresh(*since),
            Some(Since::Ever | Since::Time(_)) => Fitness::Works,
            Some(Since::Down) | None => Fitness::Broken,
        }
    }

    /// When the next uplink will have been up for long enough.
    pub fn next(&self, now: Duration) -> Option<Duration> {
        let due = self.uplinks.values().filter_map(|since| match since {
            Since::Time(since) => since.checked_add(self.delay).filter(|due| *due > now),
            Since::Ever | Since::Down => None,
        });
        due.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::Switch;
    use crate::plan::Link;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Records these uplinks, out of `a`, `b` and `c`, as up at this time.
    fn see(steady: &mut Steady, now: u64, up: &str) {
        let uplinks = ["a", "b", "c"].map(str::to_owned).to_vec();
        let switch = Switch {
            number: 1,
            name: "vSwitch0".into(),
            mtu: 1500,
            uplinks,
            policy: crate::declare::Policy::default(),
            discovery: None,
            multicast: Default::default(),
            ipfix: None,
            port_groups: vec![],
        };
        let declared = Declaration { switches: vec![switch], up_delay: ms(100), ..Declaration::default() };
        let links = (1..).zip(["a", "b", "c"]);
        let links = links.map(|(index, name)| (name.to_owned(), Link { index, running: up.contains(name) }));
        steady.see(ms(now), &declared, &links.collect());
    }

    fn steady(of: &Steady, now: u64) -> Vec<&str> {
        let works = |name: &&str| of.fitness(ms(now), name) == Fitness::Works;
        ["a", "b", "c"].into_iter().filter(works).collect()
    }

    #[test]
    fn an_uplink_that_comes_back_waits_and_each_break_begins_anew() {
        let mut it = Steady::default();
        see(&mut it, 0, "ab");
        assert_eq!((steady(&it, 0), it.next(ms(0))), (vec!["a", "b"], None), "what was up is not waited for");
        see(&mut it, 10, "b");
        assert_eq!(steady(&it, 10), ["b"], "what goes down is down at once");
        see(&mut it, 50, "ab");
        assert_eq!((steady(&it, 149), it.next(ms(149))), (vec!["b"], Some(ms(150))));
        assert_eq!(
            ["a", "c"].map(|name| it.fitness(ms(149), name)),
            [Fitness::Fresh(ms(50)), Fitness::Broken]
        );
        assert_eq!((steady(&it, 150), it.next(ms(150))), (vec!["a", "b"], None));
        see(&mut it, 160, "b");
        see(&mut it, 170, "ab");
        see(&mut it, 200, "ab");
        assert_eq!(it.next(ms(200)), Some(ms(270)), "another look is not a break");
        see(&mut it, 260, "b");
        see(&mut it, 261, "abc");
        assert_eq!((steady(&it, 300), it.next(ms(300))), (vec!["b"], Some(ms(361))));
    }
}
