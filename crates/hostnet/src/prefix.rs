//! Arithmetic of network prefixes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The netmask of an IPv4 prefix, whose length is in bits; all bits for a longer one than an address has.
pub fn ipv4_mask(prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(u32::BITS.saturating_sub(prefix.into())).unwrap_or(0))
}

/// The address with the bits beyond the prefix cleared.
pub(crate) fn network(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(four) => IpAddr::V4(four & ipv4_mask(prefix)),
        IpAddr::V6(six) => {
            let mask = u128::MAX.checked_shl(u128::BITS.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(six) & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_as_many_bits_as_the_prefix() {
        for (prefix, mask) in [
            (0, "0.0.0.0"),
            (1, "128.0.0.0"),
            (24, "255.255.255.0"),
            (32, "255.255.255.255"),
            (200, "255.255.255.255"),
        ] {
            assert_eq!(ipv4_mask(prefix).to_string(), mask);
        }
    }
}
