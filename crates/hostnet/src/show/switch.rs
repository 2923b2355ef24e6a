//! Standard switches and their port groups as the API shows them.

use vim::{Object, ty, vim};
use vswitch::declare::PortGroup;
use vswitch::vmkernel::port_interface;

use super::Scene;
use super::policy::{policy, whole};
use crate::config::{DEFAULT_PORTS, StandardSwitch};
use crate::words::{discovery_words, nic_key};

/// Seconds between beacons.
const BEACON_INTERVAL: i32 = 1;

fn switch_key(name: &str) -> String {
    format!("key-vim.host.VirtualSwitch-{name}")
}

fn group_key(name: &str) -> String {
    format!("key-vim.host.PortGroup-{name}")
}

impl Scene<'_> {
    pub(super) fn switch(&self, switch: &StandardSwitch) -> ty!(HostVirtualSwitch) {
        let declared = &switch.declared;
        let used: usize = declared.port_groups.iter().map(|group| (self.on)(&group.name).len()).sum();
        let used = i32::try_from(used + declared.uplinks.len()).unwrap_or(i32::MAX);
        vim!(HostVirtualSwitch {
            name: &declared.name,
            key: switch_key(&declared.name),
            numPorts: switch.ports.max(DEFAULT_PORTS),
            numPortsAvailable: (switch.ports.max(DEFAULT_PORTS) - used).max(0),
            mtu: i32::try_from(declared.mtu).unwrap_or(i32::MAX),
            portgroup: declared.port_groups.iter().map(|group| group_key(&group.name)).collect::<Vec<_>>(),
            pnic: declared.uplinks.iter().map(|uplink| nic_key(uplink)).collect::<Vec<_>>(),
            spec: spec(switch),
        })
    }

    pub(super) fn group(&self, switch: &StandardSwitch, group: &PortGroup) -> ty!(HostPortGroup) {
        let ports = (self.on)(&group.name).into_iter();
        let ports = ports
            .map(|(port, mac)| vim!(HostPortGroupPort { key: port, mac: [&*mac], type: "virtualMachine" }));
        let adapters = self.config.adapters.iter().filter(|adapter| adapter.port_group == group.number);
        let hosts = adapters.map(|adapter| {
            let mac = adapter.mac.to_string();
            vim!(HostPortGroupPort { key: port_interface(&adapter.device), mac: [&*mac], type: "host" })
        });
        vim!(HostPortGroup {
            key: group_key(&group.name),
            port: ports.chain(hosts).collect::<Vec<_>>(),
            vswitch: switch_key(&switch.declared.name),
            computedPolicy: policy(&whole(&switch.declared.policy_of(group))),
            spec: group_spec(switch, group),
        })
    }
}

/// The requested specification of a switch.
pub(super) fn spec(switch: &StandardSwitch) -> ty!(HostVirtualSwitchSpec) {
    let declared = &switch.declared;
    let discovery = declared.discovery.map(discovery_words).map(|(protocol, operation)| {
        vim!(LinkDiscoveryProtocolConfig { protocol: protocol, operation: operation })
    });
    let bridge = (!declared.uplinks.is_empty()).then(|| {
        vim!(HostVirtualSwitchBondBridge {
            nicDevice: declared.uplinks.clone(),
            beacon: HostVirtualSwitchBeaconConfig { interval: BEACON_INTERVAL },
            linkDiscoveryProtocolConfig: discovery,
        })
    });
    vim!(HostVirtualSwitchSpec {
        numPorts: switch.ports,
        bridge: bridge.map(Object::from),
        policy: policy(&whole(&declared.policy)),
        mtu: i32::try_from(declared.mtu).unwrap_or(i32::MAX),
    })
}

/// The requested specification of a port group.
pub(super) fn group_spec(switch: &StandardSwitch, group: &PortGroup) -> ty!(HostPortGroupSpec) {
    vim!(HostPortGroupSpec {
        name: &group.name,
        vlanId: i32::from(group.vlan.number()),
        vswitchName: &switch.declared.name,
        policy: policy(&group.policy),
    })
}
