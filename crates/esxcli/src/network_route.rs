//! `esxcli network ip route …`, `neighbor …` and `connection …`: tables that the kernel keeps, read when they are asked for.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use host::Host;
use hostnet::StackTable;
use serde_json::Value as Json;

use super::network_ip::mask;
use super::network_stack::{STACK, stack, vsphere_word};
use super::{
    Answer, Arguments, Command, Namespace, Outcome, Output, Parameter, READ, Row, Structure, Trouble, number,
    text,
};

static ROUTE4: Structure = Structure {
    name: "IpRoute",
    table: true,
    fields: &[text("Network"), text("Netmask"), text("Gateway"), text("Interface"), text("Source")],
};

static ROUTE6: Structure = Structure {
    name: "Ipv6Route",
    table: true,
    fields: &[text("Network"), number("Prefix Length"), text("Gateway"), text("Interface"), text("Flags")],
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

static CONNECTION: Structure = Structure {
    name: "IpConnection",
    table: true,
    fields: &[
        text("Proto"),
        number("Recv Q"),
        number("Send Q"),
        text("Local Address"),
        text("Foreign Address"),
        text("State"),
        number("World ID"),
        text("CC Algo"),
        text("World Name"),
    ],
};

pub(super) static NAMESPACES: &[Namespace] = &[
    Namespace {
        name: "network.ip.route.ipv4",
        help: "IPv4 routes",
        commands: &[Command {
            name: "list",
            help: "List the IPv4 routes of a TCP/IP stack",
            privilege: READ,
            parameters: &[STACK],
            output: Output::Many(&ROUTE4),
            run: |host, arguments| Box::pin(routes4(host, arguments)),
        }],
    },
    Namespace {
        name: "network.ip.route.ipv6",
        help: "IPv6 routes",
        commands: &[Command {
            name: "list",
            help: "List the IPv6 routes of a TCP/IP stack",
            privilege: READ,
            parameters: &[STACK],
            output: Output::Many(&ROUTE6),
            run: |host, arguments| Box::pin(routes6(host, arguments)),
        }],
    },
    Namespace {
        name: "network.ip.neighbor",
        help: "Neighbours: who has which MAC address",
        commands: &[Command {
            name: "list",
            help: "List the neighbours that a TCP/IP stack knows",
            privilege: READ,
            parameters: &[
                Parameter::text("interface-name", 'i', "Only those on this interface"),
                STACK,
                Parameter::text("version", 'v', "4, 6 or all; 4 and 6 if it is left out"),
            ],
            output: Output::Many(&NEIGHBOR),
            run: |host, arguments| Box::pin(neighbors(host, arguments)),
        }],
    },
    Namespace {
        name: "network.ip.connection",
        help: "Connections",
        commands: &[Command {
            name: "list",
            help: "List the sockets of a TCP/IP stack",
            privilege: READ,
            parameters: &[STACK, Parameter::text("type", 't', "tcp, udp or all; all if it is left out")],
            output: Output::Many(&CONNECTION),
            run: |host, arguments| Box::pin(connections(host, arguments)),
        }],
    },
];

/// A table of the stack that is asked for.
async fn table(host: &Host, arguments: &Arguments, table: StackTable) -> Result<String, Trouble> {
    let (_, namespace) = stack(host, &host.network.config(), arguments)?;
    let read = host.network.fabric().stack_table(table, namespace.as_deref()).await;
    read.map_err(|error| Trouble(error.to_string()))
}

/// The objects of a list in JSON.
fn objects(text: &str) -> Result<Vec<Json>, Trouble> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(text).map_err(|error| Trouble(format!("The kernel's table cannot be read: {error}")))
}

fn word<'a>(object: &'a Json, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

/// Network and prefix of a route.
fn destination(route: &Json, all: IpAddr) -> Option<(IpAddr, u8)> {
    let text = word(route, "dst")?;
    if text == "default" {
        return Some((all, 0));
    }
    match text.split_once('/') {
        Some((address, prefix)) => Some((address.parse().ok()?, prefix.parse().ok()?)),
        None => {
            let address: IpAddr = text.parse().ok()?;
            Some((address, if address.is_ipv4() { 32 } else { 128 }))
        }
    }
}

async fn routes4(host: Arc<Host>, arguments: Arguments) -> Outcome {
    Ok(Answer::Many(ipv4_routes(&table(&host, &arguments, StackTable::Ipv4Routes).await?)?))
}

fn ipv4_routes(text: &str) -> Result<Vec<Row>, Trouble> {
    let any = IpAddr::from(Ipv4Addr::UNSPECIFIED);
    let row = |route: &Json| {
        let (network, prefix) = destination(route, any)?;
        let dhcp = word(route, "protocol") == Some("dhcp");
        Some(
            Row::new()
                .put("Network", if prefix == 0 { "default".into() } else { network.to_string() })
                .put("Netmask", Ipv4Addr::from(mask(prefix)).to_string())
                .put("Gateway", word(route, "gateway").unwrap_or("0.0.0.0"))
                .put("Interface", word(route, "dev"))
                .put("Source", if dhcp { "DHCP" } else { "MANUAL" }),
        )
    };
    Ok(objects(text)?.iter().filter_map(row).collect())
}

async fn routes6(host: Arc<Host>, arguments: Arguments) -> Outcome {
    Ok(Answer::Many(ipv6_routes(&table(&host, &arguments, StackTable::Ipv6Routes).await?)?))
}

fn ipv6_routes(text: &str) -> Result<Vec<Row>, Trouble> {
    let any = IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED);
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

async fn neighbors(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let tables: &[StackTable] = match arguments.text("version") {
        None | Some("all") => &[StackTable::Ipv4Neighbours, StackTable::Ipv6Neighbours],
        Some("4") => &[StackTable::Ipv4Neighbours],
        Some("6") => &[StackTable::Ipv6Neighbours],
        Some(_) => return Err(Trouble::new("Invalid data constraint for parameter 'version'.")),
    };
    let mut rows = Vec::new();
    for known in tables {
        rows.extend(neighbours(&table(&host, &arguments, *known).await?, arguments.text("interfacename"))?);
    }
    Ok(Answer::Many(rows))
}

/// Neighbours whose address is known.
fn neighbours(text: &str, interface: Option<&str>) -> Result<Vec<Row>, Trouble> {
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

async fn connections(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (tcp, udp) = match arguments.text("type") {
        None | Some("all" | "ip") => (true, true),
        Some("tcp") => (true, false),
        Some("udp") => (false, true),
        Some(_) => return Err(Trouble::new("Invalid data constraint for parameter 'type'.")),
    };
    let mut rows = Vec::new();
    for (wanted, known, protocol) in
        [(tcp, StackTable::TcpSockets, "tcp"), (udp, StackTable::UdpSockets, "udp")]
    {
        if wanted {
            let text = table(&host, &arguments, known).await?;
            rows.extend(text.lines().filter_map(|line| socket(line, protocol)));
        }
    }
    Ok(Answer::Many(rows))
}

/// A line of `ss`: state, queues, addresses, then who has it and, of TCP, how it goes.
fn socket(line: &str, protocol: &'static str) -> Option<Row> {
    let mut words = line.split_ascii_whitespace();
    let state = match words.next()? {
        "ESTAB" => "ESTABLISHED",
        "LISTEN" => "LISTEN",
        "UNCONN" => "",
        other => other,
    };
    let (received, sent): (u64, u64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (local, foreign) = (address(words.next()?), address(words.next()?));
    let rest: Vec<&str> = words.collect();
    let owner = rest.iter().find_map(|word| word.strip_prefix("users:(("));
    let name = owner.and_then(|owner| owner.strip_prefix('"')?.split('"').next());
    let pid = owner.and_then(|owner| owner.split_once("pid=")?.1.split(',').next()?.parse::<i64>().ok());
    // The algorithm is the first word of the details that has neither a value nor a mark.
    let algorithm = rest.iter().find(|word| ALGORITHMS.contains(*word)).map(|word| vsphere_word(word));
    Some(
        Row::new()
            .put("Proto", protocol)
            .put("Recv Q", received)
            .put("Send Q", sent)
            .put("Local Address", local)
            .put("Foreign Address", foreign)
            .put("State", state)
            .put("World ID", pid)
            .put("CC Algo", algorithm)
            .put("World Name", name),
    )
}

/// Algorithms that the kernel has for congestion control.
const ALGORITHMS: [&str; 17] = [
    "reno", "cubic", "bbr", "bic", "dctcp", "westwood", "htcp", "hstcp", "hybla", "vegas", "nv", "scalable",
    "lp", "veno", "yeah", "illinois", "cdg",
];

/// An address as ESXi writes it: `0.0.0.0:443`.
fn address(text: &str) -> String {
    match text.strip_prefix("*:") {
        Some("*") => "0.0.0.0:0".into(),
        Some(port) => format!("[::]:{port}"),
        None => text.strip_suffix(":*").map_or_else(|| text.to_owned(), |at| format!("{at}:0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Datum;

    fn shown(rows: &[Row]) -> Vec<String> {
        let value = |datum: &Datum| match datum {
            Datum::Text(text) => text.clone(),
            Datum::Number(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        let row =
            |row: &Row| row.values().iter().map(|(_, datum)| value(datum)).collect::<Vec<_>>().join(" ");
        rows.iter().map(row).collect()
    }

    #[test]
    fn routes_are_read_as_ip_writes_them() {
        let text = r#"[{"dst":"default","gateway":"10.0.0.1","dev":"vmk0","protocol":"229","flags":[]},
            {"dst":"10.0.0.0/24","dev":"vmk0","protocol":"kernel","scope":"link","prefsrc":"10.0.0.5","flags":[]},
            {"dst":"10.9.9.9","dev":"vmk1","protocol":"dhcp","flags":[]}]"#;
        assert_eq!(
            shown(&ipv4_routes(text).unwrap()),
            [
                "default 0.0.0.0 10.0.0.1 vmk0 MANUAL",
                "10.0.0.0 255.255.255.0 0.0.0.0 vmk0 MANUAL",
                "10.9.9.9 255.255.255.255 0.0.0.0 vmk1 DHCP"
            ]
        );
        let text = r#"[{"dst":"fe80::/64","dev":"vmk0"},{"dst":"default","gateway":"fe80::1","dev":"vmk0"}]"#;
        assert_eq!(shown(&ipv6_routes(text).unwrap()), ["fe80:: 64 :: vmk0", "default 0 fe80::1 vmk0"]);
        assert_eq!(ipv4_routes("").unwrap().len(), 0);
        assert!(ipv4_routes("nonsense").is_err());
    }

    #[test]
    fn neighbours_without_an_address_are_left_out() {
        let text = r#"[{"dst":"10.0.0.1","dev":"vmk0","lladdr":"02:00:00:00:00:01","state":["REACHABLE"]},
            {"dst":"10.0.0.2","dev":"vmk1","lladdr":"02:00:00:00:00:02","state":["PERMANENT"]},
            {"dst":"10.0.0.3","dev":"vmk0","state":["FAILED"]}]"#;
        let all = neighbours(text, None).unwrap();
        assert_eq!(
            shown(&all),
            [
                "10.0.0.1 02:00:00:00:00:01 vmk0 REACHABLE Dynamic",
                "10.0.0.2 02:00:00:00:00:02 vmk1 PERMANENT Static"
            ]
        );
        assert_eq!(neighbours(text, Some("vmk1")).unwrap().len(), 1);
    }

    #[test]
    fn sockets_are_read_as_ss_writes_them() {
        let listens = r#"LISTEN 0 128 0.0.0.0:443 0.0.0.0:* users:(("esfera",pid=12,fd=7)) cubic cwnd:10"#;
        let open = "ESTAB 3 4 10.0.0.1:443 10.0.0.2:5000 reno wscale:7,7 rto:204";
        let any = r#"UNCONN 0 0 *:123 *:* users:(("ntpd",pid=5,fd=3))"#;
        let rows: Vec<Row> = [(listens, "tcp"), (open, "tcp"), (any, "udp")]
            .into_iter()
            .filter_map(|(line, protocol)| socket(line, protocol))
            .collect();
        assert_eq!(
            shown(&rows),
            [
                "tcp 0 128 0.0.0.0:443 0.0.0.0:0 LISTEN 12 cubic esfera",
                "tcp 3 4 10.0.0.1:443 10.0.0.2:5000 ESTABLISHED newreno",
                "udp 0 0 [::]:123 0.0.0.0:0  5 ntpd"
            ]
        );
        for wrong in ["", "LISTEN", "LISTEN x 0 a b", "ESTAB 1 2 a"] {
            assert!(socket(wrong, "tcp").is_none(), "{wrong}");
        }
    }
}
