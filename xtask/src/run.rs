//! `cargo xtask run`: prepares all that a first look needs, then becomes the lab, so that Ctrl-C
//! and the exit status are the lab's.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::environment::Environment;
use crate::process;

#[derive(Args)]
pub struct Options {
    /// Build with optimisation, which takes longer
    #[arg(long)]
    release: bool,
    /// Passed to `esfera lab`
    #[arg(last = true)]
    rest: Vec<String>,
}

pub fn run(options: &Options) -> Result<()> {
    let environment = Environment::prepare(options.release)?;
    let mut lab = Command::new(environment.binary());
    lab.env("PATH", std::env::join_paths(process::search_path())?).arg("lab").args(&options.rest);
    let error = environment.apply(&mut lab).exec();
    Err(error).with_context(|| format!("cannot start `{}`", process::shown(&lab)))
}
