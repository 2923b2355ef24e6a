//! `esxcli network vm`: the networks of running VMs.

pub(crate) mod port;

use std::sync::Arc;

use host::{Host, Vm};

use crate::namespaces::worlds::{running, world};
use crate::table::{
    ALL_VMS, Answer, Arguments, Namespace, Outcome, Output, Row, Structure, number, text, texts,
};

static VM: Structure = Structure {
    name: "VM",
    table: true,
    fields: &[number("World ID"), text("Name"), number("Num Ports"), texts("Networks")],
};

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vm",
    help: "Networks of virtual machines",
    commands: &[reads!(
        "list",
        "List the running virtual machines and their networks",
        ALL_VMS,
        [],
        Output::Many(&VM),
        list
    )],
};

fn list(host: &Host, _: &Arguments) -> Outcome {
    let row = |vm: Arc<Vm>| {
        let config = vm.config();
        let networks: Vec<String> = config.nics().map(|(_, nic)| nic.network.clone()).collect();
        Row::new()
            .put("World ID", world(&vm))
            .put("Name", &config.name)
            .put("Num Ports", networks.len())
            .put("Networks", networks)
    };
    Ok(Answer::Many(running(host).map(row).collect()))
}
