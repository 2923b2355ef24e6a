//! The limits of a host.

use crate::declare::Declaration;
use crate::limits::{LEARNED_BY_PORT, PORT_GROUPS, PORTS, UPLINKS};
use crate::{Error, Result};

/// Checks a declaration against the limits of the maps.
///
/// # Errors
/// `Limit`.
pub fn check_limits(declared: &Declaration) -> Result<()> {
    let groups: usize = declared.switches.iter().map(|switch| switch.port_groups.len()).sum();
    let uplinks = declared.switches.iter().map(|switch| switch.uplinks.len());
    let all = uplinks.clone().sum::<usize>() + declared.ports.len();
    let policies = declared.switches.iter().flat_map(|switch| {
        let of_groups = switch.port_groups.iter().map(|group| switch.policy_of(group));
        of_groups.chain([switch.policy.clone()])
    });
    let learned = policies.map(|policy| policy.security.learning.limit).max().unwrap_or(0);
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    for (what, asked, most) in [
        ("MAC addresses that a port learns", number(learned), number(LEARNED_BY_PORT)),
        ("port groups of a host", groups, PORT_GROUPS),
        ("uplinks of a switch", uplinks.max().unwrap_or(0), UPLINKS),
        ("ports of a host", all, PORTS),
    ] {
        if asked > most {
            return Err(Error::Limit { what, asked, most });
        }
    }
    Ok(())
}
