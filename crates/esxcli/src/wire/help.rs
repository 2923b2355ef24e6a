//! The help of the commands, as `vim.CLIInfo` gives it.

use vim::soap::{Element, read_fragment};

use super::result::{SoapResult, done, fault_result};
use crate::namespaces::{GROUPS, find};
use crate::table::{Command, FieldKind, Kind, Output, PREFIX, Parameter, Structure};

/// Answers `FetchCLIInfo(typeName)` and `FetchCLIInfoFromDisplayName(name)`, which differ in the prefix and the separator.
pub(super) fn fetch<'a>(given: impl Iterator<Item = (&'a str, &'a str)>) -> SoapResult {
    let asked = given.filter(|(name, _)| matches!(*name, "typeName" | "name")).map(|(_, value)| value).next();
    let asked = asked.unwrap_or_default();
    let elements = read_fragment(asked).unwrap_or_default();
    let name = elements.first().map_or(asked, |element| &element.text).trim();
    let name = name.strip_prefix(PREFIX).unwrap_or(name).replace(' ', ".");
    let group = GROUPS.iter().find(|(group, _)| *group == name);
    match (find(&name), group) {
        (Some(namespace), _) => done(&of_namespace(namespace.name, namespace.help, namespace.commands)),
        (None, Some((name, help))) => done(&of_namespace(name, help, &[])),
        (None, None) => fault_result(
            "The object or item referred to could not be found.",
            Element::of("fault", Vec::new()).typed("NotFound"),
        ),
    }
}

fn of_namespace(name: &str, help: &str, commands: &[Command]) -> Element {
    let display = name.rsplit('.').next().unwrap_or_default();
    let mut parts = named(name, display, help);
    parts.extend(commands.iter().map(of_command));
    Element::of("obj", parts).typed("VimCLIInfoInfo")
}

fn named(name: &str, display: &str, help: &str) -> Vec<Element> {
    vec![Element::text("name", name), Element::text("displayName", display), Element::text("help", help)]
}

fn of_command(command: &Command) -> Element {
    let mut parts = named(command.name, command.name, command.help);
    parts.extend(command.parameters.iter().map(of_parameter));
    parts.push(Element::of("ret", vec![Element::text("name", "result")]));
    parts.extend(hints(&command.output).into_iter().map(|(key, value)| {
        Element::of("hints", vec![Element::text("key", key), Element::text("value", value)])
    }));
    Element::of("method", parts)
}

fn of_parameter(parameter: &Parameter) -> Element {
    let mut parts =
        vec![Element::text("name", parameter.name()), Element::text("displayName", parameter.display)];
    parts.extend(parameter.letter.map(|letter| Element::text("aliases", format!("-{letter}"))));
    parts.push(Element::text("aliases", format!("--{}", parameter.display)));
    parts.push(Element::text("help", parameter.help));
    parts.push(Element::text("flag", (parameter.kind == Kind::Flag).to_string()));
    Element::of("param", parts)
}

/// Hints how clients should show the answer.
fn hints(output: &Output) -> Vec<(String, String)> {
    let formatter = match output {
        Output::Done => "",
        Output::Many(structure) if structure.table => "table",
        Output::Text | Output::One(_) | Output::Many(_) => "simple",
    };
    let mut hints = Vec::new();
    if let Some(structure) = output.structure() {
        fields(structure, &mut hints);
    }
    hints.push(("formatter".into(), formatter.into()));
    hints
}

fn fields(structure: &Structure, hints: &mut Vec<(String, String)>) {
    let names: Vec<&str> = structure.fields.iter().map(|field| field.display).collect();
    hints.push((format!("fields:{}", structure.name), names.join(",")));
    for field in structure.fields {
        if let FieldKind::Structure(inner) = field.kind {
            fields(inner, hints);
        }
    }
}
