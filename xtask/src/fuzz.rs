//! A short run of every fuzz target in `fuzz/`. cargo-fuzz wants the compiler's unstable coverage flags; with
//! `RUSTC_BOOTSTRAP=1` and without a sanitizer (the crates forbid unsafe code) the stable compiler will do.
//! New corpus entries go to the cache, so that a run leaves the tree as it was.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{paths, process, setup};

/// A target that wants more than this leaks or loads without a limit.
const MEMORY_MIB: u32 = 1024;
/// One input may not take longer.
const INPUT_SECONDS: u32 = 10;

/// Runs each target for so many seconds; the first finding is an error that says how to repeat it.
pub fn run(seconds: u32) -> Result<()> {
    let directory = paths::repository().join("fuzz");
    if !directory.join("Cargo.toml").is_file() {
        eprintln!("there are none");
        return Ok(());
    }
    setup::install_cargo_tool("cargo-fuzz")?;
    let listing = process::read(process::cargo()?.args(["fuzz", "list"]))?;
    let targets: Vec<&str> = listing.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    if targets.is_empty() {
        bail!("{} lists no targets", directory.display());
    }
    let artifacts = paths::cache()?.join("fuzz-artifacts");
    for target in targets {
        process::step(&format!("fuzz {target} for {seconds} s"), || run_target(target, seconds, &artifacts))?;
    }
    Ok(())
}

fn run_target(target: &str, seconds: u32, artifacts: &std::path::Path) -> Result<()> {
    let (corpus, found) = (paths::cache()?.join("fuzz-corpus").join(target), artifacts.join(target));
    for directory in [&corpus, &found] {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let mut fuzz = process::cargo()?;
    fuzz.env("RUSTC_BOOTSTRAP", "1").args(["fuzz", "run", "--sanitizer", "none", target]).arg(&corpus);
    // What the tree itself brings as examples is read, not written.
    let seeds = paths::repository().join("fuzz/seeds").join(target);
    if seeds.is_dir() {
        fuzz.arg(seeds);
    }
    fuzz.arg("--").arg(format!("-max_total_time={seconds}")).arg(format!("-rss_limit_mb={MEMORY_MIB}"));
    fuzz.arg(format!("-timeout={INPUT_SECONDS}")).arg("-print_final_stats=1").arg("-verbosity=0");
    fuzz.arg(format!("-artifact_prefix={}/", found.display()));
    process::quiet(&mut fuzz)
}
