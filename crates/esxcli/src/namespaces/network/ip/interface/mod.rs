//! `esxcli network ip interface`: VMkernel adapters.

mod adapters;
pub(crate) mod ipv4;
pub(crate) mod ipv4_address;
pub(crate) mod ipv6;
pub(crate) mod ipv6_address;
pub(crate) mod tag;

use host::Host;
use vswitch::declare::Adapter;
use vswitch::vmkernel::{AdapterState, port_interface};

use self::adapters::adapters;
use super::stacks::STACK;
use crate::table::{
    Answer, Arguments, Namespace, Outcome, Output, READ, Row, Structure, boolean, number, text,
};

/// IPv4 and TCP headers without options, in bytes.
const HEADERS: u32 = 40;
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

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.ip.interface",
    help: "VMkernel adapters",
    commands: &[reads!("list", "List the VMkernel adapters", READ, [STACK], Output::Many(&INTERFACE), list)],
};

fn list(host: &Host, arguments: &Arguments) -> Outcome {
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
