//! `esxcli network vswitch standard portgroup policy ipfix`: whether a port group's flows are reported. ESXi has it on distributed switches
//! only, so the names are ours.

use std::sync::Arc;

use host::Host;

use crate::namespaces::network::vswitch::standard::switches::{GROUP_NAME, group};
use crate::table::{
    Answer, Arguments, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure, boolean,
};

static IPFIX: Structure =
    Structure { name: "PortgroupPolicyIpfix", table: false, fields: &[boolean("Enabled")] };

const ENABLED: Parameter = Parameter::boolean("enabled", 'e', "Whether flows are reported").required();

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vswitch.standard.portgroup.policy.ipfix",
    help: "Reporting of flows",
    commands: &[
        command!(
            "get",
            "Show whether flows of a port group's ports are reported",
            READ,
            [GROUP_NAME],
            Output::One(&IPFIX),
            get
        ),
        command!(
            "set",
            "Set whether flows of a port group's ports are reported",
            NETWORK,
            [ENABLED, GROUP_NAME],
            Output::Done,
            set
        ),
    ],
};

async fn get(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (policy, ..) = group(&host, &arguments)?;
    Ok(Answer::One(Row::new().put("Enabled", policy.ipfix)))
}

async fn set(host: Arc<Host>, arguments: Arguments) -> Outcome {
    let (name, watch) = (arguments.required("portgroupname")?, arguments.boolean("enabled") == Some(true));
    host.networking().change(|config, _| config.watch_flows(name, watch)).await?;
    Ok(Answer::Done)
}
