//! `esxcli network vswitch standard portgroup policy learning`: MAC learning of ports. ESXi has it on distributed switches only, so the
//! names are ours; the words are the API's.

use std::sync::Arc;

use host::Host;
use vswitch::declare::{AtLimit, Learning};

use crate::namespaces::network::vswitch::standard::switches::{GROUP_NAME, group};
use crate::namespaces::words::{one_of, word};
use crate::table::{
    Answer, Arguments, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure, boolean, number,
    text,
};

const AT_LIMIT: [(&str, AtLimit); 2] = [("DROP", AtLimit::Drop), ("ALLOW", AtLimit::Allow)];

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

const ENABLED: Parameter = Parameter::boolean("enabled", 'e', "Whether ports learn").required();
const FLOODING: Parameter =
    Parameter::boolean("allow-unicast-flooding", 'f', "Whether ports receive frames for unknown MACs");
const LIMIT: Parameter = Parameter::number("limit", 'l', "Most MACs of a port, 1 to 4096");
const AT_LIMIT_POLICY: Parameter =
    Parameter::text("limit-policy", 'y', "Treatment of frames from further MACs: DROP or ALLOW");

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vswitch.standard.portgroup.policy.learning",
    help: "MAC learning of the ports of a port group, for guests that are hosts themselves",
    commands: &[
        command!("get", "Show whether ports learn MACs", READ, [GROUP_NAME], Output::One(&LEARNING), get),
        command!(
            "set",
            "Set whether ports learn MACs, which needs forged transmits",
            NETWORK,
            [ENABLED, FLOODING, LIMIT, AT_LIMIT_POLICY, GROUP_NAME],
            Output::Done,
            set
        ),
    ],
};

async fn get(host: Arc<Host>, arguments: Arguments) -> Outcome {
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

async fn set(host: Arc<Host>, arguments: Arguments) -> Outcome {
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
