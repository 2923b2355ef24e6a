//! Standard switches as they are kept.

use serde::{Deserialize, Serialize};
use vswitch::declare::{self, Discovery, DiscoveryOperation, DiscoveryProtocol, Policy, Teaming};

use super::{DEFAULT_MTU, DEFAULT_PORTS};

/// A standard switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandardSwitch {
    #[serde(flatten)]
    pub declared: declare::Switch,
    /// The requested number of ports; shown, not enforced, as on ESXi since ports are elastic.
    pub ports: i32,
}

impl StandardSwitch {
    /// A switch with the defaults of vSphere.
    pub fn new(name: &str, number: u32) -> Self {
        let declared = declare::Switch {
            number,
            name: name.into(),
            mtu: DEFAULT_MTU,
            uplinks: Vec::new(),
            policy: Policy::default(),
            discovery: Some(Discovery {
                protocol: DiscoveryProtocol::Cdp,
                operation: DiscoveryOperation::Listen,
            }),
            multicast: declare::MulticastFiltering::Legacy,
            ipfix: None,
            port_groups: Vec::new(),
        };
        Self { declared, ports: DEFAULT_PORTS }
    }

    /// Sets the uplinks. An uplink that leaves the switch also leaves every fail-over order; a new one becomes active.
    pub fn set_uplinks(&mut self, uplinks: Vec<String>) {
        let before = std::mem::replace(&mut self.declared.uplinks, uplinks);
        let uplinks = &self.declared.uplinks;
        let keep = |order: &mut Vec<String>| order.retain(|name| uplinks.contains(name));
        let Teaming { active, standby, .. } = &mut self.declared.policy.teaming;
        keep(active);
        keep(standby);
        active.extend(uplinks.iter().filter(|name| !before.contains(name)).cloned());
        for group in &mut self.declared.port_groups {
            if let Some((active, standby)) = &mut group.policy.order {
                keep(active);
                keep(standby);
            }
        }
    }
}

/// Calls `change` with each list of uplinks of a switch.
pub(crate) fn each_uplink(switch: &mut declare::Switch, mut change: impl FnMut(&mut Vec<String>)) {
    change(&mut switch.uplinks);
    let Teaming { active, standby, .. } = &mut switch.policy.teaming;
    change(active);
    change(standby);
    for group in &mut switch.port_groups {
        if let Some((active, standby)) = &mut group.policy.order {
            change(active);
            change(standby);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_kept_with_the_words_of_the_api() {
        let switch = StandardSwitch::new("vSwitch0", 1);
        let kept = serde_json::to_value(&switch).unwrap();
        assert_eq!(kept["discovery"], serde_json::json!({"protocol": "cdp", "operation": "listen"}));
        assert_eq!(serde_json::from_value::<StandardSwitch>(kept).unwrap(), switch);
    }
}
