//! `cargo xtask dist`: the binary as it ships, stripped, with its symbols in a file beside it that debuggers and
//! profilers find by the link in the binary.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{environment, process, setup};

/// Builds the binary with the profile `dist`, moves its symbols out, and prints both paths with their sizes.
pub fn run() -> Result<()> {
    setup::packages()?;
    process::step("build for shipping", || {
        process::run(process::cargo()?.args(["build", "--package", "esfera", "--profile", "dist"]))
    })?;
    let built = environment::target_directory()?.join("dist");
    let directory = built.join("stripped");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let (binary, symbols) = (directory.join("esfera"), directory.join("esfera.debug"));
    let objcopy = |options: &[&str], from: &Path, to: &Path| {
        process::run(Command::new("objcopy").current_dir(&directory).args(options).args([from, to]))
    };
    objcopy(&["--only-keep-debug", "--compress-debug-sections"], &built.join("esfera"), &symbols)?;
    // The link holds the name alone, so both files can move together.
    let link = ["--strip-all", "--add-gnu-debuglink=esfera.debug"];
    objcopy(&link, &built.join("esfera"), &binary)?;
    for path in [&binary, &symbols] {
        let bytes = path.metadata().with_context(|| format!("cannot look at {}", path.display()))?.len();
        println!("{} {:.1} MB", path.display(), bytes as f64 / 1e6);
    }
    Ok(())
}
