//! `esxcli network vswitch standard portgroup policy failover`

use host::Host;

use crate::namespaces::network::vswitch::standard::policy::failover::{
    ACTIVE, BALANCING, CHANGE, DETECTION, FAILBACK, NOTIFY, STANDBY, row,
};
use crate::namespaces::network::vswitch::standard::policy::set::{USE_SWITCH, set_group};
use crate::namespaces::network::vswitch::standard::switches::{GROUP_NAME, group};
use crate::table::{
    Answer, Arguments, NETWORK, Namespace, Outcome, Output, READ, Structure, boolean, text, texts,
};

static FAILOVER: Structure = Structure {
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

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vswitch.standard.portgroup.policy.failover",
    help: "Fail-over of a port group",
    commands: &[
        reads!(
            "get",
            "Show the fail-over policy of a port group",
            READ,
            [GROUP_NAME],
            Output::One(&FAILOVER),
            get
        ),
        command!(
            "set",
            "Change the fail-over policy of a port group",
            NETWORK,
            [ACTIVE, FAILBACK, DETECTION, BALANCING, NOTIFY, GROUP_NAME, STANDBY, USE_SWITCH],
            Output::Done,
            |host, arguments| set_group(host, arguments, CHANGE)
        ),
    ],
};

fn get(host: &Host, arguments: &Arguments) -> Outcome {
    let (policy, own, uplinks) = group(host, arguments)?;
    Ok(Answer::One(
        row(&policy.teaming, &uplinks)
            .put("Override Vswitch Load Balancing", own.balancing.is_some())
            .put("Override Vswitch Network Failure Detection", own.beacons.is_some())
            .put("Override Vswitch Notify Switches", own.notify_switches.is_some())
            .put("Override Vswitch Failback", own.failback.is_some())
            .put("Override Vswitch Uplinks", own.order.is_some()),
    ))
}
