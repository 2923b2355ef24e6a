//! Prepares everything that the lab and the tests need: packages, a guest, the binary. Both find it through the same
//! variables.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{guest, process, setup};

pub struct Environment {
    binary: PathBuf,
    guest: PathBuf,
    python: PathBuf,
}

impl Environment {
    /// Installs packages, makes the guest and builds the binary, optimised if asked for.
    pub fn prepare(release: bool) -> Result<Self> {
        setup::packages()?;
        let guest = guest::image()?;
        process::step("build", || {
            let mut build = process::cargo()?;
            build.args(["build", "--package", "esfera"]);
            process::run(if release { build.arg("--release") } else { &mut build })
        })?;
        let binary = target_directory()?.join(if release { "release" } else { "debug" }).join("esfera");
        Ok(Self { binary, guest, python: setup::interpreter()? })
    }

    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Tells a command where the binary, the guest's image and the Python of the clients are.
    pub fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("ESFERA_BIN", &self.binary)
            .env(guest::IMAGE_VARIABLE, &self.guest)
            .env("ESFERA_PYTHON", &self.python)
    }
}

/// The directory of cargo's output.
pub fn target_directory() -> Result<PathBuf> {
    let text = process::read(process::cargo()?.args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .context("cargo metadata names no target directory")
}
