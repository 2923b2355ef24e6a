//! The network as the API shows it: `HostNetworkInfo` (what is), `HostNetworkConfig` (what was asked for), capabilities.

use std::net::IpAddr;

use vim::{Kind, List, Object, Value, data_id, field, ty, vim};
use vswitch::State;
use vswitch::declare::{
    Adapter, Dns, Gateways, Ipv4Config, Override, Policy, PortGroup, Service, ShapingOverride, StackName,
};
use vswitch::vmkernel::{AdapterState, port_interface};

use super::adapters::DHCP;
use super::config::{DEFAULT_PORTS, NetworkConfig, StandardSwitch};
use super::fabric::Nic;
use super::spec::{discovery_words, word, words};

/// Most port groups of a switch, as ESXi has it.
const MOST_GROUPS: i32 = 512;
/// Seconds between beacons.
const BEACON_INTERVAL: i32 = 1;

/// What is shown besides the configuration.
pub struct Scene<'a> {
    pub config: &'a NetworkConfig,
    pub nics: Vec<Nic>,
    /// What the machine calls itself, and whom it asks for names.
    pub own_names: Dns,
    /// Links and adapters as they are.
    pub seen: State,
    /// Adapters that are on a port group and running: the interface of the port, and the MAC address.
    pub on: &'a dyn Fn(&str) -> Vec<(String, String)>,
}

fn switch_key(name: &str) -> String {
    format!("key-vim.host.VirtualSwitch-{name}")
}

fn group_key(name: &str) -> String {
    format!("key-vim.host.PortGroup-{name}")
}

const NIC_KEY: &str = "key-vim.host.PhysicalNic-";

fn nic_key(name: &str) -> String {
    format!("{NIC_KEY}{name}")
}

/// The card that a client names by its device or, as libvirt does, by its key.
pub(super) fn nic_named(given: &str) -> &str {
    given.strip_prefix(NIC_KEY).unwrap_or(given)
}

impl Scene<'_> {
    /// What is.
    pub fn info(&self) -> ty!(HostNetworkInfo) {
        let switches: Vec<_> = self.config.switches.iter().map(|switch| self.switch(switch)).collect();
        let groups: Vec<_> = self.config.groups().map(|(switch, group)| self.group(switch, group)).collect();
        vim!(HostNetworkInfo {
            vswitch: switches,
            portgroup: groups,
            pnic: self.nics.iter().map(nic).collect::<Vec<_>>(),
            vnic: self.adapters(),
            dnsConfig: self.names(),
            ipRouteConfig: self.gateways(&StackName::default()),
            routeTableInfo: self.routes(&StackName::default()),
            netStackInstance: self.stacks(),
            ipV6Enabled: true,
            atBootIpV6Enabled: true,
        })
    }

    /// What was asked for.
    pub fn asked(&self) -> ty!(HostNetworkConfig) {
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
            dnsConfig: self.names(),
            ipV6Enabled: true,
        })
    }

    /// What the host calls itself, and whom it asks for names.
    pub fn names(&self) -> Object {
        super::dns::shown(self.config.names.as_ref(), &self.seen, &self.own_names)
    }

    /// The VMkernel adapters.
    pub fn adapters(&self) -> Vec<ty!(HostVirtualNic)> {
        self.config.adapters.iter().map(|adapter| self.adapter(adapter)).collect()
    }

    fn adapter(&self, adapter: &Adapter) -> ty!(HostVirtualNic) {
        let seen = self.seen.adapters.get(&adapter.device);
        let group = self.config.groups().find(|(_, group)| group.number == adapter.port_group);
        let group = group.map_or("", |(_, group)| &group.name);
        vim!(HostVirtualNic {
            device: &adapter.device,
            key: adapter_key(&adapter.device),
            portgroup: group,
            spec: HostVirtualNicSpec {
                ip: ip(adapter, seen),
                mac: adapter.mac.to_string(),
                portgroup: group,
                mtu: i32::try_from(adapter.mtu).unwrap_or(i32::MAX),
                tsoEnabled: true,
                netStackInstanceKey: adapter.stack.as_str(),
                pinnedPnic: self.config.pinned.get(&adapter.device).map(String::as_str),
                ipRouteSpec: own_route(adapter),
            },
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

pub(super) fn adapter_key(device: &str) -> String {
    format!("key-vim.host.VirtualNic-{device}")
}

/// The gateways of an adapter's own, if it has some.
fn own_route(adapter: &Adapter) -> Option<ty!(HostVirtualNicIpRouteSpec)> {
    let Gateways { ipv4, ipv6 } = adapter.gateways;
    (ipv4.is_some() || ipv6.is_some()).then(|| {
        vim!(HostVirtualNicIpRouteSpec {
            ipRouteConfig: HostIpRouteConfig {
                defaultGateway: ipv4.map(|gateway| gateway.to_string()),
                ipV6DefaultGateway: ipv6.map(|gateway| gateway.to_string()),
            },
        })
    })
}

/// An adapter's addresses: those that are declared or, where a server gives them, those that it has.
pub(super) fn ip(adapter: &Adapter, seen: Option<&AdapterState>) -> ty!(HostIpConfig) {
    let has = |is_it: fn(&IpAddr) -> bool| {
        let all = seen.into_iter().flat_map(|seen| &seen.addresses);
        all.filter(move |(address, _)| is_it(address)).copied()
    };
    let four = match adapter.ipv4 {
        Ipv4Config::None => None,
        Ipv4Config::Static { address, prefix } => Some((IpAddr::from(address), prefix)),
        Ipv4Config::Dhcp => has(IpAddr::is_ipv4).next(),
    };
    let mask = four.map(|(_, prefix)| u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0));
    let six = adapter.ipv6.as_ref().map(|six| {
        let declared = six.addresses.iter().map(|(address, prefix)| (IpAddr::from(*address), *prefix));
        let others = has(IpAddr::is_ipv6).filter(|own| !declared.clone().any(|known| known == *own));
        // One that a DHCPv6 server gave is of no network.
        let given = |prefix: u8| if six.dhcp && prefix == 128 { DHCP } else { "other" };
        let others = others.map(|own| (own, given(own.1)));
        let all = declared.clone().map(|own| (own, "manual")).chain(others);
        // What is seen of a declared address: it is used, or another station has it.
        let state = |address: &IpAddr| {
            let seen = seen?;
            if seen.conflicts.contains_key(address) {
                return Some("duplicate");
            }
            if seen.deprecated.contains(address) {
                return Some("deprecated");
            }
            seen.addresses.iter().any(|(has, _)| has == address).then_some("preferred")
        };
        let addresses = all.map(|((address, prefix), origin)| {
            vim!(HostIpConfigIpV6Address {
                ipAddress: address.to_string(),
                prefixLength: i32::from(prefix),
                origin: origin,
                dadState: state(&address),
            })
        });
        vim!(HostIpConfigIpV6AddressConfiguration {
            ipV6Address: addresses.collect::<Vec<_>>(),
            autoConfigurationEnabled: six.autoconf,
            dhcpV6Enabled: six.dhcp,
        })
    });
    vim!(HostIpConfig {
        dhcp: adapter.ipv4 == Ipv4Config::Dhcp,
        ipAddress: four.map(|(address, _)| address.to_string()),
        subnetMask: mask.map(|mask| std::net::Ipv4Addr::from(mask).to_string()),
        ipV6Config: six,
    })
}

/// Which adapters can carry a kind of traffic, and which do.
pub fn net_config(scene: &Scene<'_>, service: Service) -> ty!(VirtualNicManagerNetConfig) {
    let carry = scene.config.adapters.iter().filter(|adapter| adapter.services.contains(&service));
    let selected = carry.map(|adapter| format!("{service}.{}", adapter_key(&adapter.device)));
    let candidates = scene.adapters().into_iter().map(|adapter| {
        let mut adapter = Object::from(adapter);
        let key = format!("{service}.{}", adapter.get(field!(HostVirtualNic.key)).unwrap_or_default());
        adapter.set(field!(HostVirtualNic.key), key);
        adapter
    });
    vim!(VirtualNicManagerNetConfig {
        nicType: service.as_str(),
        multiSelectAllowed: true,
        candidateVnic: List::new(
            Kind::Data(data_id!(HostVirtualNic)),
            candidates.map(Value::from).collect::<Vec<_>>()
        ),
        selectedVnic: selected.collect::<Vec<_>>(),
    })
}

fn switch_spec(switch: &StandardSwitch) -> ty!(HostVirtualSwitchSpec) {
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
    let (security, teaming, shaping) = (&policy.security, &policy.teaming, &policy.outbound);
    Override {
        promiscuous: Some(security.promiscuous),
        mac_changes: Some(security.mac_changes),
        forged_transmits: Some(security.forged_transmits),
        // The API has no words for this, and for flows.
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
        // Standard switches shape what ports send only.
        inbound: ShapingOverride::default(),
        ipfix: None,
    }
}

fn policy(policy: &Override) -> ty!(HostNetworkPolicy) {
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
            policy: policy.balancing.map(word),
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
pub fn capabilities() -> ty!(HostNetCapabilities) {
    vim!(HostNetCapabilities {
        canSetPhysicalNicLinkSpeed: false,
        supportsNicTeaming: true,
        nicTeamingPolicy: words(),
        supportsVlan: true,
        usesServiceConsoleNic: false,
        supportsNetworkHints: true,
        maxPortGroupsPerVswitch: MOST_GROUPS,
        vswitchConfigSupported: true,
        vnicConfigSupported: true,
        ipRouteConfigSupported: true,
        dnsConfigSupported: true,
        dhcpOnVnicSupported: true,
        ipV6Supported: true,
    })
}
