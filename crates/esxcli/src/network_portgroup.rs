//! `esxcli network vswitch standard portgroup …`: port groups of standard switches.

use std::sync::Arc;

use host::Host;
use hostnet::StandardSwitch;
use vim::{Object, vim};
use vswitch::declare::PortGroup;

use super::network_switch::{SWITCH_NAME, clients};
use super::{
    Answer, Arguments, Command, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure, number,
    text,
};

pub(super) const GROUP_NAME: Parameter =
    Parameter::text("portgroup-name", 'p', "The name of the port group").required();

static GROUP: Structure = Structure {
    name: "Portgroup",
    table: true,
    fields: &[text("Name"), text("Virtual Switch"), number("Active Clients"), number("VLAN ID")],
};

pub(super) static NAMESPACES: &[Namespace] = &[Namespace {
    name: "network.vswitch.standard.portgroup",
    help: "Port groups of standard switches",
    commands: &[
        Command {
            name: "add",
            help: "Add a port group to a standard switch",
            privilege: NETWORK,
            parameters: &[GROUP_NAME, SWITCH_NAME],
            output: Output::Done,
            run: |host, arguments| Box::pin(add_group(host, arguments)),
        },
        Command {
            name: "list",
            help: "List the port groups",
            privilege: READ,
            parameters: &[],
            output: Output::Many(&GROUP),
            run: |host, _| Box::pin(async move { Ok(list_groups(&host)) }),
        },
        Command {
            name: "remove",
            help: "Remove a port group that nobody uses",
            privilege: NETWORK,
            parameters: &[GROUP_NAME, SWITCH_NAME],
            output: Output::Done,
            run: |host, arguments| Box::pin(remove_group(host, arguments)),
        },
        Command {
            name: "set",
            help: "Change the VLAN of a port group",
            privilege: NETWORK,
            parameters: &[
                GROUP_NAME,
                Parameter::number("vlan-id", 'v', "0 for none, 1 to 4094, or 4095 for all").required(),
            ],
            output: Output::Done,
            run: |host, arguments| Box::pin(set_group(host, arguments)),
        },
    ],
}];

fn list_groups(host: &Host) -> Answer {
    let config = host.network.config();
    let row = |(switch, group): (&StandardSwitch, &PortGroup)| {
        Row::new()
            .put("Name", &group.name)
            .put("Virtual Switch", &switch.declared.name)
            .put("Active Clients", clients(host, &config, group))
            .put("VLAN ID", i32::from(group.vlan.number()))
    };
    Answer::Many(config.groups().map(row).collect())
}

async fn add_group(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (name, switch) = (arguments.required("portgroupname")?, arguments.required("vswitchname")?);
    let spec =
        vim!(HostPortGroupSpec { name: name, vlanId: 0, vswitchName: switch, policy: HostNetworkPolicy {} });
    let spec = hostnet::group_spec(&Object::from(spec))?;
    host.networking().change(|config, _| config.add_group(spec)).await?;
    Ok(Answer::Done)
}

async fn remove_group(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (name, switch) = (arguments.required("portgroupname")?, arguments.required("vswitchname")?);
    host.networking()
        .change(|config, around| {
            match config.group(name) {
                Some((on, _)) if on.declared.name != switch => {
                    return Err(vim::fault!(NotFound {}, "{switch} has no port group {name}"));
                }
                _ => {}
            }
            config.remove_group(name, around)
        })
        .await?;
    Ok(Answer::Done)
}

async fn set_group(host: Arc<Host>, arguments: Arguments) -> Outcome {
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
