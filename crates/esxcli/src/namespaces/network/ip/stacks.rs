//! TCP/IP stacks as the commands of `network ip` name and read them.

use std::collections::BTreeSet;

use host::Host;
use hostnet::{NetworkConfig, StackTable};
use serde_json::Value as Json;
use vswitch::declare::{Stack, StackName};

use crate::table::{Arguments, CliFault, Parameter};

pub(super) const STACK: Parameter =
    Parameter::text("netstack", 'N', "The TCP/IP stack (default: defaultTcpipStack)");

/// The declared stack of this name, the default one, or one that adapters are in.
pub(super) fn named(config: &NetworkConfig, name: &str) -> Result<StackName, CliFault> {
    let known = stacks(config).into_iter().find(|known| known.as_str() == name);
    known.ok_or_else(|| CliFault(format!("Invalid netstack: the host has no {name}")))
}

/// The default stack, those that are declared, and those that adapters are in.
pub(super) fn stacks(config: &NetworkConfig) -> BTreeSet<StackName> {
    let declared = config.stacks.iter().map(|stack| &stack.name);
    let used = config.adapters.iter().map(|adapter| &adapter.stack);
    declared.chain(used).cloned().chain([StackName::default()]).collect()
}

/// The declaration of a stack.
pub(super) fn declared<'a>(config: &'a NetworkConfig, name: &StackName) -> Option<&'a Stack> {
    config.stacks.iter().find(|stack| stack.name == *name)
}

/// vSphere's name of a Linux congestion control algorithm.
pub(super) fn vsphere_word(algorithm: &str) -> &str {
    if algorithm == "reno" { "newreno" } else { algorithm }
}

/// A table of the stack that the arguments name.
pub(super) async fn table(host: &Host, arguments: &Arguments, table: StackTable) -> Result<String, CliFault> {
    let name = named(&host.network.config(), arguments.text("netstack").unwrap_or(StackName::DEFAULT))?;
    let seen = host.network.fabric().seen();
    let namespace = seen.stacks.get(&name).and_then(|stack| stack.namespace.clone());
    if namespace.is_none() && !name.is_default() {
        return Err(CliFault(format!("The TCP/IP stack {name} is not running at the moment")));
    }
    Ok(host.network.fabric().stack_table(table, namespace.as_deref()).await?)
}

/// The objects of a list in JSON, as `ip -json` writes it.
pub(super) fn objects(text: &str) -> Result<Vec<Json>, CliFault> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(text)
        .map_err(|error| CliFault(format!("The kernel's table cannot be read: {error}")))
}

/// A text of such an object.
pub(super) fn word<'a>(object: &'a Json, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}
