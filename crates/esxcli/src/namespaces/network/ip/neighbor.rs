//! `esxcli network ip neighbor`: the neighbours of a TCP/IP stack and their MAC addresses.

use std::sync::Arc;

use host::Host;
use hostnet::StackTable;
use serde_json::Value as Json;

use super::stacks::{STACK, objects, table, word};
use crate::table::{
    Answer, Arguments, CliFault, Namespace, Outcome, Output, Parameter, READ, Row, Structure, text,
};

static NEIGHBOR: Structure = Structure {
    name: "IpNeighbor",
    table: true,
    fields: &[
        text("Neighbor"),
        text("Mac Address"),
        text("Vmknic"),
        text("Expiry"),
        text("State"),
        text("Type"),
    ],
};

const INTERFACE: Parameter = Parameter::text("interface-name", 'i', "Only the neighbours on this interface");
const VERSION: Parameter = Parameter::text("version", 'v', "4, 6 or all (default: all)");

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.ip.neighbor",
    help: "Neighbours and their MAC addresses",
    commands: &[command!(
        "list",
        "List the neighbours that a TCP/IP stack knows",
        READ,
        [INTERFACE, STACK, VERSION],
        Output::Many(&NEIGHBOR),
        list
    )],
};

async fn list(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let tables: &[StackTable] = match arguments.text("version") {
        None | Some("all") => &[StackTable::Ipv4Neighbours, StackTable::Ipv6Neighbours],
        Some("4") => &[StackTable::Ipv4Neighbours],
        Some("6") => &[StackTable::Ipv6Neighbours],
        Some(_) => return Err(CliFault::constraint("version")),
    };
    let mut found = Vec::new();
    for known in tables {
        found.extend(rows(&table(&host, &arguments, *known).await?, arguments.text("interfacename"))?);
    }
    Ok(Answer::Many(found))
}

/// The neighbours with a known MAC address.
fn rows(text: &str, interface: Option<&str>) -> Result<Vec<Row>, CliFault> {
    let row = |neighbour: &Json| {
        let states = neighbour.get("state").and_then(Json::as_array).into_iter().flatten();
        let state = states.filter_map(Json::as_str).next();
        Some(
            Row::new()
                .put("Neighbor", word(neighbour, "dst")?)
                .put("Mac Address", word(neighbour, "lladdr")?)
                .put("Vmknic", word(neighbour, "dev"))
                .put("State", state)
                .put("Type", if state == Some("PERMANENT") { "Static" } else { "Dynamic" }),
        )
    };
    let objects = objects(text)?;
    let wanted = objects.iter().filter(|it| interface.is_none_or(|name| word(it, "dev") == Some(name)));
    Ok(wanted.filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespaces::network::ip::shown::shown;

    #[test]
    fn neighbours_without_an_address_are_left_out() {
        let text = r#"[{"dst":"10.0.0.1","dev":"vmk0","lladdr":"02:00:00:00:00:01","state":["REACHABLE"]},
            {"dst":"10.0.0.2","dev":"vmk1","lladdr":"02:00:00:00:00:02","state":["PERMANENT"]},
            {"dst":"10.0.0.3","dev":"vmk0","state":["FAILED"]}]"#;
        let all = rows(text, None).unwrap();
        assert_eq!(
            shown(all),
            [
                "10.0.0.1 02:00:00:00:00:01 vmk0 REACHABLE Dynamic",
                "10.0.0.2 02:00:00:00:00:02 vmk1 PERMANENT Static"
            ]
        );
        assert_eq!(rows(text, Some("vmk1")).unwrap().len(), 1);
    }
}
