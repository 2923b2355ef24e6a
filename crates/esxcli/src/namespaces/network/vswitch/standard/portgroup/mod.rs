//! `esxcli network vswitch standard portgroup`: port groups of standard switches.

pub(crate) mod policy;

use std::sync::Arc;

use host::Host;
use hostnet::StandardSwitch;
use vim::{Object, fault, vim};
use vswitch::declare::PortGroup;

use crate::namespaces::network::vswitch::standard::switches::{GROUP_NAME, SWITCH_NAME, clients};
use crate::table::{
    Answer, Arguments, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure, number, text,
};

static GROUP: Structure = Structure {
    name: "Portgroup",
    table: true,
    fields: &[text("Name"), text("Virtual Switch"), number("Active Clients"), number("VLAN ID")],
};

const VLAN: Parameter =
    Parameter::number("vlan-id", 'v', "0 for none, 1 to 4094, or 4095 for all").required();

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vswitch.standard.portgroup",
    help: "Port groups of standard switches",
    commands: &[
        command!(
            "add",
            "Add a port group to a standard switch",
            NETWORK,
            [GROUP_NAME, SWITCH_NAME],
            Output::Done,
            add
        ),
        reads!("list", "List the port groups", READ, [], Output::Many(&GROUP), list),
        command!(
            "remove",
            "Remove an unused port group",
            NETWORK,
            [GROUP_NAME, SWITCH_NAME],
            Output::Done,
            remove
        ),
        command!("set", "Change the VLAN of a port group", NETWORK, [GROUP_NAME, VLAN], Output::Done, set),
    ],
};

fn list(host: &Host, _: &Arguments) -> Outcome {
    let config = host.network.config();
    let row = |(switch, group): (&StandardSwitch, &PortGroup)| {
        Row::new()
            .put("Name", &group.name)
            .put("Virtual Switch", &switch.declared.name)
            .put("Active Clients", clients(host, &config, group))
            .put("VLAN ID", i32::from(group.vlan.number()))
    };
    Ok(Answer::Many(config.groups().map(row).collect()))
}

async fn add(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (name, switch) = (arguments.required("portgroupname")?, arguments.required("vswitchname")?);
    let spec =
        vim!(HostPortGroupSpec { name: name, vlanId: 0, vswitchName: switch, policy: HostNetworkPolicy {} });
    let spec = hostnet::group_spec(&Object::from(spec))?;
    host.networking().change(|config, _| config.add_group(spec)).await?;
    Ok(Answer::Done)
}

async fn remove(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (name, switch) = (arguments.required("portgroupname")?, arguments.required("vswitchname")?);
    host.networking()
        .change(|config, around| {
            match config.group(name) {
                Some((on, _)) if on.declared.name != switch => {
                    return Err(fault!(NotFound {}, "{switch} has no port group {name}"));
                }
                _ => {}
            }
            config.remove_group(name, around)
        })
        .await?;
    Ok(Answer::Done)
}

async fn set(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let name = arguments.required("portgroupname")?;
    let vlan = arguments.number("vlanid").unwrap_or_default();
    let spec = vim!(HostPortGroupSpec {
        name: name,
        vlanId: i32::try_from(vlan).unwrap_or(i32::MAX),
        vswitchName: "",
        policy: HostNetworkPolicy {},
    });
    let mut spec = hostnet::group_spec(&Object::from(spec))?;
    host.networking()
        .change(|config, around| {
            if let Some((_, group)) = config.group(name) {
                spec.policy = group.policy.clone();
            }
            config.update_group(name, spec, around)
        })
        .await?;
    Ok(Answer::Done)
}
