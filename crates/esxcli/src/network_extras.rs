//! Multicast filtering, MAC learning and IPFIX of standard switches. ESXi has them on distributed switches only, so the names are
//! ours; the words are the API's.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use host::Host;
use vswitch::declare::{AtLimit, Ipfix, Learning, MulticastFiltering};

use super::network_policy::group;
use super::network_portgroup::GROUP_NAME;
use super::network_switch::{SWITCH_NAME, switch};
use super::{
    Answer, Arguments, Command, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure,
    Trouble, boolean, number, text,
};

/// IANA's port of collectors.
const COLLECTOR_PORT: u16 = 4739;
const MODES: [(&str, MulticastFiltering); 2] =
    [("legacyFiltering", MulticastFiltering::Legacy), ("snooping", MulticastFiltering::Snooping)];
const AT_LIMIT: [(&str, AtLimit); 2] = [("DROP", AtLimit::Drop), ("ALLOW", AtLimit::Allow)];

static MULTICAST: Structure =
    Structure { name: "SwitchPolicyMulticast", table: false, fields: &[text("Filtering Mode")] };

static LEARNING: Structure = Structure {
    name: "PortgroupPolicyLearning",
    table: false,
    fields: &[
        boolean("Enabled"),
        boolean("Allow Unicast Flooding"),
        number("Limit"),
        text("Limit Policy"),
        boolean("Override Vswitch Policy"),
    ],
};

static LEARNED: Structure =
    Structure { name: "LearnedMACs", table: true, fields: &[text("Port"), number("MACs"), number("Limit")] };

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

static WATCHED: Structure =
    Structure { name: "PortgroupPolicyIpfix", table: false, fields: &[boolean("Enabled")] };

const ENABLED: Parameter = Parameter::boolean("enabled", 'e', "Whether it is on");

macro_rules! command {
    ($name:literal, $help:literal, $privilege:expr, [$($parameter:expr),*], $output:expr, $run:ident) => {
        Command {
            name: $name,
            help: $help,
            privilege: $privilege,
            parameters: &[$($parameter),*],
            output: $output,
            run: |host, arguments| Box::pin($run(host, arguments)),
        }
    };
}

pub(super) static NAMESPACES: &[Namespace] = &[
    Namespace {
        name: "network.vswitch.standard.policy.multicast",
        help: "Multicast filtering of a switch",
        commands: &[
            command!(
                "get",
                "Show how multicast is filtered",
                READ,
                [SWITCH_NAME],
                Output::One(&MULTICAST),
                multicast
            ),
            command!(
                "set",
                "Say how multicast is filtered",
                NETWORK,
                [
                    Parameter::text("filtering-mode", 'm', "legacyFiltering or snooping (IGMP and MLD)")
                        .required(),
                    SWITCH_NAME
                ],
                Output::Done,
                set_multicast
            ),
        ],
    },
    Namespace {
        name: "network.vswitch.standard.portgroup.policy.learning",
        help: "MAC learning of the ports of a port group, for guests that are hosts themselves",
        commands: &[
            command!(
                "get",
                "Show whether ports learn MACs",
                READ,
                [GROUP_NAME],
                Output::One(&LEARNING),
                learning
            ),
            command!(
                "set",
                "Say whether ports learn MACs, which needs forged transmits",
                NETWORK,
                [
                    ENABLED.required(),
                    Parameter::boolean(
                        "allow-unicast-flooding",
                        'f',
                        "Whether ports get frames for MACs that nobody is known to have"
                    ),
                    Parameter::number("limit", 'l', "Most MACs of a port, 1 to 4096"),
                    Parameter::text(
                        "limit-policy",
                        'y',
                        "What becomes of frames from more MACs: DROP or ALLOW"
                    ),
                    GROUP_NAME
                ],
                Output::Done,
                set_learning
            ),
        ],
    },
    Namespace {
        name: "network.vswitch.standard.portgroup.policy.ipfix",
        help: "Whose flows are watched",
        commands: &[
            command!(
                "get",
                "Show whether flows of a port group's ports are watched",
                READ,
                [GROUP_NAME],
                Output::One(&WATCHED),
                watched
            ),
            command!(
                "set",
                "Say whether flows of a port group's ports are watched",
                NETWORK,
                [ENABLED.required(), GROUP_NAME],
                Output::Done,
                set_watched
            ),
        ],
    },
    Namespace {
        name: "network.vswitch.standard.ipfix",
        help: "Whom a switch tells of flows",
        commands: &[
            command!(
                "get",
                "Show the collector and what it was told",
                READ,
                [SWITCH_NAME],
                Output::One(&IPFIX),
                ipfix
            ),
            command!(
                "set",
                "Name the collector",
                NETWORK,
                [
                    Parameter::text("collector-ip", 'c', "Its address, IPv4 or IPv6").required(),
                    Parameter::number("collector-port", 'p', "Its UDP port (default: 4739)"),
                    Parameter::number("domain-id", 'd', "Observation domain"),
                    Parameter::number(
                        "active-timeout",
                        'a',
                        "Seconds after which a flow that goes on is told (default: 60)"
                    ),
                    Parameter::number(
                        "idle-timeout",
                        'i',
                        "Seconds after which a quiet flow has ended (default: 15)"
                    ),
                    Parameter::number(
                        "sampling-rate",
                        's',
                        "One of so many packets is looked at (default: all)"
                    ),
                    Parameter::boolean("internal-only", 'n', "Only flows between ports of this host"),
                    SWITCH_NAME
                ],
                Output::Done,
                set_ipfix
            ),
            command!("remove", "Tell nobody any more", NETWORK, [SWITCH_NAME], Output::Done, remove_ipfix),
        ],
    },
    Namespace {
        name: "network.port.learned",
        help: "What ports have learned",
        commands: &[command!(
            "list",
            "List the ports that learn, and how many MACs they know",
            READ,
            [],
            Output::Many(&LEARNED),
            learned
        )],
    },
];

fn one_of<T: Copy>(arguments: &Arguments, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Trouble> {
    let Some(text) = arguments.text(name) else { return Ok(None) };
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, meaning)| *meaning);
    let possible = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" and ");
    found.map(Some).ok_or_else(|| Trouble(format!("Parameter '{name}': {} are possible", possible())))
}

fn word<T: PartialEq>(meaning: &T, words: &[(&'static str, T)]) -> Option<&'static str> {
    words.iter().find(|(_, known)| known == meaning).map(|(word, _)| *word)
}

async fn multicast(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let config = host.network.config();
    let mode = switch(&config, arguments.required("vswitchname")?)?.declared.multicast;
    Ok(Answer::One(Row::new().put("Filtering Mode", word(&mode, &MODES))))
}

async fn set_multicast(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (name, mode) = (arguments.required("vswitchname")?, one_of(&arguments, "filteringmode", &MODES)?);
    let mode = mode.unwrap_or_default();
    host.networking().change(|config, _| config.set_multicast(name, mode)).await?;
    Ok(Answer::Done)
}

async fn learning(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (policy, own, _) = group(&host, &arguments)?;
    let learning = policy.security.learning;
    Ok(Answer::One(
        Row::new()
            .put("Enabled", learning.enabled)
            .put("Allow Unicast Flooding", learning.unicast_flooding)
            .put("Limit", i64::from(learning.limit))
            .put("Limit Policy", word(&learning.at_limit, &AT_LIMIT))
            .put("Override Vswitch Policy", own.learning.is_some()),
    ))
}

async fn set_learning(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (name, (policy, ..)) = (arguments.required("portgroupname")?, group(&host, &arguments)?);
    let before = policy.security.learning;
    let wanted = Learning {
        enabled: arguments.boolean("enabled").unwrap_or(before.enabled),
        unicast_flooding: arguments.boolean("allowunicastflooding").unwrap_or(before.unicast_flooding),
        limit: arguments.fits("limit")?.unwrap_or(before.limit),
        at_limit: one_of(&arguments, "limitpolicy", &AT_LIMIT)?.unwrap_or(before.at_limit),
    };
    host.networking().change(|config, _| config.set_learning(name, Some(wanted))).await?;
    Ok(Answer::Done)
}

async fn watched(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (policy, ..) = group(&host, &arguments)?;
    Ok(Answer::One(Row::new().put("Enabled", policy.ipfix)))
}

async fn set_watched(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (name, watch) = (arguments.required("portgroupname")?, arguments.boolean("enabled") == Some(true));
    host.networking().change(|config, _| config.watch_flows(name, watch)).await?;
    Ok(Answer::Done)
}

async fn ipfix(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let config = host.network.config();
    let declared = &switch(&config, arguments.required("vswitchname")?)?.declared;
    let Some(ipfix) = declared.ipfix else { return Ok(Answer::One(Row::new())) };
    let told = host.network.fabric().flow_counters(&declared.name);
    Ok(Answer::One(
        Row::new()
            .put("Collector IP", ipfix.collector.ip().to_string())
            .put("Collector Port", i64::from(ipfix.collector.port()))
            .put("Observation Domain ID", i64::from(ipfix.domain))
            .put("Active Flow Timeout", i64::from(ipfix.active_s))
            .put("Idle Flow Timeout", i64::from(ipfix.idle_s))
            .put("Sampling Rate", i64::from(ipfix.one_of.max(1)))
            .put("Internal Flows Only", ipfix.internal_only)
            .put("Flows", told.map(|told| told.flows))
            .put("Records Sent", told.map(|told| told.records_sent))
            .put("Records Lost", told.map(|told| told.records_lost))
            .put("Packets Lost", told.map(|told| told.packets_lost)),
    ))
}

async fn set_ipfix(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let address = arguments.required("collectorip")?;
    let ip: IpAddr = address
        .trim()
        .parse()
        .map_err(|_| Trouble(format!("Parameter 'collectorip': {address} is no address")))?;
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

async fn remove_ipfix(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let name = arguments.required("vswitchname")?;
    host.networking().change(|config, _| config.set_ipfix(name, None)).await?;
    Ok(Answer::Done)
}

async fn learned(host: Arc<Host>, _: Arguments) -> Outcome {
    let mut rows = Vec::new();
    for port in host.network.interfaces().await {
        let learned = host.network.fabric().learned(&port).await;
        if let Some(learned) = learned.map_err(|error| Trouble(error.to_string()))? {
            let row = Row::new().put("Port", port).put("MACs", learned.count);
            rows.push(row.put("Limit", i64::from(learned.limit)));
        }
    }
    Ok(Answer::Many(rows))
}
