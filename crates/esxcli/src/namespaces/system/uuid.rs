//! `esxcli system uuid`

use host::Host;

use crate::table::{Answer, Arguments, Namespace, Outcome, Output, READ};

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "system.uuid",
    help: "The host's identity",
    commands: &[reads!("get", "Show the host's UUID", READ, [], Output::Text, get)],
};

fn get(host: &Host, _: &Arguments) -> Outcome {
    Ok(Answer::Text(host.uuid.to_string()))
}
