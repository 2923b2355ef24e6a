//! `esxcli network vswitch standard policy multicast`: multicast filtering of a switch. ESXi has it on distributed switches only, so the
//! names are ours; the words are the API's.

use std::sync::Arc;

use host::Host;
use vswitch::declare::MulticastFiltering;

use crate::namespaces::network::vswitch::standard::switches::{SWITCH_NAME, switch};
use crate::namespaces::words::{one_of, word};
use crate::table::{
    Answer, Arguments, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure, text,
};

const MODES: [(&str, MulticastFiltering); 2] =
    [("legacyFiltering", MulticastFiltering::Legacy), ("snooping", MulticastFiltering::Snooping)];
static MULTICAST: Structure =
    Structure { name: "SwitchPolicyMulticast", table: false, fields: &[text("Filtering Mode")] };

const MODE: Parameter =
    Parameter::text("filtering-mode", 'm', "legacyFiltering or snooping (IGMP and MLD)").required();

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vswitch.standard.policy.multicast",
    help: "Multicast filtering of a switch",
    commands: &[
        command!("get", "Show the multicast filtering", READ, [SWITCH_NAME], Output::One(&MULTICAST), get),
        command!("set", "Set the multicast filtering", NETWORK, [MODE, SWITCH_NAME], Output::Done, set),
    ],
};

async fn get(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let config = host.network.config();
    let mode = switch(&config, arguments.required("vswitchname")?)?.declared.multicast;
    Ok(Answer::One(Row::new().put("Filtering Mode", word(&mode, &MODES))))
}

async fn set(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (name, mode) = (arguments.required("vswitchname")?, one_of(&arguments, "filteringmode", &MODES)?);
    let mode = mode.unwrap_or_default();
    host.networking().change(|config, _| config.set_multicast(name, mode)).await?;
    Ok(Answer::Done)
}
