//! `esxcli network ip interface ipv6`

use host::Host;
use vswitch::declare::Adapter;
use vswitch::vmkernel::AdapterState;

use super::adapters::{OF_ADAPTER, adapters};
use crate::namespaces::network::ip::stacks::{STACK, declared};
use crate::table::{Answer, Arguments, Namespace, Outcome, Output, READ, Row, Structure, boolean, text};

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

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.ip.interface.ipv6",
    help: "IPv6 of VMkernel adapters",
    commands: &[reads!(
        "get",
        "Show how the adapters have IPv6 addresses",
        READ,
        [OF_ADAPTER, STACK],
        Output::Many(&IPV6),
        get
    )],
};

fn get(host: &Host, arguments: &Arguments) -> Outcome {
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
