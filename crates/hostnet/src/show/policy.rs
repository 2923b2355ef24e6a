//! Policies of switches and port groups as the API shows them.

use vim::{ty, vim};
use vswitch::declare::{Override, Policy, ShapingOverride};

use crate::words::balancing_word;

/// A policy in which every item is set.
pub(super) fn whole(policy: &Policy) -> Override {
    let (security, teaming, shaping) = (&policy.security, &policy.teaming, &policy.outbound);
    Override {
        promiscuous: Some(security.promiscuous),
        mac_changes: Some(security.mac_changes),
        forged_transmits: Some(security.forged_transmits),
        // The API has no words for learning and flows.
        learning: None,
        balancing: Some(teaming.balancing),
        beacons: Some(teaming.beacons),
        notify_switches: Some(teaming.notify_switches),
        failback: Some(teaming.failback),
        order: Some((teaming.active.clone(), teaming.standby.clone())),
        outbound: ShapingOverride {
            enabled: Some(shaping.enabled),
            average: Some(shaping.average),
            peak: Some(shaping.peak),
            burst: Some(shaping.burst),
        },
        // Standard switches shape only outbound traffic of ports.
        inbound: ShapingOverride::default(),
        ipfix: None,
    }
}

/// The policy, with the items that are set.
pub(super) fn policy(policy: &Override) -> ty!(HostNetworkPolicy) {
    let criteria = policy.beacons.map(|beacons| vim!(HostNicFailureCriteria { checkBeacon: beacons }));
    let order = policy.order.as_ref().map(|(active, standby)| {
        vim!(HostNicOrderPolicy { activeNic: active.clone(), standbyNic: standby.clone() })
    });
    let shaping = &policy.outbound;
    let long = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    vim!(HostNetworkPolicy {
        security: HostNetworkSecurityPolicy {
            allowPromiscuous: policy.promiscuous,
            macChanges: policy.mac_changes,
            forgedTransmits: policy.forged_transmits,
        },
        nicTeaming: HostNicTeamingPolicy {
            policy: policy.balancing.map(balancing_word),
            notifySwitches: policy.notify_switches,
            rollingOrder: policy.failback.map(|failback| !failback),
            failureCriteria: criteria,
            nicOrder: order,
        },
        shapingPolicy: HostNetworkTrafficShapingPolicy {
            enabled: shaping.enabled,
            averageBandwidth: shaping.average.map(long),
            peakBandwidth: shaping.peak.map(long),
            burstSize: shaping.burst.map(long),
        },
    })
}
