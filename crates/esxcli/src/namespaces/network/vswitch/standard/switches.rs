//! Standard switches and port groups as the commands of `network vswitch` name and change them.

use std::sync::Arc;

use host::Host;
use hostnet::{NetworkConfig, StandardSwitch, SwitchSpec};
use vim::fault;
use vswitch::declare::{Override, Policy, PortGroup};

use crate::table::{Answer, Arguments, CliFault, Outcome, Parameter};

pub(super) const SWITCH_NAME: Parameter =
    Parameter::text("vswitch-name", 'v', "The name of the virtual switch").required();
pub(super) const GROUP_NAME: Parameter =
    Parameter::text("portgroup-name", 'p', "The name of the port group").required();

/// The switch of this name.
pub(super) fn switch<'a>(config: &'a NetworkConfig, name: &str) -> Result<&'a StandardSwitch, CliFault> {
    config.switch(name).ok_or_else(|| CliFault(format!("Invalid vswitch name: the host has no {name}")))
}

/// The policy in effect on a port group, its own part of it, and the uplinks of its switch.
pub(super) fn group(host: &Host, arguments: &Arguments) -> Result<(Policy, Override, Vec<String>), CliFault> {
    let (config, name) = (host.network.config(), arguments.required("portgroupname")?);
    let (switch, group) = config
        .group(name)
        .ok_or_else(|| CliFault(format!("Invalid portgroup name: the host has no {name}")))?;
    Ok((switch.declared.policy_of(group), group.policy.clone(), switch.declared.uplinks.clone()))
}

/// The number of connected network adapters and VMkernel adapters on a port group.
pub(super) fn clients(host: &Host, config: &NetworkConfig, group: &PortGroup) -> usize {
    let own = config.adapters.iter().filter(|adapter| adapter.port_group == group.number).count();
    host.networking().running_on(&group.name) + own
}

/// Changes an existing switch; everything that `change` leaves unset stays, as do the uplinks.
pub(super) async fn change_switch(
    host: &Arc<Host>,
    name: &str,
    change: impl FnOnce(&StandardSwitch, &mut SwitchSpec) -> Result<(), CliFault>,
) -> Outcome {
    let known = switch(&host.network.config(), name)?.clone();
    let mut spec = SwitchSpec { uplinks: known.declared.uplinks.clone(), ..SwitchSpec::default() };
    change(&known, &mut spec)?;
    // Otherwise this would undo a concurrent change of the uplinks.
    let unchanged = move |config: &NetworkConfig| {
        config.switch(name).is_none_or(|now| now.declared.uplinks == known.declared.uplinks)
    };
    host.networking()
        .change(|config, around| {
            if !unchanged(config) {
                return Err(fault!(ConcurrentAccess {}, "Another client has just changed {name}; try again"));
            }
            config.update_switch(name, spec, around)
        })
        .await?;
    Ok(Answer::Done)
}
