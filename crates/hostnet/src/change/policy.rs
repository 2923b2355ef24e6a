//! Reading `HostNetworkPolicy`: security, teaming and shaping of a switch or a port group.

use vim::{Fault, Object, field};
use vswitch::declare::{Override, ShapingOverride};
use vswitch::limits::{MAX_RATE, MIN_RATE};

use crate::invalid;
use crate::words::balancing;

/// Reads a `HostNetworkPolicy`; unset items override nothing.
pub(super) fn read(policy: &Object, property: &str) -> Result<Override, Fault> {
    let mut read = Override::default();
    if let Some(security) = policy.get(field!(HostNetworkPolicy.security)) {
        read.promiscuous = security.get(field!(HostNetworkSecurityPolicy.allowPromiscuous));
        read.mac_changes = security.get(field!(HostNetworkSecurityPolicy.macChanges));
        read.forged_transmits = security.get(field!(HostNetworkSecurityPolicy.forgedTransmits));
    }
    if let Some(teaming) = policy.get(field!(HostNetworkPolicy.nicTeaming)) {
        if let Some(name) = teaming.get(field!(HostNicTeamingPolicy.policy)) {
            let unknown = || {
                invalid(
                    &format!("{property}.nicTeaming.policy"),
                    format_args!("\"{name}\" is not a teaming policy"),
                )
            };
            read.balancing = Some(balancing(name).ok_or_else(unknown)?);
        }
        read.notify_switches = teaming.get(field!(HostNicTeamingPolicy.notifySwitches));
        read.failback = teaming.get(field!(HostNicTeamingPolicy.rollingOrder)).map(|rolling| !rolling);
        let criteria = teaming.get(field!(HostNicTeamingPolicy.failureCriteria));
        read.beacons = criteria.and_then(|criteria| criteria.get(field!(HostNicFailureCriteria.checkBeacon)));
        read.order = teaming.get(field!(HostNicTeamingPolicy.nicOrder)).map(|order| {
            let active = order.get(field!(HostNicOrderPolicy.activeNic)).map(texts);
            let standby = order.get(field!(HostNicOrderPolicy.standbyNic)).map(texts);
            (active.unwrap_or_default(), standby.unwrap_or_default())
        });
    }
    if let Some(wanted) = policy.get(field!(HostNetworkPolicy.shapingPolicy)) {
        read.outbound = shaping(wanted, &format!("{property}.shapingPolicy"))?;
    }
    Ok(read)
}

fn shaping(policy: &Object, property: &str) -> Result<ShapingOverride, Fault> {
    let rate = |bits: Option<i64>| match bits {
        None => Ok(None),
        Some(bits) => match u64::try_from(bits).ok().filter(|bits| (MIN_RATE..=MAX_RATE).contains(bits)) {
            Some(bits) => Ok(Some(bits)),
            None => {
                Err(invalid(property, format_args!("{bits} bit/s is out of range ({MIN_RATE}–{MAX_RATE})")))
            }
        },
    };
    let average = rate(policy.get(field!(HostNetworkTrafficShapingPolicy.averageBandwidth)))?;
    let peak = rate(policy.get(field!(HostNetworkTrafficShapingPolicy.peakBandwidth)))?;
    if let (Some(average), Some(peak)) = (average, peak)
        && peak < average
    {
        return Err(invalid(
            property,
            format_args!("The peak of {peak} bit/s is less than the average of {average}"),
        ));
    }
    let burst = match policy.get(field!(HostNetworkTrafficShapingPolicy.burstSize)) {
        None => None,
        Some(bytes) => {
            let fits = u64::try_from(bytes).ok().filter(|bytes| *bytes > 0);
            Some(fits.ok_or_else(|| {
                invalid(property, format_args!("The burst size of {bytes} bytes is not positive"))
            })?)
        }
    };
    let enabled = policy.get(field!(HostNetworkTrafficShapingPolicy.enabled));
    Ok(ShapingOverride { enabled, average, peak, burst })
}

fn texts<'a>(list: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    list.into_iter().map(str::to_owned).collect()
}

/// Checks that a fail-over order names only uplinks of the switch, each once.
pub(super) fn check_order(policy: &Override, uplinks: &[String], property: &str) -> Result<(), Fault> {
    let Some((active, standby)) = &policy.order else { return Ok(()) };
    let named: Vec<&String> = active.iter().chain(standby).collect();
    for (at, nic) in named.iter().enumerate() {
        if !uplinks.contains(nic) {
            return Err(invalid(property, format_args!("{nic} is not an uplink of the switch")));
        }
        if named[..at].contains(nic) {
            return Err(invalid(property, format_args!("{nic} is named twice")));
        }
    }
    Ok(())
}
