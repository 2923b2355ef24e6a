//! Policies of switches, and the overrides of port groups, item by item as in vSphere.

use serde::{Deserialize, Serialize};

use crate::limits::LEARNED_BY_PORT;

/// All policies of a switch or, overrides applied, of a port group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    pub security: Security,
    pub teaming: Teaming,
    /// Frames that a port sends: shaping of a standard switch, *ingress* of a distributed one.
    pub outbound: Shaping,
    /// Frames that a port receives: *egress* of a distributed switch.
    pub inbound: Shaping,
    /// The port's flows are exported, if its switch has a collector (`ipfixEnabled`).
    pub ipfix: bool,
}

/// Traffic shaping of a port in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shaping {
    pub enabled: bool,
    /// In bits per second.
    pub average: u64,
    /// In bits per second, while a burst lasts.
    pub peak: u64,
    /// In bytes: how much may pass above the average.
    pub burst: u64,
}

impl Default for Shaping {
    /// vSphere's defaults, which are off.
    fn default() -> Self {
        Self { enabled: false, average: 100_000_000, peak: 100_000_000, burst: 104_857_600 }
    }
}

/// A port group's override of shaping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShapingOverride {
    pub enabled: Option<bool>,
    pub average: Option<u64>,
    pub peak: Option<u64>,
    pub burst: Option<u64>,
}

impl Shaping {
    fn overridden(&self, by: &ShapingOverride) -> Self {
        Self {
            enabled: by.enabled.unwrap_or(self.enabled),
            average: by.average.unwrap_or(self.average),
            peak: by.peak.unwrap_or(self.peak),
            burst: by.burst.unwrap_or(self.burst),
        }
    }
}

/// The use of MACs by guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Ports see all traffic of their VLAN.
    pub promiscuous: bool,
    /// Guests may change their MAC; otherwise a guest that does stops receiving.
    pub mac_changes: bool,
    /// Guests may send from other MACs than their own.
    pub forged_transmits: bool,
    /// MAC learning, which needs forged transmits.
    #[serde(default)]
    pub learning: Learning,
}

impl Default for Security {
    /// vSphere's defaults of a standard switch.
    fn default() -> Self {
        Self { promiscuous: false, mac_changes: true, forged_transmits: true, learning: Learning::default() }
    }
}

impl Security {
    /// Whether ports learn.
    pub fn learns(&self) -> bool {
        self.learning.enabled && self.forged_transmits
    }

    /// Whether ports receive frames to unknown destinations.
    pub fn is_flooded(&self) -> bool {
        self.learns() && self.learning.unicast_flooding
    }
}

/// MAC learning of a port: the port also receives frames to the MACs that its guest sends from
/// (`DVSMacLearningPolicy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Learning {
    pub enabled: bool,
    /// The port receives unicast frames to unknown destinations (`allowUnicastFlooding`).
    pub unicast_flooding: bool,
    /// Most MACs of a port, at most [`crate::limits::LEARNED_BY_PORT`]. If the limits of all ports together exceed the
    /// host's, the largest are lowered.
    pub limit: u32,
    /// `limitPolicy`.
    pub at_limit: AtLimit,
}

impl Default for Learning {
    /// Off, with vSphere's defaults for the rest.
    fn default() -> Self {
        Self { enabled: false, unicast_flooding: true, limit: LEARNED_BY_PORT, at_limit: AtLimit::Drop }
    }
}

/// The treatment of frames from further MACs; serialized as vSphere's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AtLimit {
    Drop,
    /// They pass, but the port does not receive frames to those MACs.
    Allow,
}

/// How traffic is spread over uplinks, and what happens if one fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Teaming {
    pub balancing: Balancing,
    /// Beacons, in addition to the state of the link, decide whether an uplink works.
    pub beacons: bool,
    /// The switch announces moved MACs to physical switches by RARP.
    pub notify_switches: bool,
    /// A recovered uplink takes its place back.
    pub failback: bool,
    /// Interfaces that carry traffic, in order.
    pub active: Vec<String>,
    /// Interfaces that replace failed active ones, in order. All others are unused.
    pub standby: Vec<String>,
}

impl Default for Teaming {
    fn default() -> Self {
        Self {
            balancing: Balancing::Port,
            beacons: false,
            notify_switches: true,
            failback: true,
            active: Vec::new(),
            standby: Vec::new(),
        }
    }
}

/// The criterion that selects a port's uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Balancing {
    /// The originating virtual port (`loadbalance_srcid`).
    Port,
    /// The source MAC (`loadbalance_srcmac`).
    SourceMac,
    /// Source and destination IP address (`loadbalance_ip`).
    IpHash,
    /// The originating virtual port at first, then the load of uplinks (`loadbalance_loadbased`).
    Load,
    /// The first active uplink that works (`failover_explicit`).
    Explicit,
}

/// A port group's overrides; `None` inherits from the switch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Override {
    pub promiscuous: Option<bool>,
    pub mac_changes: Option<bool>,
    pub forged_transmits: Option<bool>,
    /// Overridden as a whole.
    pub learning: Option<Learning>,
    pub balancing: Option<Balancing>,
    pub beacons: Option<bool>,
    pub notify_switches: Option<bool>,
    pub failback: Option<bool>,
    /// Active and standby uplinks.
    pub order: Option<(Vec<String>, Vec<String>)>,
    pub outbound: ShapingOverride,
    pub inbound: ShapingOverride,
    pub ipfix: Option<bool>,
}

impl Policy {
    /// This policy with the overrides applied.
    pub fn overridden(&self, by: &Override) -> Self {
        let (security, teaming) = (&self.security, &self.teaming);
        let (active, standby) = match &by.order {
            Some((active, standby)) => (active.clone(), standby.clone()),
            None => (teaming.active.clone(), teaming.standby.clone()),
        };
        Self {
            security: Security {
                promiscuous: by.promiscuous.unwrap_or(security.promiscuous),
                mac_changes: by.mac_changes.unwrap_or(security.mac_changes),
                forged_transmits: by.forged_transmits.unwrap_or(security.forged_transmits),
                learning: by.learning.unwrap_or(security.learning),
            },
            teaming: Teaming {
                balancing: by.balancing.unwrap_or(teaming.balancing),
                beacons: by.beacons.unwrap_or(teaming.beacons),
                notify_switches: by.notify_switches.unwrap_or(teaming.notify_switches),
                failback: by.failback.unwrap_or(teaming.failback),
                active,
                standby,
            },
            outbound: self.outbound.overridden(&by.outbound),
            inbound: self.inbound.overridden(&by.inbound),
            ipfix: by.ipfix.unwrap_or(self.ipfix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_group_overrides_item_by_item() {
        let mut policy = Policy::default();
        policy.teaming.active = vec!["up0".into()];
        let by = Override { forged_transmits: Some(false), failback: Some(false), ..Override::default() };
        let result = policy.overridden(&by);
        assert!(!result.security.forged_transmits && result.security.mac_changes);
        assert!(!result.teaming.failback && result.teaming.notify_switches);
        assert_eq!(result.teaming.active, ["up0"]);
        let by = Override { order: Some((vec![], vec!["up1".into()])), ..Override::default() };
        assert_eq!(policy.overridden(&by).teaming.standby, ["up1"]);
        assert!(policy.overridden(&by).teaming.active.is_empty());
        let outbound = ShapingOverride { enabled: Some(true), burst: Some(7), ..ShapingOverride::default() };
        let by = Override { outbound, ..Override::default() };
        let expected = Shaping { enabled: true, burst: 7, ..policy.outbound };
        assert_eq!(policy.overridden(&by).outbound, expected);
        assert_eq!(policy.overridden(&by).inbound, policy.inbound);
        policy.ipfix = true;
        assert!(policy.overridden(&by).ipfix);
        assert!(!policy.overridden(&Override { ipfix: Some(false), ..by }).ipfix);
    }
}
