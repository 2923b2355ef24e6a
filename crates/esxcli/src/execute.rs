//! A call of the executer: which object, which method, with what; and the answer as text.

use std::sync::Arc;

use api::Call;
use host::{Host, ids};
use hostnet::invalid;
use vim::soap::{Element, write_fragment};
use vim::{Fault, Object, arg, field, ty, vim};

use super::answer::element;
use super::{Arguments, Command, Namespace, PREFIX, Trouble, all, find, info};

/// The object that tells of the commands.
pub(super) const INFO: &str = "ha-dynamic-type-manager-local-cli-cliinfo";
/// Its type, and its methods.
pub(super) const INFO_TYPE: &str = "vim.CLIInfo";
const FETCH_INFO: &str = "vim.CLIInfo.FetchCLIInfo";
const FETCH_INFO_BY_DISPLAY: &str = "vim.CLIInfo.FetchCLIInfoFromDisplayName";
/// What begins every release that a client can name.
const RELEASES: &str = "urn:vim25";

type SoapResult = ty!(ReflectManagedMethodExecuterSoapResult);

enum Target {
    Info,
    Command(&'static Namespace, &'static Command),
}

/// Does `ExecuteSoap`.
///
/// # Errors
/// `InvalidArgument` for an object, a release or a method that is not there, `NoPermission`. What goes wrong with the command
/// itself is part of the result.
pub(crate) async fn execute(host: Arc<Host>, call: &Call) -> Result<SoapResult, Fault> {
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
        Target::Info => return Ok(info::fetch(given)),
        Target::Command(namespace, command) => (namespace, command),
    };
    call.check(&ids::host(), command.privilege)?;
    let arguments = match Arguments::read(command, given) {
        Ok(arguments) => arguments,
        Err(trouble) => return Ok(failed(&trouble)),
    };
    tracing::debug!(namespace = namespace.name, command = command.name, user = call.user(), "esxcli");
    let answer = (command.run)(host, arguments).await;
    Ok(match answer.and_then(|answer| element(namespace, command, answer)) {
        Ok(element) => done(&element),
        Err(trouble) => failed(&trouble),
    })
}

/// Does `FetchSoap`: no object that is reached so has properties.
///
/// # Errors
/// `InvalidArgument`, always.
pub(crate) fn fetch(call: &Call) -> Result<SoapResult, Fault> {
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
    invalid("moid", format_args!("There is no object {moid}; the dynamic type manager lists those there are"))
}

fn release(version: &str) -> Result<(), Fault> {
    let rest = version.strip_prefix(RELEASES);
    match rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        true => Ok(()),
        false => Err(invalid("version", format_args!("{version} is no release of {RELEASES}"))),
    }
}

pub(super) fn done(element: &Element) -> SoapResult {
    vim!(ReflectManagedMethodExecuterSoapResult { response: write_fragment(element) })
}

/// A `CLIFault`, as clients of ESXi read it.
fn failed(trouble: &Trouble) -> SoapResult {
    let fault = Element::of("fault", vec![Element::text("errMsg", &*trouble.0)]).typed("VimEsxCLICLIFault");
    fault_result("EsxCLI.CLIFault.summary", fault)
}

/// A fault that stands for itself in the result.
pub(super) fn fault_result(message: &str, fault: Element) -> SoapResult {
    let parts = vec![fault, Element::text("localizedMessage", message)];
    let detail = Element::of("obj", parts).typed("LocalizedMethodFault");
    vim!(ReflectManagedMethodExecuterSoapResult {
        fault: ReflectManagedMethodExecuterSoapFault {
            faultMsg: message,
            faultDetail: write_fragment(&detail),
        },
    })
}
