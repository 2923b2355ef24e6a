//! `esxcli network vswitch standard policy …` and `… portgroup policy …`: security, fail-over and shaping.

use host::Host;
use vswitch::declare::{Balancing, Override, Policy, Shaping, ShapingOverride, Teaming};

use super::network_policy_set::{
    FAILOVER_SAID, KIBI, KILO, SECURITY_SAID, SHAPING_SAID, set_group, set_switch,
};
use super::network_portgroup::GROUP_NAME;
use super::network_switch::{SWITCH_NAME, switch};
use super::{
    Answer, Arguments, Command, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure,
    Trouble, boolean, number, text, texts,
};

const USE_SWITCH: Parameter =
    Parameter::flag("use-vswitch", 'u', "Take over what the switch says, before the other parameters");

const ACTIVE: Parameter =
    Parameter::text("active-uplinks", 'a', "Uplinks that carry traffic, with commas between");
const STANDBY: Parameter = Parameter::text(
    "standby-uplinks",
    's',
    "Uplinks that take the place of those that fail, with commas between",
);
const FAILBACK: Parameter =
    Parameter::boolean("failback", 'b', "Whether an uplink that is well again takes its place back");
const DETECTION: Parameter =
    Parameter::text("failure-detection", 'f', "How failures are found: link or beacon");
const BALANCING: Parameter =
    Parameter::text("load-balancing", 'l', "What chooses the uplink: portid, iphash, mac, explicit or load");
const NOTIFY: Parameter = Parameter::boolean(
    "notify-switches",
    'n',
    "Whether physical switches are told where machines have moved to",
);

const FORGED: Parameter = Parameter::boolean(
    "allow-forged-transmits",
    'f',
    "Whether guests may send from a MAC that is not their own",
);
const MAC_CHANGE: Parameter =
    Parameter::boolean("allow-mac-change", 'm', "Whether guests may set another MAC and still receive");
const PROMISCUOUS: Parameter =
    Parameter::boolean("allow-promiscuous", 'p', "Whether guests may see what is not for them");

const AVERAGE: Parameter = Parameter::number("avg-bandwidth", 'b', "The average rate, in kbit/s");
const BURST: Parameter =
    Parameter::number("burst-size", 't', "The most that may pass beyond the average, in KiB");
const ENABLED: Parameter = Parameter::boolean("enabled", 'e', "Whether traffic is shaped");
const PEAK: Parameter = Parameter::number("peak-bandwidth", 'k', "The most while a burst lasts, in kbit/s");

static FAILOVER: Structure = Structure {
    name: "SwitchPolicyFailover",
    table: false,
    fields: &[
        text("Load Balancing"),
        text("Network Failure Detection"),
        boolean("Notify Switches"),
        boolean("Failback"),
        texts("Active Adapters"),
        texts("Standby Adapters"),
        texts("Unused Adapters"),
    ],
};

static GROUP_FAILOVER: Structure = Structure {
    name: "PortgroupPolicyFailover",
    table: false,
    fields: &[
        text("Load Balancing"),
        text("Network Failure Detection"),
        boolean("Notify Switches"),
        boolean("Failback"),
        texts("Active Adapters"),
        texts("Standby Adapters"),
        texts("Unused Adapters"),
        boolean("Override Vswitch Load Balancing"),
        boolean("Override Vswitch Network Failure Detection"),
        boolean("Override Vswitch Notify Switches"),
        boolean("Override Vswitch Failback"),
        boolean("Override Vswitch Uplinks"),
    ],
};

static SECURITY: Structure = Structure {
    name: "SwitchPolicySecurity",
    table: false,
    fields: &[
        boolean("Allow Promiscuous"),
        boolean("Allow MAC Address Change"),
        boolean("Allow Forged Transmits"),
    ],
};

static GROUP_SECURITY: Structure = Structure {
    name: "PortgroupPolicySecurity",
    table: false,
    fields: &[
        boolean("Allow Promiscuous"),
        boolean("Allow MAC Address Change"),
        boolean("Allow Forged Transmits"),
        boolean("Override Vswitch Allow Promiscuous"),
        boolean("Override Vswitch Allow MAC Address Change"),
        boolean("Override Vswitch Allow Forged Transmits"),
    ],
};

static SHAPING: Structure = Structure {
    name: "SwitchPolicyShaping",
    table: false,
    fields: &[
        boolean("Enabled"),
        number("Average Bandwidth"),
        number("Peak Bandwidth"),
        number("Burst Size"),
    ],
};

static GROUP_SHAPING: Structure = Structure {
    name: "PortgroupPolicyShaping",
    table: false,
    fields: &[
        boolean("Enabled"),
        number("Average Bandwidth"),
        number("Peak Bandwidth"),
        number("Burst Size"),
        boolean("Override Vswitch Policy"),
    ],
};

macro_rules! get {
    ($help:literal, $parameter:expr, $structure:expr, $from:ident) => {
        Command {
            name: "get",
            help: $help,
            privilege: READ,
            parameters: &[$parameter],
            output: Output::One(&$structure),
            run: |host, arguments| Box::pin(async move { $from(&host, &arguments) }),
        }
    };
}

macro_rules! set {
    ($help:literal, [$($parameter:expr),*], $owner:ident, $policy:ident) => {
        Command {
            name: "set",
            help: $help,
            privilege: NETWORK,
            parameters: &[$($parameter),*],
            output: Output::Done,
            run: |host, arguments| Box::pin($owner(host, arguments, $policy)),
        }
    };
}

pub(super) static NAMESPACES: &[Namespace] = &[
    Namespace {
        name: "network.vswitch.standard.policy.failover",
        help: "Fail-over of a standard switch",
        commands: &[
            get!("Show the fail-over policy of a switch", SWITCH_NAME, FAILOVER, get_failover),
            set!(
                "Change the fail-over policy of a switch",
                [ACTIVE, FAILBACK, DETECTION, BALANCING, NOTIFY, STANDBY, SWITCH_NAME],
                set_switch,
                FAILOVER_SAID
            ),
        ],
    },
    Namespace {
        name: "network.vswitch.standard.policy.security",
        help: "Security of a standard switch",
        commands: &[
            get!("Show the security policy of a switch", SWITCH_NAME, SECURITY, get_security),
            set!(
                "Change the security policy of a switch",
                [FORGED, MAC_CHANGE, PROMISCUOUS, SWITCH_NAME],
                set_switch,
                SECURITY_SAID
            ),
        ],
    },
    Namespace {
        name: "network.vswitch.standard.policy.shaping",
        help: "Traffic shaping of a standard switch",
        commands: &[
            get!("Show the shaping policy of a switch", SWITCH_NAME, SHAPING, get_shaping),
            set!(
                "Change the shaping policy of a switch",
                [AVERAGE, BURST, ENABLED, PEAK, SWITCH_NAME],
                set_switch,
                SHAPING_SAID
            ),
        ],
    },
    Namespace {
        name: "network.vswitch.standard.portgroup.policy.failover",
        help: "Fail-over of a port group",
        commands: &[
            get!("Show the fail-over policy of a port group", GROUP_NAME, GROUP_FAILOVER, get_group_failover),
            set!(
                "Change the fail-over policy of a port group",
                [ACTIVE, FAILBACK, DETECTION, BALANCING, NOTIFY, GROUP_NAME, STANDBY, USE_SWITCH],
                set_group,
                FAILOVER_SAID
            ),
        ],
    },
    Namespace {
        name: "network.vswitch.standard.portgroup.policy.security",
        help: "Security of a port group",
        commands: &[
            get!("Show the security policy of a port group", GROUP_NAME, GROUP_SECURITY, get_group_security),
            set!(
                "Change the security policy of a port group",
                [FORGED, MAC_CHANGE, Parameter { letter: Some('o'), ..PROMISCUOUS }, GROUP_NAME, USE_SWITCH],
                set_group,
                SECURITY_SAID
            ),
        ],
    },
    Namespace {
        name: "network.vswitch.standard.portgroup.policy.shaping",
        help: "Traffic shaping of a port group",
        commands: &[
            get!("Show the shaping policy of a port group", GROUP_NAME, GROUP_SHAPING, get_group_shaping),
            set!(
                "Change the shaping policy of a port group",
                [AVERAGE, BURST, ENABLED, PEAK, GROUP_NAME, USE_SWITCH],
                set_group,
                SHAPING_SAID
            ),
        ],
    },
];

/// What counts on a port group, what it says itself, and the uplinks of its switch.
pub(super) fn group(host: &Host, arguments: &Arguments) -> Result<(Policy, Override, Vec<String>), Trouble> {
    let (config, name) = (host.network.config(), arguments.required("portgroupname")?);
    let (switch, group) =
        config.group(name).ok_or_else(|| Trouble(format!("Invalid portgroup name: there is no {name}")))?;
    Ok((switch.declared.policy_of(group), group.policy.clone(), switch.declared.uplinks.clone()))
}

fn failover_row(teaming: &Teaming, uplinks: &[String]) -> Row {
    let balancing = match teaming.balancing {
        Balancing::Port => "srcport",
        Balancing::SourceMac => "srcmac",
        Balancing::IpHash => "iphash",
        Balancing::Explicit => "explicit",
        Balancing::Load => "load",
    };
    let used = |name: &&String| teaming.active.contains(name) || teaming.standby.contains(name);
    Row::new()
        .put("Load Balancing", balancing)
        .put("Network Failure Detection", if teaming.beacons { "beacon" } else { "link" })
        .put("Notify Switches", teaming.notify_switches)
        .put("Failback", teaming.failback)
        .put("Active Adapters", &teaming.active[..])
        .put("Standby Adapters", &teaming.standby[..])
        .put("Unused Adapters", uplinks.iter().filter(|name| !used(name)).cloned().collect::<Vec<_>>())
}

fn security_row(policy: &Policy) -> Row {
    Row::new()
        .put("Allow Promiscuous", policy.security.promiscuous)
        .put("Allow MAC Address Change", policy.security.mac_changes)
        .put("Allow Forged Transmits", policy.security.forged_transmits)
}

fn shaping_row(shaping: &Shaping) -> Row {
    Row::new()
        .put("Enabled", shaping.enabled)
        .put("Average Bandwidth", shaping.average / KILO)
        .put("Peak Bandwidth", shaping.peak / KILO)
        .put("Burst Size", shaping.burst / KIBI)
}

fn get_failover(host: &Host, arguments: &Arguments) -> Outcome {
    let config = host.network.config();
    let switch = &switch(&config, arguments.required("vswitchname")?)?.declared;
    Ok(Answer::One(failover_row(&switch.policy.teaming, &switch.uplinks)))
}

fn get_security(host: &Host, arguments: &Arguments) -> Outcome {
    let config = host.network.config();
    Ok(Answer::One(security_row(&switch(&config, arguments.required("vswitchname")?)?.declared.policy)))
}

fn get_shaping(host: &Host, arguments: &Arguments) -> Outcome {
    let config = host.network.config();
    let policy = &switch(&config, arguments.required("vswitchname")?)?.declared.policy;
    Ok(Answer::One(shaping_row(&policy.outbound)))
}

fn get_group_failover(host: &Host, arguments: &Arguments) -> Outcome {
    let (policy, own, uplinks) = group(host, arguments)?;
    Ok(Answer::One(
        failover_row(&policy.teaming, &uplinks)
            .put("Override Vswitch Load Balancing", own.balancing.is_some())
            .put("Override Vswitch Network Failure Detection", own.beacons.is_some())
            .put("Override Vswitch Notify Switches", own.notify_switches.is_some())
            .put("Override Vswitch Failback", own.failback.is_some())
            .put("Override Vswitch Uplinks", own.order.is_some()),
    ))
}

fn get_group_security(host: &Host, arguments: &Arguments) -> Outcome {
    let (policy, own, _) = group(host, arguments)?;
    Ok(Answer::One(
        security_row(&policy)
            .put("Override Vswitch Allow Promiscuous", own.promiscuous.is_some())
            .put("Override Vswitch Allow MAC Address Change", own.mac_changes.is_some())
            .put("Override Vswitch Allow Forged Transmits", own.forged_transmits.is_some()),
    ))
}

fn get_group_shaping(host: &Host, arguments: &Arguments) -> Outcome {
    let (policy, own, _) = group(host, arguments)?;
    let row = shaping_row(&policy.outbound);
    Ok(Answer::One(row.put("Override Vswitch Policy", own.outbound != ShapingOverride::default())))
}
