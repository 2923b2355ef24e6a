//! Blocks of addresses: a power of two in size, aligned to their size.

use std::net::Ipv4Addr;

use super::{ObservedRange, WIDEST};
use crate::VlanId;
use crate::vmkernel::Arp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    first: u32,
    /// Bits that all addresses share, [`WIDEST`] to 32.
    prefix: u32,
}

impl Block {
    /// The block that a packet shows to be one network; `None` if it shows none.
    pub(super) fn of(packet: &Arp) -> Option<Self> {
        let sender = station(packet.sender.1)?;
        let both = station(packet.target).map(|target| (sender ^ target).leading_zeros());
        let prefix = both.filter(|prefix| *prefix >= WIDEST).unwrap_or(u32::BITS);
        Some(Self { first: sender & mask(prefix), prefix })
    }

    pub(super) fn contains(self, other: Self) -> bool {
        self.prefix <= other.prefix && other.first & mask(self.prefix) == self.first
    }

    /// Its addresses. A first address that ends in 0 and a last one that ends in 255 are left out of larger blocks,
    /// since in most networks no station has them.
    pub(super) fn range(self, vlan: Option<VlanId>) -> ObservedRange {
        let (mut first, mut last) = (self.first, self.first | !mask(self.prefix));
        if first != last {
            first += u32::from(first & 0xff == 0);
            last -= u32::from(last & 0xff == 0xff);
        }
        ObservedRange { vlan, first: Ipv4Addr::from_bits(first), last: Ipv4Addr::from_bits(last) }
    }
}

fn mask(prefix: u32) -> u32 {
    u32::MAX.checked_shl(u32::BITS - prefix).unwrap_or(0)
}

/// The address, if a station can have it: not *this network*, loopback, a group or reserved (RFC 6890).
fn station(address: Ipv4Addr) -> Option<u32> {
    let [first, ..] = address.octets();
    (!matches!(first, 0 | 127 | 224..)).then_some(address.to_bits())
}
