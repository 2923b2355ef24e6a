//! `esxcli network mirror session …`: port mirroring of this host. ESXi has it on distributed switches only, so the names are ours.

use std::net::Ipv4Addr;
use std::sync::Arc;

use host::Host;
use vswitch::VlanId;
use vswitch::declare::{Encapsulation, MirrorDestination, MirrorSession, MirrorSource};
use vswitch::vmkernel::port_interface;

use super::{
    Answer, Arguments, Command, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure,
    Trouble, boolean, number, text, texts,
};

static SESSION: Structure = Structure {
    name: "MirrorSession",
    table: false,
    fields: &[
        text("Name"),
        text("Status"),
        texts("Transmitted Ports"),
        texts("Received Ports"),
        text("Source vSwitch"),
        texts("Source VLANs"),
        texts("Destination Ports"),
        texts("Destination Uplinks"),
        text("Destination IP"),
        number("VLAN ID"),
        text("Encapsulation"),
        number("ERSPAN ID"),
        number("ERSPAN CoS"),
        number("Sampling Rate"),
        number("Packet Length"),
        boolean("Strip VLAN"),
        boolean("Normal Traffic"),
        number("Packets Seen"),
        number("Packets Mirrored"),
    ],
};

const NAME: Parameter = Parameter::text("session-name", 'n', "The session").required();
/// A name that stands for the host's own port of an adapter.
const ADAPTER: &str = "vmk";

const fn many(parameter: Parameter) -> Parameter {
    Parameter { list: true, ..parameter }
}

pub(super) static NAMESPACES: &[Namespace] = &[Namespace {
    name: "network.mirror.session",
    help: "Port mirroring sessions (SPAN, RSPAN, ERSPAN)",
    commands: &[
        Command {
            name: "list",
            help: "List the sessions, and what they have done",
            privilege: READ,
            parameters: &[],
            output: Output::Many(&SESSION),
            run: |host, _| Box::pin(list(host)),
        },
        Command {
            name: "add",
            help: "Mirror ports, or VLANs that uplinks bring, to ports, to a VLAN or to an address",
            privilege: NETWORK,
            parameters: &[
                NAME,
                many(Parameter::text("transmitted-port", 't', "A port whose sent frames are mirrored")),
                many(Parameter::text("received-port", 'r', "A port whose received frames are mirrored")),
                Parameter::text("source-vswitch", 's', "The switch whose uplinks bring the source VLANs"),
                many(Parameter::number("source-vlan", 'v', "A VLAN that is mirrored (RSPAN destination)")),
                many(Parameter::text("destination-port", 'd', "A port that gets the copies (SPAN)")),
                many(Parameter::text(
                    "destination-uplink",
                    'u',
                    "An uplink that takes the copies away; the first that has a link (RSPAN source)",
                )),
                Parameter::text("destination-ip", 'i', "An IPv4 address that gets the copies (ERSPAN)"),
                Parameter::number("vlan-id", 'l', "The VLAN that copies are put into"),
                Parameter::text("encapsulation", 'e', "For an address: gre, erspan2 or erspan3 (default)"),
                Parameter::number("erspan-id", 'x', "Number of the ERSPAN session, 0 to 1023"),
                Parameter::number("erspan-cos", 'c', "ERSPAN class of service, 0 to 7"),
                Parameter::boolean("fine-time", 'f', "ERSPAN III: time in units of 100 ns"),
                Parameter::number("sampling-rate", 'a', "One of so many frames is mirrored"),
                Parameter::number("packet-length", 'p', "Bytes of a frame that are kept, at least 60"),
                Parameter::boolean("strip-vlan", 'w', "Whether copies lose the tag of their VLAN"),
                Parameter::boolean(
                    "normal-traffic",
                    'o',
                    "Whether destination ports send and get frames of their own, too",
                ),
            ],
            output: Output::Done,
            run: |host, arguments| Box::pin(add(host, arguments)),
        },
        Command {
            name: "remove",
            help: "End a session",
            privilege: NETWORK,
            parameters: &[NAME],
            output: Output::Done,
            run: |host, arguments| Box::pin(remove(host, arguments)),
        },
    ],
}];

async fn list(host: Arc<Host>) -> Outcome {
    let config = host.network.config();
    let done = host.network.fabric().mirrored().await.map_err(|error| Trouble(error.to_string()))?;
    let row = |mirror: &hostnet::NamedMirror| {
        let session = &mirror.session;
        let mut row = Row::new()
            .put("Name", &mirror.name)
            .put("Status", if done.contains_key(&session.number) { "active" } else { "waiting" })
            .put("Sampling Rate", i64::from(session.every.max(1)))
            .put("Packet Length", session.length.map(i64::from))
            .put("Strip VLAN", session.strip_vlan)
            .put("Normal Traffic", session.normal_traffic);
        row = match &session.source {
            MirrorSource::Ports { transmitted, received } => {
                row.put("Transmitted Ports", transmitted.clone()).put("Received Ports", received.clone())
            }
            MirrorSource::Vlans { switch, vlans } => {
                let known = config.switches.iter().find(|known| known.declared.number == *switch);
                let vlans: Vec<String> = vlans.iter().map(|vlan| u16::from(*vlan).to_string()).collect();
                row.put("Source vSwitch", known.map(|known| &known.declared.name)).put("Source VLANs", vlans)
            }
        };
        row = match &session.destination {
            MirrorDestination::Ports { interfaces, vlan } => row
                .put("Destination Ports", interfaces.clone())
                .put("VLAN ID", vlan.map(|vlan| i64::from(u16::from(vlan)))),
            MirrorDestination::Uplink { interfaces, vlan } => {
                row.put("Destination Uplinks", interfaces.clone()).put("VLAN ID", i64::from(u16::from(*vlan)))
            }
            MirrorDestination::Routed { encapsulation, destination_ip } => {
                encapsulated(row, *encapsulation).put("Destination IP", destination_ip.to_string())
            }
            MirrorDestination::Address(to) => {
                encapsulated(row, to.encapsulation).put("Destination IP", to.destination_ip.to_string())
            }
        };
        let done = done.get(&session.number);
        row.put("Packets Seen", done.map(|done| done.seen))
            .put("Packets Mirrored", done.map(|done| done.sent))
    };
    Ok(Answer::Many(config.mirrors.iter().map(row).collect()))
}

fn encapsulated(row: Row, encapsulation: Encapsulation) -> Row {
    match encapsulation {
        Encapsulation::Gre => row.put("Encapsulation", "gre"),
        Encapsulation::Erspan2 { session, class_of_service } => row
            .put("Encapsulation", "erspan2")
            .put("ERSPAN ID", i64::from(session))
            .put("ERSPAN CoS", i64::from(class_of_service)),
        Encapsulation::Erspan3 { session, class_of_service, .. } => row
            .put("Encapsulation", "erspan3")
            .put("ERSPAN ID", i64::from(session))
            .put("ERSPAN CoS", i64::from(class_of_service)),
    }
}

fn vlan(name: &str, number: i64) -> Result<VlanId, Trouble> {
    let vlan = u16::try_from(number).ok().and_then(|number| VlanId::try_from(number).ok());
    vlan.ok_or_else(|| Trouble::impossible(name, &number.to_string()))
}

/// Ports by the names that the host shows; an adapter's may be called as the adapter.
fn ports(arguments: &Arguments, name: &str) -> Vec<String> {
    let port = |name: String| match name.strip_prefix(ADAPTER).is_some_and(|rest| rest.parse::<u32>().is_ok())
    {
        true => port_interface(&name),
        false => name,
    };
    arguments.texts(name).into_iter().map(port).collect()
}

async fn add(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let name = arguments.required("sessionname")?.to_owned();
    let session = MirrorSession {
        number: 0,
        source: source(&host, &arguments)?,
        destination: destination(&arguments)?,
        every: arguments.fits("samplingrate")?.unwrap_or(1),
        length: arguments.fits("packetlength")?,
        strip_vlan: arguments.boolean("stripvlan").unwrap_or(false),
        normal_traffic: arguments.boolean("normaltraffic").unwrap_or(false),
    };
    let ports = host.network.interfaces().await;
    host.networking().change(|config, _| config.add_mirror(&name, session, &ports)).await?;
    Ok(Answer::Done)
}

fn source(host: &Host, arguments: &Arguments) -> Result<MirrorSource, Trouble> {
    let (transmitted, received) = (ports(arguments, "transmittedport"), ports(arguments, "receivedport"));
    let vlans = arguments.texts("sourcevlan");
    let Some(name) = arguments.text("sourcevswitch") else {
        if !vlans.is_empty() {
            return Err(Trouble::new("Parameter 'sourcevlan': say whose with 'sourcevswitch'"));
        }
        return Ok(MirrorSource::Ports { transmitted, received });
    };
    if !transmitted.is_empty() || !received.is_empty() {
        return Err(Trouble::new("A session mirrors ports or VLANs, not both"));
    }
    let config = host.network.config();
    let switch =
        config.switch(name).ok_or_else(|| Trouble::impossible("sourcevswitch", name))?.declared.number;
    let read = |text: &String| {
        let number = text.trim().parse().map_err(|_| Trouble::impossible("sourcevlan", text))?;
        vlan("sourcevlan", number)
    };
    Ok(MirrorSource::Vlans { switch, vlans: vlans.iter().map(read).collect::<Result<_, Trouble>>()? })
}

fn destination(arguments: &Arguments) -> Result<MirrorDestination, Trouble> {
    let interfaces = ports(arguments, "destinationport");
    let uplinks = arguments.texts("destinationuplink");
    let tag = arguments.number("vlanid").map(|number| vlan("vlanid", number)).transpose()?;
    match (interfaces.is_empty(), uplinks.is_empty(), arguments.text("destinationip")) {
        (false, true, None) => Ok(MirrorDestination::Ports { interfaces, vlan: tag }),
        (true, false, None) => match tag {
            Some(vlan) => Ok(MirrorDestination::Uplink { interfaces: uplinks, vlan }),
            None => Err(Trouble::new("By an uplink copies go in a VLAN of their own: say 'vlanid'")),
        },
        (true, true, Some(address)) => {
            let destination_ip: Ipv4Addr =
                address.trim().parse().map_err(|_| Trouble::impossible("destinationip", address))?;
            Ok(MirrorDestination::Routed { encapsulation: encapsulation(arguments)?, destination_ip })
        }
        (true, true, None) => Err(Trouble::new(
            "There is no destination: say 'destinationport', 'destinationuplink' or 'destinationip'",
        )),
        _ => Err(Trouble::new("A session has one kind of destination: ports, uplinks or an address")),
    }
}

fn encapsulation(arguments: &Arguments) -> Result<Encapsulation, Trouble> {
    let session = arguments.fits("erspanid")?.unwrap_or_default();
    let class_of_service = arguments.fits("erspancos")?.unwrap_or_default();
    match arguments.text("encapsulation").unwrap_or("erspan3") {
        "gre" => Ok(Encapsulation::Gre),
        "erspan2" => Ok(Encapsulation::Erspan2 { session, class_of_service }),
        "erspan3" => {
            let fine_time = arguments.boolean("finetime").unwrap_or(false);
            Ok(Encapsulation::Erspan3 { session, class_of_service, fine_time })
        }
        other => Err(Trouble::impossible("encapsulation", other)),
    }
}

async fn remove(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let name = arguments.required("sessionname")?;
    host.networking().change(|config, _| config.remove_mirror(name)).await?;
    Ok(Answer::Done)
}
