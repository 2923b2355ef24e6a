//! `esxcli network vswitch …`: standard switches and their uplinks, and the distributed switches that there are not.

use std::sync::Arc;

use host::Host;
use hostnet::{NetworkConfig, StandardSwitch, SwitchSpec};
use vim::{Object, vim};
use vswitch::declare::{DiscoveryOperation, PortGroup};

use super::{
    Answer, Arguments, Command, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure,
    Trouble, boolean, number, text, texts,
};

/// Seconds between beacons, and how many in a row may be missed.
const BEACON_INTERVAL: i64 = 1;
const BEACON_THRESHOLD: i64 = 3;
/// Kind of a switch that forwards by what it knows of its ports.
const CLASS: &str = "cswitch";

pub(super) const SWITCH_NAME: Parameter =
    Parameter::text("vswitch-name", 'v', "The name of the virtual switch").required();
const UPLINK_NAME: Parameter =
    Parameter::text("uplink-name", 'u', "The name of the physical network card").required();

static SWITCH: Structure = Structure {
    name: "VirtualSwitch",
    table: false,
    fields: &[
        text("Name"),
        text("Class"),
        number("Num Ports"),
        number("Used Ports"),
        number("Configured Ports"),
        number("MTU"),
        text("CDP Status"),
        boolean("Beacon Enabled"),
        number("Beacon Interval"),
        number("Beacon Threshold"),
        texts("Beacon Required By"),
        texts("Uplinks"),
        texts("Portgroups"),
    ],
};

static DISTRIBUTED: Structure = Structure {
    name: "VDSVmware",
    table: false,
    fields: &[
        text("Name"),
        text("VDS ID"),
        text("Class"),
        number("Num Ports"),
        number("Used Ports"),
        number("Configured Ports"),
        number("MTU"),
        text("CDP Status"),
        number("Beacon Timeout"),
        texts("Uplinks"),
        boolean("VMware Branded"),
    ],
};

pub(super) static NAMESPACES: &[Namespace] = &[
    Namespace {
        name: "network.vswitch.standard",
        help: "Standard virtual switches",
        commands: &[
            Command {
                name: "add",
                help: "Add a standard switch",
                privilege: NETWORK,
                parameters: &[
                    Parameter::number(
                        "ports",
                        'P',
                        "The number of ports that is asked for; ports are elastic",
                    ),
                    SWITCH_NAME,
                ],
                output: Output::Done,
                run: |host, arguments| Box::pin(add(host, arguments)),
            },
            Command {
                name: "list",
                help: "List the standard switches",
                privilege: READ,
                parameters: &[Parameter::text("vswitch-name", 'v', "Only the switch of this name")],
                output: Output::Many(&SWITCH),
                run: |host, arguments| Box::pin(async move { list(&host, &arguments) }),
            },
            Command {
                name: "remove",
                help: "Remove a standard switch whose port groups nobody uses",
                privilege: NETWORK,
                parameters: &[SWITCH_NAME],
                output: Output::Done,
                run: |host, arguments| Box::pin(remove(host, arguments)),
            },
            Command {
                name: "set",
                help: "Change the MTU or the discovery of a standard switch",
                privilege: NETWORK,
                parameters: &[
                    Parameter::text("cdp-status", 'c', "Discovery by CDP: down, listen, advertise or both"),
                    Parameter::number("mtu", 'm', "The largest payload of a frame, in bytes"),
                    SWITCH_NAME,
                ],
                output: Output::Done,
                run: |host, arguments| Box::pin(set(host, arguments)),
            },
        ],
    },
    Namespace {
        name: "network.vswitch.standard.uplink",
        help: "Uplinks of a standard switch",
        commands: &[
            Command {
                name: "add",
                help: "Give a standard switch an uplink",
                privilege: NETWORK,
                parameters: &[UPLINK_NAME, SWITCH_NAME],
                output: Output::Done,
                run: |host, arguments| Box::pin(add_uplink(host, arguments)),
            },
            Command {
                name: "remove",
                help: "Take an uplink from a standard switch",
                privilege: NETWORK,
                parameters: &[UPLINK_NAME, SWITCH_NAME],
                output: Output::Done,
                run: |host, arguments| Box::pin(remove_uplink(host, arguments)),
            },
        ],
    },
    Namespace {
        name: "network.vswitch.dvs.vmware",
        help: "Distributed switches",
        commands: &[Command {
            name: "list",
            help: "List the distributed switches that the host is part of",
            privilege: READ,
            parameters: &[Parameter::text("vds-name", 'v', "Only the switch of this name")],
            output: Output::Many(&DISTRIBUTED),
            run: |_, _| Box::pin(async move { Ok(Answer::Many(Vec::new())) }),
        }],
    },
];

/// The switch of this name.
pub(super) fn switch<'a>(config: &'a NetworkConfig, name: &str) -> Result<&'a StandardSwitch, Trouble> {
    config.switch(name).ok_or_else(|| Trouble(format!("Invalid vswitch name: there is no {name}")))
}

fn list(host: &Host, arguments: &Arguments) -> Outcome {
    let config = host.network.config();
    let wanted = arguments.text("vswitchname");
    if let Some(name) = wanted {
        switch(&config, name)?;
    }
    let switches = config.switches.iter().filter(|it| wanted.is_none_or(|name| it.declared.name == name));
    Ok(Answer::Many(switches.map(|switch| row(host, &config, switch)).collect()))
}

fn row(host: &Host, config: &NetworkConfig, switch: &StandardSwitch) -> Row {
    let declared = &switch.declared;
    let clients: usize = declared.port_groups.iter().map(|group| clients(host, config, group)).sum();
    let operation = declared.discovery.map_or(DiscoveryOperation::None, |discovery| discovery.operation);
    let probing: Vec<String> = declared
        .port_groups
        .iter()
        .filter(|group| declared.policy_of(group).teaming.beacons)
        .map(|group| group.name.clone())
        .collect();
    Row::new()
        .put("Name", &declared.name)
        .put("Class", CLASS)
        .put("Num Ports", switch.ports.max(hostnet::DEFAULT_PORTS))
        .put("Used Ports", clients + declared.uplinks.len())
        .put("Configured Ports", switch.ports)
        .put("MTU", declared.mtu)
        .put("CDP Status", discovery_word(operation))
        .put("Beacon Enabled", !probing.is_empty())
        .put("Beacon Interval", BEACON_INTERVAL)
        .put("Beacon Threshold", BEACON_THRESHOLD)
        .put("Beacon Required By", probing)
        .put("Uplinks", &declared.uplinks[..])
        .put("Portgroups", declared.port_groups.iter().map(|group| group.name.clone()).collect::<Vec<_>>())
}

fn discovery_word(operation: DiscoveryOperation) -> &'static str {
    match operation {
        DiscoveryOperation::None => "down",
        DiscoveryOperation::Listen => "listen",
        DiscoveryOperation::Advertise => "advertise",
        DiscoveryOperation::Both => "both",
    }
}

/// Adapters of running machines and VMkernel adapters on a port group.
pub(super) fn clients(host: &Host, config: &NetworkConfig, group: &PortGroup) -> usize {
    let own = config.adapters.iter().filter(|adapter| adapter.port_group == group.number).count();
    host.networking().running_on(&group.name) + own
}

/// Changes a switch that is there, uplinks and all else as they are but for what `change` says.
pub(super) async fn change_switch(
    host: &Arc<Host>,
    name: &str,
    change: impl FnOnce(&StandardSwitch, &mut SwitchSpec) -> Result<(), Trouble>,
) -> Outcome {
    let known = switch(&host.network.config(), name)?.clone();
    let mut spec = SwitchSpec { uplinks: known.declared.uplinks.clone(), ..SwitchSpec::default() };
    change(&known, &mut spec)?;
    // Whoever has changed the uplinks meanwhile would have them as they were.
    let unchanged = move |config: &NetworkConfig| {
        config.switch(name).is_none_or(|now| now.declared.uplinks == known.declared.uplinks)
    };
    host.networking()
        .change(|config, around| {
            if !unchanged(config) {
                return Err(vim::fault!(
                    ConcurrentAccess {},
                    "Somebody else has just changed {name}; try again"
                ));
            }
            config.update_switch(name, spec, around)
        })
        .await?;
    Ok(Answer::Done)
}

async fn add(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let name = arguments.required("vswitchname")?;
    let ports = i32::try_from(arguments.number("ports").unwrap_or(0)).unwrap_or(i32::MAX);
    let spec = hostnet::switch_spec(&Object::from(vim!(HostVirtualSwitchSpec { numPorts: ports })))?;
    host.networking().change(|config, around| config.add_switch(name, spec, around)).await?;
    Ok(Answer::Done)
}

async fn remove(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let name = arguments.required("vswitchname")?;
    host.networking().change(|config, around| config.remove_switch(name, around)).await?;
    Ok(Answer::Done)
}

async fn set(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let name = arguments.required("vswitchname")?;
    let mtu = arguments.number("mtu").map(|mtu| i32::try_from(mtu).unwrap_or(i32::MAX));
    let operation = match arguments.text("cdpstatus") {
        Some("down") => Some("none"),
        other => other,
    };
    change_switch(&host, name, |known, spec| {
        let bridge = operation.map(|operation| {
            Object::from(vim!(HostVirtualSwitchBondBridge {
                nicDevice: known.declared.uplinks.clone(),
                linkDiscoveryProtocolConfig: LinkDiscoveryProtocolConfig {
                    protocol: "cdp",
                    operation: operation,
                },
            }))
        });
        let wanted = vim!(HostVirtualSwitchSpec { numPorts: 0, mtu: mtu, bridge: bridge });
        let read = hostnet::switch_spec(&Object::from(wanted))?;
        (spec.mtu, spec.discovery) = (read.mtu, read.discovery);
        Ok(())
    })
    .await
}

async fn add_uplink(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (name, uplink) = (arguments.required("vswitchname")?, arguments.required("uplinkname")?);
    change_switch(&host, name, |_, spec| {
        if spec.uplinks.iter().any(|known| known == uplink) {
            return Err(Trouble(format!("{uplink} is an uplink of {name} already")));
        }
        spec.uplinks.push(uplink.to_owned());
        Ok(())
    })
    .await
}

async fn remove_uplink(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (name, uplink) = (arguments.required("vswitchname")?, arguments.required("uplinkname")?);
    change_switch(&host, name, |_, spec| {
        let before = spec.uplinks.len();
        spec.uplinks.retain(|known| known != uplink);
        match spec.uplinks.len() < before {
            true => Ok(()),
            false => Err(Trouble(format!("{uplink} is no uplink of {name}"))),
        }
    })
    .await
}
