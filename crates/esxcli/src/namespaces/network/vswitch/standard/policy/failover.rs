//! `esxcli network vswitch standard policy failover`

use host::Host;
use vim::vim;
use vswitch::declare::{Balancing, Teaming};

use super::set::{PolicyChange, PolicyObject, set_switch};
use crate::namespaces::network::vswitch::standard::switches::{SWITCH_NAME, switch};
use crate::table::{
    Answer, Arguments, CliFault, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure,
    boolean, text, texts,
};

pub(crate) const ACTIVE: Parameter =
    Parameter::text("active-uplinks", 'a', "Uplinks that carry traffic, with commas between");
pub(crate) const STANDBY: Parameter = Parameter::text(
    "standby-uplinks",
    's',
    "Uplinks that take the place of those that fail, with commas between",
);
pub(crate) const FAILBACK: Parameter =
    Parameter::boolean("failback", 'b', "Whether an uplink that is well again takes its place back");
pub(crate) const DETECTION: Parameter =
    Parameter::text("failure-detection", 'f', "How failures are found: link or beacon");
pub(crate) const BALANCING: Parameter =
    Parameter::text("load-balancing", 'l', "Choice of the uplink: portid, iphash, mac, explicit or load");
pub(crate) const NOTIFY: Parameter = Parameter::boolean(
    "notify-switches",
    'n',
    "Whether the host tells physical switches where addresses have moved",
);

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

pub(crate) const CHANGE: PolicyChange = PolicyChange {
    read,
    inherit: |own| {
        (own.balancing, own.beacons, own.notify_switches) = (None, None, None);
        (own.failback, own.order) = (None, None);
    },
};

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vswitch.standard.policy.failover",
    help: "Fail-over of a standard switch",
    commands: &[
        reads!(
            "get",
            "Show the fail-over policy of a switch",
            READ,
            [SWITCH_NAME],
            Output::One(&FAILOVER),
            get
        ),
        command!(
            "set",
            "Change the fail-over policy of a switch",
            NETWORK,
            [ACTIVE, FAILBACK, DETECTION, BALANCING, NOTIFY, STANDBY, SWITCH_NAME],
            Output::Done,
            |host, arguments| set_switch(host, arguments, CHANGE)
        ),
    ],
};

fn get(host: &Host, arguments: &Arguments) -> Outcome {
    let config = host.network.config();
    let switch = &switch(&config, arguments.required("vswitchname")?)?.declared;
    Ok(Answer::One(row(&switch.policy.teaming, &switch.uplinks)))
}

/// The row of a fail-over policy.
pub(crate) fn row(teaming: &Teaming, uplinks: &[String]) -> Row {
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

fn read(arguments: &Arguments, teaming: &Teaming) -> Result<PolicyObject, CliFault> {
    let balancing = match arguments.text("loadbalancing") {
        None => None,
        Some("portid") => Some("loadbalance_srcid"),
        Some("mac") => Some("loadbalance_srcmac"),
        Some("iphash") => Some("loadbalance_ip"),
        Some("explicit") => Some("failover_explicit"),
        Some("load") => Some("loadbalance_loadbased"),
        Some(_) => return Err(CliFault::constraint("loadbalancing")),
    };
    let beacons = match arguments.text("failuredetection") {
        None => None,
        Some("link") => Some(false),
        Some("beacon") => Some(true),
        Some(_) => return Err(CliFault::constraint("failuredetection")),
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
