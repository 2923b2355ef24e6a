//! The IP ranges that are observed behind uplinks, by VLAN, as vSphere shows them (`PhysicalNicIpHint`), learned from the ARP that
//! uplinks bring. Pure: packets and times in, ranges out.
//!
//! **How packets become ranges.** Who asks for a neighbour takes it to be in its own subnet, so the asking and the asked address are in
//! one: the smallest block that is a power of two in size, and at a multiple of that, and has both. A packet that names one station only
//! (an announcement, or whoever asks for what is farther away than [`WIDEST`]) says that this one address is there. What is
//! shown are the blocks that are in no other one. No two are made one because they are neighbours, so what is shown may be less
//! than a subnet until somebody asks across it, and is never more than one packet has said.
//!
//! **Who lies** on a segment is believed, for nothing tells a forged packet from another; it is a hint. But nobody makes a lie of more
//! than its own VLAN, nor of more than [`OBSERVED_BLOCKS`] ranges in it; a range that was heard of twice is not pushed out by others, and one that is not heard any more ends, whatever else there is.

mod block;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::VlanId;
use crate::limits::{OBSERVED_AGE, OBSERVED_BLOCKS, OBSERVED_VLANS};
use crate::vmkernel::Arp;
use block::Block;

/// Prefix of the widest block that is believed, as long as that of the widest subnet that one would make.
pub const WIDEST: u32 = 16;

/// Addresses that are there, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObservedRange {
    /// None without a tag.
    pub vlan: Option<VlanId>,
    pub first: Ipv4Addr,
    pub last: Ipv4Addr,
}

/// As the API writes it: `10.27.49.1-10.27.49.254`.
impl Display for ObservedRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// A block that was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heard {
    block: Block,
    /// Last heard of then.
    at: Duration,
    times: u32,
}

type Vlans = BTreeMap<Option<VlanId>, Vec<Heard>>;

/// What was observed at the uplinks of a host. Times count from any one moment that stays the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// By ifindex.
    uplinks: BTreeMap<u32, Vlans>,
}

impl Observed {
    /// The uplinks that there are and that have a link. What was observed at others is forgotten: the cable may be in another place
    /// when they come back. True if something was forgotten.
    pub fn know_uplinks(&mut self, uplinks: &BTreeSet<u32>) -> bool {
        let before: usize = self.uplinks.values().map(BTreeMap::len).sum();
        self.uplinks.retain(|uplink, _| uplinks.contains(uplink));
        for uplink in uplinks {
            self.uplinks.entry(*uplink).or_default();
        }
        before != self.uplinks.values().map(BTreeMap::len).sum()
    }

    /// Takes note of what an uplink has brought.
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

    /// What to show as `subnet` of an uplink, VLAN by VLAN.
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

/// Whether it is in another one.
fn is_inside(block: Block, others: &[Block]) -> bool {
    others.iter().any(|other| *other != block && other.contains(block))
}

/// Takes note of a block of a VLAN. Where there is no room it takes the place of one that is in another and so not shown, or of one that
/// was heard of once, longest ago.
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
