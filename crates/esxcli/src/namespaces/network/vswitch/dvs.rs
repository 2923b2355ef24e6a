//! `esxcli network vswitch dvs vmware`: distributed switches, which hosts do not have yet.

use host::Host;

use crate::table::{
    Answer, Arguments, Namespace, Outcome, Output, Parameter, READ, Structure, boolean, number, text, texts,
};

static DISTRIBUTED: Structure = Structure {
    name: "VDSVmware",
    table: false,
    fields: &[
        text("Name"),
        text("VDS ID"),
        text("Class"),
        number("Num Ports"),
        number("Used Ports"),
        number("Configured Ports"),
        number("MTU"),
        text("CDP Status"),
        number("Beacon Timeout"),
        texts("Uplinks"),
        boolean("VMware Branded"),
    ],
};

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vswitch.dvs.vmware",
    help: "Distributed switches",
    commands: &[reads!(
        "list",
        "List the distributed switches that the host is part of",
        READ,
        [Parameter::text("vds-name", 'v', "Only the switch of this name")],
        Output::Many(&DISTRIBUTED),
        list
    )],
};

fn list(_: &Host, _: &Arguments) -> Outcome {
    Ok(Answer::Many(Vec::new()))
}
