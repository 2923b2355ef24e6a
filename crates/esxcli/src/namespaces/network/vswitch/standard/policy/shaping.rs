//! `esxcli network vswitch standard policy shaping`

use host::Host;
use vim::vim;
use vswitch::declare::{Shaping, ShapingOverride, Teaming};

use super::set::{PolicyChange, PolicyObject, set_switch};
use crate::namespaces::network::vswitch::standard::switches::{SWITCH_NAME, switch};
use crate::table::{
    Answer, Arguments, CliFault, NETWORK, Namespace, Outcome, Output, Parameter, READ, Row, Structure,
    boolean, number,
};

/// Rates are in kbit/s and bursts in KiB on the command line, in bit/s and bytes in the API.
const KILO: u64 = 1000;
const KIBI: u64 = 1024;

pub(crate) const AVERAGE: Parameter = Parameter::number("avg-bandwidth", 'b', "The average rate, in kbit/s");
pub(crate) const BURST: Parameter =
    Parameter::number("burst-size", 't', "The most that may pass beyond the average, in KiB");
pub(crate) const ENABLED: Parameter = Parameter::boolean("enabled", 'e', "Whether traffic is shaped");
pub(crate) const PEAK: Parameter =
    Parameter::number("peak-bandwidth", 'k', "The most while a burst lasts, in kbit/s");

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

pub(crate) const CHANGE: PolicyChange =
    PolicyChange { read, inherit: |own| own.outbound = ShapingOverride::default() };

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vswitch.standard.policy.shaping",
    help: "Traffic shaping of a standard switch",
    commands: &[
        reads!("get", "Show the shaping policy of a switch", READ, [SWITCH_NAME], Output::One(&SHAPING), get),
        command!(
            "set",
            "Change the shaping policy of a switch",
            NETWORK,
            [AVERAGE, BURST, ENABLED, PEAK, SWITCH_NAME],
            Output::Done,
            |host, arguments| set_switch(host, arguments, CHANGE)
        ),
    ],
};

fn get(host: &Host, arguments: &Arguments) -> Outcome {
    let config = host.network.config();
    let policy = &switch(&config, arguments.required("vswitchname")?)?.declared.policy;
    Ok(Answer::One(row(&policy.outbound)))
}

/// The row of a shaping policy.
pub(crate) fn row(shaping: &Shaping) -> Row {
    Row::new()
        .put("Enabled", shaping.enabled)
        .put("Average Bandwidth", shaping.average / KILO)
        .put("Peak Bandwidth", shaping.peak / KILO)
        .put("Burst Size", shaping.burst / KIBI)
}

fn read(arguments: &Arguments, _: &Teaming) -> Result<PolicyObject, CliFault> {
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
