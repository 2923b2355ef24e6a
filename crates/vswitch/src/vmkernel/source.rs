//! From where a service of the host speaks: the adapters that carry it, their addresses and the namespaces of their stacks.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use tokio::net::{TcpSocket, UdpSocket};
use tokio::runtime::Handle;

use super::names::device_number;
use super::namespace::Namespace;
use crate::State;
use crate::declare::Service;

/// An address of an adapter, and what is needed to bind a socket to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The network namespace of the adapter's stack, as a file; none for the daemon's own.
    pub namespace: Option<PathBuf>,
    pub address: IpAddr,
    pub device: String,
}

impl State {
    /// Every source of a service: adapters that carry it and have a carrier, by number, and of each its addresses, IPv4 first.
    /// Link-local addresses are none.
    pub fn sources_for(&self, service: Service) -> Vec<Source> {
        let carries = |adapter: &super::AdapterState| adapter.carrier && adapter.services.contains(&service);
        let mut adapters: Vec<_> = self.adapters.iter().filter(|(_, adapter)| carries(adapter)).collect();
        adapters.sort_by_key(|(device, _)| device_number(device));
        let is_local =
            |address: &IpAddr| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        let of = |(device, adapter): (&String, &super::AdapterState)| {
            let addresses = adapter.addresses.iter().map(|(address, _)| *address);
            let source =
                |address| Source { namespace: adapter.namespace.clone(), address, device: device.clone() };
            addresses.filter(|address| !is_local(address)).map(source).collect::<Vec<_>>()
        };
        adapters.into_iter().flat_map(of).collect()
    }

    /// The first source of a service; none if no adapter that carries it has an address.
    pub fn source_for(&self, service: Service) -> Option<Source> {
        self.sources_for(service).into_iter().next()
    }

    /// The first source of a service that can speak to a peer.
    pub fn source_towards(&self, service: Service, peer: IpAddr) -> Option<Source> {
        self.sources_for(service).into_iter().find(|source| source.address.is_ipv4() == peer.is_ipv4())
    }
}

impl Source {
    /// A TCP socket in the adapter's stack that uses the adapter and nothing else, bound to its address and a port (0 for any).
    /// It is ready to connect or to listen, and remains in its stack wherever it is used.
    ///
    /// # Errors
    /// If the namespace cannot be entered or the address is not there any more.
    pub fn tcp(&self, port: u16) -> io::Result<TcpSocket> {
        let open = || {
            let socket = if self.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.bind_device(Some(self.device.as_bytes()))?;
            socket.set_reuseaddr(port != 0)?;
            socket.bind(SocketAddr::new(self.address, port))?;
            Ok(socket)
        };
        let Some(path) = &self.namespace else { return open() };
        let runtime = Handle::current();
        Namespace::open(path)?.run(|| {
            let _entered = runtime.enter();
            open()
        })?
    }
}

impl Source {
    /// A UDP socket, otherwise as [`Self::tcp`], bound to any port.
    ///
    /// # Errors
    /// If the namespace cannot be entered or the address is not there any more.
    pub fn udp(&self) -> io::Result<UdpSocket> {
        let open = || {
            let socket = std::net::UdpSocket::bind(SocketAddr::new(self.address, 0))?;
            socket.set_nonblocking(true)?;
            Ok::<_, io::Error>(socket)
        };
        let socket = match &self.namespace {
            Some(path) => Namespace::open(path)?.run(open)?,
            None => open(),
        };
        let socket = UdpSocket::from_std(socket?)?;
        socket.bind_device(Some(self.device.as_bytes()))?;
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmkernel::AdapterState;

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
