//! `esxcli network vswitch standard policy security`

use host::Host;
use vim::vim;
use vswitch::declare::{Policy, Teaming};

use super::set::{PolicyChange, PolicyObject, set_switch};
use crate::namespaces::network::vswitch::standard::switches::{SWITCH_NAME, switch};
use crate::table::{
    Answer, Arguments, CliFault, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure,
    boolean,
};

pub(crate) const FORGED: Parameter = Parameter::boolean(
    "allow-forged-transmits",
    'f',
    "Whether guests may send from a MAC that is not their own",
);
pub(crate) const MAC_CHANGE: Parameter =
    Parameter::boolean("allow-mac-change", 'm', "Whether guests may set another MAC and still receive");
pub(crate) const PROMISCUOUS: Parameter =
    Parameter::boolean("allow-promiscuous", 'p', "Whether guests may see what is not for them");

static SECURITY: Structure = Structure {
    name: "SwitchPolicySecurity",
    table: false,
    fields: &[
        boolean("Allow Promiscuous"),
        boolean("Allow MAC Address Change"),
        boolean("Allow Forged Transmits"),
    ],
};

pub(crate) const CHANGE: PolicyChange = PolicyChange {
    read,
    inherit: |own| (own.promiscuous, own.mac_changes, own.forged_transmits) = (None, None, None),
};

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vswitch.standard.policy.security",
    help: "Security of a standard switch",
    commands: &[
        reads!(
            "get",
            "Show the security policy of a switch",
            READ,
            [SWITCH_NAME],
            Output::One(&SECURITY),
            get
        ),
        command!(
            "set",
            "Change the security policy of a switch",
            NETWORK,
            [FORGED, MAC_CHANGE, PROMISCUOUS, SWITCH_NAME],
            Output::Done,
            |host, arguments| set_switch(host, arguments, CHANGE)
        ),
    ],
};

fn get(host: &Host, arguments: &Arguments) -> Outcome {
    let config = host.network.config();
    Ok(Answer::One(row(&switch(&config, arguments.required("vswitchname")?)?.declared.policy)))
}

/// The row of a security policy.
pub(crate) fn row(policy: &Policy) -> Row {
    Row::new()
        .put("Allow Promiscuous", policy.security.promiscuous)
        .put("Allow MAC Address Change", policy.security.mac_changes)
        .put("Allow Forged Transmits", policy.security.forged_transmits)
}

fn read(arguments: &Arguments, _: &Teaming) -> Result<PolicyObject, CliFault> {
    Ok(vim!(HostNetworkPolicy {
        security: HostNetworkSecurityPolicy {
            allowPromiscuous: arguments.boolean("allowpromiscuous"),
            macChanges: arguments.boolean("allowmacchange"),
            forgedTransmits: arguments.boolean("allowforgedtransmits"),
        },
    }))
}
