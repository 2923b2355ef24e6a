//! Runs other programs, with their output shown, read or hidden. A failure names the command line.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::paths;

/// The command line as a person would type it.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Runs the command with this process's own input and output; a non-zero exit is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs the command and returns what it wrote to its standard output; a non-zero exit is an error
/// that carries its standard error.
pub fn read(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}\n{}", shown(command), output.status, errors.trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` did not write UTF-8", shown(command)))
}

/// Runs the command silently; its output is shown only if it failed.
pub fn quiet(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        let (out, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("`{}` failed: {}\n{}{}", shown(command), output.status, out, errors.trim_end());
    }
    Ok(())
}

/// The cargo that runs this program, with the tools of the cache on its `PATH`.
pub fn cargo() -> Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::repository()).env("PATH", path_with_tools()?);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_about_this_program)) {
        command.env_remove(name);
    }
    Ok(command)
}

/// Whether cargo set the variable for this program alone. Build scripts that read it would run again, with everything
/// above them, whenever `cargo xtask` and `cargo` itself take turns.
fn is_about_this_program(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || name == "OUT_DIR"
}

fn path_with_tools() -> Result<OsString> {
    let mut directories: Vec<PathBuf> = search_path();
    directories.push(paths::tools()?.join("bin"));
    env::join_paths(directories).context("PATH holds a directory with a colon in its name")
}

/// The directories of `PATH`, and those of system programs that an ordinary user's `PATH` lacks.
pub fn search_path() -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    directories.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    directories
}

/// The path of a program, if it is installed.
pub fn find(program: &str) -> Option<PathBuf> {
    let tools = paths::tools().ok().map(|tools| tools.join("bin"));
    search_path()
        .into_iter()
        .chain(tools)
        .map(|directory| directory.join(program))
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Announces a step, does it and reports its duration.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {what}");
    let started = Instant::now();
    let result = work().with_context(|| what.to_owned())?;
    eprintln!("<== {what}: {}", seconds(started.elapsed()));
    Ok(result)
}

/// A duration as `12.3 s`.
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
