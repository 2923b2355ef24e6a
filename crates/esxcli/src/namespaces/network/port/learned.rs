//! `esxcli network port learned`: the MACs that ports have learned. ESXi has no such namespace.

use std::sync::Arc;

use host::Host;

use crate::table::{Answer, Arguments, Namespace, Outcome, Output, READ, Row, Structure, number, text};

static LEARNED: Structure =
    Structure { name: "LearnedMACs", table: true, fields: &[text("Port"), number("MACs"), number("Limit")] };

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.port.learned",
    help: "Learned MAC addresses",
    commands: &[command!(
        "list",
        "List the ports that learn, and the number of MACs that they know",
        READ,
        [],
        Output::Many(&LEARNED),
        list
    )],
};

async fn list(host: Arc<Host>, _: Arguments) -> Outcome {
    let mut rows = Vec::new();
    for port in host.network.interfaces().await {
        if let Some(learned) = host.network.fabric().learned(&port).await? {
            let row = Row::new().put("Port", port).put("MACs", learned.count);
            rows.push(row.put("Limit", i64::from(learned.limit)));
        }
    }
    Ok(Answer::Many(rows))
}
