//! `esxcli network nic …`: physical network cards.

use host::Host;
use hostnet::Nic;

use super::{
    Answer, Arguments, Command, Field, FieldKind, Namespace, Outcome, Output, Parameter, READ, Row,
    Structure, Trouble, boolean, number, text, texts,
};

const NIC_NAME: Parameter =
    Parameter::text("nic-name", 'n', "The name of the physical network card").required();

static NIC: Structure = Structure {
    name: "NIC",
    table: true,
    fields: &[
        text("Name"),
        text("PCI Device"),
        text("Driver"),
        text("Admin Status"),
        text("Link Status"),
        number("Speed"),
        text("Duplex"),
        text("MAC Address"),
        number("MTU"),
        text("Description"),
    ],
};

static DRIVER: Structure = Structure {
    name: "DriverInfo",
    table: false,
    fields: &[text("Bus Info"), text("Driver"), text("Firmware Version"), text("Version")],
};

static DETAILS: Structure = Structure {
    name: "NicInfo",
    table: false,
    fields: &[
        boolean("Advertised Auto Negotiation"),
        texts("Advertised Link Modes"),
        boolean("Auto Negotiation"),
        text("Cable Type"),
        number("Current Message Level"),
        Field { display: "Driver Info", kind: FieldKind::Structure(&DRIVER) },
        boolean("Link Detected"),
        text("Link Status"),
        text("Name"),
        number("PHYAddress"),
        boolean("Pause Autonegotiate"),
        boolean("Pause RX"),
        boolean("Pause TX"),
        texts("Supported Ports"),
        boolean("Supports Auto Negotiation"),
        boolean("Supports Pause"),
        boolean("Supports Wakeon"),
        text("Transceiver"),
        text("Virtual Address"),
        texts("Wakeon"),
    ],
};

/// Fields of the statistics, and what the kernel calls them; it does not count broadcasts of a card.
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

pub(super) static NAMESPACES: &[Namespace] = &[
    Namespace {
        name: "network.nic",
        help: "Physical network cards",
        commands: &[
            Command {
                name: "get",
                help: "Show one network card",
                privilege: READ,
                parameters: &[NIC_NAME],
                output: Output::One(&DETAILS),
                run: |host, arguments| Box::pin(async move { get(&host, &arguments) }),
            },
            Command {
                name: "list",
                help: "List the network cards",
                privilege: READ,
                parameters: &[],
                output: Output::Many(&NIC),
                run: |host, _| Box::pin(async move { Ok(list(&host)) }),
            },
        ],
    },
    Namespace {
        name: "network.nic.stats",
        help: "Statistics of physical network cards",
        commands: &[Command {
            name: "get",
            help: "Show what has passed a network card",
            privilege: READ,
            parameters: &[NIC_NAME],
            output: Output::One(&STATISTICS),
            run: |host, arguments| Box::pin(async move { statistics(&host, &arguments) }),
        }],
    },
];

fn nic(host: &Host, arguments: &Arguments) -> Result<Nic, Trouble> {
    let name = arguments.required("nicname")?;
    let found = host.network.fabric().nics().into_iter().find(|nic| nic.name == name);
    found.ok_or_else(|| Trouble(format!("Invalid NIC name: there is no {name}")))
}

fn status(up: bool) -> &'static str {
    if up { "Up" } else { "Down" }
}

fn pci(nic: &Nic) -> Option<&str> {
    Some(&*nic.pci).filter(|pci| !pci.is_empty())
}

fn list(host: &Host) -> Answer {
    let fabric = host.network.fabric();
    let row = |nic: Nic| {
        let card = fabric.card(&nic.name);
        Row::new()
            .put("Name", &nic.name)
            .put("PCI Device", pci(&nic))
            .put("Driver", nic.driver.as_deref())
            .put("Admin Status", card.up.map(status))
            .put("Link Status", status(nic.link.is_some()))
            .put("Speed", nic.link.map_or(0, |(speed, _)| speed))
            .put("Duplex", nic.link.map(|(_, full)| if full { "Full" } else { "Half" }))
            .put("MAC Address", &nic.mac)
            .put("MTU", card.mtu)
    };
    Answer::Many(fabric.nics().into_iter().map(row).collect())
}

fn get(host: &Host, arguments: &Arguments) -> Outcome {
    let nic = nic(host, arguments)?;
    let driver = Row::new().put("Bus Info", pci(&nic)).put("Driver", nic.driver.as_deref());
    Ok(Answer::One(
        Row::new()
            .put("Driver Info", driver)
            .put("Link Detected", nic.link.is_some())
            .put("Link Status", status(nic.link.is_some()))
            .put("Name", &nic.name)
            .put("Virtual Address", &nic.mac),
    ))
}

fn statistics(host: &Host, arguments: &Arguments) -> Outcome {
    let nic = nic(host, arguments)?;
    let counters = host.network.fabric().card(&nic.name).counters;
    let row = Row::new().put("NIC", &nic.name);
    let put = |row: Row, (field, name): &(&'static str, &str)| row.put(field, counters.get(*name).copied());
    Ok(Answer::One(COUNTERS.iter().fold(row, put)))
}
