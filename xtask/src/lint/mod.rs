//! What must hold before a change is looked at: format, clippy, the floors of the crates, and what the tree
//! may not contain. All checks run, then all failures are named.

mod floors;
mod tree;

use anyhow::{Result, bail};

use crate::{process, setup};

type Check = (&'static str, fn() -> Result<()>);

const CHECKS: [Check; 5] = [
    ("format", format),
    ("floors", floors::check),
    ("tree", tree::check),
    ("clippy", clippy),
    ("dependencies", dependencies),
];

/// # Errors
/// Names the checks that failed. The compilers of the data plane are installed first: clippy builds what they build.
pub fn run() -> Result<()> {
    setup::packages()?;
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        if let Err(error) = process::step(name, check) {
            eprintln!("{error:#}");
            failed.push(name);
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
