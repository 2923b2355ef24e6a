//! `esfera esxcli`: commands of a host through its executer. The host describes its commands; none is known here.

mod show;

use api::client::Client;
use clap::Args;
use serde_json::json;
use vim::soap::{Element, read_fragment, write_fragment};
use vim::{MoRef, Object, Value, call, field, vim};

use self::show::{Types, print};
use crate::client::escape::escape;
use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::OnHost;
use crate::client::terminal;

#[derive(Args)]
pub struct Esxcli {
    #[command(flatten)]
    on: OnHost,
    /// The command with its options: network vswitch standard list --vswitch-name vSwitch0
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    words: Vec<String>,
}

/// The object that tells of the commands, and its method.
const INFO: &str = "ha-dynamic-type-manager-local-cli-cliinfo";
const FETCH_INFO: &str = "vim.CLIInfo.FetchCLIInfo";
/// Begins the types of namespaces.
const PREFIX: &str = "vim.EsxCLI.";
/// The release that calls name, as other clients do.
const VERSION: &str = "urn:vim25/5.0";

/// A host's executer, and its namespaces: name and object.
struct Executer {
    client: Client,
    executer: MoRef,
    types: MoRef,
    namespaces: Vec<(String, String)>,
}

pub async fn run(args: Esxcli) -> Result<(), Failure> {
    let Esxcli { on, mut words } = args;
    let before = words.len();
    // Behind the words of the command, clap takes --json for one of its options.
    words.retain(|word| word != "--json");
    let json = on.target.json || words.len() < before;
    let client = session::open(&on.target).await?;
    let host = {
        let inventory = Inventory::of(&client).await?;
        on.find(&inventory).await?
    };
    let executer = Executer::of(client, &host).await?;
    let named = words.iter().position(|word| word.starts_with('-')).unwrap_or(words.len());
    let options = words.split_off(named);
    let path = words.join(".");
    let begins = |name: &str| path.is_empty() || name == path || name.starts_with(&format!("{path}."));
    if executer.namespaces.iter().any(|(name, _)| begins(name)) {
        return executer.list(&path, json).await;
    }
    let (namespace, command) = path.rsplit_once('.').unwrap_or((&path, ""));
    let info = executer.info(namespace).await?;
    let known = info.iter().flat_map(|info| info.all("method"));
    let method = known.into_iter().find(|method| method.get("name") == Some(command));
    let Some(method) = method else {
        let failure = Failure::not_found("esxcli command", &words.join(" "));
        return Err(failure.hint("an incomplete command lists its completions: esfera esxcli network"));
    };
    if options.iter().any(|option| matches!(&**option, "--help" | "-h")) {
        return help(method, json);
    }
    let arguments = arguments(method, &options)?;
    let moid = executer.namespaces.iter().find(|(name, _)| name == namespace).map(|(_, moid)| &**moid);
    let owner = format!("{PREFIX}{path}");
    let answer = executer.execute(moid.unwrap_or_default(), &owner, arguments).await?;
    let types = if json { executer.types(&owner).await? } else { Types::default() };
    print(&answer, method, &types, json)
}

impl Executer {
    async fn of(client: Client, host: &MoRef) -> Result<Self, Failure> {
        let missing = || Failure::new(Reason::Failed, "the host has no executer for esxcli");
        let executer = client.invoke(host, &call!(RetrieveManagedMethodExecuter {})).await?;
        let executer = executer.as_ref().and_then(Value::as_ref).cloned().ok_or_else(missing)?;
        let types = client.invoke(host, &call!(RetrieveDynamicTypeManager {})).await?;
        let types = types.as_ref().and_then(Value::as_ref).cloned().ok_or_else(missing)?;
        let asked = client.invoke(&types, &call!(DynamicTypeMgrQueryMoInstances {})).await?;
        let namespace = |value: &Value| {
            let instance = value.as_object()?;
            let ty = instance.get(field!(DynamicTypeMgrMoInstance.moType))?.strip_prefix(PREFIX)?;
            Some((ty.to_owned(), instance.get(field!(DynamicTypeMgrMoInstance.id))?.to_owned()))
        };
        let mut namespaces: Vec<_> = asked.iter().flat_map(|all| all.items()).filter_map(namespace).collect();
        namespaces.sort();
        Ok(Self { client, executer, types, namespaces })
    }

    /// Executes a method and reads its answer.
    async fn execute(
        &self,
        moid: &str,
        method: &str,
        arguments: Vec<(String, Vec<String>)>,
    ) -> Result<Element, Failure> {
        let argument = |(name, values): (String, Vec<String>)| {
            let all = values.into_iter().map(|value| write_fragment(&Element::text(&name, value)));
            let value: String = all.collect();
            vim!(ReflectManagedMethodExecuterSoapArgument { name: name, val: value })
        };
        let arguments: Vec<_> = arguments.into_iter().map(argument).collect();
        let ask = call!(ExecuteSoap { moid: moid, version: VERSION, method: method, argument: arguments });
        let result = self.client.invoke(&self.executer, &ask).await?;
        let result = result.as_ref().and_then(Value::as_object);
        let unread = || Failure::new(Reason::Failed, format!("the host returned no answer to {method}"));
        let result = result.ok_or_else(unread)?;
        if let Some(fault) = result.get(field!(ReflectManagedMethodExecuterSoapResult.fault)) {
            return Err(failed(fault));
        }
        let text = result.get(field!(ReflectManagedMethodExecuterSoapResult.response)).unwrap_or_default();
        let read = read_fragment(text).map_err(|error| Failure::new(Reason::Failed, error.to_string()))?;
        read.into_iter().next().ok_or_else(unread)
    }

    /// The host's description of a namespace, if it has one.
    async fn info(&self, namespace: &str) -> Result<Option<Element>, Failure> {
        let name = ("typeName".to_owned(), vec![format!("{PREFIX}{namespace}")]);
        match self.execute(INFO, FETCH_INFO, vec![name]).await {
            Ok(info) => Ok(Some(info)),
            Err(failure) if failure.reason == Reason::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The types of a command's answer.
    async fn types(&self, owner: &str) -> Result<Types, Failure> {
        let filter = vim!(DynamicTypeMgrTypeFilterSpec { typeSubstr: owner });
        let ask = call!(DynamicTypeMgrQueryTypeInfo { filterSpec: filter });
        let told = self.client.invoke(&self.types, &ask).await?;
        Ok(told.as_ref().and_then(Value::as_object).map(|told| Types::of(told)).unwrap_or_default())
    }

    /// Shows the namespaces and commands in a namespace.
    async fn list(&self, path: &str, json: bool) -> Result<(), Failure> {
        let mut table = Table::new(&["name", "kind", "help"]);
        let within = if path.is_empty() { String::new() } else { format!("{path}.") };
        let mut shown: Vec<&str> = Vec::new();
        for (name, _) in &self.namespaces {
            let Some(word) = name.strip_prefix(&within).and_then(|rest| rest.split('.').next()) else {
                continue;
            };
            if shown.contains(&word) {
                continue;
            }
            shown.push(word);
            let info = self.info(&format!("{within}{word}")).await?;
            let help = info.as_ref().and_then(|info| info.get("help")).unwrap_or_default();
            table.row(vec![json!(word), json!("namespace"), json!(help)]);
        }
        for method in self.info(path).await?.iter().flat_map(|info| info.all("method")) {
            let help = method.get("help").unwrap_or_default();
            table.row(vec![json!(method.get("name")), json!("command"), json!(help)]);
        }
        table.print(json)
    }
}

/// The failure for a fault of the executer.
fn failed(fault: &Object) -> Failure {
    let detail = fault.get(field!(ReflectManagedMethodExecuterSoapFault.faultDetail)).unwrap_or_default();
    let read = read_fragment(detail).unwrap_or_default();
    let faults = || read.iter().flat_map(|detail| detail.all("fault"));
    let lines: Vec<_> =
        faults().flat_map(|fault| fault.all("errMsg")).map(|line| escape(&line.text)).collect();
    let missing = faults().any(|fault| fault.xsi_type.as_deref() == Some("NotFound"));
    let message = match lines.is_empty() {
        true => {
            fault.get(field!(ReflectManagedMethodExecuterSoapFault.faultMsg)).unwrap_or_default().to_owned()
        }
        false => lines.join("\n"),
    };
    Failure::new(if missing { Reason::NotFound } else { Reason::Failed }, message)
}

/// Shows the options of a command.
fn help(method: &Element, json: bool) -> Result<(), Failure> {
    let mut table = Table::new(&["option", "help"]);
    for parameter in method.all("param") {
        let aliases: Vec<&str> = parameter.all("aliases").map(|alias| &*alias.text).collect();
        table.row(vec![json!(aliases.join(", ")), json!(parameter.get("help"))]);
    }
    if !json {
        terminal::line(method.get("help").unwrap_or_default())?;
    }
    table.print(json)
}

/// Options of a command line as the method's parameters.
fn arguments(method: &Element, options: &[String]) -> Result<Vec<(String, Vec<String>)>, Failure> {
    let mut given: Vec<(String, Vec<String>)> = Vec::new();
    let mut options = options.iter();
    let wrong = |message: String| Failure::new(Reason::Usage, message).hint("--help lists the options");
    while let Some(option) = options.next() {
        let (alias, value) = match option.split_once('=') {
            Some((alias, value)) => (alias, Some(value.to_owned())),
            None => (&**option, None),
        };
        let is_it = |known: &&Element| known.all("aliases").any(|known| known.text == alias);
        let known =
            method.all("param").find(is_it).ok_or_else(|| wrong(format!("unknown option {alias}")))?;
        let value = match value {
            Some(value) => value,
            None if known.get("flag") == Some("true") => "true".to_owned(),
            None => options.next().cloned().ok_or_else(|| wrong(format!("{alias} needs a value")))?,
        };
        let name = known.get("name").unwrap_or_default();
        match given.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value),
            None => given.push((name.to_owned(), vec![value])),
        }
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method() -> Element {
        let parameter = |name: &str, aliases: &[&str], flag: &str| {
            let mut parts = vec![Element::text("name", name), Element::text("flag", flag)];
            parts.extend(aliases.iter().map(|alias| Element::text("aliases", *alias)));
            Element::of("param", parts)
        };
        let all = vec![
            parameter("vswitchname", &["-v", "--vswitch-name"], "false"),
            parameter("usevswitch", &["-u", "--use-vswitch"], "true"),
        ];
        Element::of("method", all)
    }

    #[test]
    fn options_are_read_in_every_spelling() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let expected = vec![
            ("vswitchname".to_owned(), vec!["a=b".to_owned()]),
            ("usevswitch".to_owned(), vec!["true".to_owned()]),
        ];
        for text in ["-v a=b -u", "--vswitch-name=a=b --use-vswitch", "-v=a=b -u=true"] {
            assert_eq!(arguments(&method(), &words(text)).unwrap(), expected, "{text}");
        }
        for text in ["-x", "-v", "word"] {
            assert_eq!(arguments(&method(), &words(text)).unwrap_err().reason, Reason::Usage, "{text}");
        }
        let twice = arguments(&method(), &words("-v a -v b")).unwrap();
        assert_eq!(twice, [("vswitchname".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
    }
}
