//! `esxcli network ip dns server`: name servers.

use host::Host;
use vim::field;
use vswitch::declare::StackName;

use crate::namespaces::network::ip::stacks::{STACK, declared, named};
use crate::table::{Answer, Arguments, Namespace, Outcome, Output, READ, Row, Structure, texts};

static SERVERS: Structure = Structure { name: "DNSServers", table: false, fields: &[texts("DNSServers")] };
pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.ip.dns.server",
    help: "Name servers",
    commands: &[reads!("list", "List the name servers", READ, [STACK], Output::One(&SERVERS), list)],
};

fn list(host: &Host, arguments: &Arguments) -> Outcome {
    let config = host.network.config();
    let stack = named(&config, arguments.text("netstack").unwrap_or(StackName::DEFAULT))?;
    let servers = match stack.is_default() {
        true => {
            let dns = host.networking().names();
            dns.get(field!(HostDnsConfig.address)).into_iter().flatten().map(str::to_owned).collect()
        }
        false => {
            let servers = declared(&config, &stack).map(|stack| stack.dns.servers.clone());
            servers.unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<String>>()
        }
    };
    Ok(Answer::One(Row::new().put("DNSServers", servers)))
}
