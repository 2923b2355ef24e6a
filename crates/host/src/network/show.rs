//! The network as the API shows it: `HostNetworkInfo` (what is), `HostNetworkConfig` (what was asked for), capabilities.

use vim::{Object, ty, vim};
use vswitch::declare::{Override, Policy, PortGroup};

use super::config::{DEFAULT_PORTS, NetworkConfig, StandardSwitch};
use super::fabric::Nic;
use super::spec::{word, words};

/// Most port groups of a switch, as ESXi has it.
const MOST_GROUPS: i32 = 512;
/// Seconds between beacons.
const BEACON_INTERVAL: i32 = 1;

/// What is shown besides the configuration.
pub(crate) struct Scene<'a> {
    pub(crate) config: &'a NetworkConfig,
    pub(crate) nics: Vec<Nic>,
    pub(crate) dns: Object,
    /// Adapters that are on a port group and running: the MAC addresses.
    pub(crate) on: &'a dyn Fn(&str) -> Vec<String>,
}

fn switch_key(name: &str) -> String {
    format!("key-vim.host.VirtualSwitch-{name}")
}

fn group_key(name: &str) -> String {
    format!("key-vim.host.PortGroup-{name}")
}

fn nic_key(name: &str) -> String {
    format!("key-vim.host.PhysicalNic-{name}")
}

impl Scene<'_> {
    /// What is.
    pub(crate) fn info(&self) -> ty!(HostNetworkInfo) {
        let switches: Vec<_> = self.config.switches.iter().map(|switch| self.switch(switch)).collect();
        let groups: Vec<_> = self.config.groups().map(|(switch, group)| self.group(switch, group)).collect();
        vim!(HostNetworkInfo {
            vswitch: switches,
            portgroup: groups,
            pnic: self.nics.iter().map(nic).collect::<Vec<_>>(),
            dnsConfig: self.dns.clone(),
            ipV6Enabled: true,
            atBootIpV6Enabled: true,
        })
    }

    /// What was asked for.
    pub(crate) fn asked(&self) -> ty!(HostNetworkConfig) {
        let switches: Vec<_> = self
            .config
            .switches
            .iter()
            .map(|switch| {
                vim!(HostVirtualSwitchConfig { name: &switch.declared.name, spec: switch_spec(switch) })
            })
            .collect();
        let groups = self
            .config
            .groups()
            .map(|(switch, group)| vim!(HostPortGroupConfig { spec: group_spec(switch, group) }));
        let card = |nic: &Nic| vim!(PhysicalNicConfig { device: &nic.name, spec: PhysicalNicSpec {} });
        let cards = self.nics.iter().map(card);
        vim!(HostNetworkConfig {
            vswitch: switches,
            portgroup: groups.collect::<Vec<_>>(),
            pnic: cards.collect::<Vec<_>>(),
            dnsConfig: self.dns.clone(),
            ipV6Enabled: true,
        })
    }

    fn switch(&self, switch: &StandardSwitch) -> ty!(HostVirtualSwitch) {
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
            spec: switch_spec(switch),
        })
    }

    fn group(&self, switch: &StandardSwitch, group: &PortGroup) -> ty!(HostPortGroup) {
        let ports = (self.on)(&group.name).into_iter();
        let ports = ports.map(|mac| vim!(HostPortGroupPort { mac: [&*mac], type: "virtualMachine" }));
        vim!(HostPortGroup {
            key: group_key(&group.name),
            port: ports.collect::<Vec<_>>(),
            vswitch: switch_key(&switch.declared.name),
            computedPolicy: policy(&whole(&switch.declared.policy_of(group))),
            spec: group_spec(switch, group),
        })
    }
}

fn switch_spec(switch: &StandardSwitch) -> ty!(HostVirtualSwitchSpec) {
    let declared = &switch.declared;
    let discovery = switch.discovery.as_ref().map(|discovery| {
        vim!(LinkDiscoveryProtocolConfig { protocol: &discovery.protocol, operation: &discovery.operation })
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

fn group_spec(switch: &StandardSwitch, group: &PortGroup) -> ty!(HostPortGroupSpec) {
    vim!(HostPortGroupSpec {
        name: &group.name,
        vlanId: i32::from(group.vlan.number()),
        vswitchName: &switch.declared.name,
        policy: policy(&group.policy),
    })
}

/// A policy in which every item is said.
fn whole(policy: &Policy) -> Override {
    let (security, teaming) = (&policy.security, &policy.teaming);
    Override {
        promiscuous: Some(security.promiscuous),
        mac_changes: Some(security.mac_changes),
        forged_transmits: Some(security.forged_transmits),
        balancing: Some(teaming.balancing),
        beacons: Some(teaming.beacons),
        notify_switches: Some(teaming.notify_switches),
        failback: Some(teaming.failback),
        order: Some((teaming.active.clone(), teaming.standby.clone())),
    }
}

fn policy(policy: &Override) -> ty!(HostNetworkPolicy) {
    let criteria = policy.beacons.map(|beacons| vim!(HostNicFailureCriteria { checkBeacon: beacons }));
    let order = policy.order.as_ref().map(|(active, standby)| {
        vim!(HostNicOrderPolicy { activeNic: active.clone(), standbyNic: standby.clone() })
    });
    vim!(HostNetworkPolicy {
        security: HostNetworkSecurityPolicy {
            allowPromiscuous: policy.promiscuous,
            macChanges: policy.mac_changes,
            forgedTransmits: policy.forged_transmits,
        },
        nicTeaming: HostNicTeamingPolicy {
            policy: policy.balancing.map(word),
            notifySwitches: policy.notify_switches,
            rollingOrder: policy.failback.map(|failback| !failback),
            failureCriteria: criteria,
            nicOrder: order,
        },
    })
}

fn nic(nic: &Nic) -> ty!(PhysicalNic) {
    let link = nic.link.map(|(speed, full)| vim!(PhysicalNicLinkInfo { speedMb: speed, duplex: full }));
    vim!(PhysicalNic {
        key: nic_key(&nic.name),
        device: &nic.name,
        pci: &nic.pci,
        driver: nic.driver.as_deref(),
        linkSpeed: link,
        spec: PhysicalNicSpec {},
        wakeOnLanSupported: nic.wake_on_lan,
        mac: &nic.mac,
    })
}

/// What the network of a host can do.
pub(crate) fn capabilities() -> ty!(HostNetCapabilities) {
    vim!(HostNetCapabilities {
        canSetPhysicalNicLinkSpeed: false,
        supportsNicTeaming: true,
        nicTeamingPolicy: words(),
        supportsVlan: true,
        usesServiceConsoleNic: false,
        supportsNetworkHints: false,
        maxPortGroupsPerVswitch: MOST_GROUPS,
        vswitchConfigSupported: true,
        vnicConfigSupported: false,
        ipRouteConfigSupported: false,
        dnsConfigSupported: false,
        dhcpOnVnicSupported: false,
        ipV6Supported: true,
    })
}
