//! `esxcli vm process`: the running VMs.

use std::sync::Arc;

use host::{Host, Vm};

use crate::namespaces::worlds::{running, world};
use crate::table::{ALL_VMS, Answer, Arguments, Namespace, Outcome, Output, Row, Structure, number, text};

static VM: Structure = Structure {
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

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "vm.process",
    help: "Running virtual machines",
    commands: &[reads!("list", "List the running virtual machines", ALL_VMS, [], Output::Many(&VM), list)],
};

fn list(host: &Host, _: &Arguments) -> Outcome {
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
    Ok(Answer::Many(running(host).map(row).collect()))
}

/// A UUID as ESXi writes it: `56 4d 9b e5 8a 71 a1 c1-6a 0b 2e 3c 4d 5e 6f 70`.
fn uuid(text: &str) -> String {
    let digits: Vec<char> = text.chars().filter(|c| *c != '-').collect();
    let bytes: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    format!("{}-{}", first.join(" "), second.join(" "))
}
