//! `esxcli network ip connection`: the sockets of a TCP/IP stack.

use std::sync::Arc;

use host::Host;
use hostnet::StackTable;

use super::stacks::{STACK, table, vsphere_word};
use crate::table::{
    Answer, Arguments, CliFault, Namespace, Outcome, Output, Parameter, READ, Row, Structure, number, text,
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

const TYPE: Parameter = Parameter::text("type", 't', "tcp, udp or all (default: all)");

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.ip.connection",
    help: "Connections",
    commands: &[command!(
        "list",
        "List the sockets of a TCP/IP stack",
        READ,
        [STACK, TYPE],
        Output::Many(&CONNECTION),
        list
    )],
};

async fn list(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (tcp, udp) = match arguments.text("type") {
        None | Some("all" | "ip") => (true, true),
        Some("tcp") => (true, false),
        Some("udp") => (false, true),
        Some(_) => return Err(CliFault::constraint("type")),
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

/// A line of `ss`: state, queues, addresses, then the owner and the details of TCP.
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
    // The details name the algorithm by a bare word.
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

/// The kernel's congestion control algorithms.
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
    use crate::namespaces::network::ip::shown::shown;

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
            shown(rows),
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
