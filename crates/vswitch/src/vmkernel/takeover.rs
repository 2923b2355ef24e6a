//! The addresses and routes of a physical NIC before it becomes an uplink, so that an adapter can be declared with
//! them.
//!
//! The order that loses connectivity only for a moment: read this, store the declaration durably, declare it. The
//! engine first gives the adapter its addresses, and then takes them from the uplink.

use std::net::IpAddr;
use std::path::Path;

use tokio::runtime::Handle;

use super::namespace::Namespace;
use super::netlink::{Refusal, Routing};
use super::view::{MAIN, Origin, View};
use crate::declare::{Adapter, Gateways, Ipv4Config, Ipv6Config, Route, StackName};
use crate::limits::{ADDRESSES, ROUTES};
use crate::{Error, Mac, Result};

/// The configuration of a NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takeover {
    pub mac: Mac,
    pub mtu: u32,
    pub ipv4: Ipv4Config,
    /// `None` if it has no IPv6 address, not even a link-local one.
    pub ipv6: Option<Ipv6Config>,
    pub gateways: Gateways,
    /// Routes besides the default ones.
    pub routes: Vec<Route>,
}

/// Reads the configuration of a NIC, in a network namespace or in the calling thread's own.
///
/// # Errors
/// `Enter` if the namespace cannot be entered, `Link` if the NIC does not exist or cannot be read.
pub async fn takeover(namespace: Option<&Path>, nic: &str) -> Result<Takeover> {
    let failed = |reason: String| Error::Link { interface: nic.into(), what: "read its addresses", reason };
    let routing = open(namespace).map_err(|error| match namespace {
        Some(path) => Error::Enter { path: path.to_owned(), source: error },
        None => failed(error.to_string()),
    })?;
    let view = routing.read(true).await.map_err(|refusal: Refusal| failed(refusal))?;
    of(&view, nic).ok_or_else(|| failed("no such Ethernet interface exists".into()))
}

fn open(namespace: Option<&Path>) -> std::io::Result<Routing> {
    let Some(path) = namespace else { return Routing::open() };
    let runtime = Handle::current();
    Namespace::open(path)?.run(|| {
        let _entered = runtime.enter();
        Routing::open()
    })?
}

fn of(view: &View, nic: &str) -> Option<Takeover> {
    let link = view.links.get(nic)?;
    let own: Vec<_> = view.addresses.iter().filter(|address| address.index == link.index).collect();
    let ipv4 = own.iter().find_map(|own| match own.address {
        // An address with a lifetime comes from a DHCP server.
        IpAddr::V4(_) if own.lifetime.is_some() => Some(Ipv4Config::Dhcp),
        IpAddr::V4(address) => Some(Ipv4Config::Static { address, prefix: own.prefix }),
        IpAddr::V6(_) => None,
    });
    let mut ipv6 = Ipv6Config::default();
    for own in own.iter().filter(|own| !own.link_local) {
        match own.address {
            IpAddr::V6(_) if own.is_leased() => ipv6.dhcp = true,
            IpAddr::V6(_) if own.lifetime.is_some() => ipv6.autoconf = true,
            IpAddr::V6(address) => ipv6.addresses.push((address, own.prefix)),
            IpAddr::V4(_) => {}
        }
    }
    ipv6.addresses.truncate(ADDRESSES);
    let speaks_ipv6 = own.iter().any(|own| own.address.is_ipv6());
    let through = |route: &&super::view::Route| {
        route.index == link.index && route.table == MAIN && route.origin != Origin::Kernel
    };
    let mut found: Vec<_> = view.routes.iter().filter(through).collect();
    found.sort_by_key(|route| route.metric);
    let default = |ipv4: bool| {
        let is_it = |route: &&&super::view::Route| route.prefix == 0 && route.destination.is_ipv4() == ipv4;
        found.iter().find(is_it).and_then(|route| route.gateway)
    };
    let gateways = Gateways {
        ipv4: default(true)
            .and_then(|gateway| if let IpAddr::V4(ipv4) = gateway { Some(ipv4) } else { None }),
        ipv6: default(false)
            .and_then(|gateway| if let IpAddr::V6(ipv6) = gateway { Some(ipv6) } else { None }),
    };
    let others = found.iter().filter(|route| route.prefix != 0).filter_map(|route| {
        Some(Route { network: route.destination, prefix: route.prefix, gateway: route.gateway? })
    });
    Some(Takeover {
        mac: link.mac?,
        mtu: link.mtu,
        ipv4: ipv4.unwrap_or_default(),
        ipv6: speaks_ipv6.then_some(ipv6),
        gateways,
        routes: others.take(ROUTES).collect(),
    })
}

impl Takeover {
    /// Whether there is an address to take over.
    pub fn has_address(&self) -> bool {
        let some = |ipv6: &Ipv6Config| ipv6.autoconf || ipv6.dhcp || !ipv6.addresses.is_empty();
        self.ipv4 != Ipv4Config::None || self.ipv6.as_ref().is_some_and(some)
    }

    /// An adapter of the default stack with this configuration, including the MAC, so that neighbours and DHCP servers
    /// see no change. Gateways and routes belong to the stack.
    pub fn adapter(&self, device: &str, port_group: u32) -> Adapter {
        Adapter {
            device: device.into(),
            port_group,
            mac: self.mac,
            mtu: self.mtu,
            stack: StackName::default(),
            ipv4: self.ipv4,
            ipv6: self.ipv6.clone(),
            gateways: Gateways::default(),
            services: [].into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::{Address, Interface, Lifetime, Route as Seen};
    use super::*;

    #[test]
    fn the_configuration_of_a_nic_becomes_a_declaration() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let link = |index| Interface {
            index,
            mac: Some(Mac([2, 0, 0, 0, 0, 9])),
            mtu: 1500,
            ..Interface::default()
        };
        let address = |index, text: &str, prefix, seconds: Option<u32>| Address {
            index,
            address: ip(text),
            prefix,
            lifetime: seconds.map(Lifetime::whole),
            link_local: text.starts_with("fe80"),
            settled: true,
            duplicate: false,
        };
        let route = |destination: &str, prefix, gateway: &str, index, metric| Seen {
            destination: ip(destination),
            prefix,
            gateway: Some(ip(gateway)),
            index,
            table: MAIN,
            metric,
            origin: Origin::Other,
        };
        let mut view = View {
            links: [("eno1".to_owned(), link(2)), ("eno2".to_owned(), link(3))].into(),
            addresses: vec![
                address(2, "fe80::9", 64, None),
                address(2, "10.0.0.5", 24, None),
                address(3, "10.7.0.5", 24, None),
                address(2, "2001:db8::5", 64, Some(500)),
            ],
            routes: vec![
                route("0.0.0.0", 0, "10.0.0.2", 2, 100),
                route("0.0.0.0", 0, "10.0.0.1", 2, 0),
                route("172.16.0.0", 12, "10.0.0.3", 2, 0),
                route("0.0.0.0", 0, "10.7.0.1", 3, 0),
                Seen { origin: Origin::Kernel, ..route("::", 0, "fe80::1", 2, 0) },
            ],
            ..View::default()
        };
        let taken = of(&view, "eno1").unwrap();
        assert_eq!(taken.ipv4, Ipv4Config::Static { address: [10, 0, 0, 5].into(), prefix: 24 });
        assert_eq!(taken.ipv6, Some(Ipv6Config { addresses: vec![], autoconf: true, dhcp: false }));
        assert_eq!(taken.gateways, Gateways { ipv4: Some([10, 0, 0, 1].into()), ipv6: None });
        assert_eq!(taken.routes, [Route { network: ip("172.16.0.0"), prefix: 12, gateway: ip("10.0.0.3") }]);
        assert!(taken.has_address());
        view.addresses[1].lifetime = Some(Lifetime::whole(3600));
        view.addresses[3].prefix = 128;
        let taken = of(&view, "eno1").unwrap();
        assert_eq!(taken.ipv4, Ipv4Config::Dhcp);
        assert_eq!(taken.ipv6, Some(Ipv6Config { addresses: vec![], autoconf: false, dhcp: true }));
        view.addresses.clear();
        assert!(!of(&view, "eno1").unwrap().has_address());
        assert_eq!(of(&view, "eno9"), None);
    }
}
