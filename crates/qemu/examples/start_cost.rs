//! Prints what starting a VM costs beside a bare start of QEMU with the same arguments, and what ten idle
//! VMs take: `cargo run -p qemu --release --example start_cost`.
#![allow(clippy::unwrap_used)]

use qemu::{Machine, MachineSpec, StartOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 21;
const MACHINES: usize = 10;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let room = std::env::temp_dir().join(format!("esf-start-cost-{}", std::process::id()));
    runtime.block_on(measure(&room));
    std::fs::remove_dir_all(&room).unwrap();
}

fn spec(name: &str) -> MachineSpec {
    MachineSpec::new(name, "0e5fe7a0-0000-4000-8000-000000000001", 96)
}

async fn measure(room: &Path) {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let vm = Machine::start(&spec("ours"), room.join("ours"), StartOptions::default()).await.unwrap();
        vm.resume().await.unwrap();
        ours.push(begin.elapsed());
        let command = vm.record().command.clone();
        vm.kill().await.unwrap();
        bare.push(bare_start(room, &command));
    }
    let (ours, bare) = (median(ours), median(bare));
    println!("start to running, median of {ROUNDS}: ours {ours:?}, bare {bare:?}");
    let mut machines = Vec::new();
    for n in 0..MACHINES {
        let (spec, dir) = (spec(&format!("m{n}")), room.join(format!("m{n}")));
        let vm = Machine::start(&spec, dir, StartOptions::default()).await.unwrap();
        vm.resume().await.unwrap();
        machines.push(vm);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let resident: u64 = machines.iter().map(|vm| vm.usage().unwrap().resident_bytes).sum();
    let own = qemu::process::usage(i32::try_from(std::process::id()).unwrap()).unwrap();
    println!(
        "{MACHINES} machines: {} MiB each; this process {} KiB",
        resident / MACHINES as u64 / (1 << 20),
        own.resident_bytes / 1024
    );
    for vm in machines {
        vm.kill().await.unwrap();
    }
}

/// The same arguments, but for the sockets that only the crate prepares.
fn bare_start(room: &Path, command: &[String]) -> Duration {
    let socket = room.join("bare.sock");
    let chardev = format!("socket,id=qmp,path={},server=on,wait=off", socket.display());
    let arguments = command.iter().map(|a| if a.starts_with("socket,id=qmp") { &chardev } else { a });
    let begin = Instant::now();
    let mut child = Command::new(&command[0]).args(arguments.skip(1)).stderr(Stdio::null()).spawn().unwrap();
    let stream = loop {
        match UnixStream::connect(&socket) {
            Ok(stream) => break stream,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    lines.next().unwrap().unwrap();
    for command in [r#"{"execute":"qmp_capabilities"}"#, r#"{"execute":"cont"}"#] {
        writeln!(&stream, "{command}").unwrap();
        while !lines.next().unwrap().unwrap().contains("return") {}
    }
    let taken = begin.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(&socket).unwrap();
    taken
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
