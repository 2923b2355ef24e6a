//! `esxcli network nic stats`: the counters of a network card.

use host::Host;

use super::{NIC_NAME, nic};
use crate::table::{Answer, Arguments, Namespace, Outcome, Output, READ, Row, Structure, number, text};

/// Fields of the statistics, and the kernel's names for them. The kernel does not count broadcasts of a card.
const COUNTERS: [(&str, &str); 20] = [
    ("Packets received", "rx_packets"),
    ("Packets sent", "tx_packets"),
    ("Bytes received", "rx_bytes"),
    ("Bytes sent", "tx_bytes"),
    ("Receive packets dropped", "rx_dropped"),
    ("Transmit packets dropped", "tx_dropped"),
    ("Multicast packets received", "multicast"),
    ("Total receive errors", "rx_errors"),
    ("Receive length errors", "rx_length_errors"),
    ("Receive over errors", "rx_over_errors"),
    ("Receive CRC errors", "rx_crc_errors"),
    ("Receive frame errors", "rx_frame_errors"),
    ("Receive FIFO errors", "rx_fifo_errors"),
    ("Receive missed errors", "rx_missed_errors"),
    ("Total transmit errors", "tx_errors"),
    ("Transmit aborted errors", "tx_aborted_errors"),
    ("Transmit carrier errors", "tx_carrier_errors"),
    ("Transmit FIFO errors", "tx_fifo_errors"),
    ("Transmit heartbeat errors", "tx_heartbeat_errors"),
    ("Transmit window errors", "tx_window_errors"),
];

static STATISTICS: Structure = Structure {
    name: "NicStats",
    table: false,
    fields: &[
        text("NIC"),
        number("Packets received"),
        number("Packets sent"),
        number("Bytes received"),
        number("Bytes sent"),
        number("Receive packets dropped"),
        number("Transmit packets dropped"),
        number("Multicast packets received"),
        number("Broadcast packets received"),
        number("Multicast packets sent"),
        number("Broadcast packets sent"),
        number("Total receive errors"),
        number("Receive length errors"),
        number("Receive over errors"),
        number("Receive CRC errors"),
        number("Receive frame errors"),
        number("Receive FIFO errors"),
        number("Receive missed errors"),
        number("Total transmit errors"),
        number("Transmit aborted errors"),
        number("Transmit carrier errors"),
        number("Transmit FIFO errors"),
        number("Transmit heartbeat errors"),
        number("Transmit window errors"),
    ],
};

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.nic.stats",
    help: "Statistics of physical network cards",
    commands: &[reads!(
        "get",
        "Show the counters of a network card",
        READ,
        [NIC_NAME],
        Output::One(&STATISTICS),
        get
    )],
};

fn get(host: &Host, arguments: &Arguments) -> Outcome {
    let nic = nic(host, arguments)?;
    let counters = host.network.fabric().card(&nic.name).counters;
    let row = Row::new().put("NIC", &nic.name);
    let put = |row: Row, (field, name): &(&'static str, &str)| row.put(field, counters.get(*name).copied());
    Ok(Answer::One(COUNTERS.iter().fold(row, put)))
}
