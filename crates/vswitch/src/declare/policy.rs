//! Policies of switches, and what port groups override of them, item by item as in vSphere.

use serde::{Deserialize, Serialize};

/// All policies of a switch or, overrides applied, of a port group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub security: Security,
    pub teaming: Teaming,
}

/// What a guest may do with addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Its ports see what passes on their VLAN.
    pub promiscuous: bool,
    /// A guest may set another MAC; otherwise it stops receiving when it does.
    pub mac_changes: bool,
    /// A guest may send from a MAC that is not its own.
    pub forged_transmits: bool,
}

impl Default for Security {
    /// vSphere's defaults of a standard switch.
    fn default() -> Self {
        Self { promiscuous: false, mac_changes: true, forged_transmits: true }
    }
}

/// How traffic is spread over uplinks, and what happens if one fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Teaming {
    pub balancing: Balancing,
    /// Besides the state of its link, an uplink is judged by whether beacons reach it.
    pub beacons: bool,
    /// Physical switches are told by RARP where MACs have moved to.
    pub notify_switches: bool,
    /// An uplink that is well again takes its place back.
    pub failback: bool,
    /// Interfaces that carry traffic, in order.
    pub active: Vec<String>,
    /// Interfaces that take the place of active ones that fail, in order. The others are unused.
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

/// What chooses the uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Balancing {
    /// The originating virtual port (`loadbalance_srcid`).
    Port,
    /// The source MAC (`loadbalance_srcmac`).
    SourceMac,
    /// Source and destination IP address (`loadbalance_ip`).
    IpHash,
    /// The first active uplink that works (`failover_explicit`).
    Explicit,
}

/// What a port group says differently; what is none is the switch's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Override {
    pub promiscuous: Option<bool>,
    pub mac_changes: Option<bool>,
    pub forged_transmits: Option<bool>,
    pub balancing: Option<Balancing>,
    pub beacons: Option<bool>,
    pub notify_switches: Option<bool>,
    pub failback: Option<bool>,
    /// Active and standby uplinks.
    pub order: Option<(Vec<String>, Vec<String>)>,
}

impl Policy {
    /// This policy with what is overridden.
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
            },
            teaming: Teaming {
                balancing: by.balancing.unwrap_or(teaming.balancing),
                beacons: by.beacons.unwrap_or(teaming.beacons),
                notify_switches: by.notify_switches.unwrap_or(teaming.notify_switches),
                failback: by.failback.unwrap_or(teaming.failback),
                active,
                standby,
            },
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
    }
}
