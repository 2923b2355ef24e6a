//! The Python clients that the whole-system tests drive, in a virtual environment of the cache. Its name
//! holds the hash of the pinned requirements, so a change of them makes a new environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, process};

const REQUIREMENTS: &str = "tests/requirements.txt";
/// Written last: an environment without it was interrupted and is made again.
const COMPLETE: &str = ".complete";

/// The environment's Python, installed or not.
pub fn interpreter() -> Result<PathBuf> {
    Ok(environment()?.join("bin/python"))
}

fn environment() -> Result<PathBuf> {
    let path = paths::repository().join(REQUIREMENTS);
    let requirements = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(paths::cache()?.join(format!("venv-{}", paths::fingerprint([requirements.as_slice()]))))
}

pub fn install_missing() -> Result<()> {
    let environment = environment()?;
    if environment.join(COMPLETE).exists() {
        return Ok(());
    }
    process::step(&format!("install the Python clients into {}", environment.display()), || {
        install(&environment)
    })
}

fn install(environment: &Path) -> Result<()> {
    if environment.exists() {
        fs::remove_dir_all(environment)
            .with_context(|| format!("cannot remove {}", environment.display()))?;
    }
    // The system's own Python has the venv module from Debian's package; others may lack it.
    let system = Path::new("/usr/bin/python3");
    let python = if system.exists() { system } else { Path::new("python3") };
    process::quiet(Command::new(python).args(["-m", "venv"]).arg(environment))?;
    let requirements = paths::repository().join(REQUIREMENTS);
    process::quiet(
        Command::new(environment.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "-r"])
            .arg(requirements),
    )?;
    fs::write(environment.join(COMPLETE), "").context("cannot mark the environment as complete")
}
