//! `cargo xtask campaign`: tests that take longer than a change should wait for. Each looks for failures that the
//! ordinary run finds only by luck.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Subcommand;

use crate::environment::Environment;
use crate::{fuzz, paths, process, setup};

const DEFAULT_FUZZ_SECONDS: u32 = 600;
const DEFAULT_TIMES: u32 = 20;
/// The network tests: those that make namespaces and send frames.
const NETWORK_TESTS: &str = "package(vswitch) & kind(test)";
/// A mutant that makes a test run longer than this has made it hang.
const MUTANT_SECONDS: u32 = 300;

#[derive(Subcommand)]
pub enum Campaign {
    /// Run the fuzz targets for long
    Fuzz {
        /// How long each target runs
        #[arg(long, default_value_t = DEFAULT_FUZZ_SECONDS)]
        seconds: u32,
        /// Only these targets
        targets: Vec<String>,
    },
    /// Run the network tests many times, without retries
    Repeat {
        /// How many times
        #[arg(long, default_value_t = DEFAULT_TIMES)]
        times: u32,
        /// Other tests than those of the network, as nextest's filter expression
        #[arg(long, default_value = NETWORK_TESTS)]
        filter: String,
    },
    /// Change the code in small ways and see that a test notices each change
    Mutants {
        /// The files whose functions are changed; without any, the lines that differ from `--base`
        files: Vec<PathBuf>,
        /// The commit that a change is compared with
        #[arg(long, default_value = "main")]
        base: String,
        /// Passed to cargo-mutants
        #[arg(last = true)]
        rest: Vec<String>,
    },
}

pub fn run(campaign: &Campaign) -> Result<()> {
    setup::run()?;
    match campaign {
        Campaign::Fuzz { seconds, targets } => fuzz::run(*seconds, targets),
        Campaign::Repeat { times, filter } => repeat(*times, filter),
        Campaign::Mutants { files, base, rest } => mutants(files, base, rest),
    }
}

/// Goes on after a round that failed, so that the last line tells how often.
fn repeat(times: u32, filter: &str) -> Result<()> {
    let environment = Environment::prepare(false)?;
    let mut failed = Vec::new();
    for round in 1..=times {
        let result = process::step(&format!("round {round} of {times}"), || {
            let mut nextest = process::cargo()?;
            nextest.args(["nextest", "run", "--workspace", "--retries", "0", "--no-fail-fast"]);
            nextest.args(["--status-level", "fail", "--filterset", filter]);
            process::run(environment.apply(&mut nextest))
        });
        if let Err(error) = result {
            eprintln!("{error:#}");
            failed.push(round.to_string());
        }
    }
    if !failed.is_empty() {
        bail!("{} of {times} rounds failed: {}", failed.len(), failed.join(", "));
    }
    Ok(())
}

fn mutants(files: &[PathBuf], base: &str, rest: &[String]) -> Result<()> {
    setup::install_cargo_tool("cargo-mutants")?;
    let output = paths::cache()?.join("mutants");
    let mut mutants = process::cargo()?;
    mutants.args(["mutants", "--test-tool", "nextest", "--output"]).arg(&output);
    mutants.args(["--timeout", &MUTANT_SECONDS.to_string()]);
    if files.is_empty() {
        let difference = paths::cache()?.join("mutants.diff");
        let text = process::read(Command::new("git").current_dir(paths::repository()).args([
            "diff",
            "--merge-base",
            base,
        ]))?;
        if text.is_empty() {
            eprintln!("nothing differs from {base}");
            return Ok(());
        }
        fs::write(&difference, text).with_context(|| format!("cannot write {}", difference.display()))?;
        mutants.arg("--in-diff").arg(&difference);
    }
    for file in files {
        mutants.arg("--file").arg(file);
    }
    process::run(mutants.args(rest))
}
