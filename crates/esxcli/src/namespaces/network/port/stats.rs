//! `esxcli network port stats`: the counters of a port.

use std::sync::Arc;

use host::Host;

use crate::table::{
    ALL_VMS, Answer, Arguments, CliFault, Namespace, Outcome, Output, Parameter, Row, Structure, number,
};

static STATISTICS: Structure = Structure {
    name: "PortStats",
    table: false,
    fields: &[
        number("Port ID"),
        number("Packets received"),
        number("Packets sent"),
        number("Bytes received"),
        number("Bytes sent"),
        number("Broadcast packets received"),
        number("Broadcast packets sent"),
        number("Multicast packets received"),
        number("Multicast packets sent"),
        number("Unicast packets received"),
        number("Unicast packets sent"),
        number("Receive packets dropped"),
        number("Transmit packets dropped"),
    ],
};

const PORT_ID: Parameter =
    Parameter::number("portid", 'p', "The port, as network vm port list shows it").required();

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.port.stats",
    help: "Statistics of ports",
    commands: &[command!(
        "get",
        "Show the counters of a port, as its owner sees them",
        ALL_VMS,
        [PORT_ID],
        Output::One(&STATISTICS),
        get
    )],
};

async fn get(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let wanted = arguments.number("portid").unwrap_or_default();
    let seen = host.network.fabric().seen();
    let known = host.network.interfaces().await;
    let is_it = |name: &&String| seen.links.get(*name).is_some_and(|link| i64::from(link.index) == wanted);
    let interface = known.iter().find(is_it);
    let interface =
        interface.ok_or_else(|| CliFault(format!("Invalid port: no port has the ID {wanted}")))?;
    let counted = host.network.fabric().counters(interface).await;
    let counted = counted.ok_or_else(|| CliFault(format!("The port {wanted} has no counters")))?;
    let unicast =
        |all: u64, multicast: u64, broadcast: u64| all.saturating_sub(multicast).saturating_sub(broadcast);
    Ok(Answer::One(
        Row::new()
            .put("Port ID", wanted)
            .put("Packets received", counted.to_packets)
            .put("Packets sent", counted.from_packets)
            .put("Bytes received", counted.to_bytes)
            .put("Bytes sent", counted.from_bytes)
            .put("Broadcast packets received", counted.to_broadcast)
            .put("Broadcast packets sent", counted.from_broadcast)
            .put("Multicast packets received", counted.to_multicast)
            .put("Multicast packets sent", counted.from_multicast)
            .put(
                "Unicast packets received",
                unicast(counted.to_packets, counted.to_multicast, counted.to_broadcast),
            )
            .put(
                "Unicast packets sent",
                unicast(counted.from_packets, counted.from_multicast, counted.from_broadcast),
            ),
    ))
}
