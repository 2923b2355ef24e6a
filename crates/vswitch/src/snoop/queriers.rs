//! The queriers, and the queries that all members have answered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Family;
use crate::limits::{SNOOP_LATE, SNOOP_QUERIER, SNOOP_QUERIERS};

/// Number of a switch and VLAN, as in the keys of the kernel's maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub network: u32,
    pub vlan: u16,
}

/// All queriers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Queriers {
    known: BTreeMap<(Place, Family), Querier>,
    /// The time of the last query anywhere that counts.
    last: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Querier {
    /// The uplink of the querier, and when it expires.
    uplink: u32,
    until: Duration,
    /// The time of the last query that all members have had time to answer.
    answered: Option<Duration>,
    /// The time of the next query, and when all will have answered it. Queries in between change nothing.
    asked: Option<(Duration, Duration)>,
}

impl Queriers {
    /// Records a query behind an uplink, from a router or from a switch in its stead. For a query for all groups,
    /// `answers` is how long the answers may take.
    pub fn hear(
        &mut self,
        now: Duration,
        key: (Place, Family),
        uplink: u32,
        is_router: bool,
        answers: Option<Duration>,
    ) {
        if !self.known.contains_key(&key) && self.known.len() >= SNOOP_QUERIERS {
            return;
        }
        let new = Querier { uplink, until: now, answered: None, asked: None };
        let querier = self.known.entry(key).or_insert(new);
        // A switch that queries in a router's stead does not displace a querier behind another uplink.
        if is_router || querier.uplink == uplink {
            (querier.uplink, querier.until) = (uplink, now + SNOOP_QUERIER);
        }
        if let (None, Some(answers)) = (querier.asked, answers) {
            querier.asked = Some((now, now + answers + SNOOP_LATE));
        }
    }

    pub fn retain_uplinks(&mut self, uplinks: &BTreeSet<u32>) {
        self.known.retain(|_, querier| uplinks.contains(&querier.uplink));
        self.last = self.known.values().filter_map(|querier| querier.answered).max();
    }

    /// Whether anything has ended, or has been answered by now.
    pub fn expire(&mut self, now: Duration) -> bool {
        let before = self.known.len();
        self.known.retain(|_, querier| querier.until > now);
        let mut changed = before != self.known.len();
        for querier in self.known.values_mut() {
            if let Some((asked, until)) = querier.asked
                && until <= now
            {
                (querier.answered, querier.asked) = (Some(asked), None);
                changed = true;
            }
        }
        self.last = self.known.values().filter_map(|querier| querier.answered).max();
        changed
    }

    pub fn uplink(&self, key: (Place, Family)) -> Option<u32> {
        self.known.get(&key).map(|querier| querier.uplink)
    }

    pub fn is_answered(&self, key: (Place, Family)) -> bool {
        self.known.get(&key).is_some_and(|querier| querier.answered.is_some())
    }

    /// The time of the last query, in any place, that all members have had time to answer.
    pub fn last_answered(&self) -> Option<Duration> {
        self.last
    }

    pub fn answered(&self) -> impl Iterator<Item = (Place, Family, Duration)> {
        self.known.iter().filter_map(|((place, family), querier)| Some((*place, *family, querier.answered?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (Place, Family) = (Place { network: 1, vlan: 10 }, Family::V4);

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_query_counts_once_all_have_had_the_time_to_answer() {
        let mut queriers = Queriers::default();
        let answered = |queriers: &Queriers| queriers.answered().next().map(|(_, _, asked)| asked.as_secs());
        queriers.hear(s(0), KEY, 9, true, None);
        assert!(!queriers.expire(s(50)), "only one group was asked for");
        queriers.hear(s(100), KEY, 9, true, Some(s(10)));
        // Queries arrive all the time: the first one counts all the same.
        for second in 101..111 {
            queriers.hear(s(second), KEY, 9, true, Some(s(10)));
            assert!(!queriers.expire(s(second)) && answered(&queriers).is_none());
        }
        assert!(queriers.expire(s(110) + SNOOP_LATE));
        assert_eq!(answered(&queriers), Some(100));
        queriers.hear(s(120), KEY, 9, true, Some(s(10)));
        assert!(queriers.expire(s(140)) && answered(&queriers) == Some(120));
        queriers.retain_uplinks(&[8].into());
        assert_eq!(answered(&queriers), None);
    }
}
