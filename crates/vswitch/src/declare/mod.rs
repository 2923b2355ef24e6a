//! The desired state of a host's network: plain data, which says nothing about how it is applied.

mod adapter;
mod discovery;
mod ipfix;
mod mirror;
mod multicast;
mod policy;
mod service;

pub use adapter::{Adapter, BadStackName, Dns, Gateways, Ipv4Config, Ipv6Config, Route, Stack, StackName};
pub use discovery::{Discovery, DiscoveryOperation, DiscoveryProtocol};
pub use ipfix::Ipfix;
pub use mirror::{Encapsulated, Encapsulation, MirrorDestination, MirrorSession, MirrorSource, MirrorVia};
pub use multicast::MulticastFiltering;
pub use policy::{
    AtLimit, Balancing, Learning, Override, Policy, Security, Shaping, ShapingOverride, Teaming,
};
pub use service::{BadService, Service};

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::UP_DELAY;
use crate::{Mac, Vlan};

/// All switches and ports of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    pub switches: Vec<Switch>,
    /// Ports by interface; a port whose port group does not exist stays unconnected.
    pub ports: Vec<Port>,
    /// VMkernel adapters. Each has a port that is not listed in [`Self::ports`].
    #[serde(default)]
    pub adapters: Vec<Adapter>,
    /// TCP/IP stacks.
    #[serde(default)]
    pub stacks: Vec<Stack>,
    /// Port mirroring.
    #[serde(default)]
    pub mirrors: Vec<MirrorSession>,
    /// How long the link of an uplink must be up without a break before the uplink is used again
    /// (`Net.TeamPolicyUpDelay`), unless it is the only one that works.
    #[serde(default = "up_delay")]
    pub up_delay: Duration,
    /// Names under which uplinks are announced to neighbours, by interface; other uplinks are announced under their
    /// interface's name.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
}

fn up_delay() -> Duration {
    UP_DELAY
}

impl Default for Declaration {
    fn default() -> Self {
        Self {
            switches: Vec::new(),
            ports: Vec::new(),
            adapters: Vec::new(),
            stacks: Vec::new(),
            mirrors: Vec::new(),
            up_delay: UP_DELAY,
            names: BTreeMap::new(),
        }
    }
}

/// A switch, standard or distributed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// Distinguishes its frames from those of other switches; unique on the host, and constant for the life of the
    /// switch.
    pub number: u32,
    pub name: String,
    /// Largest payload of a frame, in bytes.
    pub mtu: u32,
    /// Interfaces of the physical NICs. Each belongs to one switch.
    pub uplinks: Vec<String>,
    pub policy: Policy,
    /// `None`: the switch neither listens nor announces.
    #[serde(default)]
    pub discovery: Option<Discovery>,
    #[serde(default)]
    pub multicast: MulticastFiltering,
    /// `None`: the switch exports no flows.
    #[serde(default)]
    pub ipfix: Option<Ipfix>,
    pub port_groups: Vec<PortGroup>,
}

/// A port group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortGroup {
    /// Unique on the host, constant for the life of the port group, less than [`crate::limits::PORT_GROUPS`].
    pub number: u32,
    pub name: String,
    pub vlan: Vlan,
    /// The settings that override its switch's.
    pub policy: Override,
}

/// A connected interface: a VM's tap. (Planning adds the switch's end of each VMkernel adapter.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The interface in the host's network namespace. One that does not exist (yet) is skipped.
    pub interface: String,
    /// Number of the port group.
    pub port_group: u32,
    /// The assigned MAC.
    pub mac: Mac,
    /// The MAC that the guest has set instead, if any.
    pub guest_mac: Option<Mac>,
    /// The port neither sends nor receives.
    pub blocked: bool,
}

impl Declaration {
    /// The switch and the port group with this number.
    pub fn port_group(&self, number: u32) -> Option<(&Switch, &PortGroup)> {
        let groups = |switch| Switch::port_group(switch, number).map(|group| (switch, group));
        self.switches.iter().find_map(groups)
    }
}

impl Switch {
    fn port_group(&self, number: u32) -> Option<&PortGroup> {
        self.port_groups.iter().find(|group| group.number == number)
    }

    /// The effective policy of one of its port groups: the switch's, with the overrides.
    pub fn policy_of(&self, group: &PortGroup) -> Policy {
        self.policy.overridden(&group.policy)
    }
}
