//! The network of a host as the API knows it: standard switches, port groups, VMkernel adapters, TCP/IP stacks and cards, over the
//! virtual switch of the crate `vswitch`.
//!
//! [`HostNetwork`] holds it. [`config`] is what is declared and kept, [`change`] what clients may make of it, [`show`] how the API
//! shows it, [`fabric`] the seam to what connects ports, [`cards`] the names of cards.
#![forbid(unsafe_code)]

mod cards;
mod change;
mod config;
mod error;
mod fabric;
mod limits;
mod network;
mod prefix;
mod show;
mod words;

pub use change::{
    AdapterSpec, Around, GatewayChange, GroupSpec, RouteChange, SwitchSpec, adapter_spec, group_spec,
    route_changes, switch_spec,
};
pub use config::{DEFAULT_PORTS, NamedMirror, Names, NetworkConfig, StandardSwitch};
pub use error::{Error, Result, invalid};
pub use fabric::{Card, Fabric, FabricError, NIC_KEY, Nic, NoFabric, StackTable, Switched};
pub use network::{HostNetwork, NetworkOptions, PortError, PortSpec, Tap};
pub use prefix::ipv4_mask;
pub use show::{Scene, capabilities, hint, net_config};
