//! From what a host keeps to what the virtual switch is told.
//!
//! A VMkernel adapter that is pinned to an uplink uses that one for as long as it works, and otherwise those of its port group. The
//! switch knows no pins: it is told of a port group for that adapter alone, with an order of uplinks that begins with the pinned one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vswitch::declare::{self, Balancing, Declaration, Override, PortGroup, StackName, Switch};
use vswitch::limits::{self, PORT_GROUPS};

use super::{NetworkConfig, stack_of};

impl NetworkConfig {
    /// The declaration for the switch, with these ports.
    pub(crate) fn declaration(&self, ports: Vec<declare::Port>) -> Declaration {
        let mut stacks = self.stacks.clone();
        if let Some(names) = &self.names {
            stack_of(&mut stacks, &StackName::default()).dns = names.given.clone();
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

    /// Gives pinned adapters their own port groups. An adapter whose uplink has left the switch stays in its port group.
    fn declare_pinned(&self, declared: &mut Declaration) {
        let groups = |declared: &Declaration| -> BTreeSet<u32> {
            declared
                .switches
                .iter()
                .flat_map(|switch| &switch.port_groups)
                .map(|group| group.number)
                .collect()
        };
        // Numbers from the top down, since others start at the bottom; by the adapter, so that each keeps its number.
        let top = u32::try_from(PORT_GROUPS).unwrap_or(u32::MAX) - 1;
        let mut used = groups(declared);
        for adapter in &mut declared.adapters {
            let Some(nic) = self.pinned.get(&adapter.device) else { continue };
            let has = |switch: &&mut Switch| {
                switch.uplinks.contains(nic)
                    && switch.port_groups.iter().any(|group| group.number == adapter.port_group)
            };
            let Some(switch) = declared.switches.iter_mut().find(has) else { continue };
            let device =
                adapter.device.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
            let own = top.saturating_sub(device);
            let mut free = (1..=own).rev().chain((own + 1..=top).rev());
            let Some(number) = free.find(|number| !used.contains(number)) else { continue };
            used.insert(number);
            let group = switch.port_groups.iter().find(|group| group.number == adapter.port_group);
            let own = group.map(|group| own_group(switch, group, number, &adapter.device, nic));
            switch.port_groups.extend(own);
            adapter.port_group = number;
        }
    }
}

fn own_group(switch: &Switch, group: &PortGroup, number: u32, device: &str, nic: &str) -> PortGroup {
    let teaming = switch.policy_of(group).teaming;
    let others = teaming.active.into_iter().chain(teaming.standby).filter(|other| other != nic).collect();
    let policy = Override {
        balancing: Some(Balancing::Explicit),
        failback: Some(true),
        order: Some((vec![nic.to_owned()], others)),
        ..group.policy.clone()
    };
    PortGroup { number, name: format!("{} ({device})", group.name), vlan: group.vlan.clone(), policy }
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
}
