//! The ports of VMs on the virtual switch.

use std::sync::Arc;

use hostnet::{HostNetwork, PortSpec, Tap};
use vim::{Fault, fault};
use vm::config::VmConfig;
use vm::device::{Nic, key};

use super::vm::Vm;
use crate::engine::Engine;

const _: () = assert!(hostnet::NIC_KEY == key::NIC, "ports are numbered by the keys of their adapters");

/// Connects the adapters of VMs.
pub(super) struct Ports {
    pub(super) network: Arc<HostNetwork>,
    pub(super) engine: Arc<dyn Engine>,
}

/// The port of a VM's adapter.
pub(super) fn port_spec(vm: &Vm, key: i32, nic: &Nic) -> PortSpec {
    PortSpec { vm: vm.me.id().to_owned(), key, mac: nic.mac.clone(), network: nic.network.clone() }
}

impl Ports {
    /// Connects all adapters; their taps by the keys of the adapters.
    ///
    /// # Errors
    /// As [`Self::plug`]; no adapter is connected then.
    pub(super) async fn plug_all(&self, vm: &Vm, config: &VmConfig) -> Result<Vec<(i32, Tap)>, Fault> {
        let mut taps = Vec::new();
        for (key, _) in config.nics() {
            match self.plug(vm, config, key).await {
                Ok(Some(tap)) => taps.push((key, tap)),
                Ok(None) => {}
                Err(fault) => {
                    self.unplug_all(vm, config).await;
                    return Err(fault);
                }
            }
        }
        Ok(taps)
    }

    /// Connects one adapter; none if the host does not have its network.
    ///
    /// # Errors
    /// `GenericVmConfigFault` if the port cannot be made.
    pub(super) async fn plug(&self, vm: &Vm, config: &VmConfig, key: i32) -> Result<Option<Tap>, Fault> {
        let Some(nic) = config.devices.get(&key).and_then(|device| device.nic()) else { return Ok(None) };
        let is_there = self.network.unread().is_some() || self.network.has(&nic.network);
        if nic.network.is_empty() || !is_there {
            tracing::warn!(
                vm = config.name,
                network = nic.network,
                "the host does not have an adapter's network"
            );
            return Ok(None);
        }
        let owner = self.engine.user(vm.read().user);
        self.network.plug(&port_spec(vm, key, nic), owner).await.map_err(|error| {
            fault!(
                GenericVmConfigFault { reason: error.to_string() },
                "The network adapter cannot be connected: {error}"
            )
        })
    }

    /// Moves the port of a running adapter to its present network.
    ///
    /// # Errors
    /// `GenericVmConfigFault`.
    pub(super) async fn reconnect(&self, vm: &Vm, key: i32, nic: &Nic) -> Result<(), Fault> {
        let moved = self.network.move_port(&port_spec(vm, key, nic)).await;
        moved.map_err(|error| fault!(GenericVmConfigFault { reason: error.to_string() }, "{error}"))
    }

    /// Disconnects one adapter.
    pub(super) async fn unplug(&self, vm: &Vm, key: i32) {
        if let Err(error) = self.network.unplug(vm.me.id(), key).await {
            tracing::warn!(vm = vm.me.id(), %error, "a port stays behind");
        }
    }

    /// Disconnects all adapters.
    pub(super) async fn unplug_all(&self, vm: &Vm, config: &VmConfig) {
        for (key, _) in config.nics() {
            self.unplug(vm, key).await;
        }
    }
}
