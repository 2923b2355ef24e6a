//! `esxcli network vswitch standard policy …` and `… portgroup policy …`: security, fail-over and shaping.

use std::sync::Arc;

use vim::{Object, ty, vim};
use vswitch::declare::{Balancing, Override, Policy, Shaping, ShapingOverride, Teaming};

use super::network_switch::{change_switch, switch};
use super::{
    Answer, Arguments, Command, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure,
    Trouble, boolean, number, text, texts,
};
use crate::Host;
use crate::network;

/// Rates are in kbit/s and bursts in KiB on the command line, in bit/s and bytes in the API.
const KILO: u64 = 1000;
const KIBI: u64 = 1024;

const SWITCH_NAME: Parameter =
    Parameter::text("vswitch-name", 'v', "The name of the virtual switch").required();
const GROUP_NAME: Parameter = Parameter::text("portgroup-name", 'p', "The name of the port group").required();
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
    Parameter::text("load-balancing", 'l', "What chooses the uplink: portid, iphash, mac or explicit");
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
fn group(host: &Host, arguments: &Arguments) -> Result<(Policy, Override, Vec<String>), Trouble> {
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

type PolicyObject = ty!(HostNetworkPolicy);
/// What the arguments say of one policy as the API would say it, given the teaming that counts so far; and how an override
/// loses what it says of it.
type Said = (fn(&Arguments, &Teaming) -> Result<PolicyObject, Trouble>, fn(&mut Override));

const FAILOVER_SAID: Said = (failover_said, |own| {
    (own.balancing, own.beacons, own.notify_switches, own.failback, own.order) =
        (None, None, None, None, None);
});
const SECURITY_SAID: Said = (security_said, |own| {
    (own.promiscuous, own.mac_changes, own.forged_transmits) = (None, None, None);
});
const SHAPING_SAID: Said = (shaping_said, |own| own.outbound = ShapingOverride::default());

fn failover_said(arguments: &Arguments, teaming: &Teaming) -> Result<PolicyObject, Trouble> {
    let balancing = match arguments.text("loadbalancing") {
        None => None,
        Some("portid") => Some("loadbalance_srcid"),
        Some("mac") => Some("loadbalance_srcmac"),
        Some("iphash") => Some("loadbalance_ip"),
        Some("explicit") => Some("failover_explicit"),
        Some(_) => return Err(constraint("loadbalancing")),
    };
    let beacons = match arguments.text("failuredetection") {
        None => None,
        Some("link") => Some(false),
        Some("beacon") => Some(true),
        Some(_) => return Err(constraint("failuredetection")),
    };
    let names = |name| {
        let text: Option<&str> = arguments.text(name);
        text.map(|text| {
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.map(str::to_owned).collect::<Vec<String>>()
        })
    };
    let order = match (names("activeuplinks"), names("standbyuplinks")) {
        (None, None) => None,
        // An uplink that is named for one list leaves the other.
        (Some(active), None) => {
            let standby = teaming.standby.iter().filter(|name| !active.contains(name)).cloned().collect();
            Some((active, standby))
        }
        (None, Some(standby)) => {
            let active = teaming.active.iter().filter(|name| !standby.contains(name)).cloned().collect();
            Some((active, standby))
        }
        (Some(active), Some(standby)) => Some((active, standby)),
    };
    let order =
        order.map(|(active, standby)| vim!(HostNicOrderPolicy { activeNic: active, standbyNic: standby }));
    Ok(vim!(HostNetworkPolicy {
        nicTeaming: HostNicTeamingPolicy {
            policy: balancing,
            notifySwitches: arguments.boolean("notifyswitches"),
            rollingOrder: arguments.boolean("failback").map(|failback| !failback),
            failureCriteria: beacons.map(|beacons| vim!(HostNicFailureCriteria { checkBeacon: beacons })),
            nicOrder: order,
        },
    }))
}

fn security_said(arguments: &Arguments, _: &Teaming) -> Result<PolicyObject, Trouble> {
    Ok(vim!(HostNetworkPolicy {
        security: HostNetworkSecurityPolicy {
            allowPromiscuous: arguments.boolean("allowpromiscuous"),
            macChanges: arguments.boolean("allowmacchange"),
            forgedTransmits: arguments.boolean("allowforgedtransmits"),
        },
    }))
}

fn shaping_said(arguments: &Arguments, _: &Teaming) -> Result<PolicyObject, Trouble> {
    let times = |name, unit: u64| {
        let number: Option<i64> = arguments.number(name);
        number.map(|number| number.saturating_mul(i64::try_from(unit).unwrap_or(i64::MAX)))
    };
    Ok(vim!(HostNetworkPolicy {
        shapingPolicy: HostNetworkTrafficShapingPolicy {
            enabled: arguments.boolean("enabled"),
            averageBandwidth: times("avgbandwidth", KILO),
            peakBandwidth: times("peakbandwidth", KILO),
            burstSize: times("burstsize", KIBI),
        },
    }))
}

/// As ESXi says it of a value that is none of those possible.
fn constraint(parameter: &str) -> Trouble {
    Trouble(format!("Invalid data constraint for parameter '{parameter}'."))
}

async fn set_switch(host: Arc<Host>, arguments: Arguments, said: Said) -> Outcome {
    let name = arguments.required("vswitchname")?;
    change_switch(&host, name, |known, spec| {
        let policy = (said.0)(&arguments, &known.declared.policy.teaming)?;
        let wanted = vim!(HostVirtualSwitchSpec { numPorts: 0, policy: policy });
        spec.policy = network::switch_spec(&Object::from(wanted))?.policy;
        Ok(())
    })
    .await
}

async fn set_group(host: Arc<Host>, arguments: Arguments, said: Said) -> Outcome {
    let name = arguments.required("portgroupname")?;
    let (policy, ..) = group(&host, &arguments)?;
    let wanted = vim!(HostPortGroupSpec {
        name: name,
        vlanId: 0,
        vswitchName: "",
        policy: (said.0)(&arguments, &policy.teaming)?,
    });
    let mut spec = network::group_spec(&Object::from(wanted))?;
    let inherit = arguments.boolean("usevswitch") == Some(true);
    host.change_network(|config, around| {
        if let Some((_, group)) = config.group(name) {
            let mut own = group.policy.clone();
            if inherit {
                (said.1)(&mut own);
            }
            spec.policy = over(own, spec.policy);
            spec.vlan = group.vlan.clone();
        }
        config.update_group(name, spec, around)
    })
    .await?;
    Ok(Answer::Done)
}

/// What `by` says, and otherwise what is said already.
fn over(own: Override, by: Override) -> Override {
    Override {
        promiscuous: by.promiscuous.or(own.promiscuous),
        mac_changes: by.mac_changes.or(own.mac_changes),
        forged_transmits: by.forged_transmits.or(own.forged_transmits),
        balancing: by.balancing.or(own.balancing),
        beacons: by.beacons.or(own.beacons),
        notify_switches: by.notify_switches.or(own.notify_switches),
        failback: by.failback.or(own.failback),
        order: by.order.or(own.order),
        outbound: shaping_over(own.outbound, by.outbound),
        inbound: shaping_over(own.inbound, by.inbound),
    }
}

fn shaping_over(own: ShapingOverride, by: ShapingOverride) -> ShapingOverride {
    ShapingOverride {
        enabled: by.enabled.or(own.enabled),
        average: by.average.or(own.average),
        peak: by.peak.or(own.peak),
        burst: by.burst.or(own.burst),
    }
}
