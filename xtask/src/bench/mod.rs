//! `cargo xtask bench`: measures the project's promises in numbers, beside a peer or a limit in the same run. Each measure
//! is a separate program (an example of a crate, or a script in `tests/bench` that plays the client) that prints figures;
//! this module puts them in a table. A missed target is reported and fails nothing, because computers differ.

mod figure;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::environment::Environment;
use crate::{paths, process, setup};
use figure::{Figure, table};

#[derive(Args)]
pub struct Options {
    /// The measures to take
    #[arg(value_enum, value_name = "MEASURE", default_values_t = [Measure::All])]
    measures: Vec<Measure>,
    /// Arguments for the scripts of the measures, such as `--vms 64,45000 --rounds 10` for growth
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Writing a large answer as XML, in process
    Write,
    /// The same end to end, over TLS from a simulated data center
    Retrieve,
    /// Power-on beside a bare start of QEMU
    PowerOn,
    /// Resident memory of host, center and simulator
    Memory,
    /// Durable commits
    Store,
    /// Start of the simulator
    StartUp,
    /// Curves of what must stay flat as history, inventory and crowds grow
    Growth,
    /// A center with a large inventory
    Center,
    /// The virtual switch beside a veth pair, Linux' bridge and Open vSwitch
    Net,
    All,
}

impl Measure {
    const EACH: [Self; 9] = [
        Self::Write,
        Self::Store,
        Self::StartUp,
        Self::Retrieve,
        Self::Net,
        Self::PowerOn,
        Self::Memory,
        Self::Growth,
        Self::Center,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Retrieve => "retrieve",
            Self::PowerOn => "power-on",
            Self::Memory => "memory",
            Self::Store => "store",
            Self::StartUp => "start-up",
            Self::Net => "net",
            Self::Growth => "growth",
            Self::Center => "center",
            Self::All => "all",
        }
    }

    fn programs(self) -> &'static [Program] {
        match self {
            Self::Write => &[Program::Example("vim", "write_speed"), Program::Example("api", "collect")],
            Self::Store => &[Program::Example("store", "throughput")],
            Self::StartUp => &[Program::Script("start_up.py")],
            Self::Retrieve => &[Program::Script("retrieve.py")],
            Self::PowerOn => &[Program::Script("power_on.py")],
            Self::Memory => &[Program::Script("memory.py")],
            Self::Growth => &[Program::Script("growth.py")],
            Self::Center => &[Program::Script("center.py")],
            Self::Net => &[Program::ScriptOver("net.py", "vswitch", "bench_switch")],
            Self::All => &[],
        }
    }
}

/// A program that measures.
#[derive(Clone, Copy)]
enum Program {
    /// An example of a crate.
    Example(&'static str, &'static str),
    /// A client in `tests/bench`, run with the tests' Python.
    Script(&'static str),
    /// A script that starts an example of a crate
    ScriptOver(&'static str, &'static str, &'static str),
}

pub fn run(options: &Options) -> Result<()> {
    setup::run()?;
    let environment = Environment::prepare(true)?;
    let wanted =
        |measure: &Measure| [*measure, Measure::All].iter().any(|name| options.measures.contains(name));
    let measures: Vec<Measure> = Measure::EACH.into_iter().filter(wanted).collect();
    build_examples(&measures)?;
    let mut tables = Vec::new();
    let mut failed = Vec::new();
    for measure in measures {
        let title = measure.title();
        match process::step(title, || figures(measure, &options.arguments, &environment)) {
            Ok(figures) => tables.push((title, figures)),
            Err(error) => {
                eprintln!("{error:#}");
                failed.push(title);
            }
        }
    }
    println!("{}", machine());
    print!("{}", table(&tables));
    if !failed.is_empty() {
        bail!("could not be measured: {}", failed.join(", "));
    }
    Ok(())
}

/// Builds all at once before the first measure, so that no compiler runs beside a measure.
fn build_examples(measures: &[Measure]) -> Result<()> {
    let mut build = process::cargo()?;
    build.args(["build", "--release"]);
    let before = build.get_args().count();
    for program in measures.iter().flat_map(|measure| measure.programs()) {
        if let Program::Example(package, example) | Program::ScriptOver(_, package, example) = program {
            build.args(["--package", package, "--example", example]);
        }
    }
    if build.get_args().count() == before {
        return Ok(());
    }
    process::step("build the examples", || process::run(&mut build))
}

fn figures(measure: Measure, arguments: &[String], environment: &Environment) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for program in measure.programs() {
        let mut command = program.command(environment)?;
        command.args(arguments);
        let text = read_figures(&mut command)?;
        figures.extend(text.lines().filter_map(Figure::parse));
    }
    Ok(figures)
}

impl Program {
    fn command(self, environment: &Environment) -> Result<Command> {
        let mut command = match self {
            Self::Example(_, example) => {
                let binary = environment.binary();
                let directory = binary.parent().context("the binary lies in a directory")?;
                Command::new(directory.join("examples").join(example))
            }
            Self::Script(script) | Self::ScriptOver(script, ..) => {
                let mut command = Command::new(setup::interpreter()?);
                command.arg(scripts().join(script)).env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
        };
        environment.apply(&mut command).env("ESFERA_FIGURES", "1");
        Ok(command)
    }
}

fn scripts() -> std::path::PathBuf {
    paths::repository().join("tests/bench")
}

/// Returns the program's standard output; its remarks on standard error are shown as they come.
fn read_figures(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", process::shown(command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", process::shown(command), output.status);
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` did not write UTF-8", process::shown(command)))
}

/// The computer and its load, without which times mean little.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("?");
    format!("{cores} cores of {model}, load {load}")
}
