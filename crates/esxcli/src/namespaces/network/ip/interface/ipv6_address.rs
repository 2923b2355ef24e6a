//! `esxcli network ip interface ipv6 address`

use std::net::IpAddr;

use host::Host;

use super::adapters::{OF_ADAPTER, adapters};
use crate::namespaces::network::ip::stacks::STACK;
use crate::table::{Answer, Arguments, Namespace, Outcome, Output, READ, Row, Structure, number, text};

static IPV6_ADDRESS: Structure = Structure {
    name: "IPv6Address",
    table: true,
    fields: &[text("Interface"), text("Address"), number("Netmask"), text("Type"), text("Status")],
};

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.ip.interface.ipv6.address",
    help: "IPv6 addresses of VMkernel adapters",
    commands: &[reads!(
        "list",
        "List the IPv6 addresses",
        READ,
        [OF_ADAPTER, STACK],
        Output::Many(&IPV6_ADDRESS),
        list
    )],
};

fn list(host: &Host, arguments: &Arguments) -> Outcome {
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
