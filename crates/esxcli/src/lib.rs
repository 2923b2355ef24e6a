//! The commands of `esxcli`: one table from which come what a command does, its help, its types and its answers.
//!
//! To add a command, add it to the [`Namespace`] of its file, or add a file and its namespaces to [`all`]. Names, parameters and
//! fields are those that ESXi 8 has, so that its clients find them; what is unknown here is left out of an answer.
//! [`execute`] is how `ReflectManagedMethodExecuter` comes in, [`reflect`] tells of the types. `docs/esxcli.md` has the wire.
#![forbid(unsafe_code)]

/// A command that reads and need not wait: a function of the host and the arguments.
macro_rules! reads {
    ($name:literal, $help:literal, [$($parameter:expr),*], $output:expr, $from:ident) => {
        $crate::Command {
            name: $name,
            help: $help,
            privilege: $crate::READ,
            parameters: &[$($parameter),*],
            output: $output,
            run: |host, arguments| Box::pin(async move { $from(&host, &arguments) }),
        }
    };
}

mod answer;
mod arguments;
mod execute;
mod info;
mod methods;
mod network_extras;
mod network_ip;
mod network_mirror;
mod network_nic;
mod network_policy;
mod network_policy_set;
mod network_port;
mod network_portgroup;
mod network_route;
mod network_stack;
mod network_switch;
mod reflect;
mod system;
#[cfg(test)]
mod tests;
mod vm;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use host::Host;

#[cfg(test)]
pub(crate) use answer::Datum;
pub(crate) use answer::{Answer, Row, Trouble};
pub(crate) use arguments::Arguments;
pub use methods::register;

/// What begins the name of every namespace's type.
pub(crate) const PREFIX: &str = "vim.EsxCLI.";
/// Reading takes what reading of objects takes.
const READ: &str = "System.Read";
/// Changes of the network.
const NETWORK: &str = "Host.Config.Network";
/// Reading about all machines, also those that permissions hide: it takes what lets somebody capture all of their frames.
const MACHINES: &str = NETWORK;

type Outcome = Result<Answer, Trouble>;
type Run = fn(Arc<Host>, Arguments) -> BoxFuture<'static, Outcome>;

/// A group of commands: `network vswitch standard`.
pub(crate) struct Namespace {
    /// The words with dots between.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) commands: &'static [Command],
}

/// The last word of a command line, and all that is known of it.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    /// What it takes on the host.
    pub(crate) privilege: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) output: Output,
    pub(crate) run: Run,
}

/// What a command takes.
pub(crate) struct Parameter {
    /// As it is written: `vswitch-name`. On the wire it has no dashes.
    pub(crate) display: &'static str,
    /// The option of one letter.
    pub(crate) letter: Option<char>,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// It may be given several times.
    pub(crate) list: bool,
    pub(crate) help: &'static str,
}

impl Parameter {
    const fn text(display: &'static str, letter: char, help: &'static str) -> Self {
        Self { display, letter: Some(letter), kind: Kind::Text, required: false, list: false, help }
    }

    const fn number(display: &'static str, letter: char, help: &'static str) -> Self {
        Self { kind: Kind::Number, ..Self::text(display, letter, help) }
    }

    const fn boolean(display: &'static str, letter: char, help: &'static str) -> Self {
        Self { kind: Kind::Boolean, ..Self::text(display, letter, help) }
    }

    /// True by its being there.
    const fn flag(display: &'static str, letter: char, help: &'static str) -> Self {
        Self { kind: Kind::Flag, ..Self::text(display, letter, help) }
    }

    const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Its name on the wire.
    pub(crate) fn name(&self) -> String {
        self.display.replace('-', "")
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Boolean,
    Flag,
}

impl Kind {
    /// In the object model and, after `xsd:`, on the wire.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "long",
            Self::Boolean | Self::Flag => "boolean",
        }
    }
}

/// What a command answers.
pub(crate) enum Output {
    /// That it was done, which is `true` on the wire.
    Done,
    Text,
    One(&'static Structure),
    Many(&'static Structure),
}

impl Output {
    pub(crate) fn structure(&self) -> Option<&'static Structure> {
        match self {
            Self::Done | Self::Text => None,
            Self::One(structure) | Self::Many(structure) => Some(structure),
        }
    }
}

/// The fields of an answer, in the order in which they are shown. Each may be unset.
pub(crate) struct Structure {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
    /// Lists of it are shown as a table; otherwise each as a block.
    pub(crate) table: bool,
}

pub(crate) struct Field {
    /// As it is shown: `Num Ports`. On the wire it has no blanks.
    pub(crate) display: &'static str,
    pub(crate) kind: FieldKind,
}

pub(crate) enum FieldKind {
    Text,
    Number,
    Boolean,
    Texts,
    Structure(&'static Structure),
}

const fn text(display: &'static str) -> Field {
    Field { display, kind: FieldKind::Text }
}

const fn number(display: &'static str) -> Field {
    Field { display, kind: FieldKind::Number }
}

const fn boolean(display: &'static str) -> Field {
    Field { display, kind: FieldKind::Boolean }
}

const fn texts(display: &'static str) -> Field {
    Field { display, kind: FieldKind::Texts }
}

impl Field {
    /// Its name on the wire.
    pub(crate) fn name(&self) -> String {
        self.display.replace(' ', "")
    }
}

/// All namespaces that have commands.
pub(crate) fn all() -> impl Iterator<Item = &'static Namespace> {
    [
        network_extras::NAMESPACES,
        network_ip::NAMESPACES,
        network_mirror::NAMESPACES,
        network_nic::NAMESPACES,
        network_policy::NAMESPACES,
        network_port::NAMESPACES,
        network_portgroup::NAMESPACES,
        network_route::NAMESPACES,
        network_stack::NAMESPACES,
        network_switch::NAMESPACES,
        system::NAMESPACES,
        vm::NAMESPACES,
    ]
    .into_iter()
    .flatten()
}

/// What namespaces without commands of their own are about.
const GROUPS: [(&str, &str); 12] = [
    ("network", "The host's network"),
    ("network.ip", "The host's own adapters and TCP/IP stacks"),
    ("network.ip.dns", "How names are resolved"),
    ("network.ip.route", "Routes"),
    ("network.mirror", "Port mirroring"),
    ("network.port", "Ports of virtual switches"),
    ("network.vswitch", "Virtual switches"),
    ("network.vswitch.dvs", "Distributed virtual switches"),
    ("network.vswitch.standard.policy", "Policies of standard switches"),
    ("network.vswitch.standard.portgroup.policy", "Policies of port groups"),
    ("system", "The host itself"),
    ("vm", "Virtual machines"),
];

pub(crate) fn find(namespace: &str) -> Option<&'static Namespace> {
    all().find(|known| known.name == namespace)
}

impl Namespace {
    /// The type of its object: `vim.EsxCLI.network.vm`.
    pub(crate) fn type_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// The id of its object.
    pub(crate) fn moid(&self) -> String {
        format!("ha-cli-handler-{}", self.name.replace('.', "-"))
    }

    /// The command of this name; object models begin names of methods with a capital.
    pub(crate) fn command(&self, name: &str) -> Option<&'static Command> {
        self.commands.iter().find(|command| command.name.eq_ignore_ascii_case(name))
    }
}

/// A name of the object model as the wire has it: `VimEsxCLInetworkvmlist`.
pub(crate) fn wire_name(model: &str) -> String {
    let mut name = model.replace('.', "");
    name.replace_range(..1, "V");
    name
}
