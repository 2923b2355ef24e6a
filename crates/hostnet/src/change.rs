//! Changes of the network, each all or nothing: pure functions from one configuration to the next, or to the fault that says why
//! not.

use vim::{Fault, fault};
use vswitch::declare::Override;
use vswitch::limits::{PORT_GROUPS, UPLINKS};

use super::config::{NetworkConfig, StandardSwitch};
use super::spec::{GroupSpec, SwitchSpec, invalid, switch_name};

/// Most standard switches of a host.
const MOST_SWITCHES: usize = 127;

/// What a change looks at besides the configuration.
pub struct Around<'a> {
    /// Whether the host has a physical network card of this name.
    pub has_nic: &'a dyn Fn(&str) -> bool,
    /// Who uses a port group, in words; none if nobody does.
    pub user: &'a dyn Fn(&str) -> Option<String>,
}

pub(super) fn no_switch(name: &str) -> Fault {
    fault!(NotFound {}, "The host has no standard switch {name}")
}

pub(super) fn no_group(name: &str) -> Fault {
    fault!(NotFound {}, "The host has no port group {name}")
}

impl NetworkConfig {
    /// # Errors
    /// `AlreadyExists`, and what [`Self::update_switch`] says.
    pub fn add_switch(&mut self, name: &str, spec: SwitchSpec, around: &Around<'_>) -> Result<(), Fault> {
        switch_name(name)?;
        if self.switch(name).is_some() {
            return Err(fault!(AlreadyExists { name: name }, "There is a standard switch {name} already"));
        }
        if self.switches.len() >= MOST_SWITCHES {
            return Err(fault!(
                HostConfigFault {},
                "The host has {MOST_SWITCHES} standard switches, which is the most"
            ));
        }
        let mut switch = StandardSwitch::new(name, self.free_switch());
        self.set(&mut switch, spec, around)?;
        self.switches.push(switch);
        Ok(())
    }

    /// Gives a switch what the specification says. Uplinks are replaced; of policies, what is unset stays as it is.
    ///
    /// # Errors
    /// `NotFound`; `ResourceInUse` for an uplink of another switch; `InvalidArgument`.
    pub fn update_switch(&mut self, name: &str, spec: SwitchSpec, around: &Around<'_>) -> Result<(), Fault> {
        let mut switch = self.switch(name).ok_or_else(|| no_switch(name))?.clone();
        self.set(&mut switch, spec, around)?;
        *self.switch_mut(name).expect("it was there") = switch;
        Ok(())
    }

    fn set(&self, switch: &mut StandardSwitch, spec: SwitchSpec, around: &Around<'_>) -> Result<(), Fault> {
        let own = switch.declared.name.clone();
        if spec.uplinks.len() > UPLINKS {
            return Err(invalid(
                "spec.bridge.nicDevice",
                format_args!("A switch has at most {UPLINKS} uplinks"),
            ));
        }
        for (at, nic) in spec.uplinks.iter().enumerate() {
            if spec.uplinks[..at].contains(nic) {
                return Err(invalid("spec.bridge.nicDevice", format_args!("{nic} is named twice")));
            }
            let others = self.switches.iter().filter(|other| other.declared.name != own);
            if let Some(other) = others.into_iter().find(|other| other.declared.uplinks.contains(nic)) {
                let other = &other.declared.name;
                return Err(fault!(
                    ResourceInUse { type: "PhysicalNic", name: nic },
                    "{nic} is an uplink of {other} already; remove it there first"
                ));
            }
            if !(around.has_nic)(nic) {
                return Err(fault!(
                    InvalidArgument { invalidProperty: "spec.bridge.nicDevice" },
                    "The host has no physical network card {nic}"
                ));
            }
        }
        switch.set_uplinks(spec.uplinks);
        check_order(&spec.policy, &switch.declared.uplinks, "spec.policy.nicTeaming.nicOrder")?;
        switch.declared.policy = switch.declared.policy.overridden(&spec.policy);
        if let Some(mtu) = spec.mtu {
            switch.declared.mtu = mtu;
        }
        if let Some(ports) = spec.ports.filter(|ports| *ports > 0) {
            switch.ports = ports;
        }
        if spec.discovery.is_some() {
            switch.declared.discovery = spec.discovery;
        }
        Ok(())
    }

    /// # Errors
    /// `NotFound`; `ResourceInUse` while one of its port groups is used, or VLANs of it are mirrored.
    pub fn remove_switch(&mut self, name: &str, around: &Around<'_>) -> Result<(), Fault> {
        let switch = self.switch(name).ok_or_else(|| no_switch(name))?;
        for group in &switch.declared.port_groups {
            self.refuse_used(&group.name, around)?;
        }
        if let Some(mirror) = self.mirror_of(switch.declared.number) {
            return Err(fault!(
                ResourceInUse { type: "HostVirtualSwitch", name: name },
                "The mirroring session {mirror} mirrors VLANs of {name}; remove it first"
            ));
        }
        self.switches.retain(|switch| switch.declared.name != name);
        Ok(())
    }

    /// # Errors
    /// `AlreadyExists`, `NotFound` for its switch, `InvalidArgument`.
    pub fn add_group(&mut self, spec: GroupSpec) -> Result<(), Fault> {
        let GroupSpec { name, switch, vlan, policy } = spec;
        self.refuse_name(&name)?;
        let uplinks = &self.switch(&switch).ok_or_else(|| no_switch(&switch))?.declared.uplinks;
        check_order(&policy, uplinks, "portgrp.policy.nicTeaming.nicOrder")?;
        self.put_group(&switch, &name, vlan, policy).ok_or_else(|| {
            fault!(HostConfigFault {}, "The host has {} port groups, which is the most", PORT_GROUPS - 1)
        })
    }

    /// Replaces a port group's specification. It keeps its switch.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` for the name; `ResourceInUse` for another name while it is used, since who is on it
    /// knows it by its name; `InvalidArgument`.
    pub fn update_group(&mut self, name: &str, spec: GroupSpec, around: &Around<'_>) -> Result<(), Fault> {
        let (switch, _) = self.group(name).ok_or_else(|| no_group(name))?;
        let (own, uplinks) = (switch.declared.name.clone(), switch.declared.uplinks.clone());
        if !spec.switch.is_empty() && spec.switch != own {
            if self.switch(&spec.switch).is_none() {
                return Err(no_switch(&spec.switch));
            }
            let message = format_args!(
                "{name} is on {own} and stays there; make another port group on {}",
                spec.switch
            );
            return Err(invalid("portgrp.vswitchName", message));
        }
        if spec.name != name {
            self.refuse_name(&spec.name)?;
            self.refuse_used(name, around)?;
        }
        check_order(&spec.policy, &uplinks, "portgrp.policy.nicTeaming.nicOrder")?;
        let groups = self.switches.iter_mut().flat_map(|switch| &mut switch.declared.port_groups);
        for group in groups.into_iter().filter(|group| group.name == name) {
            group.name.clone_from(&spec.name);
            group.vlan.clone_from(&spec.vlan);
            // What the API has no words for stays.
            group.policy = Override {
                learning: group.policy.learning,
                ipfix: group.policy.ipfix,
                inbound: group.policy.inbound,
                ..spec.policy.clone()
            };
        }
        Ok(())
    }

    /// # Errors
    /// `NotFound`; `ResourceInUse`.
    pub fn remove_group(&mut self, name: &str, around: &Around<'_>) -> Result<(), Fault> {
        self.group(name).ok_or_else(|| no_group(name))?;
        self.refuse_used(name, around)?;
        for switch in &mut self.switches {
            switch.declared.port_groups.retain(|group| group.name != name);
        }
        Ok(())
    }

    fn refuse_used(&self, name: &str, around: &Around<'_>) -> Result<(), Fault> {
        let number = self.group(name).map(|(_, group)| group.number);
        let adapter = self.adapters.iter().find(|adapter| Some(adapter.port_group) == number);
        let user = adapter.map(|adapter| format!("the VMkernel adapter {}", adapter.device));
        match user.or_else(|| (around.user)(name)) {
            Some(user) => Err(fault!(
                ResourceInUse { type: "HostPortGroup", name: name },
                "The port group {name} is used by {user}; move it to another one first"
            )),
            None => Ok(()),
        }
    }

    fn refuse_name(&self, name: &str) -> Result<(), Fault> {
        match self.group(name) {
            Some((switch, _)) => Err(fault!(
                AlreadyExists { name: name },
                "There is a port group {name} already, on {}",
                switch.declared.name
            )),
            None => Ok(()),
        }
    }
}

/// An order may only name uplinks of the switch, each once.
fn check_order(policy: &Override, uplinks: &[String], property: &str) -> Result<(), Fault> {
    let Some((active, standby)) = &policy.order else { return Ok(()) };
    let named: Vec<&String> = active.iter().chain(standby).collect();
    for (at, nic) in named.iter().enumerate() {
        if !uplinks.contains(nic) {
            return Err(invalid(property, format_args!("{nic} is no uplink of the switch")));
        }
        if named[..at].contains(nic) {
            return Err(invalid(property, format_args!("{nic} is named twice")));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
