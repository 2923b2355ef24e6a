//! `esxcli vm …`: the machines that run.

use std::sync::Arc;

use host::{Host, Vm};
use vm::Power;

use super::{Answer, Command, MACHINES, Namespace, Output, Row, Structure, number, text};

static MACHINE: Structure = Structure {
    name: "VirtualMachine",
    table: false,
    fields: &[
        number("World ID"),
        number("Process ID"),
        number("VMX Cartel ID"),
        text("UUID"),
        text("Display Name"),
        text("Config File"),
    ],
};

pub(super) static NAMESPACES: &[Namespace] = &[Namespace {
    name: "vm.process",
    help: "Virtual machines that run",
    commands: &[Command {
        name: "list",
        help: "List the machines that run",
        privilege: MACHINES,
        parameters: &[],
        output: Output::Many(&MACHINE),
        run: |host, _| Box::pin(async move { Ok(list(&host)) }),
    }],
}];

/// Machines that are on.
pub(super) fn running(host: &Host) -> impl Iterator<Item = Arc<Vm>> {
    host.all_vms().into_iter().filter(|vm| vm.power() == Power::On)
}

/// The number by which a machine that runs is known here: of its process or, where there is none, of its object.
pub(super) fn world(vm: &Vm) -> Option<i64> {
    let pid = vm.machine().map(|machine| machine.pid()).filter(|pid| *pid > 0);
    pid.map(i64::from).or_else(|| vm.me.id().parse().ok())
}

fn list(host: &Host) -> Answer {
    let row = |vm: Arc<Vm>| {
        let pid = vm.machine().map(|machine| machine.pid()).filter(|pid| *pid > 0);
        let config = vm.config();
        Row::new()
            .put("World ID", world(&vm))
            .put("Process ID", pid)
            .put("UUID", uuid(&config.bios_uuid.to_string()))
            .put("Display Name", &config.name)
            .put("Config File", host.datastores.show(&vm.home()))
    };
    Answer::Many(running(host).map(row).collect())
}

/// As ESXi writes it: `56 4d 9b e5 8a 71 a1 c1-6a 0b 2e 3c 4d 5e 6f 70`.
fn uuid(text: &str) -> String {
    let digits: Vec<char> = text.chars().filter(|c| *c != '-').collect();
    let bytes: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    format!("{}-{}", first.join(" "), second.join(" "))
}
