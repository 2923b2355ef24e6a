//! Load balancing: measures the traffic of a window, and moves ports as the planner says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::Switching;
use crate::Result;
use crate::declare::Balancing;
use crate::layout::{PORT_UPLINK, Port, TEAM_SLOTS};
use crate::limits::LOAD_SPEED;
use crate::link;
use crate::plan::load::{PortLoad, Rate, UplinkLoad, rebalance};

/// Counters at one time: bytes out and back, by interface and number.
#[derive(Debug)]
pub(super) struct Sample {
    at: Instant,
    passed: BTreeMap<(u32, u32), (u64, u64)>,
}

impl Sample {
    /// The rates since another sample. An interface that is not in both has none.
    fn since(&self, before: &Self) -> BTreeMap<u32, Rate> {
        let time = self.at.saturating_duration_since(before.at);
        let rates = self.passed.iter().filter_map(|(key, (out, back))| {
            let (out_then, back_then) = before.passed.get(key)?;
            // Counters that were reset are smaller than before.
            let rate = |now: u64, then: u64| bits_per_second(now.saturating_sub(then), time);
            Some((key.0, Rate { out: rate(*out, *out_then), back: rate(*back, *back_then) }))
        });
        rates.collect()
    }
}

fn bits_per_second(bytes: u64, time: Duration) -> u64 {
    let bits = u128::from(bytes) * 8 * 1_000_000_000;
    u64::try_from(bits / time.as_nanos().max(1)).unwrap_or(u64::MAX)
}

impl Switching {
    /// Ends a window, and moves ports.
    pub(super) async fn balance(&mut self) {
        let groups = self.balanced();
        if groups.is_empty() {
            self.sample = None;
            return;
        }
        let now = match self.sample(&groups) {
            Ok(sample) => sample,
            Err(error) => return tracing::warn!(%error, "cannot read loads; no port is moved"),
        };
        let Some(before) = self.sample.replace(now) else { return };
        let rates = self.sample.as_ref().expect("it was just put there").since(&before);
        let names: BTreeMap<u32, String> =
            self.links.iter().map(|(name, link)| (link.index, name.clone())).collect();
        let name = |index: u32| names.get(&index).map_or("", String::as_str);
        let (uplinks, ports) = self.loads(&groups, &rates, name);
        let mut is_moved = false;
        for (port, uplink) in rebalance(&uplinks, &ports, self.timing.load_too_much) {
            let team = self.actual.ports.get(&port).and_then(|port| self.seats.get(&port.team));
            let position = team.into_iter().flatten().position(|it| it.as_deref() == Some(name(uplink)));
            // A serving position's slot of the same number is its own.
            let slot = position.filter(|slot| *slot < TEAM_SLOTS).and_then(|slot| u8::try_from(slot).ok());
            let Some(slot) = slot else { continue };
            tracing::info!(
                port = name(port),
                uplink = name(uplink),
                "moved to another uplink, because its own is overloaded"
            );
            self.placements.insert(port, slot);
            is_moved = true;
        }
        if is_moved {
            self.apply_seen().await;
        }
    }

    /// The port groups with load balancing.
    fn balanced(&self) -> BTreeSet<u32> {
        let switches = self.declared.switches.iter();
        let groups = switches.flat_map(|switch| switch.port_groups.iter().map(move |group| (switch, group)));
        let by_load =
            groups.filter(|(switch, group)| switch.policy_of(group).teaming.balancing == Balancing::Load);
        by_load.map(|(_, group)| group.number).collect()
    }

    fn sample(&self, groups: &BTreeSet<u32>) -> Result<Sample> {
        let networks: BTreeSet<u32> = self.movable(groups).map(|(_, port)| port.network).collect();
        let mut passed = BTreeMap::new();
        for (index, port) in &self.actual.ports {
            let is_uplink = port.flags & PORT_UPLINK != 0;
            if is_uplink && networks.contains(&port.network) || groups.contains(&port.team) {
                let counters = self.kernel.counters(port.number)?;
                let (from, to) = (counters.from_bytes, counters.to_bytes);
                passed.insert((*index, port.number), if is_uplink { (to, from) } else { (from, to) });
            }
        }
        Ok(Sample { at: Instant::now(), passed })
    }

    fn movable(&self, groups: &BTreeSet<u32>) -> impl Iterator<Item = (u32, &Port)> {
        let ports = self.actual.ports.iter().map(|(index, port)| (*index, port));
        ports.filter(|(_, port)| port.flags & PORT_UPLINK == 0 && groups.contains(&port.team))
    }

    fn loads<'a>(
        &self,
        groups: &BTreeSet<u32>,
        rates: &BTreeMap<u32, Rate>,
        name: impl Fn(u32) -> &'a str,
    ) -> (BTreeMap<u32, UplinkLoad>, Vec<PortLoad>) {
        let uplinks = self.actual.ports.iter().filter(|(_, port)| port.flags & PORT_UPLINK != 0);
        let uplinks = uplinks.filter_map(|(index, _)| {
            let speed = link::speed(name(*index)).unwrap_or(LOAD_SPEED);
            Some((*index, UplinkLoad { speed, rate: *rates.get(index)? }))
        });
        let ports = self.movable(groups).filter_map(|(index, port)| {
            let slots = self.actual.teams.get(&port.team)?.slot;
            let serving = self.seats.get(&port.team)?.iter().flatten();
            Some(PortLoad {
                port: index,
                uplink: slots[usize::from(port.slot) % TEAM_SLOTS].ifindex,
                team: serving.filter_map(|name| Some(self.links.get(name)?.index)).collect(),
                rate: *rates.get(&index)?,
            })
        });
        (uplinks.collect(), ports.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_passed_of_one_port_between_two_times() {
        let at = Instant::now();
        let before = Sample { at, passed: [((5, 1), (1000, 0)), ((6, 2), (500, 7))].into() };
        let passed = [((5, 1), (2000, 500)), ((6, 3), (900, 900)), ((7, 2), (900, 900))].into();
        let now = Sample { at: at + Duration::from_secs(2), passed };
        assert_eq!(now.since(&before), [(5, Rate { out: 4000, back: 2000 })].into());
        assert_eq!(bits_per_second(u64::MAX, Duration::ZERO), u64::MAX);
    }
}
