//! Runs the fuzz targets in `fuzz/`. cargo-fuzz needs the compiler's unstable coverage flags; with `RUSTC_BOOTSTRAP=1` and
//! without a sanitizer (the crates forbid unsafe code) the stable compiler accepts them. A run keeps its corpus in the
//! cache, so the tree stays unchanged.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{paths, process, setup};

/// A target that needs more than this leaks or loads without a limit.
const MEMORY_MIB: u32 = 1024;
/// Time limit of one input.
const INPUT_SECONDS: u32 = 10;

const DEFAULT_SECONDS: u32 = 10;

#[derive(Args)]
pub struct Options {
    /// How long each target runs
    #[arg(long, default_value_t = DEFAULT_SECONDS)]
    seconds: u32,
    /// Only these targets
    targets: Vec<String>,
}

impl Options {
    /// So many seconds for each of these targets; without any, for all.
    pub fn new(seconds: u32, targets: Vec<String>) -> Self {
        Self { seconds, targets }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: DEFAULT_SECONDS, targets: Vec::new() }
    }
}

/// Runs the targets one after the other, including those behind one with a finding.
pub fn run(options: &Options) -> Result<()> {
    let directory = paths::repository().join("fuzz");
    if !directory.join("Cargo.toml").is_file() {
        eprintln!("the tree has no fuzz targets");
        return Ok(());
    }
    setup::install_cargo_tool("cargo-fuzz")?;
    let listing = process::read(cargo_fuzz("list")?.env_remove("RUSTC_BOOTSTRAP"))?;
    let known: Vec<&str> = listing.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    if let Some(unknown) = options.targets.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("the fuzz target {unknown} does not exist; choose from {}", known.join(", "));
    }
    let targets: Vec<&str> = match options.targets.as_slice() {
        [] => known,
        some => some.iter().map(String::as_str).collect(),
    };
    let seconds = options.seconds;
    process::step("build the fuzz targets", || {
        process::quiet(cargo_fuzz("build")?.args(["--sanitizer", "none"]))
    })?;
    let mut failed = Vec::new();
    for target in targets {
        let title = format!("fuzz {target} for {seconds} s");
        if let Err(error) = process::step(&title, || run_target(&directory, target, seconds)) {
            eprintln!("{error:#}");
            failed.push(target);
        }
    }
    if !failed.is_empty() {
        bail!("these targets found inputs that fail: {}", failed.join(", "));
    }
    Ok(())
}

fn cargo_fuzz(subcommand: &str) -> Result<Command> {
    let mut command = process::cargo()?;
    command.env("RUSTC_BOOTSTRAP", "1").args(["fuzz", subcommand]);
    Ok(command)
}

fn run_target(directory: &Path, target: &str, seconds: u32) -> Result<()> {
    let corpus = paths::cache()?.join("fuzz-corpus").join(target);
    let artifacts = paths::cache()?.join("fuzz-artifacts").join(target);
    for directory in [&corpus, &artifacts] {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let mut fuzz = cargo_fuzz("run")?;
    fuzz.args(["--sanitizer", "none", target]).arg(&corpus);
    // The examples of the tree are read, not written.
    let seeds = directory.join("seeds").join(target);
    if seeds.is_dir() {
        fuzz.arg(seeds);
    }
    fuzz.arg("--").arg(format!("-max_total_time={seconds}")).arg(format!("-rss_limit_mb={MEMORY_MIB}"));
    fuzz.arg(format!("-timeout={INPUT_SECONDS}")).arg("-verbosity=0");
    fuzz.arg(format!("-artifact_prefix={}/", artifacts.display()));
    process::quiet(&mut fuzz)
}
