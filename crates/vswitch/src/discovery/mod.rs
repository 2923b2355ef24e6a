//! Discovery protocols on uplinks: announcing this host to the neighbour, and learning about the neighbour, as vSphere
//! shows it (`HostNetworkSystem.QueryNetworkHint`). [`lldp`] and [`cdp`] build and parse frames, [`Neighbours`]
//! remembers.

pub mod cdp;
pub mod lldp;
mod table;

use std::net::IpAddr;

use crate::{Mac, VlanId};

pub use table::{Heard, Neighbours};

/// The announcement that is the same on all uplinks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct System {
    /// The host's name.
    pub name: String,
    /// Product and version.
    pub description: String,
    /// Kind of hardware.
    pub platform: String,
}

/// The neighbour at the other end of an uplink's cable, by each protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherEnd {
    pub lldp: Option<lldp::Info>,
    /// With the number of frames that it has sent.
    pub cdp: Option<(cdp::Info, u32)>,
}

/// The announcement on one uplink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The uplink's MAC.
    pub mac: Mac,
    /// The uplink, such as `vmnic0`.
    pub interface: String,
    /// The purpose of the uplink, such as its switch.
    pub port_description: String,
    /// The host's name.
    pub system_name: String,
    /// Product and version.
    pub system_description: String,
    /// Kind of hardware.
    pub platform: String,
    /// The management address of the host.
    pub management: Option<IpAddr>,
    /// The VLAN of untagged frames.
    pub native_vlan: Option<VlanId>,
    /// Largest payload of a frame, in bytes.
    pub mtu: u32,
    /// How long the neighbour shall remember it; 0 makes it forget at once.
    pub ttl_s: u16,
}

/// A neighbour's announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Neighbour {
    Lldp(lldp::Info),
    Cdp(cdp::Info),
}

impl Neighbour {
    /// Reads a frame without a tag; `None` if it is neither protocol or is broken.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let lldp = || lldp::parse(frame).map(Self::Lldp);
        lldp().or_else(|| cdp::parse(frame).map(Self::Cdp))
    }

    /// How long it is valid, in seconds.
    pub fn ttl_s(&self) -> u16 {
        match self {
            Self::Lldp(info) => info.ttl_s,
            Self::Cdp(info) => info.ttl_s.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn announcement() -> Announcement {
        Announcement {
            mac: Mac([2, 0, 0, 0, 0, 7]),
            interface: "vmnic0".into(),
            port_description: "Uplink of vSwitch0".into(),
            system_name: "host1.example".into(),
            system_description: "Esfera 1.0".into(),
            platform: "x86_64".into(),
            management: Some(IpAddr::from([192, 0, 2, 10])),
            native_vlan: Some(VlanId::try_from(30).unwrap()),
            mtu: 9000,
            ttl_s: 120,
        }
    }

    #[test]
    fn a_neighbour_is_read_by_whichever_protocol_it_speaks() {
        let announcement = announcement();
        let lldp = Neighbour::read(&lldp::build(&announcement)).unwrap();
        let cdp = Neighbour::read(&cdp::build(&announcement)).unwrap();
        assert!(matches!(lldp, Neighbour::Lldp(_)) && matches!(cdp, Neighbour::Cdp(_)));
        assert_eq!((lldp.ttl_s(), cdp.ttl_s()), (120, 120));
        assert_eq!(Neighbour::read(&[0; 60]), None);
    }
}
