//! `esxcli network mirror session`: port mirroring of this host. ESXi has it on distributed switches only, so the names are ours.

use std::net::Ipv4Addr;
use std::sync::Arc;

use host::Host;
use hostnet::NamedMirror;
use vswitch::VlanId;
use vswitch::declare::{Encapsulation, MirrorDestination, MirrorSession, MirrorSource};
use vswitch::vmkernel::port_interface;

use crate::table::{
    Answer, Arguments, CliFault, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure,
    boolean, number, text, texts,
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
/// Begins the names of VMkernel adapters.
const ADAPTER: &str = "vmk";

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.mirror.session",
    help: "Port mirroring sessions (SPAN, RSPAN, ERSPAN)",
    commands: &[
        command!("list", "List the sessions and their counters", READ, [], Output::Many(&SESSION), list),
        command!(
            "add",
            "Mirror ports, or VLANs of uplinks, to ports, to a VLAN or to an address",
            NETWORK,
            [
                NAME,
                Parameter::text("transmitted-port", 't', "A port whose sent frames are mirrored").many(),
                Parameter::text("received-port", 'r', "A port whose received frames are mirrored").many(),
                Parameter::text("source-vswitch", 's', "The switch whose uplinks bring the source VLANs"),
                Parameter::number("source-vlan", 'v', "A VLAN to mirror (RSPAN destination)").many(),
                Parameter::text("destination-port", 'd', "A port that receives the copies (SPAN)").many(),
                Parameter::text(
                    "destination-uplink",
                    'u',
                    "An uplink that carries the copies; the first with a link is used (RSPAN source)",
                )
                .many(),
                Parameter::text("destination-ip", 'i', "An IPv4 address that receives the copies (ERSPAN)"),
                Parameter::number("vlan-id", 'l', "The VLAN of the copies"),
                Parameter::text("encapsulation", 'e', "For an address: gre, erspan2 or erspan3 (default)"),
                Parameter::number("erspan-id", 'x', "Number of the ERSPAN session, 0 to 1023"),
                Parameter::number("erspan-cos", 'c', "ERSPAN class of service, 0 to 7"),
                Parameter::boolean("fine-time", 'f', "ERSPAN III: timestamps in units of 100 ns"),
                Parameter::number("sampling-rate", 'a', "Mirror one of so many frames"),
                Parameter::number("packet-length", 'p', "Bytes of each frame that are kept, at least 60"),
                Parameter::boolean("strip-vlan", 'w', "Whether copies lose the tag of their VLAN"),
                Parameter::boolean(
                    "normal-traffic",
                    'o',
                    "Whether destination ports also carry their own traffic",
                ),
            ],
            Output::Done,
            add
        ),
        command!("remove", "End a session", NETWORK, [NAME], Output::Done, remove),
    ],
};

async fn list(host: Arc<Host>, _: Arguments) -> Outcome {
    let config = host.network.config();
    let done = host.network.fabric().mirrored().await?;
    let row = |mirror: &NamedMirror| {
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

fn vlan(name: &str, number: i64) -> Result<VlanId, CliFault> {
    let vlan = u16::try_from(number).ok().and_then(|number| VlanId::try_from(number).ok());
    vlan.ok_or_else(|| CliFault::invalid(name, &number.to_string()))
}

/// The ports of an argument. The name of a VMkernel adapter stands for its port.
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

fn source(host: &Host, arguments: &Arguments) -> Result<MirrorSource, CliFault> {
    let (transmitted, received) = (ports(arguments, "transmittedport"), ports(arguments, "receivedport"));
    let vlans = arguments.texts("sourcevlan");
    let Some(name) = arguments.text("sourcevswitch") else {
        if !vlans.is_empty() {
            return Err(CliFault::new("Parameter 'sourcevlan': name its switch with 'sourcevswitch'"));
        }
        return Ok(MirrorSource::Ports { transmitted, received });
    };
    if !transmitted.is_empty() || !received.is_empty() {
        return Err(CliFault::new("A session mirrors ports or VLANs, not both"));
    }
    let config = host.network.config();
    let switch = config.switch(name).ok_or_else(|| CliFault::invalid("sourcevswitch", name))?.declared.number;
    let read = |text: &String| {
        let number = text.trim().parse().map_err(|_| CliFault::invalid("sourcevlan", text))?;
        vlan("sourcevlan", number)
    };
    Ok(MirrorSource::Vlans { switch, vlans: vlans.iter().map(read).collect::<Result<_, CliFault>>()? })
}

fn destination(arguments: &Arguments) -> Result<MirrorDestination, CliFault> {
    let interfaces = ports(arguments, "destinationport");
    let uplinks = arguments.texts("destinationuplink");
    let tag = arguments.number("vlanid").map(|number| vlan("vlanid", number)).transpose()?;
    match (interfaces.is_empty(), uplinks.is_empty(), arguments.text("destinationip")) {
        (false, true, None) => Ok(MirrorDestination::Ports { interfaces, vlan: tag }),
        (true, false, None) => match tag {
            Some(vlan) => Ok(MirrorDestination::Uplink { interfaces: uplinks, vlan }),
            None => Err(CliFault::new("Copies leave an uplink in their own VLAN: give 'vlanid'")),
        },
        (true, true, Some(address)) => {
            let destination_ip: Ipv4Addr =
                address.trim().parse().map_err(|_| CliFault::invalid("destinationip", address))?;
            Ok(MirrorDestination::Routed { encapsulation: encapsulation(arguments)?, destination_ip })
        }
        (true, true, None) => Err(CliFault::new(
            "The session has no destination: give 'destinationport', 'destinationuplink' or 'destinationip'",
        )),
        _ => Err(CliFault::new("A session has one kind of destination: ports, uplinks or an address")),
    }
}

fn encapsulation(arguments: &Arguments) -> Result<Encapsulation, CliFault> {
    let session = arguments.fits("erspanid")?.unwrap_or_default();
    let class_of_service = arguments.fits("erspancos")?.unwrap_or_default();
    match arguments.text("encapsulation").unwrap_or("erspan3") {
        "gre" => Ok(Encapsulation::Gre),
        "erspan2" => Ok(Encapsulation::Erspan2 { session, class_of_service }),
        "erspan3" => {
            let fine_time = arguments.boolean("finetime").unwrap_or(false);
            Ok(Encapsulation::Erspan3 { session, class_of_service, fine_time })
        }
        other => Err(CliFault::invalid("encapsulation", other)),
    }
}

async fn remove(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let name = arguments.required("sessionname")?;
    host.networking().change(|config, _| config.remove_mirror(name)).await?;
    Ok(Answer::Done)
}
