//! Commands and their namespaces.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use host::Host;

use super::{Answer, Arguments, CliFault, Output, Parameter};

/// The row of a command whose function is async: `fn(Arc<Host>, Arguments) -> Outcome`.
macro_rules! command {
    ($name:literal, $help:literal, $privilege:expr, [$($parameter:expr),* $(,)?], $output:expr, $run:expr) => {
        $crate::table::Command {
            name: $name,
            help: $help,
            privilege: $privilege,
            parameters: &[$($parameter),*],
            output: $output,
            run: |host, arguments| Box::pin($run(host, arguments)),
        }
    };
}

/// The row of a command that need not wait: its function is `fn(&Host, &Arguments) -> Outcome`.
macro_rules! reads {
    ($name:literal, $help:literal, $privilege:expr, [$($parameter:expr),* $(,)?], $output:expr, $run:expr) => {
        $crate::table::Command {
            name: $name,
            help: $help,
            privilege: $privilege,
            parameters: &[$($parameter),*],
            output: $output,
            run: |host, arguments| Box::pin(async move { $run(&host, &arguments) }),
        }
    };
}

/// Begins the type name of every namespace.
pub(crate) const PREFIX: &str = "vim.EsxCLI.";
/// Takes the same privilege as reading objects.
pub(crate) const READ: &str = "System.Read";
/// Changes the network.
pub(crate) const NETWORK: &str = "Host.Config.Network";
/// Reads about all VMs, including those that permissions hide. It takes the privilege that lets a user capture all their frames.
pub(crate) const ALL_VMS: &str = NETWORK;

pub(crate) type Outcome = Result<Answer, CliFault>;
type Run = fn(Arc<Host>, Arguments) -> BoxFuture<'static, Outcome>;

/// A group of commands: `network vswitch standard`.
pub(crate) struct Namespace {
    /// Its words with dots between.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) commands: &'static [Command],
}

/// A command: the row from which its help, its types, the checks of its arguments and its answer come.
pub(crate) struct Command {
    /// The last word of the command line.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    /// The privilege on the host that it takes.
    pub(crate) privilege: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) output: Output,
    pub(crate) run: Run,
}

impl Namespace {
    /// The type name of its object: `vim.EsxCLI.network.vm`.
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
