//! `esxcli network ip dns search`: search domains.

use host::Host;
use vim::field;
use vswitch::declare::StackName;

use crate::namespaces::network::ip::stacks::{STACK, declared, named};
use crate::table::{Answer, Arguments, Namespace, Outcome, Output, READ, Row, Structure, texts};

static SEARCH: Structure =
    Structure { name: "DNSSearchDomains", table: false, fields: &[texts("DNSSearch Domains")] };

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.ip.dns.search",
    help: "Search domains",
    commands: &[reads!("list", "List the search domains", READ, [STACK], Output::One(&SEARCH), list)],
};

fn list(host: &Host, arguments: &Arguments) -> Outcome {
    let config = host.network.config();
    let stack = named(&config, arguments.text("netstack").unwrap_or(StackName::DEFAULT))?;
    let domains = match stack.is_default() {
        true => {
            let dns = host.networking().names();
            dns.get(field!(HostDnsConfig.searchDomain)).into_iter().flatten().map(str::to_owned).collect()
        }
        false => declared(&config, &stack).map(|stack| stack.dns.search.clone()).unwrap_or_default(),
    };
    Ok(Answer::One(Row::new().put("DNSSearch Domains", domains)))
}
