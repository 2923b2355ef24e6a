//! Ports of virtual machines: a tap for each adapter, connected to the port group that the adapter names.

use std::collections::BTreeMap;

use vswitch::vmkernel::port_interface;
use vswitch::{Mac, declare};

use super::HostNetwork;
use super::config::NetworkConfig;
use super::fabric::FabricError;

/// Longest name of a network interface (`IFNAMSIZ` less its terminator).
const MAX_INTERFACE: usize = 15;
/// Key of a machine's first network adapter.
pub const NIC_KEY: i32 = 4000;

/// Which adapter wants to be connected, and to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    /// Id of the virtual machine's object.
    pub vm: String,
    /// Key of the adapter.
    pub key: i32,
    /// Its MAC address.
    pub mac: String,
    /// Name of the port group.
    pub network: String,
}

/// A tap device that is ready to be opened, made with `vnet_hdr`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tap {
    /// Interface name.
    pub name: String,
}

/// Why a port could not be made or removed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the network port {port}: {reason}")]
pub struct PortError {
    /// Interface name.
    pub port: String,
    /// In words.
    pub reason: String,
}

/// A port that is there.
pub(super) struct Port {
    spec: PortSpec,
    /// The MAC that the guest has set in place of its own.
    guest_mac: Option<Mac>,
}

/// Ports by the name of their tap.
pub(super) type Ports = BTreeMap<String, Port>;

/// `prefix`, machine, `n`, adapter.
fn tap_name(prefix: &str, vm: &str, key: i32) -> String {
    let mut name = format!("{prefix}{vm}n{}", key - NIC_KEY);
    name.truncate(MAX_INTERFACE);
    name
}

/// Whether the name is one that [`tap_name`] gives.
pub(super) fn is_tap(prefix: &str, name: &str) -> bool {
    let Some((vm, nic)) = name.strip_prefix(prefix).and_then(|rest| rest.split_once('n')) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(vm) && digits(nic)
}

/// Ports as the switch is told of them. One whose port group is gone, or whose MAC is none, is left unconnected.
pub(super) fn declared(config: &NetworkConfig, ports: &Ports) -> Vec<declare::Port> {
    let port = |(interface, port): (&String, &Port)| {
        let spec = &port.spec;
        let (_, group) = config.group(&spec.network)?;
        Some(declare::Port {
            interface: interface.clone(),
            port_group: group.number,
            mac: spec.mac.parse().ok()?,
            guest_mac: port.guest_mac,
            blocked: false,
        })
    };
    ports.iter().filter_map(port).collect()
}

impl Port {
    /// The MAC if it is another than the port was given.
    fn other_mac(&self, mac: Mac) -> Option<Mac> {
        Some(mac).filter(|mac| self.spec.mac.parse() != Ok(*mac))
    }
}

impl HostNetwork {
    fn tap(&self, vm: &str, key: i32) -> String {
        tap_name(&self.prefix, vm, key)
    }

    /// Makes the port and its tap, which `owner` may open; none where there are no taps.
    ///
    /// # Errors
    /// If the tap or its connection cannot be made; nothing is left then.
    pub async fn plug(&self, spec: &PortSpec, owner: Option<u32>) -> Result<Option<Tap>, PortError> {
        let name = self.tap(&spec.vm, spec.key);
        let failed = |error: FabricError| PortError { port: name.clone(), reason: error.to_string() };
        self.is_ours().map_err(failed)?;
        if !self.fabric.make_tap(&name, owner).await.map_err(failed)? {
            return Ok(None);
        }
        let port = Port { spec: spec.clone(), guest_mac: None };
        let connected = self.with_ports(|ports| _ = ports.insert(name.clone(), port)).await;
        if let Err(error) = connected.or_else(|error| not_mine(&name, error)) {
            if let Err(error) = self.unplug(&spec.vm, spec.key).await {
                tracing::warn!(%error, "a port stays behind");
            }
            return Err(failed(error));
        }
        Ok(Some(Tap { name }))
    }

    /// Moves the port of a running adapter to the port group that `spec` names now. The tap stays.
    ///
    /// # Errors
    /// If the switch refuses.
    pub async fn move_port(&self, spec: &PortSpec) -> Result<(), PortError> {
        let name = self.tap(&spec.vm, spec.key);
        let moved = self.with_ports(|ports| {
            if let Some(port) = ports.get_mut(&name) {
                port.spec = spec.clone();
            }
        });
        let moved = moved.await.or_else(|error| not_mine(&name, error));
        moved.map_err(|error| PortError { port: name.clone(), reason: error.to_string() })
    }

    /// Notes the MACs that the adapters of a machine have now, by key, and tells the switch where its guest has set another.
    ///
    /// # Errors
    /// If the switch refuses; it is told again at the next change.
    pub async fn guest_macs(&self, vm: &str, macs: &BTreeMap<i32, Mac>) -> Result<(), FabricError> {
        let mut held = self.held.lock().await;
        let mut changed = false;
        for (key, mac) in macs {
            if let Some(port) = held.ports.get_mut(&self.tap(vm, *key)) {
                let seen = port.other_mac(*mac);
                if port.guest_mac != seen {
                    tracing::info!(vm, adapter = key, %mac, "a guest has set the MAC of its adapter");
                    (port.guest_mac, changed) = (seen, true);
                }
            }
        }
        if !changed || self.unread().is_some() {
            return Ok(());
        }
        self.fabric.declare(held.config.declaration(declared(&held.config, &held.ports))).await
    }

    /// Interfaces of all ports: of virtual machines, of VMkernel adapters, and uplinks.
    pub async fn interfaces(&self) -> Vec<String> {
        let held = self.held.lock().await;
        let adapters = held.config.adapters.iter().map(|adapter| port_interface(&adapter.device));
        let uplinks = held.config.switches.iter().flat_map(|switch| switch.declared.uplinks.iter().cloned());
        held.ports.keys().cloned().chain(adapters).chain(uplinks).collect()
    }

    /// The interface of an adapter's port.
    pub fn interface_of(&self, vm: &str, key: i32) -> String {
        self.tap(vm, key)
    }

    /// Removes a port; one that is not there is no error.
    ///
    /// # Errors
    /// If the tap stays behind.
    pub async fn unplug(&self, vm: &str, key: i32) -> Result<(), PortError> {
        let name = self.tap(vm, key);
        if let Err(error) = self.with_ports(|ports| _ = ports.remove(&name)).await {
            tracing::warn!(port = name, %error, "the virtual switch could not let go of a port");
        }
        let removed = self.fabric.remove_tap(&name).await;
        removed.map_err(|error| PortError { port: name.clone(), reason: error.to_string() })
    }

    /// Declares the network for the first time since the daemon started, with the ports of machines that run and the MACs that
    /// their adapters have, and removes the taps that a daemon that died has left.
    ///
    /// # Errors
    /// If the switch could not be brought to what is declared; what could be, is. If what is kept cannot be read, nothing is.
    pub async fn adopt(&self, running: Vec<(PortSpec, Option<Mac>)>) -> Result<(), FabricError> {
        let port = |(spec, mac): (PortSpec, Option<Mac>)| {
            let name = self.tap(&spec.vm, spec.key);
            let mut port = Port { spec, guest_mac: None };
            port.guest_mac = mac.and_then(|mac| port.other_mac(mac));
            (name, port)
        };
        let ports: Ports = running.into_iter().map(port).collect();
        if let Err(error) = self.is_ours() {
            self.held.lock().await.ports = ports;
            return Err(error);
        }
        let stray: Vec<String> =
            self.fabric.taps().into_iter().filter(|tap| !ports.contains_key(tap)).collect();
        let declared = self.with_ports(|known| *known = ports).await;
        for tap in stray {
            tracing::info!(port = tap, "removing a tap that no machine uses");
            if let Err(error) = self.fabric.remove_tap(&tap).await {
                tracing::warn!(port = tap, %error, "it stays behind");
            }
        }
        self.resolve().await;
        declared
    }

    async fn with_ports(&self, change: impl FnOnce(&mut Ports)) -> Result<(), FabricError> {
        let mut held = self.held.lock().await;
        change(&mut held.ports);
        self.is_ours()?;
        let declared =
            self.fabric.declare(held.config.declaration(declared(&held.config, &held.ports))).await;
        held.trouble = declared.clone().err();
        declared
    }
}

/// What is wrong with something else does not keep a machine from its network: it is only told.
fn not_mine(interface: &str, error: FabricError) -> Result<(), FabricError> {
    if !error.is_of_another(interface) {
        return Err(error);
    }
    tracing::warn!(port = interface, %error, "connected, but the network is not as it was declared");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_elsewhere_keeps_no_machine_from_its_network() {
        assert_eq!(not_mine("vm1n0", FabricError::about("vmk7", "no lease")), Ok(()));
        for own in [FabricError::about("vm1n0", "no such interface"), FabricError::new("the map is full")] {
            assert_eq!(not_mine("vm1n0", own.clone()), Err(own));
        }
    }

    #[test]
    fn names_of_taps_fit_an_interface_and_are_recognised() {
        assert_eq!(tap_name("vmt", "12", 4001), "vmt12n1");
        assert!(tap_name("vmt", "123456789012", 4000).len() <= MAX_INTERFACE);
        assert!(is_tap("vmt", "vmt12n1"));
        for foreign in ["vmtn", "vmt1n", "eth0", "vmt-n1", "vmtap0n1x"] {
            assert!(!is_tap("vmt", foreign), "{foreign}");
        }
    }
}
