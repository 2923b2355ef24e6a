//! `esxcli network ip interface …`: VMkernel adapters, their addresses, and what they carry.

use std::net::{IpAddr, Ipv4Addr};

use host::Host;
use hostnet::NetworkConfig;
use vswitch::declare::{Adapter, Ipv4Config, Service};
use vswitch::vmkernel::{AdapterState, port_interface};

use super::network_stack::{STACK, declared, stacks};
use super::{
    Answer, Arguments, Namespace, Outcome, Output, Parameter, Row, Structure, Trouble, boolean, number, text,
    texts,
};

/// IPv4 and TCP headers without options, in bytes.
const HEADERS: u32 = 40;
const OF_ADAPTER: Parameter =
    Parameter::text("interface-name", 'i', "Only the VMkernel adapter of this name");
const ADAPTER: Parameter =
    Parameter::text("interface-name", 'i', "The name of the VMkernel adapter").required();

static INTERFACE: Structure = Structure {
    name: "NetworkInterface",
    table: false,
    fields: &[
        text("Name"),
        text("MAC Address"),
        boolean("Enabled"),
        text("Portset"),
        text("Portgroup"),
        text("Netstack Instance"),
        text("VDS Name"),
        text("VDS UUID"),
        text("VDS Port"),
        number("VDS Connection"),
        text("Opaque Network ID"),
        text("Opaque Network Type"),
        text("External ID"),
        number("MTU"),
        number("TSO MSS"),
        number("RXDispQueue Size"),
        number("Port ID"),
    ],
};

static IPV4: Structure = Structure {
    name: "IPv4Interface",
    table: true,
    fields: &[
        text("Name"),
        text("IPv4 Address"),
        text("IPv4 Netmask"),
        text("IPv4 Broadcast"),
        text("Address Type"),
        text("Gateway"),
        boolean("DHCP DNS"),
    ],
};

static IPV4_ADDRESS: Structure = Structure {
    name: "IPv4Address",
    table: true,
    fields: &[
        text("Name"),
        text("IPv4 Address"),
        text("IPv4 Netmask"),
        text("IPv4 Broadcast"),
        text("Address Type"),
        text("Gateway"),
        boolean("DHCP DNS"),
    ],
};

static IPV6: Structure = Structure {
    name: "IPv6Interface",
    table: true,
    fields: &[
        text("Name"),
        boolean("IPv6 Enabled"),
        boolean("DHCPv6 Enabled"),
        boolean("Router Adv Enabled"),
        boolean("DHCP DNS"),
        text("Gateway"),
    ],
};

static IPV6_ADDRESS: Structure = Structure {
    name: "IPv6Address",
    table: true,
    fields: &[text("Interface"), text("Address"), number("Netmask"), text("Type"), text("Status")],
};

static TAGS: Structure = Structure { name: "InterfaceTags", table: false, fields: &[texts("Tags")] };

pub(super) static NAMESPACES: &[Namespace] = &[
    Namespace {
        name: "network.ip.interface",
        help: "VMkernel adapters",
        commands: &[reads!(
            "list",
            "List the VMkernel adapters",
            [STACK],
            Output::Many(&INTERFACE),
            interfaces
        )],
    },
    Namespace {
        name: "network.ip.interface.ipv4",
        help: "IPv4 of VMkernel adapters",
        commands: &[reads!(
            "get",
            "Show how the adapters have IPv4 addresses",
            [OF_ADAPTER, STACK],
            Output::Many(&IPV4),
            ipv4
        )],
    },
    Namespace {
        name: "network.ip.interface.ipv4.address",
        help: "IPv4 addresses of VMkernel adapters",
        commands: &[reads!(
            "list",
            "List the IPv4 addresses",
            [OF_ADAPTER, STACK],
            Output::Many(&IPV4_ADDRESS),
            ipv4_addresses
        )],
    },
    Namespace {
        name: "network.ip.interface.ipv6",
        help: "IPv6 of VMkernel adapters",
        commands: &[reads!(
            "get",
            "Show how the adapters have IPv6 addresses",
            [OF_ADAPTER, STACK],
            Output::Many(&IPV6),
            ipv6
        )],
    },
    Namespace {
        name: "network.ip.interface.ipv6.address",
        help: "IPv6 addresses of VMkernel adapters",
        commands: &[reads!(
            "list",
            "List the IPv6 addresses",
            [OF_ADAPTER, STACK],
            Output::Many(&IPV6_ADDRESS),
            ipv6_addresses
        )],
    },
    Namespace {
        name: "network.ip.interface.tag",
        help: "What VMkernel adapters carry",
        commands: &[reads!("get", "Show what an adapter carries", [ADAPTER], Output::One(&TAGS), tags)],
    },
];

/// Adapters that the arguments want, with what is seen of each. All stacks count where none is named.
fn adapters(
    host: &Host,
    config: &NetworkConfig,
    arguments: &Arguments,
) -> Result<Vec<(Adapter, Option<AdapterState>)>, Trouble> {
    if let Some(name) = arguments.text("netstack")
        && !stacks(config).iter().any(|known| known.as_str() == name)
    {
        return Err(Trouble(format!("Invalid netstack: there is no {name}")));
    }
    let seen = host.network.fabric().seen();
    let wanted = |adapter: &&Adapter| {
        arguments.text("netstack").is_none_or(|stack| adapter.stack.as_str() == stack)
            && arguments.text("interfacename").is_none_or(|device| adapter.device == device)
    };
    let found: Vec<_> = config
        .adapters
        .iter()
        .filter(wanted)
        .map(|adapter| (adapter.clone(), seen.adapters.get(&adapter.device).cloned()))
        .collect();
    match arguments.text("interfacename") {
        Some(device) if found.is_empty() => {
            Err(Trouble(format!("Invalid interface: there is no VMkernel adapter {device}")))
        }
        _ => Ok(found),
    }
}

fn interfaces(host: &Host, arguments: &Arguments) -> Outcome {
    let config = host.network.config();
    let links = host.network.fabric().seen().links;
    let row = |(adapter, state): (Adapter, Option<AdapterState>)| {
        let on = config.groups().find(|(_, group)| group.number == adapter.port_group);
        let mtu = state.as_ref().map(|state| state.mtu).filter(|mtu| *mtu > 0).unwrap_or(adapter.mtu);
        Row::new()
            .put("Name", &adapter.device)
            .put("MAC Address", adapter.mac.to_string())
            .put("Enabled", state.as_ref().is_none_or(|state| state.error.is_none()))
            .put("Portset", on.map(|(switch, _)| &switch.declared.name))
            .put("Portgroup", on.map(|(_, group)| &group.name))
            .put("Netstack Instance", adapter.stack.as_str())
            .put("MTU", mtu)
            .put("TSO MSS", mtu.saturating_sub(HEADERS))
            .put("Port ID", links.get(&port_interface(&adapter.device)).map(|link| link.index))
    };
    Ok(Answer::Many(adapters(host, &config, arguments)?.into_iter().map(row).collect()))
}

/// The IPv4 address of an adapter: the one that is declared or, of a server's, the one that it has.
fn own_ipv4(adapter: &Adapter, state: Option<&AdapterState>) -> Option<Own> {
    match adapter.ipv4 {
        Ipv4Config::None => None,
        Ipv4Config::Static { address, prefix } => Some((address, prefix)),
        Ipv4Config::Dhcp => state?.addresses.iter().find_map(|(address, prefix)| match address {
            IpAddr::V4(four) => Some((*four, *prefix)),
            IpAddr::V6(_) => None,
        }),
    }
}

fn ipv4_row(adapter: &Adapter, own: Option<Own>) -> Row {
    let mask = own.map(|(_, prefix)| mask(prefix));
    let broadcast = own.zip(mask).map(|((address, _), mask)| Ipv4Addr::from(u32::from(address) | !mask));
    let kind = match adapter.ipv4 {
        Ipv4Config::None => "NONE",
        Ipv4Config::Static { .. } => "STATIC",
        Ipv4Config::Dhcp => "DHCP",
    };
    Row::new()
        .put("Name", &adapter.device)
        .put("IPv4 Address", own.map(|(address, _)| address.to_string()))
        .put("IPv4 Netmask", mask.map(|mask| Ipv4Addr::from(mask).to_string()))
        .put("IPv4 Broadcast", broadcast.map(|address| address.to_string()))
        .put("Address Type", kind)
}

/// The netmask of a prefix.
pub(super) fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32u32.saturating_sub(prefix.into())).unwrap_or(0)
}

fn ipv4(host: &Host, arguments: &Arguments) -> Outcome {
    Ok(Answer::Many(ipv4_rows(host, arguments)?.into_iter().map(|(_, row)| row).collect()))
}

/// Those that have an address.
fn ipv4_addresses(host: &Host, arguments: &Arguments) -> Outcome {
    let rows = ipv4_rows(host, arguments)?.into_iter();
    Ok(Answer::Many(rows.filter_map(|(own, row)| own.map(|_| row)).collect()))
}

/// An address and the length of its network's prefix.
type Own = (Ipv4Addr, u8);

fn ipv4_rows(host: &Host, arguments: &Arguments) -> Result<Vec<(Option<Own>, Row)>, Trouble> {
    let config = host.network.config();
    let row = |(adapter, state): (Adapter, Option<AdapterState>)| {
        let leased = state.as_ref().and_then(|state| state.lease.as_ref()).and_then(|lease| lease.router);
        let stack = declared(&config, &adapter.stack).and_then(|stack| stack.gateways.ipv4);
        let gateway = adapter.gateways.ipv4.or(stack).or(leased);
        let names = config.names.as_ref().and_then(|names| names.from.as_ref());
        let own = own_ipv4(&adapter, state.as_ref());
        let row = ipv4_row(&adapter, own)
            .put("Gateway", gateway.map(|gateway| gateway.to_string()))
            .put("DHCP DNS", names == Some(&adapter.device));
        (own, row)
    };
    Ok(adapters(host, &config, arguments)?.into_iter().map(row).collect())
}

fn ipv6(host: &Host, arguments: &Arguments) -> Outcome {
    let config = host.network.config();
    let row = |(adapter, _): (Adapter, Option<AdapterState>)| {
        let stack = declared(&config, &adapter.stack).and_then(|stack| stack.gateways.ipv6);
        Row::new()
            .put("Name", &adapter.device)
            .put("IPv6 Enabled", adapter.ipv6.is_some())
            .put("DHCPv6 Enabled", adapter.ipv6.as_ref().is_some_and(|six| six.dhcp))
            .put("Router Adv Enabled", adapter.ipv6.as_ref().is_some_and(|six| six.autoconf))
            .put(
                "DHCP DNS",
                config.names.as_ref().is_some_and(|names| names.from_v6.as_ref() == Some(&adapter.device)),
            )
            .put("Gateway", adapter.gateways.ipv6.or(stack).map(|gateway| gateway.to_string()))
    };
    Ok(Answer::Many(adapters(host, &config, arguments)?.into_iter().map(row).collect()))
}

fn ipv6_addresses(host: &Host, arguments: &Arguments) -> Outcome {
    let mut rows = Vec::new();
    for (adapter, state) in adapters(host, &host.network.config(), arguments)? {
        for (address, prefix) in state.into_iter().flat_map(|state| state.addresses) {
            let IpAddr::V6(six) = address else { continue };
            let wanted = adapter.ipv6.iter().flat_map(|six| &six.addresses);
            let is_static = wanted.into_iter().any(|known| *known == (six, prefix));
            let is_given = prefix == 128 && adapter.ipv6.as_ref().is_some_and(|six| six.dhcp);
            rows.push(
                Row::new()
                    .put("Interface", &adapter.device)
                    .put("Address", six.to_string())
                    .put("Netmask", i32::from(prefix))
                    .put(
                        "Type",
                        if is_static {
                            "STATIC"
                        } else if is_given {
                            "DHCP"
                        } else {
                            "AUTO"
                        },
                    )
                    .put("Status", "PREFERRED"),
            );
        }
    }
    Ok(Answer::Many(rows))
}

/// What ESXi calls a service here; others have no tag.
fn tag(service: Service) -> Option<&'static str> {
    Some(match service {
        Service::Management => "Management",
        Service::Vmotion => "VMotion",
        Service::FaultToleranceLogging => "faultToleranceLogging",
        Service::VSphereReplication => "vSphereReplication",
        Service::VSphereReplicationNfc => "vSphereReplicationNFC",
        Service::Vsan => "VSAN",
        Service::VsanWitness => "VSANWitness",
        Service::VSphereProvisioning => "vSphereProvisioning",
        Service::VSphereBackupNfc => "vSphereBackupNFC",
        Service::Ptp => "PTP",
        Service::NvmeTcp => "NVMeTCP",
        Service::NvmeRdma => "NVMeRDMA",
        Service::VsanExternal
        | Service::VsanReplication
        | Service::Vnetworking
        | Service::Iscsi
        | Service::Nfs => return None,
    })
}

fn tags(host: &Host, arguments: &Arguments) -> Outcome {
    let found = adapters(host, &host.network.config(), arguments)?;
    let services = found.iter().flat_map(|(adapter, _)| &adapter.services);
    let tags: Vec<String> = services.filter_map(|service| tag(*service)).map(str::to_owned).collect();
    Ok(Answer::One(Row::new().put("Tags", tags)))
}
