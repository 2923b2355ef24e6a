//! `esxcli network vswitch standard ipfix`: the collector of a switch's flows. ESXi has it on distributed switches only, so the names are
//! ours.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use host::Host;
use vswitch::declare::Ipfix;

use super::switches::{SWITCH_NAME, switch};
use crate::table::{
    Answer, Arguments, CliFault, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure,
    boolean, number, text,
};

/// IANA's port of collectors.
const COLLECTOR_PORT: u16 = 4739;
static IPFIX: Structure = Structure {
    name: "SwitchIpfix",
    table: false,
    fields: &[
        text("Collector IP"),
        number("Collector Port"),
        number("Observation Domain ID"),
        number("Active Flow Timeout"),
        number("Idle Flow Timeout"),
        number("Sampling Rate"),
        boolean("Internal Flows Only"),
        number("Flows"),
        number("Records Sent"),
        number("Records Lost"),
        number("Packets Lost"),
    ],
};

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vswitch.standard.ipfix",
    help: "The collector of a switch's flows",
    commands: &[
        command!("get", "Show the collector and its counters", READ, [SWITCH_NAME], Output::One(&IPFIX), get),
        command!(
            "set",
            "Set the collector",
            NETWORK,
            [
                Parameter::text("collector-ip", 'c', "Its address, IPv4 or IPv6").required(),
                Parameter::number("collector-port", 'p', "Its UDP port (default: 4739)"),
                Parameter::number("domain-id", 'd', "Observation domain"),
                Parameter::number(
                    "active-timeout",
                    'a',
                    "Seconds after which an active flow is reported (default: 60)"
                ),
                Parameter::number(
                    "idle-timeout",
                    'i',
                    "Seconds after which an idle flow has ended (default: 15)"
                ),
                Parameter::number("sampling-rate", 's', "Sample one of so many packets (default: all)"),
                Parameter::boolean("internal-only", 'n', "Only flows between ports of this host"),
                SWITCH_NAME
            ],
            Output::Done,
            set
        ),
        command!("remove", "Remove the collector", NETWORK, [SWITCH_NAME], Output::Done, remove),
    ],
};

async fn get(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let config = host.network.config();
    let declared = &switch(&config, arguments.required("vswitchname")?)?.declared;
    let Some(ipfix) = declared.ipfix else { return Ok(Answer::One(Row::new())) };
    let counters = host.network.fabric().flow_counters(&declared.name);
    Ok(Answer::One(
        Row::new()
            .put("Collector IP", ipfix.collector.ip().to_string())
            .put("Collector Port", i64::from(ipfix.collector.port()))
            .put("Observation Domain ID", i64::from(ipfix.domain))
            .put("Active Flow Timeout", i64::from(ipfix.active_s))
            .put("Idle Flow Timeout", i64::from(ipfix.idle_s))
            .put("Sampling Rate", i64::from(ipfix.one_of.max(1)))
            .put("Internal Flows Only", ipfix.internal_only)
            .put("Flows", counters.map(|counters| counters.flows))
            .put("Records Sent", counters.map(|counters| counters.records_sent))
            .put("Records Lost", counters.map(|counters| counters.records_lost))
            .put("Packets Lost", counters.map(|counters| counters.packets_lost)),
    ))
}

async fn set(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let address = arguments.required("collectorip")?;
    let ip: IpAddr = address
        .trim()
        .parse()
        .map_err(|_| CliFault(format!("Parameter 'collectorip': {address} is not an address")))?;
    let collector = SocketAddr::new(ip, arguments.fits("collectorport")?.unwrap_or(COLLECTOR_PORT));
    let default = Ipfix::to(collector);
    let wanted = Ipfix {
        domain: arguments.fits("domainid")?.unwrap_or(default.domain),
        active_s: arguments.fits("activetimeout")?.unwrap_or(default.active_s),
        idle_s: arguments.fits("idletimeout")?.unwrap_or(default.idle_s),
        one_of: arguments.fits("samplingrate")?.unwrap_or(default.one_of),
        internal_only: arguments.boolean("internalonly").unwrap_or(default.internal_only),
        ..default
    };
    let name = arguments.required("vswitchname")?;
    host.networking().change(|config, _| config.set_ipfix(name, Some(wanted))).await?;
    Ok(Answer::Done)
}

async fn remove(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let name = arguments.required("vswitchname")?;
    host.networking().change(|config, _| config.set_ipfix(name, None)).await?;
    Ok(Answer::Done)
}
