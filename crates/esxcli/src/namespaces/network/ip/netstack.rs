//! `esxcli network ip netstack`: TCP/IP stacks.

use host::Host;
use vswitch::declare::StackName;

use super::stacks::{STACK, declared, named, stacks, vsphere_word};
use crate::table::{
    Answer, Arguments, Namespace, Outcome, Output, READ, Row, Structure, boolean, number, text,
};

/// The kernel's setting of the default stack's congestion control algorithm.
const CONGESTION: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

static NETSTACK: Structure = Structure {
    name: "NetStackInstance",
    table: false,
    fields: &[text("Key"), text("Name"), number("State")],
};

static NETSTACK_DETAILS: Structure = Structure {
    name: "NetStackInfo",
    table: false,
    fields: &[
        text("Key"),
        text("Name"),
        boolean("Enabled"),
        number("Max Connections"),
        number("Current Max Connections"),
        text("Congestion Control Algorithm"),
        boolean("IPv6 Enabled"),
        boolean("Current IPv6 Enabled"),
        number("State"),
    ],
};

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.ip.netstack",
    help: "TCP/IP stacks",
    commands: &[
        reads!("get", "Show one TCP/IP stack", READ, [STACK.required()], Output::One(&NETSTACK_DETAILS), get),
        reads!("list", "List the TCP/IP stacks", READ, [], Output::Many(&NETSTACK), list),
    ],
};

fn list(host: &Host, _: &Arguments) -> Outcome {
    let row = |name: StackName| Row::new().put("Key", name.as_str()).put("Name", name.as_str());
    Ok(Answer::Many(stacks(&host.network.config()).into_iter().map(row).collect()))
}

fn get(host: &Host, arguments: &Arguments) -> Outcome {
    let config = host.network.config();
    let name = named(&config, arguments.required("netstack")?)?;
    let said = declared(&config, &name).and_then(|stack| stack.congestion_control.clone());
    // The kernel's setting is that of the daemon's own namespace, where the default stack is.
    let reads = name.is_default() && !host.engine.info().simulated;
    let own = || std::fs::read_to_string(CONGESTION).ok().map(|text| vsphere_word(text.trim()).to_owned());
    let congestion = said.or_else(|| if reads { own() } else { None });
    let error = host.network.fabric().seen().stacks.get(&name).and_then(|stack| stack.error.clone());
    Ok(Answer::One(
        Row::new()
            .put("Key", name.as_str())
            .put("Name", name.as_str())
            .put("Enabled", error.is_none())
            .put("Congestion Control Algorithm", congestion)
            .put("IPv6 Enabled", true)
            .put("Current IPv6 Enabled", true),
    ))
}
