//! `esxcli network ip route ipv6`

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use host::Host;
use hostnet::StackTable;
use serde_json::Value as Json;

use super::destination;
use crate::namespaces::network::ip::stacks::{STACK, objects, table, word};
use crate::table::{
    Answer, Arguments, CliFault, Namespace, Outcome, Output, READ, Row, Structure, number, text,
};

static ROUTE6: Structure = Structure {
    name: "Ipv6Route",
    table: true,
    fields: &[text("Network"), number("Prefix Length"), text("Gateway"), text("Interface"), text("Flags")],
};

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.ip.route.ipv6",
    help: "IPv6 routes",
    commands: &[command!(
        "list",
        "List the IPv6 routes of a TCP/IP stack",
        READ,
        [STACK],
        Output::Many(&ROUTE6),
        list
    )],
};

async fn list(host: Arc<Host>, arguments: Arguments) -> Outcome {
    Ok(Answer::Many(rows(&table(&host, &arguments, StackTable::Ipv6Routes).await?)?))
}

fn rows(text: &str) -> Result<Vec<Row>, CliFault> {
    let any = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let row = |route: &Json| {
        let (network, prefix) = destination(route, any)?;
        Some(
            Row::new()
                .put("Network", if prefix == 0 { "default".into() } else { network.to_string() })
                .put("Prefix Length", i32::from(prefix))
                .put("Gateway", word(route, "gateway").unwrap_or("::"))
                .put("Interface", word(route, "dev")),
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
        let text = r#"[{"dst":"fe80::/64","dev":"vmk0"},{"dst":"default","gateway":"fe80::1","dev":"vmk0"}]"#;
        assert_eq!(shown(rows(text).unwrap()), ["fe80:: 64 :: vmk0", "default 0 fe80::1 vmk0"]);
    }
}
