//! The typed model of a virtual machine: its configuration and devices, the text of its `.vmx`, how a specification
//! changes it, and how the API shows it. Pure: it does no I/O and knows no daemon.
//!
//! Start at [`config::VmConfig`]. [`vmx`] reads and writes it, [`plan`] decides what a `VirtualMachineConfigSpec` makes
//! of it, [`show`] turns it into the API's values. [`Storage`] is the one thing that it asks of its user.
#![forbid(unsafe_code)]

pub mod config;
mod defaults;
pub mod device;
pub mod efi;
mod faults;
pub mod guest_os;
pub mod ids;
pub mod limits;
pub mod observed;
pub mod place;
pub mod plan;
pub mod privileges;
pub mod show;
mod storage;
pub mod vmx;

pub use defaults::is_default;
pub use device::FileRef;
pub use observed::Power;
pub use storage::Storage;
