//! `esxcli network ip interface ipv4`

use host::Host;

use super::adapters::{IPV4_FIELDS, OF_ADAPTER, ipv4_rows};
use crate::namespaces::network::ip::stacks::STACK;
use crate::table::{Answer, Arguments, Namespace, Outcome, Output, READ, Structure};

static IPV4: Structure = Structure { name: "IPv4Interface", table: true, fields: IPV4_FIELDS };

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.ip.interface.ipv4",
    help: "IPv4 of VMkernel adapters",
    commands: &[reads!(
        "get",
        "Show how the adapters have IPv4 addresses",
        READ,
        [OF_ADAPTER, STACK],
        Output::Many(&IPV4),
        get
    )],
};

fn get(host: &Host, arguments: &Arguments) -> Outcome {
    Ok(Answer::Many(ipv4_rows(host, arguments)?.into_iter().map(|(_, row)| row).collect()))
}
