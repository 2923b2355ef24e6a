//! The IP ranges observed behind uplinks, by VLAN, as vSphere shows them (`PhysicalNicIpHint`), learned from the ARP
//! frames that arrive at uplinks. Pure: packets and times in, ranges out.
//!
//! **How packets become ranges.** A station asks by ARP only for addresses in its own subnet, so the asking and the
//! asked address are in one: the smallest aligned power-of-two block that holds both. A packet that names only one
//! station (an announcement, or a request across more than [`WIDEST`]) shows that this one address exists. The blocks
//! that lie in no other block are shown. Adjacent blocks are not merged, so the shown range may be smaller than the
//! subnet until a request crosses it, and is never larger than one packet has shown.
//!
//! **Forged packets** are believed, since nothing distinguishes them; the result is a hint. But a forger reaches only
//! its own VLAN, and no more than [`OBSERVED_BLOCKS`] ranges in it; others cannot displace a range that was observed
//! twice, and every range that is no longer observed ends.

mod block;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::VlanId;
use crate::limits::{OBSERVED_AGE, OBSERVED_BLOCKS, OBSERVED_VLANS};
use crate::vmkernel::Arp;
use block::Block;

/// Prefix of the widest block that is believed: the widest subnet that an administrator would make.
pub const WIDEST: u32 = 16;

/// Addresses that exist, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObservedRange {
    /// `None` for untagged frames.
    pub vlan: Option<VlanId>,
    pub first: Ipv4Addr,
    pub last: Ipv4Addr,
}

/// In the API's form: `10.27.49.1-10.27.49.254`.
impl Display for ObservedRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// An observed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heard {
    block: Block,
    /// When it was last observed.
    at: Duration,
    times: u32,
}

type Vlans = BTreeMap<Option<VlanId>, Vec<Heard>>;

/// Observations at the uplinks of a host. Times count from a fixed moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// By ifindex.
    uplinks: BTreeMap<u32, Vlans>,
}

impl Observed {
    /// Sets the uplinks that have a link. Observations at others are forgotten, since the cable may end elsewhere when
    /// they come back. True if anything was forgotten.
    pub fn know_uplinks(&mut self, uplinks: &BTreeSet<u32>) -> bool {
        let before: usize = self.uplinks.values().map(BTreeMap::len).sum();
        self.uplinks.retain(|uplink, _| uplinks.contains(uplink));
        for uplink in uplinks {
            self.uplinks.entry(*uplink).or_default();
        }
        before != self.uplinks.values().map(BTreeMap::len).sum()
    }

    /// Records a packet that arrived at an uplink.
    pub fn observe(&mut self, now: Duration, uplink: u32, vlan: Option<VlanId>, packet: &Arp) {
        let (Some(vlans), Some(block)) = (self.uplinks.get_mut(&uplink), Block::of(packet)) else { return };
        if !vlans.contains_key(&vlan) && vlans.len() >= OBSERVED_VLANS {
            vlans.retain(|_, blocks| blocks.iter().any(|heard| is_current(heard, now)));
            if vlans.len() >= OBSERVED_VLANS {
                return;
            }
        }
        note(vlans.entry(vlan).or_default(), now, block);
    }

    /// The value of `subnet` to show for an uplink, VLAN by VLAN.
    pub fn ranges(&self, now: Duration, uplink: u32) -> Vec<ObservedRange> {
        let mut ranges = Vec::new();
        for (vlan, blocks) in self.uplinks.get(&uplink).into_iter().flatten() {
            let current: Vec<Block> =
                blocks.iter().filter(|heard| is_current(heard, now)).map(|heard| heard.block).collect();
            let outermost = current.iter().filter(|block| !is_inside(**block, &current));
            let mut shown: Vec<ObservedRange> = outermost.map(|block| block.range(*vlan)).collect();
            shown.sort_unstable();
            ranges.append(&mut shown);
        }
        ranges
    }
}

fn is_current(heard: &Heard, now: Duration) -> bool {
    now < heard.at + OBSERVED_AGE
}

/// Whether a block lies in another one.
fn is_inside(block: Block, others: &[Block]) -> bool {
    others.iter().any(|other| *other != block && other.contains(block))
}

/// Records a block of a VLAN. In a full VLAN it replaces a block that lies in another one and is not shown, or
/// the oldest one that was observed once.
fn note(blocks: &mut Vec<Heard>, now: Duration, block: Block) {
    if let Some(known) = blocks.iter_mut().find(|heard| heard.block == block) {
        (known.at, known.times) =
            (now, if is_current(known, now) { known.times.saturating_add(1) } else { 1 });
        return;
    }
    if blocks.len() >= OBSERVED_BLOCKS {
        blocks.retain(|heard| is_current(heard, now));
    }
    if blocks.len() >= OBSERVED_BLOCKS {
        let all: Vec<Block> = blocks.iter().map(|heard| heard.block).chain([block]).collect();
        if is_inside(block, &all) {
            return;
        }
        let shown = |heard: &Heard| !is_inside(heard.block, &all);
        let may_go = (0..blocks.len()).filter(|index| !shown(&blocks[*index]) || blocks[*index].times == 1);
        let Some(index) = may_go.min_by_key(|index| (shown(&blocks[*index]), blocks[*index].at)) else {
            return;
        };
        blocks.swap_remove(index);
    }
    blocks.push(Heard { block, at: now, times: 1 });
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
