//! Changes of policies: what the arguments say, as the API would say it, and then as the API's methods do it.

use std::sync::Arc;

use host::Host;
use vim::{Object, ty, vim};
use vswitch::declare::{Override, ShapingOverride, Teaming};

use super::network_policy::group;
use super::network_switch::change_switch;
use super::{Answer, Arguments, Outcome, Trouble};

/// Rates are in kbit/s and bursts in KiB on the command line, in bit/s and bytes in the API.
pub(super) const KILO: u64 = 1000;
pub(super) const KIBI: u64 = 1024;

type PolicyObject = ty!(HostNetworkPolicy);
/// What the arguments say of one policy as the API would say it, given the teaming that counts so far; and how an override
/// loses what it says of it.
pub(super) type Said = (fn(&Arguments, &Teaming) -> Result<PolicyObject, Trouble>, fn(&mut Override));

pub(super) const FAILOVER_SAID: Said = (failover_said, |own| {
    (own.balancing, own.beacons, own.notify_switches, own.failback, own.order) =
        (None, None, None, None, None);
});
pub(super) const SECURITY_SAID: Said = (security_said, |own| {
    (own.promiscuous, own.mac_changes, own.forged_transmits) = (None, None, None);
});
pub(super) const SHAPING_SAID: Said = (shaping_said, |own| own.outbound = ShapingOverride::default());

fn failover_said(arguments: &Arguments, teaming: &Teaming) -> Result<PolicyObject, Trouble> {
    let balancing = match arguments.text("loadbalancing") {
        None => None,
        Some("portid") => Some("loadbalance_srcid"),
        Some("mac") => Some("loadbalance_srcmac"),
        Some("iphash") => Some("loadbalance_ip"),
        Some("explicit") => Some("failover_explicit"),
        Some("load") => Some("loadbalance_loadbased"),
        Some(_) => return Err(constraint("loadbalancing")),
    };
    let beacons = match arguments.text("failuredetection") {
        None => None,
        Some("link") => Some(false),
        Some("beacon") => Some(true),
        Some(_) => return Err(constraint("failuredetection")),
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

fn security_said(arguments: &Arguments, _: &Teaming) -> Result<PolicyObject, Trouble> {
    Ok(vim!(HostNetworkPolicy {
        security: HostNetworkSecurityPolicy {
            allowPromiscuous: arguments.boolean("allowpromiscuous"),
            macChanges: arguments.boolean("allowmacchange"),
            forgedTransmits: arguments.boolean("allowforgedtransmits"),
        },
    }))
}

fn shaping_said(arguments: &Arguments, _: &Teaming) -> Result<PolicyObject, Trouble> {
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

/// As ESXi says it of a value that is none of those possible.
fn constraint(parameter: &str) -> Trouble {
    Trouble(format!("Invalid data constraint for parameter '{parameter}'."))
}

/// Changes a switch's policy.
pub(super) async fn set_switch(host: Arc<Host>, arguments: Arguments, said: Said) -> Outcome {
    let name = arguments.required("vswitchname")?;
    change_switch(&host, name, |known, spec| {
        let policy = (said.0)(&arguments, &known.declared.policy.teaming)?;
        let wanted = vim!(HostVirtualSwitchSpec { numPorts: 0, policy: policy });
        spec.policy = hostnet::switch_spec(&Object::from(wanted))?.policy;
        Ok(())
    })
    .await
}

/// Changes a port group's policy.
pub(super) async fn set_group(host: Arc<Host>, arguments: Arguments, said: Said) -> Outcome {
    let name = arguments.required("portgroupname")?;
    let (policy, ..) = group(&host, &arguments)?;
    let wanted = vim!(HostPortGroupSpec {
        name: name,
        vlanId: 0,
        vswitchName: "",
        policy: (said.0)(&arguments, &policy.teaming)?,
    });
    let mut spec = hostnet::group_spec(&Object::from(wanted))?;
    let inherit = arguments.boolean("usevswitch") == Some(true);
    host.networking()
        .change(|config, around| {
            if let Some((_, group)) = config.group(name) {
                let mut own = group.policy.clone();
                if inherit {
                    (said.1)(&mut own);
                }
                spec.policy = over(own, spec.policy);
                spec.vlan = group.vlan.clone();
            }
            config.update_group(name, spec, around)
        })
        .await?;
    Ok(Answer::Done)
}

/// What `by` says, and otherwise what is said already.
fn over(own: Override, by: Override) -> Override {
    Override {
        promiscuous: by.promiscuous.or(own.promiscuous),
        mac_changes: by.mac_changes.or(own.mac_changes),
        forged_transmits: by.forged_transmits.or(own.forged_transmits),
        learning: by.learning.or(own.learning),
        balancing: by.balancing.or(own.balancing),
        beacons: by.beacons.or(own.beacons),
        notify_switches: by.notify_switches.or(own.notify_switches),
        failback: by.failback.or(own.failback),
        order: by.order.or(own.order),
        outbound: shaping_over(own.outbound, by.outbound),
        inbound: shaping_over(own.inbound, by.inbound),
        ipfix: by.ipfix.or(own.ipfix),
    }
}

fn shaping_over(own: ShapingOverride, by: ShapingOverride) -> ShapingOverride {
    ShapingOverride {
        enabled: by.enabled.or(own.enabled),
        average: by.average.or(own.average),
        peak: by.peak.or(own.peak),
        burst: by.burst.or(own.burst),
    }
}
