//! An engine in a separate process, which can be killed and stopped: the test's program again, running its test
//! `reconcile::engine_of_a_process`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use vswitch::declare::Declaration;
use vswitch::{Engine, Options, Timing};

use super::Network;

const ROLE: &str = "ESFERA_TEST_ENGINE";

pub struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    pub fn start(net: &Network) -> Self {
        let options = net.options();
        let role = serde_json::json!([options.namespace, options.pins, options.prefix]).to_string();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "reconcile::engine_of_a_process", "--nocapture"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut process = Self { child, stdin, stdout };
        assert_eq!(process.answer(), "ready");
        process
    }

    /// Sends a declaration without waiting.
    pub fn ask(&mut self, declared: &Declaration) {
        writeln!(self.stdin, "{}", serde_json::to_string(declared).unwrap()).unwrap();
    }

    /// The next answer.
    pub fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "the engine's process has ended");
            if let Some((_, answer)) = line.trim_end().split_once("engine: ") {
                return answer.into();
            }
        }
    }

    pub fn declare(&mut self, declared: &Declaration) -> String {
        self.ask(declared);
        self.answer()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The engine's side, if this is such a process; ends with its standard input.
pub async fn serve() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (namespace, pins, prefix) = serde_json::from_str(&role).unwrap();
    let system = vswitch::discovery::System::default();
    let engine = Engine::start(Options {
        pins,
        namespace,
        prefix,
        system,
        without_tcx: false,
        timing: Timing::default(),
    })
    .await
    .unwrap();
    println!("engine: ready");
    for line in std::io::stdin().lines() {
        match engine.declare(serde_json::from_str(&line.unwrap()).unwrap()).await {
            Ok(()) => println!("engine: done"),
            Err(error) => println!("engine: {error}"),
        }
    }
}
