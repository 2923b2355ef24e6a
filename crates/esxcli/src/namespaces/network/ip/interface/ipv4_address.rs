//! `esxcli network ip interface ipv4 address`

use host::Host;

use super::adapters::{IPV4_FIELDS, OF_ADAPTER, ipv4_rows};
use crate::namespaces::network::ip::stacks::STACK;
use crate::table::{Answer, Arguments, Namespace, Outcome, Output, READ, Structure};

static IPV4_ADDRESS: Structure = Structure { name: "IPv4Address", table: true, fields: IPV4_FIELDS };

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.ip.interface.ipv4.address",
    help: "IPv4 addresses of VMkernel adapters",
    commands: &[reads!(
        "list",
        "List the IPv4 addresses",
        READ,
        [OF_ADAPTER, STACK],
        Output::Many(&IPV4_ADDRESS),
        list
    )],
};

/// Lists the adapters with an address.
fn list(host: &Host, arguments: &Arguments) -> Outcome {
    let rows = ipv4_rows(host, arguments)?.into_iter();
    Ok(Answer::Many(rows.filter_map(|(own, row)| own.map(|_| row)).collect()))
}
