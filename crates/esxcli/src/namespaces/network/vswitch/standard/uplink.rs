//! `esxcli network vswitch standard uplink`

use std::sync::Arc;

use host::Host;

use super::switches::{SWITCH_NAME, change_switch};
use crate::table::{Arguments, CliFault, NETWORK, Namespace, Outcome, Output, Parameter};

const UPLINK_NAME: Parameter =
    Parameter::text("uplink-name", 'u', "The name of the physical network card").required();

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vswitch.standard.uplink",
    help: "Uplinks of a standard switch",
    commands: &[
        command!(
            "add",
            "Add an uplink to a standard switch",
            NETWORK,
            [UPLINK_NAME, SWITCH_NAME],
            Output::Done,
            add
        ),
        command!(
            "remove",
            "Remove an uplink from a standard switch",
            NETWORK,
            [UPLINK_NAME, SWITCH_NAME],
            Output::Done,
            remove
        ),
    ],
};

async fn add(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (name, uplink) = (arguments.required("vswitchname")?, arguments.required("uplinkname")?);
    change_switch(&host, name, |_, spec| {
        if spec.uplinks.iter().any(|known| known == uplink) {
            return Err(CliFault(format!("{uplink} is already an uplink of {name}")));
        }
        spec.uplinks.push(uplink.to_owned());
        Ok(())
    })
    .await
}

async fn remove(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (name, uplink) = (arguments.required("vswitchname")?, arguments.required("uplinkname")?);
    change_switch(&host, name, |_, spec| {
        let before = spec.uplinks.len();
        spec.uplinks.retain(|known| known != uplink);
        match spec.uplinks.len() < before {
            true => Ok(()),
            false => Err(CliFault(format!("{uplink} is not an uplink of {name}"))),
        }
    })
    .await
}
