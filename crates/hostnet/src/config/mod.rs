//! The declared network of a host, as the host keeps it: plain types, and how they are looked up. [`crate::change`] changes them.

mod declaration;
mod mirror;
mod names;
mod stack;
mod switch;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vswitch::Vlan;
use vswitch::declare::{self, Adapter, Gateways, Override, Service, Stack, StackName};
use vswitch::limits::{self, PORT_GROUPS};
use vswitch::vmkernel::Takeover;

pub use mirror::NamedMirror;
pub use names::Names;
pub(crate) use stack::stack_of;
pub use switch::StandardSwitch;
pub(crate) use switch::each_uplink;

/// The declared network of a host. It is small, so it is kept and changed whole.
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
    /// Milliseconds that the switch waits before it uses an uplink whose link has come up again; the default if unset.
    #[serde(default)]
    pub up_delay_ms: Option<u32>,
    /// Uplinks that adapters are pinned to, by device.
    #[serde(default)]
    pub pinned: BTreeMap<String, String>,
    /// The requested maximum of connections of TCP/IP stacks, by name; shown, not enforced.
    #[serde(default)]
    pub connections: BTreeMap<String, i32>,
    /// The names that a client has set; the Linux system keeps its own until then.
    #[serde(default)]
    pub names: Option<Names>,
}

/// The port group of the first VMkernel adapter.
pub const MANAGEMENT: &str = "Management Network";
/// Ports of a switch unless a client requests more.
pub const DEFAULT_PORTS: i32 = 128;
/// Largest payload of a frame in bytes, unless a client sets another.
pub const DEFAULT_MTU: u32 = 1500;
/// The switch of a new host.
const FIRST_SWITCH: &str = "vSwitch0";

impl NetworkConfig {
    /// The network of a new host: one switch with these uplinks and port groups and, if a network
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
            if first.group(MANAGEMENT).is_none() {
                first.put_group(FIRST_SWITCH, MANAGEMENT, Vlan::None, Override::default());
            }
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

    /// The standard switch of this name.
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

    /// All port groups, each with its switch.
    pub fn groups(&self) -> impl Iterator<Item = (&StandardSwitch, &declare::PortGroup)> {
        self.switches
            .iter()
            .flat_map(|switch| switch.declared.port_groups.iter().map(move |group| (switch, group)))
    }

    /// Adds a port group to an existing switch; does nothing and returns `None` if all numbers are taken.
    pub fn put_group(&mut self, switch: &str, name: &str, vlan: Vlan, policy: Override) -> Option<()> {
        let used: Vec<u32> = self.groups().map(|(_, group)| group.number).collect();
        let most = u32::try_from(PORT_GROUPS).ok()?;
        let number = (1..most).find(|number| !used.contains(number))?;
        // Each pinned adapter needs one more port group in the switch.
        (used.len() + self.pinned.len() + 1 < PORT_GROUPS).then_some(())?;
        let group = declare::PortGroup { number, name: name.into(), vlan, policy };
        self.switch_mut(switch)?.declared.port_groups.push(group);
        Some(())
    }

    /// The lowest number that no switch has.
    pub fn free_switch(&self) -> u32 {
        let used = |number: &u32| self.switches.iter().any(|switch| switch.declared.number == *number);
        (1..).find(|number| !used(number)).expect("there are fewer switches than numbers")
    }

    /// The VMkernel adapter with this device name.
    pub fn adapter(&self, device: &str) -> Option<&Adapter> {
        self.adapters.iter().find(|adapter| adapter.device == device)
    }

    /// The port mirroring session of this name.
    pub fn mirror(&self, name: &str) -> Option<&NamedMirror> {
        self.mirrors.iter().find(|mirror| mirror.name == name)
    }

    /// Calls `change` with the name of each uplink.
    pub(crate) fn each_uplink(&mut self, mut change: impl FnMut(&mut String)) {
        for switch in &mut self.switches {
            each_uplink(&mut switch.declared, |list| list.iter_mut().for_each(&mut change));
        }
    }
}
