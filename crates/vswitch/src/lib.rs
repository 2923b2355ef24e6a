//! The virtual switch of a host: an eBPF data plane that runs on without the daemon, and the control plane that
//! reconciles it with a declaration. It knows ports, not VMs. `docs/virtual-switch/README.md` is the way in.
//!
//! Start with [`declare`] (what can be declared), then [`plan`] (what it means, pure) and [`kernel`] (how it is
//! applied); [`Engine`] is what a daemon runs. [`vmkernel`] holds the host's own interfaces on the switch.
#![deny(unsafe_code)]

pub mod beacon;
pub mod capture;
pub mod declare;
pub mod discovery;
mod engine;
mod error;
pub mod frame;
mod hearing;
pub mod ipfix;
pub mod kernel;
pub mod layout;
pub mod limits;
pub mod link;
pub mod mac;
mod notify;
pub mod observed;
mod packet;
pub mod plan;
pub mod snoop;
pub mod vlan;
pub mod vmkernel;

pub use engine::{Engine, FlowCounters, Learned, Options, State, Timing};
pub use error::{Error, Result};
pub use mac::Mac;
pub use vlan::{Vlan, VlanId, VlanRanges};
