//! The neighbour at the other end of a card's cable, and the networks behind it, as the API shows them.

use vim::{Object, Value, ty, vim};
use vswitch::discovery::{OtherEnd, cdp, lldp};
use vswitch::observed::ObservedRange;

/// The hint of a card. `network` stays unset: no protocol tells the names of networks.
pub fn hint(device: &str, other: &OtherEnd, observed: &[ObservedRange]) -> ty!(PhysicalNicHintInfo) {
    let subnets: Vec<Object> = observed.iter().map(subnet).collect();
    vim!(PhysicalNicHintInfo {
        device: device,
        subnet: (!subnets.is_empty()).then_some(subnets),
        connectedSwitchPort: other.cdp.as_ref().map(|(info, samples)| switch_port(info, *samples)),
        lldpInfo: other.lldp.as_ref().map(lldp_info),
    })
}

/// A range of addresses, with VLAN 0 for untagged frames.
fn subnet(observed: &ObservedRange) -> Object {
    let vlan = observed.vlan.map_or(0, u16::from);
    vim!(PhysicalNicIpHint { vlanId: i32::from(vlan), ipSubnet: observed.to_string() }).into()
}

fn lldp_info(info: &lldp::Info) -> Object {
    let parameters = info.parameters.iter().map(|(key, value)| {
        Object::from(vim!(KeyAnyValue { key: *key, value: Value::from(value.as_str()) }))
    });
    vim!(LinkLayerDiscoveryProtocolInfo {
        chassisId: &info.chassis_id,
        portId: &info.port_id,
        timeToLive: i32::from(info.ttl_s),
        parameter: parameters.collect::<Vec<_>>(),
    })
    .into()
}

fn switch_port(info: &cdp::Info, samples: u32) -> Object {
    let text = |address: std::net::IpAddr| address.to_string();
    vim!(PhysicalNicCdpInfo {
        cdpVersion: i32::from(info.version),
        ttl: i32::from(info.ttl_s),
        samples: i32::try_from(samples).unwrap_or(i32::MAX),
        devId: info.device_id.as_deref(),
        address: info.address.map(text),
        portId: info.port_id.as_deref(),
        deviceCapability: info.capabilities.map(capability),
        softwareVersion: info.software_version.as_deref(),
        hardwarePlatform: info.platform.as_deref(),
        ipPrefix: info.ip_prefix.map(|(address, _)| address.to_string()),
        ipPrefixLen: info.ip_prefix.map(|(_, length)| i32::from(length)),
        vlan: info.native_vlan.map(i32::from),
        fullDuplex: info.full_duplex,
        mtu: info.mtu.map(|mtu| i32::try_from(mtu).unwrap_or(i32::MAX)),
        systemName: info.system_name.as_deref(),
        systemOID: info.system_oid.as_deref(),
        mgmtAddr: info.management_address.map(text),
        location: info.location.as_deref(),
    })
    .into()
}

fn capability(has: cdp::Capabilities) -> Object {
    use cdp::Capabilities as C;
    vim!(PhysicalNicCdpDeviceCapability {
        router: has.has(C::ROUTER),
        transparentBridge: has.has(C::TRANSPARENT_BRIDGE),
        sourceRouteBridge: has.has(C::SOURCE_ROUTE_BRIDGE),
        networkSwitch: has.has(C::NETWORK_SWITCH),
        host: has.has(C::HOST),
        igmpEnabled: has.has(C::IGMP_ENABLED),
        repeater: has.has(C::REPEATER),
    })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vim::field;

    #[test]
    fn both_protocols_are_shown_with_what_was_said_and_nothing_else() {
        let silent = Object::from(hint("vmnic0", &OtherEnd::default(), &[]));
        assert_eq!(silent.get(field!(PhysicalNicHintInfo.device)), Some("vmnic0"));
        assert!(silent.get(field!(PhysicalNicHintInfo.lldpInfo)).is_none());
        assert!(silent.get(field!(PhysicalNicHintInfo.connectedSwitchPort)).is_none());
        assert!(silent.get(field!(PhysicalNicHintInfo.subnet)).is_none());
        let lldp = lldp::Info {
            chassis_id: "02:00:00:00:00:01".into(),
            port_id: "Ethernet1/7".into(),
            ttl_s: 120,
            parameters: vec![("System Name", "leaf1".into())],
        };
        let cdp = cdp::Info {
            version: 2,
            ttl_s: 180,
            device_id: Some("leaf1".into()),
            capabilities: Some(cdp::Capabilities(cdp::Capabilities::NETWORK_SWITCH)),
            ..cdp::Info::default()
        };
        let shown = Object::from(hint("vmnic0", &OtherEnd { lldp: Some(lldp), cdp: Some((cdp, 3)) }, &[]));
        let lldp = shown.get(field!(PhysicalNicHintInfo.lldpInfo)).unwrap();
        assert_eq!(lldp.get(field!(LinkLayerDiscoveryProtocolInfo.portId)), Some("Ethernet1/7"));
        let parameters = lldp.get(field!(LinkLayerDiscoveryProtocolInfo.parameter)).unwrap();
        let keys: Vec<_> = parameters.iter().map(|it| it.get(field!(KeyAnyValue.key))).collect();
        assert_eq!(keys, [Some("System Name")]);
        let port = shown.get(field!(PhysicalNicHintInfo.connectedSwitchPort)).unwrap();
        assert_eq!(port.get(field!(PhysicalNicCdpInfo.devId)), Some("leaf1"));
        assert_eq!(port.get(field!(PhysicalNicCdpInfo.samples)), Some(3));
        assert_eq!(port.get(field!(PhysicalNicCdpInfo.mtu)), None);
        let can = port.get(field!(PhysicalNicCdpInfo.deviceCapability)).unwrap();
        assert_eq!(can.get(field!(PhysicalNicCdpDeviceCapability.networkSwitch)), Some(true));
        assert_eq!(can.get(field!(PhysicalNicCdpDeviceCapability.router)), Some(false));
    }

    #[test]
    fn subnets_are_shown_with_their_vlan() {
        let range = |vlan, first: [u8; 4], last: [u8; 4]| ObservedRange {
            vlan,
            first: first.into(),
            last: last.into(),
        };
        let observed = [
            range(None, [10, 0, 0, 1], [10, 0, 0, 127]),
            range(Some(20.try_into().unwrap()), [10, 20, 0, 1], [10, 20, 1, 254]),
        ];
        let shown = Object::from(hint("vmnic0", &OtherEnd::default(), &observed));
        let subnets = shown.get(field!(PhysicalNicHintInfo.subnet)).unwrap();
        let subnets: Vec<_> = subnets
            .iter()
            .map(|it| (it.get(field!(PhysicalNicIpHint.vlanId)), it.get(field!(PhysicalNicIpHint.ipSubnet))))
            .collect();
        let expected = [(Some(0), Some("10.0.0.1-10.0.0.127")), (Some(20), Some("10.20.0.1-10.20.1.254"))];
        assert_eq!(subnets, expected);
    }
}
