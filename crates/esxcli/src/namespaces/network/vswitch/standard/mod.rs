//! `esxcli network vswitch standard`: standard switches.

pub(crate) mod ipfix;
pub(crate) mod policy;
pub(crate) mod portgroup;
mod switches;
pub(crate) mod uplink;

use std::sync::Arc;

use host::Host;
use hostnet::{NetworkConfig, StandardSwitch};
use vim::{Object, vim};
use vswitch::declare::DiscoveryOperation;

use self::switches::{SWITCH_NAME, change_switch, clients, switch};
use crate::table::{
    Answer, Arguments, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure, boolean, number,
    text, texts,
};

/// Seconds between beacons, and how many in a row may be missed.
const BEACON_INTERVAL: i64 = 1;
const BEACON_THRESHOLD: i64 = 3;
/// Kind of a switch that forwards by what it knows of its ports.
const CLASS: &str = "cswitch";

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

const PORTS: Parameter = Parameter::number("ports", 'P', "The requested number of ports; ports are elastic");
const ONLY: Parameter = Parameter::text("vswitch-name", 'v', "Only the switch of this name");
const CDP: Parameter =
    Parameter::text("cdp-status", 'c', "Discovery by CDP: down, listen, advertise or both");
const MTU: Parameter = Parameter::number("mtu", 'm', "The largest payload of a frame, in bytes");

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vswitch.standard",
    help: "Standard virtual switches",
    commands: &[
        command!("add", "Add a standard switch", NETWORK, [PORTS, SWITCH_NAME], Output::Done, add),
        reads!("list", "List the standard switches", READ, [ONLY], Output::Many(&SWITCH), list),
        command!(
            "remove",
            "Remove a standard switch with unused port groups",
            NETWORK,
            [SWITCH_NAME],
            Output::Done,
            remove
        ),
        command!(
            "set",
            "Change the MTU or the discovery of a standard switch",
            NETWORK,
            [CDP, MTU, SWITCH_NAME],
            Output::Done,
            set
        ),
    ],
};

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
