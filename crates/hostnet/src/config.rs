//! What the host's network is to be, as the host keeps it: standard switches with their port groups.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vswitch::declare::{
    self, Adapter, Declaration, Discovery, DiscoveryOperation, DiscoveryProtocol, Gateways, Override, Policy,
    Service, Stack, StackName, Teaming,
};
use vswitch::limits::PORT_GROUPS;
use vswitch::vmkernel::Takeover;
use vswitch::{Vlan, limits};

use super::dns::Names;
use super::mirrors::NamedMirror;
use super::routes::default_stack;

/// All of it. Small, so it is kept and changed whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfig {
    pub switches: Vec<StandardSwitch>,
    #[serde(default)]
    pub adapters: Vec<Adapter>,
    #[serde(default)]
    pub stacks: Vec<Stack>,
    /// Port mirroring sessions.
    #[serde(default)]
    pub mirrors: Vec<NamedMirror>,
    /// Milliseconds until an uplink whose link is up again is used again; none is the default.
    #[serde(default)]
    pub up_delay_ms: Option<u32>,
    /// Uplinks that adapters are pinned to, by device.
    #[serde(default)]
    pub pinned: BTreeMap<String, String>,
    /// How many connections were asked for of TCP/IP stacks, by their names; shown, and not enforced.
    #[serde(default)]
    pub connections: BTreeMap<String, i32>,
    /// What a client has said of names; none leaves them to the machine.
    #[serde(default)]
    pub names: Option<Names>,
}

/// A standard switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandardSwitch {
    #[serde(flatten)]
    pub declared: declare::Switch,
    /// How many ports were asked for; shown, and not enforced, as on ESXi since ports are elastic.
    pub ports: i32,
}

/// The port group of the first adapter.
const MANAGEMENT: &str = "Management Network";
/// Ports that a switch has unless more are asked for.
pub const DEFAULT_PORTS: i32 = 128;
/// Largest payload of a frame, in bytes, unless it is said.
pub const DEFAULT_MTU: u32 = 1500;
/// The switch that a host begins with.
const FIRST_SWITCH: &str = "vSwitch0";

impl NetworkConfig {
    /// What a new host has: one switch with these uplinks and these port groups, and, with what a network
    /// card had so far, an adapter for management.
    pub fn first(uplinks: &[String], networks: &[String], management: Option<Takeover>) -> Self {
        let mut first = Self::default();
        let mut switch = StandardSwitch::new(FIRST_SWITCH, first.free_switch());
        switch.set_uplinks(uplinks.to_vec());
        first.switches.push(switch);
        for name in networks {
            first.put_group(FIRST_SWITCH, name, Vlan::None, Override::default());
        }
        if let Some(management) = management {
            first.put_group(FIRST_SWITCH, MANAGEMENT, Vlan::None, Override::default());
            first.add_management(management);
        }
        first
    }

    fn add_management(&mut self, management: Takeover) {
        let Some((_, group)) = self.group(MANAGEMENT) else { return };
        self.adapters.push(Adapter {
            device: "vmk0".into(),
            port_group: group.number,
            mac: management.mac,
            mtu: management.mtu.clamp(limits::MIN_MTU, limits::MAX_MTU),
            stack: StackName::default(),
            ipv4: management.ipv4,
            ipv6: management.ipv6,
            gateways: Gateways::default(),
            services: [Service::Management].into(),
        });
        let (gateways, routes) = (management.gateways, management.routes);
        self.stacks.push(Stack { gateways, routes, ..Stack::default() });
    }

    pub fn switch(&self, name: &str) -> Option<&StandardSwitch> {
        self.switches.iter().find(|switch| switch.declared.name == name)
    }

    pub fn switch_mut(&mut self, name: &str) -> Option<&mut StandardSwitch> {
        self.switches.iter_mut().find(|switch| switch.declared.name == name)
    }

    /// A port group and its switch.
    pub fn group(&self, name: &str) -> Option<(&StandardSwitch, &declare::PortGroup)> {
        self.groups().find(|(_, group)| group.name == name)
    }

    pub fn groups(&self) -> impl Iterator<Item = (&StandardSwitch, &declare::PortGroup)> {
        self.switches
            .iter()
            .flat_map(|switch| switch.declared.port_groups.iter().map(move |group| (switch, group)))
    }

    /// Adds a port group to a switch that is there; nothing if there is no number left for it.
    pub fn put_group(&mut self, switch: &str, name: &str, vlan: Vlan, policy: Override) -> Option<()> {
        let used: Vec<u32> = self.groups().map(|(_, group)| group.number).collect();
        let most = u32::try_from(PORT_GROUPS).ok()?;
        let number = (1..most).find(|number| !used.contains(number))?;
        // Pinned adapters have port groups of their own when it comes to it.
        (used.len() + self.pinned.len() + 1 < PORT_GROUPS).then_some(())?;
        let group = declare::PortGroup { number, name: name.into(), vlan, policy };
        self.switch_mut(switch)?.declared.port_groups.push(group);
        Some(())
    }

    pub fn free_switch(&self) -> u32 {
        let used = |number: &u32| self.switches.iter().any(|switch| switch.declared.number == *number);
        (1..).find(|number| !used(number)).expect("there are fewer switches than numbers")
    }

    /// Does something with each name of an uplink.
    pub(super) fn each_uplink(&mut self, mut change: impl FnMut(&mut String)) {
        for switch in &mut self.switches {
            each_uplink(&mut switch.declared, |list| list.iter_mut().for_each(&mut change));
        }
    }

    /// What is declared with these ports.
    pub(super) fn declaration(&self, ports: Vec<declare::Port>) -> Declaration {
        let mut stacks = self.stacks.clone();
        if let Some(names) = &self.names {
            default_stack(&mut stacks).dns = names.given.clone();
        }
        let mut declared = Declaration {
            switches: self.switches.iter().map(|switch| switch.declared.clone()).collect(),
            ports,
            adapters: self.adapters.clone(),
            stacks,
            mirrors: self.mirrors.iter().map(|mirror| mirror.session.clone()).collect(),
            up_delay: self.up_delay_ms.map_or(limits::UP_DELAY, |ms| Duration::from_millis(ms.into())),
            names: BTreeMap::new(),
        };
        self.declare_pinned(&mut declared);
        declared
    }
}

impl StandardSwitch {
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

    /// Gives the switch these uplinks: those that leave also leave the order of fail-over, those that are new are active.
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

/// Does something with each list of uplinks of a switch.
pub(super) fn each_uplink(switch: &mut declare::Switch, mut change: impl FnMut(&mut Vec<String>)) {
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
    fn the_delay_of_uplinks_reaches_the_switch() {
        let mut config = NetworkConfig::default();
        assert_eq!(config.declaration(Vec::new()).up_delay, limits::UP_DELAY);
        config.up_delay_ms = Some(2500);
        assert_eq!(config.declaration(Vec::new()).up_delay, Duration::from_millis(2500));
    }

    #[test]
    fn a_switch_is_kept_with_the_words_of_the_api() {
        let switch = StandardSwitch::new(FIRST_SWITCH, 1);
        let kept = serde_json::to_value(&switch).unwrap();
        assert_eq!(kept["discovery"], serde_json::json!({"protocol": "cdp", "operation": "listen"}));
        assert_eq!(serde_json::from_value::<StandardSwitch>(kept).unwrap(), switch);
    }
}
