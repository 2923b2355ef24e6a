//! Pinning VMkernel adapters to an uplink of their switch.

use vim::{Fault, fault};
use vswitch::limits::PORT_GROUPS;

use crate::config::NetworkConfig;
use crate::invalid;

impl NetworkConfig {
    /// Pins an adapter to an uplink of its switch; an empty name unpins it.
    ///
    /// # Errors
    /// `InvalidArgument`; `HostConfigFault` if the host has too many port groups.
    pub(super) fn pin(&mut self, device: &str, nic: &str) -> Result<(), Fault> {
        if nic.is_empty() {
            self.pinned.remove(device);
            return Ok(());
        }
        let group = self.adapter(device).map(|adapter| adapter.port_group);
        let switch = self.groups().find(|(_, known)| Some(known.number) == group).map(|(switch, _)| switch);
        if switch.is_none_or(|switch| !switch.declared.uplinks.iter().any(|uplink| uplink == nic)) {
            let name = switch.map_or("", |switch| &switch.declared.name);
            return Err(invalid("nic.pinnedPnic", format_args!("{nic} is not an uplink of {name}")));
        }
        self.pinned.insert(device.to_owned(), nic.to_owned());
        match self.groups().count() + self.pinned.len() < PORT_GROUPS {
            true => Ok(()),
            false => Err(fault!(HostConfigFault {}, "The host has too many port groups to pin an adapter")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use vim::{Fault, data_id};
    use vswitch::declare::{Balancing, Override};
    use vswitch::{Mac, Vlan};

    use super::super::AdapterSpec;
    use crate::config::{NetworkConfig, StandardSwitch};

    fn spec(pinned: &str) -> AdapterSpec {
        AdapterSpec { pinned: Some(pinned.into()), ..AdapterSpec::default() }
    }

    fn config() -> NetworkConfig {
        let mut known = NetworkConfig::first(&["vmnic0".into(), "vmnic1".into()], &[], None);
        known.put_group("vSwitch0", "Storage", Vlan::try_from(20).unwrap(), Override::default()).unwrap();
        known
    }

    /// Of the port group that each adapter is declared on: active and standby uplinks.
    fn orders(known: &NetworkConfig) -> Vec<(Vec<String>, Vec<String>)> {
        let declared = known.declaration(Vec::new());
        let of = |adapter: &vswitch::declare::Adapter| {
            let (switch, group) = declared.port_group(adapter.port_group).unwrap();
            assert_eq!(group.vlan, known.groups().next().unwrap().1.vlan);
            let teaming = switch.policy_of(group).teaming;
            let is_alone = adapter.port_group != known.groups().next().unwrap().1.number;
            assert_eq!(
                (teaming.balancing == Balancing::Explicit, group.policy.failback.is_some()),
                (is_alone, is_alone)
            );
            (teaming.active, teaming.standby)
        };
        declared.adapters.iter().map(of).collect()
    }

    fn both() -> (Vec<String>, Vec<String>) {
        (vec!["vmnic0".into(), "vmnic1".into()], vec![])
    }

    #[test]
    fn a_pinned_adapter_has_an_order_of_its_own_until_it_is_pinned_no_more() {
        let mut known = config();
        for (at, nic) in ["", "vmnic1", "vmnic0"].into_iter().enumerate() {
            known.add_adapter("Storage", spec(nic), Mac([2, 0, 0, 0, 0, at as u8])).unwrap();
        }
        let pinned = |nic: &str, other: &str| (vec![nic.to_owned()], vec![other.to_owned()]);
        assert_eq!(orders(&known), [both(), pinned("vmnic1", "vmnic0"), pinned("vmnic0", "vmnic1")]);
        let numbers: BTreeSet<u32> =
            known.declaration(Vec::new()).adapters.iter().map(|adapter| adapter.port_group).collect();
        assert_eq!(numbers.len(), 3);
        // Unset items stay; a pin to an uplink that has left the switch takes effect again when the uplink is back.
        known.update_adapter("vmk1", AdapterSpec { mtu: Some(9000), ..AdapterSpec::default() }).unwrap();
        assert_eq!(orders(&known)[1], pinned("vmnic1", "vmnic0"));
        known.switches[0].set_uplinks(vec!["vmnic0".into()]);
        assert_eq!(orders(&known)[1], (vec!["vmnic0".into()], vec![]));
        known.switches[0].set_uplinks(vec!["vmnic0".into(), "vmnic1".into()]);
        assert_eq!(orders(&known)[1], pinned("vmnic1", "vmnic0"));
        let number_of = |known: &NetworkConfig| known.declaration(Vec::new()).adapters[2].port_group;
        let before = number_of(&known);
        known.update_adapter("vmk1", spec("")).unwrap();
        assert_eq!(number_of(&known), before, "what another adapter is pinned to does not matter");
        known.remove_adapter("vmk2").unwrap();
        assert_eq!((orders(&known), known.pinned.len()), (vec![both(), both()], 0));
    }

    #[test]
    fn only_uplinks_of_its_own_switch_can_be_pinned_to() {
        let is_invalid =
            |changed: Result<(), Fault>| changed.is_err_and(|fault| fault.is_a(data_id!(InvalidArgument)));
        let mut known = config();
        assert!(is_invalid(known.add_adapter("Storage", spec("vmnic7"), Mac([2; 6])).map(drop)));
        known.adapters.clear();
        known.add_adapter("Storage", spec("vmnic1"), Mac([2; 6])).unwrap();
        let number = known.free_switch();
        known.switches.push(StandardSwitch::new("vSwitch1", number));
        known.put_group("vSwitch1", "Far", Vlan::None, Override::default()).unwrap();
        let away = || AdapterSpec { port_group: Some("Far".into()), ..AdapterSpec::default() };
        assert!(
            is_invalid(known.update_adapter("vmk0", away())),
            "it is pinned to an uplink of another switch"
        );
        known.update_adapter("vmk0", AdapterSpec { pinned: Some(String::new()), ..away() }).unwrap();
    }
}
