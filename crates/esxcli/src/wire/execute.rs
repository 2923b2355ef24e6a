//! Calls of the executer: finding the command, checking its privilege and arguments, and running it.

use std::sync::Arc;

use api::Call;
use host::{Host, ids};
use hostnet::invalid;
use vim::{Fault, Object, arg, field};

use super::answer::element;
use super::help;
use super::result::{SoapResult, done, failed};
use super::types::INFO;
use crate::namespaces::{all, find};
use crate::table::{Arguments, Command, Namespace, PREFIX};

/// The release names that clients give.
const RELEASES: &str = "urn:vim25";
/// Methods of the object that tells of the commands.
const FETCH_INFO: &str = "vim.CLIInfo.FetchCLIInfo";
const FETCH_INFO_BY_DISPLAY: &str = "vim.CLIInfo.FetchCLIInfoFromDisplayName";

enum Target {
    Info,
    Command(&'static Namespace, &'static Command),
}

/// Does `ExecuteSoap`.
///
/// # Errors
/// `InvalidArgument` for an unknown object, release or method; `NoPermission`. A failure of the command itself is part of the
/// result.
pub(super) async fn execute(host: Arc<Host>, call: &Call) -> Result<SoapResult, Fault> {
    let moid = call.required(arg!(ExecuteSoap.moid))?;
    release(call.required(arg!(ExecuteSoap.version))?)?;
    let target = target(moid, call.required(arg!(ExecuteSoap.method))?)?;
    let arguments: Vec<&Arc<Object>> = call.arg(arg!(ExecuteSoap.argument)).into_iter().flatten().collect();
    let given = arguments.iter().map(|argument| {
        let name = argument.get(field!(ReflectManagedMethodExecuterSoapArgument.name));
        let value = argument.get(field!(ReflectManagedMethodExecuterSoapArgument.val));
        (name.unwrap_or_default(), value.unwrap_or_default())
    });
    let (namespace, command) = match target {
        Target::Info => return Ok(help::fetch(given)),
        Target::Command(namespace, command) => (namespace, command),
    };
    call.check(&ids::host(), command.privilege)?;
    let arguments = match Arguments::read(command.parameters, given) {
        Ok(arguments) => arguments,
        Err(fault) => return Ok(failed(&fault)),
    };
    tracing::debug!(namespace = namespace.name, command = command.name, user = call.user(), "esxcli");
    let answer = (command.run)(host, arguments).await;
    Ok(match answer.and_then(|answer| element(namespace, command, answer)) {
        Ok(element) => done(&element),
        Err(fault) => failed(&fault),
    })
}

/// Does `FetchSoap`, which always fails: these objects have no properties.
///
/// # Errors
/// `InvalidArgument`, always.
pub(super) fn fetch(call: &Call) -> Result<SoapResult, Fault> {
    let moid = call.required(arg!(FetchSoap.moid))?;
    release(call.required(arg!(FetchSoap.version))?)?;
    if moid != INFO && !all().any(|known| known.moid() == moid) {
        return Err(no_object(moid));
    }
    let property = call.required(arg!(FetchSoap.prop))?;
    Err(invalid("prop", format_args!("{moid} has no property {property}")))
}

fn target(moid: &str, method: &str) -> Result<Target, Fault> {
    let no_method = || invalid("method", format_args!("{moid} has no method {method}"));
    if moid == INFO {
        let known = [FETCH_INFO, FETCH_INFO_BY_DISPLAY].contains(&method);
        return if known { Ok(Target::Info) } else { Err(no_method()) };
    }
    let namespace = all().find(|known| known.moid() == moid).ok_or_else(|| no_object(moid))?;
    let (owner, name) =
        method.strip_prefix(PREFIX).and_then(|rest| rest.rsplit_once('.')).ok_or_else(no_method)?;
    let command = find(owner).filter(|known| known.name == namespace.name).and_then(|it| it.command(name));
    Ok(Target::Command(namespace, command.ok_or_else(no_method)?))
}

fn no_object(moid: &str) -> Fault {
    invalid(
        "moid",
        format_args!("The host has no object {moid}; the dynamic type manager lists those that exist"),
    )
}

fn release(version: &str) -> Result<(), Fault> {
    let rest = version.strip_prefix(RELEASES);
    match rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        true => Ok(()),
        false => Err(invalid("version", format_args!("{version} is not a release of {RELEASES}"))),
    }
}
