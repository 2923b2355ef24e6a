//! Checks a change before people review it. All checks run, then lint names every failure.

mod circles;
mod english;
mod files;
mod floors;
mod tree;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::{process, setup};

#[derive(Args)]
pub struct Options {
    /// Run only these checks, and show every finding
    #[arg(value_enum, value_name = "CHECK")]
    only: Vec<Check>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    /// `cargo fmt`
    Format,
    /// No crate uses one on its own floor or above
    Floors,
    /// No folders of a crate use each other
    Circles,
    /// No paths of one machine, no file that is too long
    Tree,
    /// Comments, documents and messages name the actor first
    English,
    /// `cargo clippy`
    Clippy,
    /// `cargo deny`, if it is installed
    Dependencies,
}

impl Check {
    const ALL: [Self; 7] = [
        Self::Format,
        Self::Floors,
        Self::Circles,
        Self::Tree,
        Self::English,
        Self::Clippy,
        Self::Dependencies,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Floors => "floors",
            Self::Circles => "circles",
            Self::Tree => "tree",
            Self::English => "English",
            Self::Clippy => "clippy",
            Self::Dependencies => "dependencies",
        }
    }

    fn run(self, detail: bool) -> Result<()> {
        match self {
            Self::Format => format(),
            Self::Floors => floors::check(),
            Self::Circles => circles::check(),
            Self::Tree => tree::check(),
            Self::English => english::check(detail),
            Self::Clippy => clippy(),
            Self::Dependencies => dependencies(),
        }
    }
}

/// # Errors
/// Names the checks that failed.
pub fn run(options: &Options) -> Result<()> {
    let wanted = |check: &Check| options.only.is_empty() || options.only.contains(check);
    let checks: Vec<Check> = Check::ALL.into_iter().filter(wanted).collect();
    if checks.contains(&Check::Clippy) {
        // Clippy builds the data plane, which needs its compilers.
        setup::packages()?;
    }
    let mut failed = Vec::new();
    for check in checks {
        if let Err(error) = process::step(check.title(), || check.run(!options.only.is_empty())) {
            eprintln!("{error:#}");
            failed.push(check.title());
        }
    }
    if !failed.is_empty() {
        bail!("lint failed: {}", failed.join(", "));
    }
    Ok(())
}

fn format() -> Result<()> {
    process::run(process::cargo()?.args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    process::run(process::cargo()?.args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Advisories need a data base from the network, so they are left to people: `cargo deny check`.
fn dependencies() -> Result<()> {
    if process::find("cargo-deny").is_none() {
        eprintln!(
            "cargo-deny is not installed (`cargo install --locked cargo-deny`): deny.toml is not checked"
        );
        return Ok(());
    }
    process::run(process::cargo()?.args(["deny", "--all-features", "check", "bans", "licenses", "sources"]))
}
