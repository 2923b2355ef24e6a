//! `esxcli network vswitch standard portgroup policy shaping`

use host::Host;
use vswitch::declare::ShapingOverride;

use crate::namespaces::network::vswitch::standard::policy::set::{USE_SWITCH, set_group};
use crate::namespaces::network::vswitch::standard::policy::shaping::{
    AVERAGE, BURST, CHANGE, ENABLED, PEAK, row,
};
use crate::namespaces::network::vswitch::standard::switches::{GROUP_NAME, group};
use crate::table::{
    Answer, Arguments, NETWORK, Namespace, Outcome, Output, READ, Structure, boolean, number,
};

static SHAPING: Structure = Structure {
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

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vswitch.standard.portgroup.policy.shaping",
    help: "Traffic shaping of a port group",
    commands: &[
        reads!(
            "get",
            "Show the shaping policy of a port group",
            READ,
            [GROUP_NAME],
            Output::One(&SHAPING),
            get
        ),
        command!(
            "set",
            "Change the shaping policy of a port group",
            NETWORK,
            [AVERAGE, BURST, ENABLED, PEAK, GROUP_NAME, USE_SWITCH],
            Output::Done,
            |host, arguments| set_group(host, arguments, CHANGE)
        ),
    ],
};

fn get(host: &Host, arguments: &Arguments) -> Outcome {
    let (policy, own, _) = group(host, arguments)?;
    let row = self::row(&policy.outbound);
    Ok(Answer::One(row.put("Override Vswitch Policy", own.outbound != ShapingOverride::default())))
}
