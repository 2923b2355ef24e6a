//! Changes of policies: the arguments become a `HostNetworkPolicy`, which is applied as the API's methods apply it.

use std::sync::Arc;

use host::Host;
use vim::{Object, ty, vim};
use vswitch::declare::{Override, ShapingOverride, Teaming};

use crate::namespaces::network::vswitch::standard::switches::{change_switch, group};
use crate::table::{Answer, Arguments, CliFault, Outcome, Parameter};

/// Inherits the switch's policy, before the other parameters apply.
pub(crate) const USE_SWITCH: Parameter =
    Parameter::flag("use-vswitch", 'u', "Inherit the switch's policy, before the other parameters apply");

pub(crate) type PolicyObject = ty!(HostNetworkPolicy);

/// How one policy is read and cleared.
#[derive(Clone, Copy)]
pub(crate) struct PolicyChange {
    /// Makes the API's policy of the arguments, given the teaming in effect.
    pub(crate) read: fn(&Arguments, &Teaming) -> Result<PolicyObject, CliFault>,
    /// Removes the port group's own part, so that it inherits the policy.
    pub(crate) inherit: fn(&mut Override),
}

/// Changes a switch's policy.
pub(crate) async fn set_switch(host: Arc<Host>, arguments: Arguments, change: PolicyChange) -> Outcome {
    let name = arguments.required("vswitchname")?;
    change_switch(&host, name, |known, spec| {
        let policy = (change.read)(&arguments, &known.declared.policy.teaming)?;
        let wanted = vim!(HostVirtualSwitchSpec { numPorts: 0, policy: policy });
        spec.policy = hostnet::switch_spec(&Object::from(wanted))?.policy;
        Ok(())
    })
    .await
}

/// Changes a port group's policy.
pub(crate) async fn set_group(host: Arc<Host>, arguments: Arguments, change: PolicyChange) -> Outcome {
    let name = arguments.required("portgroupname")?;
    let (policy, ..) = group(&host, &arguments)?;
    let wanted = vim!(HostPortGroupSpec {
        name: name,
        vlanId: 0,
        vswitchName: "",
        policy: (change.read)(&arguments, &policy.teaming)?,
    });
    let mut spec = hostnet::group_spec(&Object::from(wanted))?;
    let inherit = arguments.boolean("usevswitch") == Some(true);
    host.networking()
        .change(|config, around| {
            if let Some((_, group)) = config.group(name) {
                let mut own = group.policy.clone();
                if inherit {
                    (change.inherit)(&mut own);
                }
                spec.policy = over(own, spec.policy);
                spec.vlan = group.vlan.clone();
            }
            config.update_group(name, spec, around)
        })
        .await?;
    Ok(Answer::Done)
}

/// The items of `by`, and those of `own` that `by` leaves unset.
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
