//! Runs all tests, the quickest to fail first: unit and integration tests, doc tests, the guest, whole-system tests with
//! other people's clients. A failed phase does not stop the next one.

use std::process::Command;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::environment::Environment;
use crate::phases::Phases;
use crate::{guest, paths, process, setup};

#[derive(Args)]
pub struct Options {
    /// Run only these phases
    #[arg(value_enum, value_name = "PHASE")]
    only: Vec<Phase>,
    /// Passed to the phase's own runner (nextest or pytest), such as a filter
    #[arg(last = true)]
    rest: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Phase {
    /// Unit and integration tests of all crates
    Crates,
    /// Examples in the documentation
    Docs,
    /// The test guest itself, booted in every way that it supports
    Guest,
    /// Whole-system tests with pyVmomi, virsh, Ansible and others
    Clients,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Crates, Self::Docs, Self::Guest, Self::Clients];

    /// Whether the phase needs the binary and the guest.
    fn needs_environment(self) -> bool {
        matches!(self, Self::Crates | Self::Clients)
    }

    fn title(self) -> &'static str {
        match self {
            Self::Crates => "tests of the crates",
            Self::Docs => "examples in the documentation",
            Self::Guest => "the test guest",
            Self::Clients => "whole-system tests",
        }
    }
}

pub fn run(options: &Options) -> Result<()> {
    let wanted = |phase: &Phase| options.only.is_empty() || options.only.contains(phase);
    let wanted: Vec<Phase> = Phase::ALL.into_iter().filter(wanted).collect();
    let mut phases = Phases::start();
    let mut environment = None;
    phases.run("set-up and build", || {
        setup::run()?;
        if wanted.iter().any(|phase| phase.needs_environment()) {
            environment = Some(Environment::prepare(false)?);
        }
        Ok(())
    });
    let environment = || environment.as_ref().context("the set-up failed, so there is nothing to test");
    for phase in wanted {
        phases.run(phase.title(), || match phase {
            Phase::Crates => crates(environment()?, &options.rest),
            Phase::Docs => docs(),
            Phase::Guest => guest::check::run(&guest::image()?),
            Phase::Clients => clients(environment()?, &options.rest),
        });
    }
    phases.finish()
}

fn crates(environment: &Environment, rest: &[String]) -> Result<()> {
    process::run(environment.apply(process::cargo()?.args(["nextest", "run", "--workspace"]).args(rest)))
}

fn docs() -> Result<()> {
    process::run(process::cargo()?.args(["test", "--quiet", "--doc", "--workspace"]))
}

fn clients(environment: &Environment, rest: &[String]) -> Result<()> {
    let directory = paths::repository().join("tests/clients");
    if !directory.is_dir() {
        eprintln!("the tree has no whole-system tests");
        return Ok(());
    }
    // The environment's bin directory comes first, so that tests find ansible-playbook and the like by name.
    let python = setup::interpreter()?;
    let bin = python.parent().context("the interpreter lies in a directory")?;
    let path = std::env::join_paths(std::iter::once(bin.to_owned()).chain(process::search_path()))?;
    let mut pytest = Command::new(&python);
    pytest.current_dir(&directory).env("PATH", path).env("PYTHONDONTWRITEBYTECODE", "1");
    pytest.args(["-m", "pytest", "-p", "no:cacheprovider", "-ra", "--durations=10"]);
    // Two files at a time, each with a lab of its own: a guest takes a core, and much of the rest is waiting.
    pytest.args(["--numprocesses", "2", "--dist", "loadfile"]).args(rest);
    process::run(environment.apply(&mut pytest))
}
