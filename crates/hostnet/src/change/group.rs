//! Port groups of standard switches: reading their specifications, and adding, changing and removing them.

use vim::{Fault, Object, fault, field};
use vswitch::Vlan;
use vswitch::declare::Override;
use vswitch::limits::PORT_GROUPS;

use super::policy::{self, check_order};
use super::{Around, check_name, no_group, no_switch};
use crate::config::NetworkConfig;
use crate::invalid;
use crate::limits::GROUP_NAME;

/// A `HostPortGroupSpec`.
#[derive(Debug)]
pub struct GroupSpec {
    pub name: String,
    pub switch: String,
    pub vlan: Vlan,
    pub policy: Override,
}

/// Reads a `HostPortGroupSpec`.
pub fn read(spec: &Object) -> Result<GroupSpec, Fault> {
    let name = spec.get(field!(HostPortGroupSpec.name)).unwrap_or_default().to_owned();
    check_name(&name, GROUP_NAME, "portgrp.name")?;
    let vlan = spec.get(field!(HostPortGroupSpec.vlanId)).unwrap_or_default();
    let vlan = Vlan::try_from(vlan).map_err(|error| invalid("portgrp.vlanId", error))?;
    let switch = spec.get(field!(HostPortGroupSpec.vswitchName)).unwrap_or_default().to_owned();
    let policy = match spec.get(field!(HostPortGroupSpec.policy)) {
        Some(wanted) => policy::read(wanted, "portgrp.policy")?,
        None => Override::default(),
    };
    Ok(GroupSpec { name, switch, vlan, policy })
}

impl NetworkConfig {
    /// Adds a port group.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` for its switch, `InvalidArgument`.
    pub fn add_group(&mut self, spec: GroupSpec) -> Result<(), Fault> {
        let GroupSpec { name, switch, vlan, policy } = spec;
        self.refuse_name(&name)?;
        let uplinks = &self.switch(&switch).ok_or_else(|| no_switch(&switch))?.declared.uplinks;
        check_order(&policy, uplinks, "portgrp.policy.nicTeaming.nicOrder")?;
        self.put_group(&switch, &name, vlan, policy).ok_or_else(|| {
            fault!(HostConfigFault {}, "The host already has {} port groups, its maximum", PORT_GROUPS - 1)
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
            // The API has no words for these: they stay.
            group.policy = Override {
                learning: group.policy.learning,
                ipfix: group.policy.ipfix,
                inbound: group.policy.inbound,
                ..spec.policy.clone()
            };
        }
        Ok(())
    }

    /// Removes a port group.
    ///
    /// # Errors
    /// `NotFound`; `ResourceInUse` while it is used.
    pub fn remove_group(&mut self, name: &str, around: &Around<'_>) -> Result<(), Fault> {
        self.group(name).ok_or_else(|| no_group(name))?;
        self.refuse_used(name, around)?;
        for switch in &mut self.switches {
            switch.declared.port_groups.retain(|group| group.name != name);
        }
        Ok(())
    }

    pub(super) fn refuse_used(&self, name: &str, around: &Around<'_>) -> Result<(), Fault> {
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
                "The host already has a port group {name}, on {}",
                switch.declared.name
            )),
            None => Ok(()),
        }
    }
}
