//! `esxcli network ip netstack …` and `dns …`: TCP/IP stacks, and how names are resolved in them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use host::Host;
use hostnet::NetworkConfig;
use vim::field;
use vswitch::declare::{Stack, StackName};

use super::{
    Answer, Arguments, Namespace, Outcome, Output, Parameter, Row, Structure, Trouble, boolean, number, text,
    texts,
};

/// Where the kernel has the algorithm that the default stack controls congestion with.
const CONGESTION: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

pub(super) const STACK: Parameter =
    Parameter::text("netstack", 'N', "The TCP/IP stack; the default one if it is left out");

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

static SERVERS: Structure = Structure { name: "DNSServers", table: false, fields: &[texts("DNSServers")] };
static SEARCH: Structure =
    Structure { name: "DNSSearchDomains", table: false, fields: &[texts("DNSSearch Domains")] };

pub(super) static NAMESPACES: &[Namespace] = &[
    Namespace {
        name: "network.ip.netstack",
        help: "TCP/IP stacks",
        commands: &[
            reads!(
                "get",
                "Show one TCP/IP stack",
                [STACK.required()],
                Output::One(&NETSTACK_DETAILS),
                netstack
            ),
            reads!("list", "List the TCP/IP stacks", [], Output::Many(&NETSTACK), netstacks),
        ],
    },
    Namespace {
        name: "network.ip.dns.server",
        help: "Name servers",
        commands: &[reads!("list", "List the name servers", [STACK], Output::One(&SERVERS), servers)],
    },
    Namespace {
        name: "network.ip.dns.search",
        help: "Domains in which names are looked for",
        commands: &[reads!("list", "List the domains", [STACK], Output::One(&SEARCH), search)],
    },
];

/// The stack that is asked for, and the namespace that it is in; none for the daemon's own.
pub(super) fn stack(
    host: &Host,
    config: &NetworkConfig,
    arguments: &Arguments,
) -> Result<(StackName, Option<PathBuf>), Trouble> {
    let name = arguments.text("netstack").unwrap_or(StackName::DEFAULT);
    let known = stacks(config).into_iter().find(|known| known.as_str() == name);
    let name = known.ok_or_else(|| Trouble(format!("Invalid netstack: there is no {name}")))?;
    let seen = host.network.fabric().seen();
    let namespace = seen.stacks.get(&name).and_then(|stack| stack.namespace.clone());
    if namespace.is_none() && !name.is_default() {
        return Err(Trouble(format!("The TCP/IP stack {name} is not there at the moment")));
    }
    Ok((name, namespace))
}

/// The default stack, those that are declared, and those that adapters are in.
pub(super) fn stacks(config: &NetworkConfig) -> BTreeSet<StackName> {
    let declared = config.stacks.iter().map(|stack| &stack.name);
    let used = config.adapters.iter().map(|adapter| &adapter.stack);
    declared.chain(used).cloned().chain([StackName::default()]).collect()
}

/// What is declared of a stack.
pub(super) fn declared<'a>(config: &'a NetworkConfig, name: &StackName) -> Option<&'a Stack> {
    config.stacks.iter().find(|stack| stack.name == *name)
}

fn netstacks(host: &Host, _: &Arguments) -> Outcome {
    let row = |name: StackName| Row::new().put("Key", name.as_str()).put("Name", name.as_str());
    Ok(Answer::Many(stacks(&host.network.config()).into_iter().map(row).collect()))
}

fn netstack(host: &Host, arguments: &Arguments) -> Outcome {
    let (config, name) = (host.network.config(), arguments.required("netstack")?);
    let known = stacks(&config).into_iter().find(|known| known.as_str() == name);
    let name = known.ok_or_else(|| Trouble(format!("Invalid netstack: there is no {name}")))?;
    let said = declared(&config, &name).and_then(|stack| stack.congestion_control.clone());
    // Only the default stack is in the namespace that this can be read in.
    let reads = name.is_default() && !host.engine.info().simulated;
    let own = || std::fs::read_to_string(CONGESTION).ok().map(|text| vsphere_word(text.trim()).to_owned());
    let congestion = said.or_else(|| if reads { own() } else { None });
    let trouble = host.network.fabric().seen().stacks.get(&name).and_then(|stack| stack.error.clone());
    Ok(Answer::One(
        Row::new()
            .put("Key", name.as_str())
            .put("Name", name.as_str())
            .put("Enabled", trouble.is_none())
            .put("Congestion Control Algorithm", congestion)
            .put("IPv6 Enabled", true)
            .put("Current IPv6 Enabled", true),
    ))
}

/// vSphere's name of an algorithm that Linux calls so.
pub(super) fn vsphere_word(algorithm: &str) -> &str {
    if algorithm == "reno" { "newreno" } else { algorithm }
}

fn servers(host: &Host, arguments: &Arguments) -> Outcome {
    let (config, name) = (host.network.config(), arguments.text("netstack"));
    let said = match name {
        Some(name) if name != StackName::DEFAULT => {
            let stack = stacks(&config).into_iter().find(|known| known.as_str() == name);
            let stack = stack.ok_or_else(|| Trouble(format!("Invalid netstack: there is no {name}")))?;
            let dns = declared(&config, &stack).map(|stack| stack.dns.servers.clone());
            dns.unwrap_or_default().iter().map(ToString::to_string).collect()
        }
        _ => {
            let dns = host.names();
            let servers = dns.get(field!(HostDnsConfig.address)).into_iter().flatten();
            servers.map(str::to_owned).collect::<Vec<String>>()
        }
    };
    Ok(Answer::One(Row::new().put("DNSServers", said)))
}

fn search(host: &Host, arguments: &Arguments) -> Outcome {
    let (config, name) = (host.network.config(), arguments.text("netstack").unwrap_or(StackName::DEFAULT));
    let stack = stacks(&config).into_iter().find(|known| known.as_str() == name);
    let stack = stack.ok_or_else(|| Trouble(format!("Invalid netstack: there is no {name}")))?;
    let said = match stack.is_default() {
        true => {
            let dns = host.names();
            dns.get(field!(HostDnsConfig.searchDomain)).into_iter().flatten().map(str::to_owned).collect()
        }
        false => declared(&config, &stack).map(|stack| stack.dns.search.clone()).unwrap_or_default(),
    };
    Ok(Answer::One(Row::new().put("DNSSearch Domains", said)))
}
