//! Multicast filtering, MAC learning and IPFIX of standard switches. vSphere has them on distributed switches only.

use vim::Fault;
use vswitch::declare::{Ipfix, Learning, MulticastFiltering, Override};

use super::{no_group, no_switch};
use crate::config::{NetworkConfig, StandardSwitch};
use crate::invalid;

/// Longest active and idle timeout of a flow in seconds, as vSphere has them.
const ACTIVE_S: u32 = 3600;
const IDLE_S: u32 = 600;
/// Highest sampling rate: one of so many packets, as vSphere has it.
const ONE_OF: u32 = 16_384;

impl NetworkConfig {
    /// Sets the multicast filtering of a switch.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn set_multicast(&mut self, switch: &str, to: MulticastFiltering) -> Result<(), Fault> {
        self.known_switch(switch)?.declared.multicast = to;
        Ok(())
    }

    /// Sets the collector that the switch reports flows to; `None` ends the reports.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument`.
    pub fn set_ipfix(&mut self, switch: &str, to: Option<Ipfix>) -> Result<(), Fault> {
        if let Some(ipfix) = &to {
            let within = |property: &str, value: u32, most: u32| match (1..=most).contains(&value) {
                true => Ok(()),
                false => Err(invalid(property, format_args!("{value} is out of range (1–{most})"))),
            };
            within("activeFlowTimeout", ipfix.active_s, ACTIVE_S)?;
            within("idleFlowTimeout", ipfix.idle_s, IDLE_S)?;
            within("samplingRate", ipfix.one_of.max(1), ONE_OF)?;
            let address = ipfix.collector.ip();
            if ipfix.collector.port() == 0 || address.is_unspecified() || address.is_multicast() {
                let message = format_args!("{} is not the address of a collector", ipfix.collector);
                return Err(invalid("collectorIpAddress", message));
            }
        }
        self.known_switch(switch)?.declared.ipfix = to;
        Ok(())
    }

    /// Sets the MAC learning of a port group's ports; `None` inherits that of the switch.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument`.
    pub fn set_learning(&mut self, group: &str, to: Option<Learning>) -> Result<(), Fault> {
        let most = vswitch::limits::LEARNED_BY_PORT;
        if let Some(limit) = to.map(|to| to.limit).filter(|limit| !(1..=most).contains(limit)) {
            return Err(invalid("limit", format_args!("{limit} is out of range (1–{most})")));
        }
        self.known_policy(group)?.learning = to;
        Ok(())
    }

    /// Sets whether the switch reports flows of a port group's ports.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn watch_flows(&mut self, group: &str, watch: bool) -> Result<(), Fault> {
        self.known_policy(group)?.ipfix = Some(watch);
        Ok(())
    }

    fn known_switch(&mut self, name: &str) -> Result<&mut StandardSwitch, Fault> {
        self.switch_mut(name).ok_or_else(|| no_switch(name))
    }

    fn known_policy(&mut self, name: &str) -> Result<&mut Override, Fault> {
        let mut groups = self.switches.iter_mut().flat_map(|switch| &mut switch.declared.port_groups);
        let group = groups.find(|group| group.name == name).ok_or_else(|| no_group(name))?;
        Ok(&mut group.policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vim::data_id;
    use vswitch::Vlan;
    use vswitch::declare::AtLimit;

    fn begun() -> NetworkConfig {
        NetworkConfig::first(&["vmnic0".into()], &["VM Network".into()], None)
    }

    #[test]
    fn what_the_api_cannot_say_it_does_not_take_away() {
        let mut config = begun();
        let learning = Learning { enabled: true, limit: 7, at_limit: AtLimit::Allow, ..Learning::default() };
        config.set_learning("VM Network", Some(learning)).unwrap();
        config.watch_flows("VM Network", true).unwrap();
        let spec = super::super::GroupSpec {
            name: "VM Network".into(),
            switch: "vSwitch0".into(),
            vlan: Vlan::try_from(9).unwrap(),
            policy: Override { promiscuous: Some(true), ..Override::default() },
        };
        let around = super::super::Around { has_nic: &|_| true, user: &|_| None };
        config.update_group("VM Network", spec, &around).unwrap();
        let (_, group) = config.group("VM Network").unwrap();
        assert_eq!((group.policy.learning, group.policy.ipfix), (Some(learning), Some(true)));
        assert_eq!((group.policy.promiscuous, group.vlan.number()), (Some(true), 9));
        let kept = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<NetworkConfig>(&kept).unwrap(), config);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut config = begun();
        let to = |address: &str| Ipfix::to(address.parse().unwrap());
        config.set_ipfix("vSwitch0", Some(to("10.0.0.9:4739"))).unwrap();
        config.set_multicast("vSwitch0", MulticastFiltering::Snooping).unwrap();
        let before = config.clone();
        let is = |fault: Result<(), Fault>, ty| assert!(fault.unwrap_err().object().is_a(ty));
        let invalid = data_id!(InvalidArgument);
        is(config.set_ipfix("vSwitch0", Some(to("10.0.0.9:0"))), invalid);
        is(config.set_ipfix("vSwitch0", Some(to("[ff02::1]:4739"))), invalid);
        is(config.set_ipfix("vSwitch0", Some(Ipfix { active_s: 0, ..to("10.0.0.9:4739") })), invalid);
        is(config.set_ipfix("vSwitch0", Some(Ipfix { idle_s: 601, ..to("10.0.0.9:4739") })), invalid);
        is(config.set_ipfix("vSwitch0", Some(Ipfix { one_of: 16_385, ..to("10.0.0.9:4739") })), invalid);
        is(config.set_learning("VM Network", Some(Learning { limit: 0, ..Learning::default() })), invalid);
        let missing = data_id!(NotFound);
        is(config.set_ipfix("vSwitch9", None), missing);
        is(config.set_multicast("vSwitch9", MulticastFiltering::Legacy), missing);
        is(config.set_learning("No", None), missing);
        is(config.watch_flows("No", true), missing);
        assert_eq!(config, before);
    }
}
