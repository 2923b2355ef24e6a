//! How a switch speaks a discovery protocol on its uplinks.

use serde::{Deserialize, Serialize};

/// What is spoken, and in which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    pub protocol: DiscoveryProtocol,
    pub operation: DiscoveryOperation,
}

/// Written as vSphere's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiscoveryProtocol {
    Cdp,
    Lldp,
}

/// Written as vSphere's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiscoveryOperation {
    None,
    Listen,
    Advertise,
    Both,
}

impl DiscoveryOperation {
    /// Whether neighbours are remembered.
    pub fn listens(self) -> bool {
        matches!(self, Self::Listen | Self::Both)
    }

    /// Whether neighbours are told of this host.
    pub fn advertises(self) -> bool {
        matches!(self, Self::Advertise | Self::Both)
    }
}
