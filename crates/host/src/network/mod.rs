//! The network of this host as clients know it: standard switches, port groups, VMkernel adapters, cards. Crate `hostnet`
//! is the network itself.
//!
//! [`Network`] is the service: whatever changes the network goes through [`Network::change`], which shows it. `system`,
//! `config` and `adapters` are the methods, `show` is the only file that writes the network into the tree, `watch` follows
//! changes that come from outside.

mod adapters;
mod captured;
mod config;
mod settings;
mod show;
mod system;
mod watch;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use api::{Core, Manager};
use hostnet::{Around, HostNetwork, NetworkConfig};
use parking_lot::Mutex;
use vim::{Fault, MoRef, fault};
use vswitch::declare::Dns;

use crate::error::store_fault;
use crate::system::System;

pub use adapters::me as virtual_nic_manager;
pub use system::me as network_system;

/// The subsystems of this slice that `HostConfigManager` names.
pub(crate) const SUBSYSTEMS: [Manager<Arc<Network>>; 2] = [system::ROW, adapters::ROW];

/// The VMs of the host as the network asks about them.
pub(crate) trait PortGroupUsers: Send + Sync {
    /// The name of a VM that has an adapter on this port group, running or not.
    fn user_of(&self, group: &str) -> Option<String>;

    /// The adapters of running VMs that are on this port group.
    fn adapters_on(&self, group: &str) -> Vec<RunningAdapter>;
}

/// A network adapter of a running VM.
pub(crate) struct RunningAdapter {
    pub(crate) vm: MoRef,
    /// Key of the device.
    pub(crate) key: i32,
    pub(crate) mac: String,
}

/// The host's network with the objects that show it.
pub struct Network {
    core: Arc<Core>,
    host_network: Arc<HostNetwork>,
    system: Arc<System>,
    vms: Arc<dyn PortGroupUsers>,
    /// The port groups that the tree has objects for. Held from reading the network until it is shown, so that the state
    /// that is shown last was read last.
    shown: Mutex<BTreeSet<String>>,
}

impl Network {
    pub(crate) fn new(
        core: Arc<Core>,
        host_network: Arc<HostNetwork>,
        system: Arc<System>,
        vms: Arc<dyn PortGroupUsers>,
    ) -> Self {
        Self { core, host_network, system, vms, shown: Mutex::default() }
    }

    /// Changes the network, and shows it.
    ///
    /// # Errors
    /// Those of `change`; `HostConfigFault` if the switch cannot be brought to it, or the host's record of its network
    /// cannot be read; those of the host's state. Nothing has changed then.
    pub async fn change(
        &self,
        change: impl FnOnce(&mut NetworkConfig, &Around<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let user = |group: &str| self.vms.user_of(group).map(|vm| format!("the VM {vm}"));
        self.host_network.change(&user, change).await.map_err(network_fault)?;
        self.show();
        Ok(())
    }

    /// How many adapters of running VMs are on a port group.
    pub fn running_on(&self, group: &str) -> usize {
        self.vms.adapters_on(group).len()
    }

    /// The host's own name and name servers; a simulated host has the name that it has in the inventory.
    fn own_names(&self) -> Dns {
        let own = self.host_network.fabric().names();
        let name = &self.system.name;
        if !own.host_name.is_empty() || name.parse::<IpAddr>().is_ok() {
            return own;
        }
        let (host_name, domain) = name.split_once('.').unwrap_or((name, ""));
        Dns { host_name: host_name.into(), domain: domain.into(), ..own }
    }
}

/// The fault for an error of the host's network.
fn network_fault(error: hostnet::Error) -> Fault {
    match error {
        hostnet::Error::Fault(fault) => fault,
        hostnet::Error::Store(error) => store_fault(&error),
        hostnet::Error::Fabric(error) => fault!(HostConfigFault {}, "{error}"),
    }
}
