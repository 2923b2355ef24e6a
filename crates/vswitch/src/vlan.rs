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

/// A number that is no VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no VLAN: 0 is none, 1-4094 are VLANs, 4095 is all of them")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Vlan {
    /// Frames go without a tag.
    #[default]
    None,
    /// The switch tags and untags; the port sees no tag and may send none.
    Tagged(VlanId),
    /// The port gets every frame with its tag, and sends what tags it likes.
    Trunk,
}

impl Vlan {
    /// vSphere's number.
    pub fn number(self) -> u16 {
        match self {
            Self::None => 0,
            Self::Tagged(id) => id.0,
            Self::Trunk => ALL,
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
    }
}
