//! Installs all that building, running and testing need: Debian packages (QEMU from backports where the release's own is
//! too old), the Python clients of the tests, cargo's test runner. If all is installed that is one quick check, so every
//! other command starts with this one.

mod apt;
mod python;
mod sources;

use std::env;
use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{paths, process};

pub use python::interpreter;

/// Installs everything that building, running and testing need; silent if it is all installed.
pub fn run() -> Result<()> {
    packages()?;
    let _alone = lock("setup")?;
    python::install_missing()?;
    install_cargo_tool("cargo-nextest")?;
    Ok(())
}

/// Installs what building and running need. The tests' own tools take minutes more, so a first look does
/// not wait for them.
pub fn packages() -> Result<()> {
    let _alone = lock("setup")?;
    apt::install_missing()
}

/// Holds the named lock until the file is dropped: two commands at once do not make the same thing twice.
pub fn lock(name: &str) -> Result<File> {
    let path = paths::cache()?.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// The cargo subcommand's program; built from crates.io into the cache if it is not installed.
pub fn install_cargo_tool(name: &str) -> Result<PathBuf> {
    if let Some(path) = process::find(name) {
        return Ok(path);
    }
    let root = paths::tools()?;
    process::step(&format!("build {name} into {}", root.display()), || {
        let mut install = process::cargo()?;
        // A directory without a cargo configuration of ours, and with a separate target directory.
        install.current_dir(env::temp_dir()).env_remove("CARGO_TARGET_DIR");
        process::run(install.args(["install", "--locked", "--quiet", "--root"]).arg(&root).arg(name))
    })?;
    process::find(name)
        .with_context(|| format!("cargo installed {name}, yet it is not in {}", root.display()))
}
