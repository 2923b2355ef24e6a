//! `esxcli network ip route ipv4`

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use host::Host;
use hostnet::{StackTable, ipv4_mask};
use serde_json::Value as Json;

use super::destination;
use crate::namespaces::network::ip::stacks::{STACK, objects, table, word};
use crate::table::{Answer, Arguments, CliFault, Namespace, Outcome, Output, READ, Row, Structure, text};

static ROUTE4: Structure = Structure {
    name: "IpRoute",
    table: true,
    fields: &[text("Network"), text("Netmask"), text("Gateway"), text("Interface"), text("Source")],
};

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.ip.route.ipv4",
    help: "IPv4 routes",
    commands: &[command!(
        "list",
        "List the IPv4 routes of a TCP/IP stack",
        READ,
        [STACK],
        Output::Many(&ROUTE4),
        list
    )],
};

async fn list(host: Arc<Host>, arguments: Arguments) -> Outcome {
    Ok(Answer::Many(rows(&table(&host, &arguments, StackTable::Ipv4Routes).await?)?))
}

fn rows(text: &str) -> Result<Vec<Row>, CliFault> {
    let any = IpAddr::from(Ipv4Addr::UNSPECIFIED);
    let row = |route: &Json| {
        let (network, prefix) = destination(route, any)?;
        let dhcp = word(route, "protocol") == Some("dhcp");
        Some(
            Row::new()
                .put("Network", if prefix == 0 { "default".into() } else { network.to_string() })
                .put("Netmask", ipv4_mask(prefix).to_string())
                .put("Gateway", word(route, "gateway").unwrap_or("0.0.0.0"))
                .put("Interface", word(route, "dev"))
                .put("Source", if dhcp { "DHCP" } else { "MANUAL" }),
        )
    };
    Ok(objects(text)?.iter().filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespaces::network::ip::shown::shown;

    #[test]
    fn routes_are_read_as_ip_writes_them() {
        let text = r#"[{"dst":"default","gateway":"10.0.0.1","dev":"vmk0","protocol":"229","flags":[]},
            {"dst":"10.0.0.0/24","dev":"vmk0","protocol":"kernel","scope":"link","prefsrc":"10.0.0.5","flags":[]},
            {"dst":"10.9.9.9","dev":"vmk1","protocol":"dhcp","flags":[]}]"#;
        assert_eq!(
            shown(rows(text).unwrap()),
            [
                "default 0.0.0.0 10.0.0.1 vmk0 MANUAL",
                "10.0.0.0 255.255.255.0 0.0.0.0 vmk0 MANUAL",
                "10.9.9.9 255.255.255.255 0.0.0.0 vmk1 DHCP"
            ]
        );
        assert_eq!(rows("").unwrap().len(), 0);
        assert!(rows("nonsense").is_err());
    }
}
