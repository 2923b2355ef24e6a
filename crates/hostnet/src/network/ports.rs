//! Ports of VMs: a tap for each network adapter, connected to the adapter's port group.

use std::collections::BTreeMap;

use vswitch::vmkernel::port_interface;
use vswitch::{Mac, declare};

use super::HostNetwork;
use crate::config::NetworkConfig;
use crate::fabric::{FabricError, is_tap_of, tap_name};

/// A network adapter of a VM, and the port group that it connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    /// Id of the VM's managed object.
    pub vm: String,
    /// Key of the adapter, counted from [`crate::NIC_KEY`].
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

/// Why a port could not be made, moved or removed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the network port {port}: {reason}")]
pub struct PortError {
    /// Interface name.
    pub port: String,
    /// In words.
    pub reason: String,
}

/// A connected port.
pub(super) struct Port {
    spec: PortSpec,
    /// The MAC that the guest has set in place of the adapter's.
    guest_mac: Option<Mac>,
}

/// Ports by the name of their tap.
pub(super) type Ports = BTreeMap<String, Port>;

/// The ports for the declaration. A port whose port group is gone, or whose MAC is malformed, is left out.
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
    /// The MAC, if it differs from the adapter's.
    fn other_mac(&self, mac: Mac) -> Option<Mac> {
        Some(mac).filter(|mac| self.spec.mac.parse() != Ok(*mac))
    }
}

impl HostNetwork {
    fn tap(&self, vm: &str, key: i32) -> String {
        tap_name(&self.prefix, vm, key)
    }

    /// Makes the port and its tap, which `owner` may open; `None` on a simulated host.
    ///
    /// # Errors
    /// If the tap or its connection cannot be made; nothing is left behind then.
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
                tracing::warn!(%error, "a port of a failed connection could not be removed");
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

    /// Notes the current MACs of a VM's adapters, by key, and tells the switch of those that the guest has changed.
    ///
    /// # Errors
    /// If the switch refuses; the next change tells it again.
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

    /// The interfaces of all ports: of VMs, of VMkernel adapters, and uplinks.
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

    /// Removes a port; removing a missing one succeeds.
    ///
    /// # Errors
    /// If the tap stays behind.
    pub async fn unplug(&self, vm: &str, key: i32) -> Result<(), PortError> {
        let name = self.tap(vm, key);
        if let Err(error) = self.with_ports(|ports| _ = ports.remove(&name)).await {
            tracing::warn!(port = name, %error, "the virtual switch could not release a port");
        }
        let removed = self.fabric.remove_tap(&name).await;
        removed.map_err(|error| PortError { port: name.clone(), reason: error.to_string() })
    }

    /// Declares the network for the first time since the daemon started, with the ports of running VMs and the MACs of their
    /// adapters, and removes the taps that a daemon that died has left. VMs that run and whose adapters are not known
    /// (`unread`, by their ids) keep their taps.
    ///
    /// # Errors
    /// If the switch refuses a part of the declaration; the rest is applied. If the record is unreadable, nothing is.
    pub async fn adopt(
        &self,
        running: Vec<(PortSpec, Option<Mac>)>,
        unread: &[String],
    ) -> Result<(), FabricError> {
        let ports = self.ports_of(running);
        if let Err(error) = self.is_ours() {
            self.held.lock().await.ports = ports;
            return Err(error);
        }
        let spared = |tap: &str| unread.iter().any(|vm| is_tap_of(&self.prefix, vm, tap));
        let stray: Vec<String> =
            self.fabric.taps().into_iter().filter(|tap| !ports.contains_key(tap) && !spared(tap)).collect();
        let declared = self.with_ports(|known| *known = ports).await;
        for tap in stray {
            tracing::info!(port = tap, "removing a tap that no VM uses");
            if let Err(error) = self.fabric.remove_tap(&tap).await {
                tracing::warn!(port = tap, %error, "the tap could not be removed");
            }
        }
        self.resolve().await;
        declared
    }

    /// Declares the ports of running VMs as well whose adapters were not known before.
    ///
    /// # Errors
    /// As [`Self::adopt`].
    pub async fn adopt_more(&self, running: Vec<(PortSpec, Option<Mac>)>) -> Result<(), FabricError> {
        let ports = self.ports_of(running);
        self.with_ports(|known| known.extend(ports)).await
    }

    fn ports_of(&self, running: Vec<(PortSpec, Option<Mac>)>) -> Ports {
        let port = |(spec, mac): (PortSpec, Option<Mac>)| {
            let name = self.tap(&spec.vm, spec.key);
            let mut port = Port { spec, guest_mac: None };
            port.guest_mac = mac.and_then(|mac| port.other_mac(mac));
            (name, port)
        };
        running.into_iter().map(port).collect()
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

/// Only logs an error that concerns another interface: it must not keep a VM from its network.
fn not_mine(interface: &str, error: FabricError) -> Result<(), FabricError> {
    if !error.is_of_another(interface) {
        return Err(error);
    }
    tracing::warn!(port = interface, %error, "the port is connected, but the network is not as it was declared");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_elsewhere_keeps_no_vm_from_its_network() {
        assert_eq!(not_mine("vm1n0", FabricError::about("vmk7", "no lease")), Ok(()));
        let late = vswitch::Error::Links { reason: "deadline has elapsed".into() };
        assert_eq!(not_mine("vm1n0", late.into()), Ok(()));
        for own in [FabricError::about("vm1n0", "no such interface"), FabricError::new("the map is full")] {
            assert_eq!(not_mine("vm1n0", own.clone()), Err(own));
        }
    }
}
