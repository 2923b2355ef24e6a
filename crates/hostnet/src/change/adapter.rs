//! VMkernel adapters: reading their specifications, and adding, changing and removing them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vim::{Fault, Object, fault, field};
use vswitch::Mac;
use vswitch::declare::{Adapter, Gateways, Ipv4Config, Ipv6Config, Service, StackName};
use vswitch::limits::ADAPTERS;

use super::no_adapter;
use crate::config::{DEFAULT_MTU, NetworkConfig};
use crate::invalid;
use crate::words::DHCP;

/// A `HostVirtualNicSpec`; unset items leave the adapter as it is.
#[derive(Debug, Default)]
pub struct AdapterSpec {
    pub ipv4: Option<Ipv4Config>,
    pub ipv6: Option<Ipv6Spec>,
    pub mac: Option<Mac>,
    pub mtu: Option<u32>,
    pub stack: Option<StackName>,
    pub port_group: Option<String>,
    /// Its own gateways; with none set, it uses those of its stack.
    pub gateways: Option<Gateways>,
    /// Name of the uplink that it is pinned to; empty for none.
    pub pinned: Option<String>,
}

/// A `HostIpConfigIpV6AddressConfiguration`.
#[derive(Debug, Default)]
pub struct Ipv6Spec {
    autoconf: Option<bool>,
    dhcp: Option<bool>,
    /// All addresses, if the client adds and removes none.
    all: Vec<(Ipv6Addr, u8)>,
    add: Vec<(Ipv6Addr, u8)>,
    remove: Vec<Ipv6Addr>,
}

impl Ipv6Spec {
    /// The adapter's IPv6 configuration after the change.
    fn apply(self, before: Option<&Ipv6Config>) -> Ipv6Config {
        let before = before.cloned().unwrap_or_default();
        let mut addresses = match self.add.is_empty() && self.remove.is_empty() {
            true => self.all,
            false => before.addresses,
        };
        addresses.retain(|(address, _)| {
            !self.remove.contains(address) && !self.add.iter().any(|(new, _)| new == address)
        });
        addresses.extend(self.add);
        Ipv6Config {
            addresses,
            autoconf: self.autoconf.unwrap_or(before.autoconf),
            dhcp: self.dhcp.unwrap_or(before.dhcp),
        }
    }
}

/// Reads a `HostVirtualNicSpec`.
pub fn read(spec: &Object) -> Result<AdapterSpec, Fault> {
    let mut read = AdapterSpec::default();
    if let Some(ip) = spec.get(field!(HostVirtualNicSpec.ip)) {
        read.ipv4 = Some(ipv4(ip)?);
        let six = ip.get(field!(HostIpConfig.ipV6Config));
        read.ipv6 = six.map(|six| ipv6(six)).transpose()?;
    }
    if let Some(mac) = spec.get(field!(HostVirtualNicSpec.mac)).filter(|mac| !mac.is_empty()) {
        let mac: Mac = mac.parse().map_err(|error| invalid("nic.mac", error))?;
        if mac.is_group() {
            return Err(invalid("nic.mac", format_args!("{mac} is a multicast address")));
        }
        read.mac = Some(mac);
    }
    let mtu = spec.get(field!(HostVirtualNicSpec.mtu));
    read.mtu = mtu.map(|mtu| super::mtu(mtu, "nic.mtu")).transpose()?;
    if let Some(stack) = spec.get(field!(HostVirtualNicSpec.netStackInstanceKey)) {
        let stack = StackName::try_from(stack.to_owned());
        read.stack = Some(stack.map_err(|error| invalid("nic.netStackInstanceKey", error))?);
    }
    read.port_group = spec.get(field!(HostVirtualNicSpec.portgroup)).map(str::to_owned);
    read.pinned = spec.get(field!(HostVirtualNicSpec.pinnedPnic)).map(str::to_owned);
    if let Some(route) = spec.get(field!(HostVirtualNicSpec.ipRouteSpec)) {
        read.gateways = Some(gateways(route)?);
    }
    Ok(read)
}

/// Reads a route specification, which replaces the adapter's own gateways whole: a family without a gateway, or with the unspecified
/// address, has none afterwards.
fn gateways(route: &Object) -> Result<Gateways, Fault> {
    const OF: &str = "nic.ipRouteSpec";
    let Some(config) = route.get(field!(HostVirtualNicIpRouteSpec.ipRouteConfig)) else {
        return Ok(Gateways::default());
    };
    let given = |text: Option<&str>| text.filter(|text| !text.trim().is_empty()).map(str::to_owned);
    let four = given(config.get(field!(HostIpRouteConfig.defaultGateway)));
    let six = given(config.get(field!(HostIpRouteConfig.ipV6DefaultGateway)));
    let four: Option<Ipv4Addr> = four.map(|text| address(&text, OF)).transpose()?;
    let six: Option<Ipv6Addr> = six.map(|text| address(&text, OF)).transpose()?;
    Ok(Gateways {
        ipv4: four.filter(|gateway| !gateway.is_unspecified()),
        ipv6: six.filter(|gateway| !gateway.is_unspecified()),
    })
}

fn address<A: std::str::FromStr>(text: &str, property: &str) -> Result<A, Fault> {
    text.trim()
        .parse()
        .map_err(|_| invalid(property, format_args!("\"{text}\" is not an address of this family")))
}

fn ipv4(ip: &Object) -> Result<Ipv4Config, Fault> {
    if ip.get(field!(HostIpConfig.dhcp)).unwrap_or_default() {
        return Ok(Ipv4Config::Dhcp);
    }
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let Some(text) = given(ip.get(field!(HostIpConfig.ipAddress))) else { return Ok(Ipv4Config::None) };
    let address: Ipv4Addr = self::address(&text, "nic.ip.ipAddress")?;
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() || address.is_loopback() {
        return Err(invalid("nic.ip.ipAddress", format_args!("{address} is not a unicast address")));
    }
    let mask = given(ip.get(field!(HostIpConfig.subnetMask)));
    let mask = mask.ok_or_else(|| invalid("nic.ip.subnetMask", "Give the subnet mask of the address"))?;
    let bits = u32::from(self::address::<Ipv4Addr>(&mask, "nic.ip.subnetMask")?);
    if bits.leading_ones() + bits.trailing_zeros() != u32::BITS || bits == 0 {
        return Err(invalid("nic.ip.subnetMask", format_args!("{mask} is not a subnet mask")));
    }
    let prefix = u8::try_from(bits.leading_ones()).expect("there are 32 bits");
    Ok(Ipv4Config::Static { address, prefix })
}

fn ipv6(six: &Object) -> Result<Ipv6Spec, Fault> {
    const OF: &str = "nic.ip.ipV6Config";
    let autoconf = six.get(field!(HostIpConfigIpV6AddressConfiguration.autoConfigurationEnabled));
    let dhcp = six.get(field!(HostIpConfigIpV6AddressConfiguration.dhcpV6Enabled));
    let mut read = Ipv6Spec { autoconf, dhcp, ..Ipv6Spec::default() };
    for one in six.get(field!(HostIpConfigIpV6AddressConfiguration.ipV6Address)).into_iter().flatten() {
        let address: Ipv6Addr =
            address(one.get(field!(HostIpConfigIpV6Address.ipAddress)).unwrap_or_default(), OF)?;
        let length = one.get(field!(HostIpConfigIpV6Address.prefixLength)).unwrap_or_default();
        let length = u8::try_from(length).ok().filter(|length| (1..=128).contains(length));
        let length = || length.ok_or_else(|| invalid(OF, "A prefix has 1 to 128 bits"));
        match one.get(field!(HostIpConfigIpV6Address.operation)) {
            Some("remove") => read.remove.push(address),
            Some("add") => read.add.push((address, length()?)),
            // Written back as it was read: an address of a DHCPv6 server, which stays the server's.
            _ if one.get(field!(HostIpConfigIpV6Address.origin)) == Some(DHCP) => {}
            _ => read.all.push((address, length()?)),
        }
    }
    Ok(read)
}

impl NetworkConfig {
    /// Adds an adapter to a port group and returns its device name.
    ///
    /// # Errors
    /// `InvalidArgument`; `AlreadyExists` for an address that another adapter has.
    pub fn add_adapter(&mut self, group: &str, spec: AdapterSpec, new_mac: Mac) -> Result<String, Fault> {
        let (_, group) = self
            .group(group)
            .ok_or_else(|| invalid("portgroup", format_args!("The host has no port group {group}")))?;
        let number = group.number;
        let taken = |device: &String| self.adapter(device).is_some();
        let device = (0..ADAPTERS).map(|at| format!("vmk{at}")).find(|device| !taken(device));
        let device = device.ok_or_else(|| {
            fault!(HostConfigFault {}, "The host already has {ADAPTERS} VMkernel adapters, its maximum")
        })?;
        let adapter = Adapter {
            device: device.clone(),
            port_group: number,
            mac: spec.mac.unwrap_or(new_mac),
            mtu: spec.mtu.unwrap_or(DEFAULT_MTU),
            stack: spec.stack.unwrap_or_default(),
            ipv4: spec.ipv4.unwrap_or_default(),
            ipv6: spec.ipv6.map(|six| six.apply(None)),
            gateways: spec.gateways.unwrap_or_default(),
            services: Default::default(),
        };
        self.refuse_twice(&adapter)?;
        self.adapters.push(adapter);
        self.pin(&device, &spec.pinned.unwrap_or_default())?;
        Ok(device)
    }

    /// Changes an adapter as the specification says; unset items stay.
    ///
    /// # Errors
    /// `NotFound`, and as for [`Self::add_adapter`].
    pub fn update_adapter(&mut self, device: &str, spec: AdapterSpec) -> Result<(), Fault> {
        let mut adapter = self.adapter(device).ok_or_else(|| no_adapter(device))?.clone();
        if let Some(stack) = spec.stack.filter(|stack| *stack != adapter.stack) {
            let message =
                format_args!("{device} cannot move from the TCP/IP stack {} to {stack}", adapter.stack);
            return Err(invalid("nic.netStackInstanceKey", message));
        }
        if let Some(name) = spec.port_group {
            let found = self.group(&name);
            let (_, group) = found
                .ok_or_else(|| invalid("nic.portgroup", format_args!("The host has no port group {name}")))?;
            adapter.port_group = group.number;
        }
        adapter.ipv4 = spec.ipv4.unwrap_or(adapter.ipv4);
        if let Some(six) = spec.ipv6 {
            adapter.ipv6 = Some(six.apply(adapter.ipv6.as_ref()));
        }
        adapter.mac = spec.mac.unwrap_or(adapter.mac);
        adapter.mtu = spec.mtu.unwrap_or(adapter.mtu);
        adapter.gateways = spec.gateways.unwrap_or(adapter.gateways);
        self.refuse_twice(&adapter)?;
        let moved = self.adapter(device).map(|before| before.port_group) != Some(adapter.port_group);
        *self.adapters.iter_mut().find(|known| known.device == device).expect("it was there") = adapter;
        let pinned = spec.pinned.or_else(|| self.pinned.get(device).filter(|_| moved).cloned());
        pinned.map_or(Ok(()), |nic| self.pin(device, &nic))
    }

    /// Removes an adapter.
    ///
    /// # Errors
    /// `NotFound`; `HostConfigFault` for the last adapter that carries management, without which nobody could reach the host.
    pub fn remove_adapter(&mut self, device: &str) -> Result<(), Fault> {
        let adapter = self.adapter(device).ok_or_else(|| no_adapter(device))?;
        if adapter.services.contains(&Service::Management) {
            self.refuse_last(device)?;
        }
        self.adapters.retain(|adapter| adapter.device != device);
        self.pinned.remove(device);
        Ok(())
    }

    /// Lets an adapter carry a service.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown adapter.
    pub fn select(&mut self, device: &str, service: Service) -> Result<(), Fault> {
        let missing = invalid("device", format_args!("The host has no VMkernel adapter {device}"));
        let adapter = self.adapters.iter_mut().find(|adapter| adapter.device == device).ok_or(missing)?;
        adapter.services.insert(service);
        Ok(())
    }

    /// Takes a service from an adapter.
    ///
    /// # Errors
    /// `InvalidArgument`; `HostConfigFault` for the last adapter that carries management.
    pub fn deselect(&mut self, device: &str, service: Service) -> Result<(), Fault> {
        if service == Service::Management {
            self.refuse_last(device)?;
        }
        self.select(device, service)?;
        for adapter in self.adapters.iter_mut().filter(|adapter| adapter.device == device) {
            adapter.services.remove(&service);
        }
        Ok(())
    }

    fn refuse_last(&self, device: &str) -> Result<(), Fault> {
        let carries =
            |adapter: &&Adapter| adapter.services.contains(&Service::Management) && adapter.device != device;
        match self.adapters.iter().any(|adapter| carries(&adapter)) {
            true => Ok(()),
            false => Err(fault!(
                HostConfigFault {},
                "{device} is the last adapter that carries management; without it nobody could reach the host"
            )),
        }
    }

    fn refuse_twice(&self, adapter: &Adapter) -> Result<(), Fault> {
        let others = || {
            self.adapters
                .iter()
                .filter(|other| other.device != adapter.device && other.stack == adapter.stack)
        };
        for address in addresses(adapter) {
            if let Some(other) = others().find(|other| addresses(other).any(|taken| taken == address)) {
                let name = address.to_string();
                return Err(fault!(
                    AlreadyExists { name: name },
                    "{address} is already the address of {}",
                    other.device
                ));
            }
        }
        if let Some(other) = self.adapters.iter().find(|o| o.device != adapter.device && o.mac == adapter.mac)
        {
            let name = adapter.mac.to_string();
            return Err(fault!(
                AlreadyExists { name: name },
                "{} is already the MAC address of {}",
                adapter.mac,
                other.device
            ));
        }
        Ok(())
    }
}

/// The declared addresses of an adapter.
fn addresses(adapter: &Adapter) -> impl Iterator<Item = IpAddr> {
    let four = match adapter.ipv4 {
        Ipv4Config::Static { address, .. } => Some(IpAddr::from(address)),
        Ipv4Config::None | Ipv4Config::Dhcp => None,
    };
    let six =
        adapter.ipv6.iter().flat_map(|six| six.addresses.iter().map(|(address, _)| IpAddr::from(*address)));
    four.into_iter().chain(six)
}

#[cfg(test)]
#[path = "adapter_tests.rs"]
mod tests;
