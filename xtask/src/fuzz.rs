//! Runs the fuzzer of `fuzz/` on the targets of `crates/fuzz`. cargo-fuzz needs the compiler's unstable coverage flags;
//! with `RUSTC_BOOTSTRAP=1` and without a sanitizer (the crates forbid unsafe code) the stable compiler accepts them. A
//! run keeps its corpus in the cache, so the tree stays unchanged.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{paths, process, setup};

/// The program that has all targets, and the variable that chooses one.
const PROGRAM: &str = "any";
const TARGET_VARIABLE: &str = "ESFERA_FUZZ_TARGET";
/// A target that needs more than this leaks or loads without a limit.
const MEMORY_MIB: u32 = 1024;
/// Time limit of one input.
const INPUT_SECONDS: u32 = 10;

/// Fuzzes these targets, or without any all of them, one after the other and so many seconds each, including those
/// behind one with a finding.
pub fn run(seconds: u32, only: &[String]) -> Result<()> {
    setup::install_cargo_tool("cargo-fuzz")?;
    let known = targets()?;
    if let Some(unknown) = only.iter().find(|name| !known.contains(name)) {
        bail!("the fuzz target {unknown} does not exist; choose from {}", known.join(", "));
    }
    let targets = if only.is_empty() { known.as_slice() } else { only };
    process::step("build the fuzzer", || {
        process::quiet(cargo_fuzz("build")?.args(["--sanitizer", "none", PROGRAM]))
    })?;
    let mut failed = Vec::new();
    for target in targets {
        let title = format!("fuzz {target} for {seconds} s");
        if let Err(error) = process::step(&title, || run_target(target, seconds)) {
            eprintln!("{error:#}");
            failed.push(target.as_str());
        }
    }
    if !failed.is_empty() {
        bail!("these targets found inputs that fail: {}", failed.join(", "));
    }
    Ok(())
}

/// Names of all targets: each has a file.
fn targets() -> Result<Vec<String>> {
    let directory = crate_directory().join("src/targets");
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).context("a target's name is text")?;
        if name != "mod" {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn crate_directory() -> PathBuf {
    paths::repository().join("crates/fuzz")
}

fn cargo_fuzz(subcommand: &str) -> Result<Command> {
    let mut command = process::cargo()?;
    command.env("RUSTC_BOOTSTRAP", "1").args(["fuzz", subcommand]);
    Ok(command)
}

fn run_target(target: &str, seconds: u32) -> Result<()> {
    let corpus = paths::cache()?.join("fuzz-corpus").join(target);
    let artifacts = paths::cache()?.join("fuzz-artifacts").join(target);
    for directory in [&corpus, &artifacts] {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let mut fuzz = cargo_fuzz("run")?;
    fuzz.args(["--sanitizer", "none", PROGRAM]).arg(&corpus).env(TARGET_VARIABLE, target);
    // The examples of the tree are read, not written.
    let seeds = crate_directory().join("seeds").join(target);
    if seeds.is_dir() {
        fuzz.arg(seeds);
    }
    fuzz.arg("--").arg(format!("-max_total_time={seconds}")).arg(format!("-rss_limit_mb={MEMORY_MIB}"));
    fuzz.arg(format!("-timeout={INPUT_SECONDS}")).arg("-verbosity=0");
    fuzz.arg(format!("-artifact_prefix={}/", artifacts.display()));
    process::quiet(&mut fuzz)
}
