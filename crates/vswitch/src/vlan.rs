//! VLANs as vSphere numbers them: 0 none, 1-4094 one, 4095 all.

use serde::{Deserialize, Serialize};

/// The number of one VLAN, 1-4094 (IEEE 802.1Q).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u16);

/// Largest number of one VLAN.
const LAST: u16 = 4094;
/// vSphere's number for *all VLANs*.
const ALL: u16 = 4095;

/// A number outside 0-4095.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("VLAN {0} is out of range: 0 means untagged, 1-4094 one VLAN, 4095 all VLANs")]
pub struct BadVlan(pub i64);

impl TryFrom<u16> for VlanId {
    type Error = BadVlan;

    fn try_from(number: u16) -> Result<Self, BadVlan> {
        if (1..=LAST).contains(&number) { Ok(Self(number)) } else { Err(BadVlan(number.into())) }
    }
}

impl From<VlanId> for u16 {
    fn from(id: VlanId) -> Self {
        id.0
    }
}

/// How a port group tags.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Vlan {
    /// Frames are untagged.
    #[default]
    None,
    /// The switch tags and untags; the port sees no tags and may not send any.
    Tagged(VlanId),
    /// The port receives every frame with its tag, and may send any tag.
    Trunk,
    /// As [`Self::Trunk`], but only some VLANs (distributed ports).
    Ranges(VlanRanges),
}

/// VLANs that a port accepts, 0 for untagged frames (`VmwareDistributedVirtualSwitchTrunkVlanSpec`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u16, u16)>", into = "Vec<(u16, u16)>")]
pub struct VlanRanges(Vec<(u16, u16)>);

impl VlanRanges {
    /// First and last of each range.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.0
    }
}

impl TryFrom<Vec<(u16, u16)>> for VlanRanges {
    type Error = BadVlan;

    /// From first and last of each range, 0-4094; they may overlap.
    fn try_from(ranges: Vec<(u16, u16)>) -> Result<Self, BadVlan> {
        for (first, last) in &ranges {
            if *last > LAST {
                return Err(BadVlan((*last).into()));
            }
            if first > last {
                return Err(BadVlan((*first).into()));
            }
        }
        Ok(Self(ranges))
    }
}

impl From<VlanRanges> for Vec<(u16, u16)> {
    fn from(ranges: VlanRanges) -> Self {
        ranges.0
    }
}

impl Vlan {
    /// vSphere's number; that of *all VLANs* for ranges.
    pub fn number(&self) -> u16 {
        match self {
            Self::None => 0,
            Self::Tagged(id) => id.0,
            Self::Trunk | Self::Ranges(_) => ALL,
        }
    }
}

impl TryFrom<i32> for Vlan {
    type Error = BadVlan;

    /// From vSphere's number.
    fn try_from(number: i32) -> Result<Self, BadVlan> {
        match u16::try_from(number).map_err(|_| BadVlan(number.into()))? {
            0 => Ok(Self::None),
            ALL => Ok(Self::Trunk),
            one => Ok(Self::Tagged(one.try_into()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_of_a_tag_are_refused() {
        for number in [0, 1, 4094, 4095] {
            assert_eq!(i32::from(Vlan::try_from(number).unwrap().number()), number);
        }
        for number in [-1, 4096, 70_000] {
            assert_eq!(Vlan::try_from(number), Err(BadVlan(number.into())));
        }
        let ranges = |ranges: &[(u16, u16)]| VlanRanges::try_from(ranges.to_vec());
        assert!(ranges(&[(0, 0), (5, 9), (7, 4094)]).is_ok() && ranges(&[]).is_ok());
        assert_eq!(ranges(&[(1, 4095)]), Err(BadVlan(4095)));
        assert_eq!(ranges(&[(9, 8)]), Err(BadVlan(9)));
    }
}
