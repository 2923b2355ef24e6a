//! Arithmetic of network prefixes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address with the bits beyond the prefix cleared.
pub(crate) fn network(address: IpAddr, prefix: u8) -> IpAddr {
    let gone = u32::from(prefix);
    match address {
        IpAddr::V4(four) => {
            let mask = u32::MAX.checked_shl(32 - gone).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(four) & mask))
        }
        IpAddr::V6(six) => {
            let mask = u128::MAX.checked_shl(128 - gone).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(six) & mask))
        }
    }
}
