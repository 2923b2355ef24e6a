//! `esxcli network vm …` and `network port …`: ports of the machines that run.

use std::sync::Arc;

use host::Host;
use host::Vm;

use super::{
    Answer, Arguments, Command, MACHINES, Namespace, Outcome, Output, Parameter, Row, Structure, Trouble,
    number, text, texts, vm,
};

static MACHINE: Structure = Structure {
    name: "VM",
    table: true,
    fields: &[number("World ID"), text("Name"), number("Num Ports"), texts("Networks")],
};

static PORT: Structure = Structure {
    name: "VmPort",
    table: false,
    fields: &[
        number("Port ID"),
        text("vSwitch"),
        text("Portgroup"),
        text("DVPort ID"),
        text("MAC Address"),
        text("IP Address"),
        text("Team Uplink"),
        number("Uplink Port ID"),
        texts("Active Filters"),
    ],
};

static STATISTICS: Structure = Structure {
    name: "PortStats",
    table: false,
    fields: &[
        number("Port ID"),
        number("Packets received"),
        number("Packets sent"),
        number("Bytes received"),
        number("Bytes sent"),
        number("Broadcast packets received"),
        number("Broadcast packets sent"),
        number("Multicast packets received"),
        number("Multicast packets sent"),
        number("Unicast packets received"),
        number("Unicast packets sent"),
        number("Receive packets dropped"),
        number("Transmit packets dropped"),
    ],
};

pub(super) static NAMESPACES: &[Namespace] = &[
    Namespace {
        name: "network.vm",
        help: "Networks of virtual machines",
        commands: &[Command {
            name: "list",
            help: "List the machines that run, and the networks that they are on",
            privilege: MACHINES,
            parameters: &[],
            output: Output::Many(&MACHINE),
            run: |host, _| Box::pin(async move { Ok(list(&host)) }),
        }],
    },
    Namespace {
        name: "network.vm.port",
        help: "Ports of virtual machines",
        commands: &[Command {
            name: "list",
            help: "List the ports of a machine that runs",
            privilege: MACHINES,
            parameters: &[Parameter::number(
                "world-id",
                'w',
                "The machine's world, as vm process list shows it",
            )
            .required()],
            output: Output::Many(&PORT),
            run: |host, arguments| Box::pin(async move { ports(&host, &arguments) }),
        }],
    },
    Namespace {
        name: "network.port.stats",
        help: "Statistics of ports",
        commands: &[Command {
            name: "get",
            help: "Show what has passed a port, as its owner counts it",
            privilege: MACHINES,
            parameters: &[
                Parameter::number("portid", 'p', "The port, as network vm port list shows it").required()
            ],
            output: Output::One(&STATISTICS),
            run: |host, arguments| Box::pin(statistics(host, arguments)),
        }],
    },
];

fn list(host: &Host) -> Answer {
    let row = |vm: Arc<Vm>| {
        let config = vm.config();
        let networks: Vec<String> = config.nics().map(|(_, nic)| nic.network.clone()).collect();
        Row::new()
            .put("World ID", vm::world(&vm))
            .put("Name", &config.name)
            .put("Num Ports", networks.len())
            .put("Networks", networks)
    };
    Answer::Many(vm::running(host).map(row).collect())
}

fn ports(host: &Host, arguments: &Arguments) -> Outcome {
    let wanted = arguments.number("worldid").unwrap_or_default();
    let vm = vm::running(host).find(|vm| vm::world(vm) == Some(wanted));
    let vm =
        vm.ok_or_else(|| Trouble(format!("Invalid world: no machine runs with the world ID {wanted}")))?;
    let (config, seen) = (host.network.config(), host.network.fabric().seen());
    let (vm_config, guest) = (vm.config(), vm.guest());
    let index = |interface: &str| seen.links.get(interface).map(|link| link.index);
    let row = |(key, nic): (i32, &::vm::device::Nic)| {
        let interface = host.network.interface_of(vm.me.id(), key);
        let uplink = seen.uplinks.get(&interface);
        let interfaces = guest.iter().flat_map(|guest| &guest.interfaces);
        let address = interfaces
            .filter(|of| of.mac.eq_ignore_ascii_case(&nic.mac))
            .find_map(|of| of.addresses.iter().find(|(address, _)| address.is_ipv4()));
        Row::new()
            .put("Port ID", index(&interface))
            .put("vSwitch", config.group(&nic.network).map(|(switch, _)| &switch.declared.name))
            .put("Portgroup", &nic.network)
            .put("MAC Address", &nic.mac)
            .put("IP Address", address.map(|(address, _)| address.to_string()))
            .put("Team Uplink", uplink)
            .put("Uplink Port ID", uplink.and_then(|uplink| index(uplink)))
    };
    Ok(Answer::Many(vm_config.nics().map(row).collect()))
}

async fn statistics(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let wanted = arguments.number("portid").unwrap_or_default();
    let seen = host.network.fabric().seen();
    let known = host.network.interfaces().await;
    let is_it = |name: &&String| seen.links.get(*name).is_some_and(|link| i64::from(link.index) == wanted);
    let interface = known.iter().find(is_it);
    let interface =
        interface.ok_or_else(|| Trouble(format!("Invalid port: there is none with the ID {wanted}")))?;
    let counted = host.network.fabric().counters(interface).await;
    let counted = counted.ok_or_else(|| Trouble(format!("Nothing is counted of the port {wanted}")))?;
    let unicast =
        |all: u64, multicast: u64, broadcast: u64| all.saturating_sub(multicast).saturating_sub(broadcast);
    Ok(Answer::One(
        Row::new()
            .put("Port ID", wanted)
            .put("Packets received", counted.to_packets)
            .put("Packets sent", counted.from_packets)
            .put("Bytes received", counted.to_bytes)
            .put("Bytes sent", counted.from_bytes)
            .put("Broadcast packets received", counted.to_broadcast)
            .put("Broadcast packets sent", counted.from_broadcast)
            .put("Multicast packets received", counted.to_multicast)
            .put("Multicast packets sent", counted.from_multicast)
            .put(
                "Unicast packets received",
                unicast(counted.to_packets, counted.to_multicast, counted.to_broadcast),
            )
            .put(
                "Unicast packets sent",
                unicast(counted.from_packets, counted.from_multicast, counted.from_broadcast),
            ),
    ))
}
