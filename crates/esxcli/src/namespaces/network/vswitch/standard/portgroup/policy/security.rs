//! `esxcli network vswitch standard portgroup policy security`

use host::Host;

use crate::namespaces::network::vswitch::standard::policy::security::{
    CHANGE, FORGED, MAC_CHANGE, PROMISCUOUS, row,
};
use crate::namespaces::network::vswitch::standard::policy::set::{USE_SWITCH, set_group};
use crate::namespaces::network::vswitch::standard::switches::{GROUP_NAME, group};
use crate::table::{
    Answer, Arguments, NETWORK, Namespace, Outcome, Output, Parameter, READ, Structure, boolean,
};

static SECURITY: Structure = Structure {
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

/// The letter of the switch's parameter is taken by the port group's name.
const GROUP_PROMISCUOUS: Parameter = Parameter { letter: Some('o'), ..PROMISCUOUS };

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vswitch.standard.portgroup.policy.security",
    help: "Security of a port group",
    commands: &[
        reads!(
            "get",
            "Show the security policy of a port group",
            READ,
            [GROUP_NAME],
            Output::One(&SECURITY),
            get
        ),
        command!(
            "set",
            "Change the security policy of a port group",
            NETWORK,
            [FORGED, MAC_CHANGE, GROUP_PROMISCUOUS, GROUP_NAME, USE_SWITCH],
            Output::Done,
            |host, arguments| set_group(host, arguments, CHANGE)
        ),
    ],
};

fn get(host: &Host, arguments: &Arguments) -> Outcome {
    let (policy, own, _) = group(host, arguments)?;
    Ok(Answer::One(
        row(&policy)
            .put("Override Vswitch Allow Promiscuous", own.promiscuous.is_some())
            .put("Override Vswitch Allow MAC Address Change", own.mac_changes.is_some())
            .put("Override Vswitch Allow Forged Transmits", own.forged_transmits.is_some()),
    ))
}
