//! The neighbours at the other end of each uplink, for as long as they announced.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Neighbour, OtherEnd, cdp, lldp};
use crate::limits::{NEIGHBOURS, PORTS};

/// A neighbour, and when its frames arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub neighbour: Neighbour,
    /// When its last frame arrived.
    pub at: Duration,
    /// When it is forgotten.
    pub until: Duration,
    /// The number of its frames.
    pub samples: u32,
}

/// The neighbours of all uplinks. Times count from a fixed moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbours(BTreeMap<String, Vec<Heard>>);

impl Neighbours {
    /// Remembers a neighbour of `uplink`, or forgets it if it announced its leaving. One more than [`NEIGHBOURS`]
    /// replaces the one that has been silent for longest.
    pub fn hear(&mut self, now: Duration, uplink: &str, neighbour: Neighbour) {
        if !self.0.contains_key(uplink) && self.0.len() >= PORTS {
            return;
        }
        let known = self.0.entry(uplink.to_owned()).or_default();
        known.retain(|heard| heard.until > now);
        let same = known.iter().position(|heard| is_same(&heard.neighbour, &neighbour));
        let samples = same.map_or(0, |index| known.swap_remove(index).samples);
        let ttl = Duration::from_secs(neighbour.ttl_s().into());
        if !ttl.is_zero() {
            if known.len() >= NEIGHBOURS
                && let Some(index) = (0..known.len()).min_by_key(|index| known[*index].at)
            {
                known.swap_remove(index);
            }
            known.push(Heard { neighbour, at: now, until: now + ttl, samples: samples.saturating_add(1) });
        }
        if known.is_empty() {
            self.0.remove(uplink);
        }
    }

    /// Forgets the neighbours of an uplink, such as one whose link went down.
    pub fn forget(&mut self, uplink: &str) {
        self.0.remove(uplink);
    }

    /// Forgets expired neighbours.
    pub fn expire(&mut self, now: Duration) {
        self.0.retain(|_, known| {
            known.retain(|heard| heard.until > now);
            !known.is_empty()
        });
    }

    /// When the next neighbour expires.
    pub fn next_expiry(&self) -> Option<Duration> {
        self.0.values().flatten().map(|heard| heard.until).min()
    }

    /// The value of `lldpInfo` to show for an uplink: the neighbour heard last.
    pub fn lldp(&self, now: Duration, uplink: &str) -> Option<(&lldp::Info, &Heard)> {
        self.latest(now, uplink, |neighbour| match neighbour {
            Neighbour::Lldp(info) => Some(info),
            Neighbour::Cdp(_) => None,
        })
    }

    /// The value of `connectedSwitchPort` to show for an uplink: the neighbour heard last.
    pub fn cdp(&self, now: Duration, uplink: &str) -> Option<(&cdp::Info, &Heard)> {
        self.latest(now, uplink, |neighbour| match neighbour {
            Neighbour::Cdp(info) => Some(info),
            Neighbour::Lldp(_) => None,
        })
    }

    /// The neighbour at the other end of an uplink's cable.
    pub fn other_end(&self, now: Duration, uplink: &str) -> OtherEnd {
        let lldp = self.lldp(now, uplink).map(|(info, _)| info.clone());
        let cdp = self.cdp(now, uplink).map(|(info, heard)| (info.clone(), heard.samples));
        OtherEnd { lldp, cdp }
    }

    /// Uplinks with a neighbour.
    pub fn uplinks(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn latest<'a, T>(
        &'a self,
        now: Duration,
        uplink: &str,
        of_kind: impl Fn(&'a Neighbour) -> Option<&'a T>,
    ) -> Option<(&'a T, &'a Heard)> {
        let alive = self.0.get(uplink)?.iter().filter(|heard| heard.until > now);
        alive.filter_map(|heard| Some((of_kind(&heard.neighbour)?, heard))).max_by_key(|(_, heard)| heard.at)
    }
}

/// Whether both come from one port (IEEE 802.1AB, 8.2: chassis and port together name it).
fn is_same(one: &Neighbour, other: &Neighbour) -> bool {
    match (one, other) {
        (Neighbour::Lldp(one), Neighbour::Lldp(other)) => {
            (&one.chassis_id, &one.port_id) == (&other.chassis_id, &other.port_id)
        }
        (Neighbour::Cdp(one), Neighbour::Cdp(other)) => {
            (&one.device_id, &one.port_id) == (&other.device_id, &other.port_id)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn lldp(chassis: &str, ttl_s: u16) -> Neighbour {
        Neighbour::Lldp(lldp::Info { chassis_id: chassis.into(), ttl_s, ..lldp::Info::default() })
    }

    fn chassis(table: &Neighbours, now: u64) -> Option<(&str, u32)> {
        table.lldp(s(now), "up0").map(|(info, heard)| (info.chassis_id.as_str(), heard.samples))
    }

    #[test]
    fn a_neighbour_is_known_for_as_long_as_it_said() {
        let mut table = Neighbours::default();
        table.hear(s(0), "up0", lldp("a", 120));
        table.hear(s(30), "up0", lldp("a", 120));
        assert_eq!(chassis(&table, 149), Some(("a", 2)));
        assert_eq!((chassis(&table, 150), table.next_expiry()), (None, Some(s(150))));
        table.expire(s(150));
        assert_eq!(table, Neighbours::default());
        assert_eq!(table.lldp(s(0), "up1"), None);
    }

    #[test]
    fn one_that_says_goodbye_or_loses_its_link_is_forgotten() {
        let mut table = Neighbours::default();
        table.hear(s(0), "up0", lldp("a", 120));
        table.hear(s(1), "up0", lldp("a", 0));
        assert_eq!(table, Neighbours::default());
        table.hear(s(2), "up0", lldp("a", 120));
        table.forget("up0");
        assert_eq!(chassis(&table, 3), None);
    }

    #[test]
    fn both_protocols_are_shown_each_as_heard_last() {
        let mut table = Neighbours::default();
        let cdp = cdp::Info { ttl_s: 180, device_id: Some("c".into()), ..cdp::Info::default() };
        table.hear(s(0), "up0", lldp("a", 120));
        table.hear(s(1), "up0", lldp("b", 10));
        table.hear(s(2), "up0", Neighbour::Cdp(cdp.clone()));
        assert_eq!(chassis(&table, 3), Some(("b", 1)));
        assert_eq!(chassis(&table, 20), Some(("a", 1)));
        assert_eq!(table.cdp(s(20), "up0").unwrap().0, &cdp);
    }

    #[test]
    fn strangers_cannot_fill_the_table() {
        let mut table = Neighbours::default();
        table.hear(s(0), "up0", lldp("first", 65_535));
        for number in 0..1000_u64 {
            table.hear(s(1 + number), "up0", lldp(&number.to_string(), 65_535));
        }
        assert_eq!(table.0["up0"].len(), NEIGHBOURS);
        assert_eq!(chassis(&table, 2000), Some(("999", 1)));
        assert!(!table.0["up0"].iter().any(|heard| heard.neighbour == lldp("first", 65_535)));
    }
}
