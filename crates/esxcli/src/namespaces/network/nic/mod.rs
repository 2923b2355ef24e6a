//! `esxcli network nic`: physical network cards.

pub(crate) mod stats;

use host::Host;
use hostnet::Nic;

use crate::table::{
    Answer, Arguments, CliFault, Field, FieldKind, Namespace, Outcome, Output, Parameter, READ, Row,
    Structure, boolean, number, text, texts,
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

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.nic",
    help: "Physical network cards",
    commands: &[
        reads!("get", "Show one network card", READ, [NIC_NAME], Output::One(&DETAILS), get),
        reads!("list", "List the network cards", READ, [], Output::Many(&NIC), list),
    ],
};

/// The network card that the arguments name.
fn nic(host: &Host, arguments: &Arguments) -> Result<Nic, CliFault> {
    let name = arguments.required("nicname")?;
    let found = host.network.fabric().nics().into_iter().find(|nic| nic.name == name);
    found.ok_or_else(|| CliFault(format!("Invalid NIC name: the host has no {name}")))
}

fn status(up: bool) -> &'static str {
    if up { "Up" } else { "Down" }
}

fn pci(nic: &Nic) -> Option<&str> {
    Some(&*nic.pci).filter(|pci| !pci.is_empty())
}

fn list(host: &Host, _: &Arguments) -> Outcome {
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
    Ok(Answer::Many(fabric.nics().into_iter().map(row).collect()))
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
