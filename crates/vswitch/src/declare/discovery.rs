//! How a switch speaks a discovery protocol on its uplinks.

use serde::{Deserialize, Serialize};

/// Protocol and direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    pub protocol: DiscoveryProtocol,
    pub operation: DiscoveryOperation,
}

/// Serialized as vSphere's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiscoveryProtocol {
    Cdp,
    Lldp,
}

/// Serialized as vSphere's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiscoveryOperation {
    None,
    Listen,
    Advertise,
    Both,
}

impl DiscoveryOperation {
    /// Whether the switch listens for neighbours.
    pub fn listens(self) -> bool {
        matches!(self, Self::Listen | Self::Both)
    }

    /// Whether the switch announces the host to neighbours.
    pub fn advertises(self) -> bool {
        matches!(self, Self::Advertise | Self::Both)
    }
}
