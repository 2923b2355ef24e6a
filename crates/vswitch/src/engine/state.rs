//! The observed state of ports, uplinks, adapters and flows.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use crate::declare::{Service, StackName};
use crate::plan::{Links, Seats};
use crate::vmkernel::{AdapterState, Source, StackState, device_number};

/// How many MACs a port has learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learned {
    /// The number of MACs.
    pub count: u64,
    /// The most that the port may learn now.
    pub limit: u32,
}

/// The observed state of ports and uplinks, by interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    pub links: Links,
    /// Uplinks that beacons show to be cut off although their link is up.
    pub isolated: BTreeSet<String>,
    /// The uplinks that serve in the team of each port group.
    pub seats: Seats,
    /// The uplink that each port uses now. Ports that spread their traffic over several uplinks are absent.
    pub uplinks: BTreeMap<String, String>,
    /// VMkernel adapters, by device.
    pub adapters: BTreeMap<String, AdapterState>,
    /// The default TCP/IP stack, and every other that has adapters or an error.
    pub stacks: BTreeMap<StackName, StackState>,
}

/// Counters of a switch's flow export since the engine began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// Records sent.
    pub records_sent: u64,
    /// Records that could not be sent, or for which there was no room.
    pub records_lost: u64,
    /// Packets of flows for which the kernel's map had no room.
    pub packets_lost: u64,
    /// Flows in progress.
    pub flows: usize,
}

impl State {
    /// Every source of a service: the adapters that carry it and have a carrier, by number, each with its addresses, IPv4 first
    /// and without link-local ones.
    pub fn sources_for(&self, service: Service) -> Vec<Source> {
        let carries = |adapter: &AdapterState| adapter.carrier && adapter.services.contains(&service);
        let mut adapters: Vec<_> = self.adapters.iter().filter(|(_, adapter)| carries(adapter)).collect();
        adapters.sort_by_key(|(device, _)| device_number(device));
        let of = |(device, adapter): (&String, &AdapterState)| {
            let addresses = adapter.addresses.iter().map(|(address, _)| *address);
            let source =
                |address| Source { namespace: adapter.namespace.clone(), address, device: device.clone() };
            addresses.filter(|address| !is_link_local(address)).map(source).collect::<Vec<_>>()
        };
        adapters.into_iter().flat_map(of).collect()
    }

    /// The first source of a service; `None` if no adapter that carries it has an address.
    pub fn source_for(&self, service: Service) -> Option<Source> {
        self.sources_for(service).into_iter().next()
    }

    /// The first source of a service in the address family of a peer.
    pub fn source_towards(&self, service: Service, peer: IpAddr) -> Option<Source> {
        self.sources_for(service).into_iter().find(|source| source.address.is_ipv4() == peer.is_ipv4())
    }
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if Ipv6Addr::is_unicast_link_local(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_those_of_adapters_that_carry_and_can() {
        let adapter = |services: &[Service], carrier, addresses: &[&str]| AdapterState {
            services: services.iter().copied().collect(),
            carrier,
            addresses: addresses.iter().map(|text| (text.parse().unwrap(), 24)).collect(),
            ..AdapterState::default()
        };
        let (vmotion, management) = (Service::Vmotion, Service::Management);
        let adapters = [
            ("vmk0", adapter(&[management], true, &["10.0.0.1"])),
            ("vmk10", adapter(&[vmotion], true, &["10.0.0.10", "fe80::1"])),
            ("vmk2", adapter(&[vmotion, management], true, &["10.0.0.2", "fd00::2"])),
            ("vmk3", adapter(&[vmotion], false, &["10.0.0.3"])),
            ("vmk1", adapter(&[vmotion], true, &[])),
        ];
        let adapters = adapters.map(|(device, adapter)| (device.to_owned(), adapter)).into();
        let state = State { adapters, ..State::default() };
        let of = |service| {
            let sources = state.sources_for(service).into_iter();
            sources.map(|source| format!("{} {}", source.device, source.address)).collect::<Vec<_>>()
        };
        assert_eq!(of(vmotion), ["vmk2 10.0.0.2", "vmk2 fd00::2", "vmk10 10.0.0.10"]);
        assert_eq!(of(management), ["vmk0 10.0.0.1", "vmk2 10.0.0.2", "vmk2 fd00::2"]);
        assert_eq!(state.source_for(Service::Vsan), None);
        let towards = state.source_towards(vmotion, "fd00::9".parse().unwrap()).unwrap();
        assert_eq!(towards.address.to_string(), "fd00::2");
    }
}
