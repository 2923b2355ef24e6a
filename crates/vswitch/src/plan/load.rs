//! Load balancing (`loadbalance_loadbased`): which ports leave an overloaded uplink, and for which other one. A pure
//! function of the traffic in a window of time.

use std::collections::BTreeMap;

use crate::limits::LOAD_MOVES;

/// The whole of a link's speed, in the parts that thresholds use.
pub const WHOLE: u64 = 1_000_000;

/// In bits per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// Of an uplink: to the physical network. Of a port: sent by its owner.
    pub out: u64,
    pub back: u64,
}

/// An uplink, by its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UplinkLoad {
    /// In bits per second in either direction.
    pub speed: u64,
    /// All traffic of the uplink, whichever port it belongs to.
    pub rate: Rate,
}

/// A port that may be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortLoad {
    /// Its interface.
    pub port: u32,
    /// The uplink that it uses.
    pub uplink: u32,
    /// The uplinks that serve in its team.
    pub team: Vec<u32>,
    pub rate: Rate,
}

/// A port and its new uplink.
pub type Move = (u32, u32);

/// The ports to move, at most [`LOAD_MOVES`]. An uplink is overloaded if more than `threshold` of its speed (in parts
/// of [`WHOLE`]) passes in either direction.
///
/// A port moves only if afterwards both uplinks are less loaded than the first was, by a fifteenth of the threshold (5
/// of 75 points). So every move lowers the worst load, nothing oscillates, and a port that is too much for any uplink
/// stays.
pub fn rebalance(uplinks: &BTreeMap<u32, UplinkLoad>, ports: &[PortLoad], threshold: u64) -> Vec<Move> {
    let mut loads = uplinks.clone();
    let mut ports = shared(uplinks, ports);
    let mut moves = Vec::new();
    while moves.len() < LOAD_MOVES
        && let Some((port, to)) = best(&loads, &ports, threshold)
    {
        let moved = ports.remove(port);
        if let Some(from) = loads.get_mut(&moved.uplink) {
            from.rate = from.rate.without(moved.rate);
        }
        if let Some(to) = loads.get_mut(&to) {
            to.rate = to.rate.with(moved.rate);
        }
        moves.push((moved.port, to));
    }
    moves
}

/// Most of a port's traffic may be local and pass no uplink. If the ports of an uplink carry more than the uplink did,
/// its traffic is shared out among them.
fn shared(uplinks: &BTreeMap<u32, UplinkLoad>, ports: &[PortLoad]) -> Vec<PortLoad> {
    let mut sums: BTreeMap<u32, Rate> = BTreeMap::new();
    for port in ports {
        let sum = sums.entry(port.uplink).or_default();
        *sum = sum.with(port.rate);
    }
    let part = |own: u64, sum: u64, passed: u64| {
        if sum <= passed {
            return own;
        }
        let part = u128::from(own) * u128::from(passed) / u128::from(sum);
        u64::try_from(part).expect("is no more than what passed")
    };
    let scaled = |port: &PortLoad| {
        let passed = uplinks.get(&port.uplink)?.rate;
        let sum = sums[&port.uplink];
        let rate = Rate {
            out: part(port.rate.out, sum.out, passed.out),
            back: part(port.rate.back, sum.back, passed.back),
        };
        Some(PortLoad { rate, ..port.clone() })
    };
    ports.iter().filter_map(scaled).collect()
}

/// The best move off the most loaded uplink that has one: the smallest port that brings it below the threshold, or else
/// the one that leaves the worse of the two uplinks best.
fn best(loads: &BTreeMap<u32, UplinkLoad>, ports: &[PortLoad], threshold: u64) -> Option<(usize, u32)> {
    let mut overloaded: Vec<(u64, u32)> = loads
        .iter()
        .map(|(uplink, load)| (load.used(), *uplink))
        .filter(|(used, _)| *used > threshold)
        .collect();
    overloaded.sort_unstable_by(|a, b| b.cmp(a));
    overloaded.into_iter().find_map(|(used, uplink)| {
        let movable = ports.iter().enumerate().filter(|(_, port)| port.uplink == uplink);
        let possible = movable.filter_map(|(at, port)| {
            let others = port.team.iter().filter(|other| **other != uplink);
            let (to, load) = others
                .filter_map(|other| Some((*other, loads.get(other)?)))
                .min_by_key(|(other, load)| (load.used(), *other))?;
            let left = loads[&uplink].moved(|rate| rate.without(port.rate)).used();
            let gained = load.moved(|rate| rate.with(port.rate)).used();
            let worst = left.max(gained);
            let is_better = worst + threshold / 15 < used;
            let enough = worst <= threshold;
            let size = port.rate.out.max(port.rate.back);
            is_better.then_some((!enough, if enough { size } else { worst }, port.port, at, to))
        });
        possible.min().map(|(.., at, to)| (at, to))
    })
}

impl UplinkLoad {
    /// The load in the busier direction, in parts of [`WHOLE`].
    fn used(&self) -> u64 {
        let used = u128::from(self.rate.out.max(self.rate.back)) * u128::from(WHOLE);
        u64::try_from(used / u128::from(self.speed.max(1))).unwrap_or(u64::MAX)
    }

    fn moved(self, change: impl Fn(Rate) -> Rate) -> Self {
        Self { rate: change(self.rate), ..self }
    }
}

impl Rate {
    fn with(self, other: Self) -> Self {
        Self { out: self.out.saturating_add(other.out), back: self.back.saturating_add(other.back) }
    }

    fn without(self, other: Self) -> Self {
        Self { out: self.out.saturating_sub(other.out), back: self.back.saturating_sub(other.back) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGABIT: u64 = 1_000_000;
    const THRESHOLD: u64 = 750_000;

    /// Uplinks of 1 Gbit/s with their outgoing traffic in Mbit/s, numbered from 90.
    fn uplinks(out: &[u64]) -> BTreeMap<u32, UplinkLoad> {
        let load =
            |out: &u64| UplinkLoad { speed: 1000 * MEGABIT, rate: Rate { out: out * MEGABIT, back: 0 } };
        (90..).zip(out.iter().map(load)).collect()
    }

    /// Ports numbered from 1, each with its uplink and its sent traffic, in a team of all uplinks.
    fn ports(all: &[(u32, u64)]) -> Vec<PortLoad> {
        let port = |(port, (uplink, out)): (u32, &(u32, u64))| PortLoad {
            port,
            uplink: *uplink,
            team: vec![90, 91, 92],
            rate: Rate { out: out * MEGABIT, back: 0 },
        };
        (1..).zip(all).map(port).collect()
    }

    #[test]
    fn ports_leave_an_uplink_that_has_too_much_for_the_one_that_has_least() {
        type Case<'a> = (&'a str, &'a [u64], &'a [(u32, u64)], &'a [Move]);
        let cases: &[Case<'_>] = &[
            ("nothing is too much", &[750, 0], &[(90, 400), (90, 350)], &[]),
            (
                "the smallest that is enough",
                &[900, 100],
                &[(90, 500), (90, 200), (90, 200), (91, 100)],
                &[(2, 91)],
            ),
            ("the least loaded", &[900, 500, 400], &[(90, 200), (90, 700), (91, 500), (92, 400)], &[(1, 92)]),
            ("one that is too much for any stays", &[900, 0], &[(90, 900)], &[]),
            ("two that are both too much do not change places", &[900, 890], &[(90, 900), (91, 890)], &[]),
            ("all are full", &[900, 900], &[(90, 450), (90, 450), (91, 450), (91, 450)], &[]),
            ("hardly better is not better", &[800, 760], &[(90, 30), (90, 770), (91, 760)], &[]),
            ("several that are small", &[1000, 0], &[(90, 100); 10], &[(1, 91), (2, 91), (3, 91)]),
            ("not enough, but better", &[990, 600], &[(90, 100), (90, 890), (91, 600)], &[(1, 91)]),
            ("of no port here", &[900, 0], &[(91, 1)], &[]),
            ("what others pass that may not be moved counts", &[900, 0], &[(90, 100)], &[(1, 91)]),
        ];
        for (name, out, all, moves) in cases {
            assert_eq!(rebalance(&uplinks(out), &ports(all), THRESHOLD), *moves, "{name}");
        }
    }

    #[test]
    fn either_direction_counts_and_each_link_by_its_own_speed() {
        let mut two = uplinks(&[0, 0]);
        two.get_mut(&90).unwrap().rate.back = 900 * MEGABIT;
        let mut port = ports(&[(90, 0), (90, 0)]);
        port[0].rate.back = 300 * MEGABIT;
        port[1].rate.back = 600 * MEGABIT;
        assert_eq!(rebalance(&two, &port, THRESHOLD), [(1, 91)]);
        two.get_mut(&91).unwrap().speed = 100 * MEGABIT;
        assert_eq!(rebalance(&two, &port, THRESHOLD), [], "it would be too much for that one");
        two.get_mut(&90).unwrap().speed = 10_000 * MEGABIT;
        assert_eq!(rebalance(&two, &port, THRESHOLD), []);
    }

    #[test]
    fn a_port_goes_only_where_its_team_goes() {
        let mut one = ports(&[(90, 400), (90, 500)]);
        one[0].team = vec![90];
        one[1].team = vec![90, 92];
        assert_eq!(rebalance(&uplinks(&[900, 0, 100]), &one, THRESHOLD), [(2, 92)]);
    }

    #[test]
    fn traffic_between_neighbours_does_not_count_as_load() {
        let moves = |out: u64| rebalance(&uplinks(&[out, 0]), &ports(&[(90, 4000), (90, 4000)]), THRESHOLD);
        assert_eq!(moves(700), []);
        assert_eq!(moves(900), [(1, 91)], "each has half of what passed");
    }

    /// For any loads: rounds end, no uplink that is left ends up worse than the worst before, and each further round,
    /// given the effects of the one before, moves fewer ports.
    #[test]
    fn rounds_come_to_rest() {
        proptest::proptest!(|(loads in proptest::collection::vec((90..93u32, 1..900u64), 1..40))| {
            let mut ports = ports(&loads);
            let sums = |ports: &[PortLoad]| {
                let mut uplinks = uplinks(&[0, 0, 0]);
                for port in ports {
                    let load = uplinks.get_mut(&port.uplink).unwrap();
                    load.rate = load.rate.with(port.rate);
                }
                uplinks
            };
            let worst = |ports: &[PortLoad]| sums(ports).values().map(UplinkLoad::used).max().unwrap();
            let mut rounds = 0;
            loop {
                let moves = rebalance(&sums(&ports), &ports, THRESHOLD);
                if moves.is_empty() {
                    break;
                }
                let before = worst(&ports);
                for (port, to) in moves {
                    ports.iter_mut().find(|it| it.port == port).unwrap().uplink = to;
                }
                proptest::prop_assert!(worst(&ports) <= before);
                rounds += 1;
                proptest::prop_assert!(rounds < 50, "it does not come to rest");
            }
        });
    }
}
