//! Standard switches: reading their specifications, and adding, changing and removing them.

use vim::{Fault, Object, data_id, fault, field};
use vswitch::declare::{Discovery, Override};
use vswitch::limits::UPLINKS;

use super::policy::{self, check_order};
use super::{Around, check_name, no_switch};
use crate::config::{NetworkConfig, StandardSwitch};
use crate::invalid;
use crate::limits::{MOST_PORTS, MOST_SWITCHES, SWITCH_NAME};
use crate::words::{OPERATIONS, PROTOCOLS, nic_named};

/// A `HostVirtualSwitchSpec`; unset items leave the switch as it is.
#[derive(Debug, Default)]
pub struct SwitchSpec {
    pub ports: Option<i32>,
    pub mtu: Option<u32>,
    pub uplinks: Vec<String>,
    pub discovery: Option<Discovery>,
    pub policy: Override,
}

/// Reads a `HostVirtualSwitchSpec`.
pub fn read(spec: &Object) -> Result<SwitchSpec, Fault> {
    let ports = spec.get(field!(HostVirtualSwitchSpec.numPorts));
    if let Some(ports) = ports.filter(|ports| !(0..=MOST_PORTS).contains(ports)) {
        return Err(invalid(
            "spec.numPorts",
            format_args!("{ports} ports are out of range (0–{MOST_PORTS})"),
        ));
    }
    let mtu =
        spec.get(field!(HostVirtualSwitchSpec.mtu)).map(|mtu| super::mtu(mtu, "spec.mtu")).transpose()?;
    let mut read = SwitchSpec { ports, mtu, ..SwitchSpec::default() };
    if let Some(bridge) = spec.get(field!(HostVirtualSwitchSpec.bridge)) {
        if !bridge.is_a(data_id!(HostVirtualSwitchBondBridge)) {
            let message =
                format_args!("A bridge of type {} is not supported; give a bond", bridge.type_name());
            return Err(fault!(NotSupported {}, "{message}"));
        }
        let nics = bridge.get(field!(HostVirtualSwitchBondBridge.nicDevice));
        read.uplinks = nics.into_iter().flatten().map(|nic| nic_named(nic).to_owned()).collect();
        let discovery = bridge.get(field!(HostVirtualSwitchBondBridge.linkDiscoveryProtocolConfig));
        read.discovery = discovery.map(|it| self::discovery(it)).transpose()?;
    }
    if let Some(wanted) = spec.get(field!(HostVirtualSwitchSpec.policy)) {
        read.policy = policy::read(wanted, "spec.policy")?;
    }
    Ok(read)
}

fn discovery(config: &Object) -> Result<Discovery, Fault> {
    Ok(Discovery {
        protocol: known(config.get(field!(LinkDiscoveryProtocolConfig.protocol)), &PROTOCOLS)?,
        operation: known(config.get(field!(LinkDiscoveryProtocolConfig.operation)), &OPERATIONS)?,
    })
}

fn known<T: Copy>(text: Option<&str>, words: &[(&str, T)]) -> Result<T, Fault> {
    let text = text.unwrap_or_default();
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        let possible = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let message = format_args!("\"{text}\" is unknown; the choices are {possible}");
        invalid("spec.bridge.linkDiscoveryProtocolConfig", message)
    })
}

impl NetworkConfig {
    /// Adds a standard switch.
    ///
    /// # Errors
    /// `AlreadyExists`, and those of [`Self::update_switch`].
    pub fn add_switch(&mut self, name: &str, spec: SwitchSpec, around: &Around<'_>) -> Result<(), Fault> {
        check_name(name, SWITCH_NAME, "vswitchName")?;
        if self.switch(name).is_some() {
            return Err(fault!(
                AlreadyExists { name: name },
                "The host already has a standard switch {name}"
            ));
        }
        if self.switches.len() >= MOST_SWITCHES {
            return Err(fault!(
                HostConfigFault {},
                "The host already has {MOST_SWITCHES} standard switches, its maximum"
            ));
        }
        let mut switch = StandardSwitch::new(name, self.free_switch());
        self.set(&mut switch, spec, around)?;
        self.switches.push(switch);
        Ok(())
    }

    /// Changes a switch as the specification says. Its uplinks are replaced; unset items of policies stay.
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
                    "{nic} is already an uplink of {other}; remove it there first"
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

    /// Removes a switch with its port groups.
    ///
    /// # Errors
    /// `NotFound`; `ResourceInUse` while one of its port groups is used, or its VLANs are mirrored.
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
}

#[cfg(test)]
#[path = "switch_tests.rs"]
mod tests;
