//! The typed model of a VM: its configuration and devices, the text of its `.vmx`, how a specification changes it, how
//! the API shows it, and the QEMU process that runs it. It does no I/O and knows no daemon.
//!
//! Start at [`config::VmConfig`]; [`device`] has a file for each kind of device. [`vmx`] reads and writes the text,
//! [`plan`] decides what a `VirtualMachineConfigSpec` changes, [`show`] makes the API's values, [`machine`] the
//! specification of the QEMU process. [`Storage`] and [`machine::Files`] are the seams to the host.
#![forbid(unsafe_code)]

pub mod config;
pub mod device;
pub mod efi;
pub mod faults;
mod file;
pub mod guest_os;
pub mod ids;
mod kept;
pub mod limits;
pub mod machine;
mod names;
pub mod observed;
pub mod plan;
pub mod privileges;
pub mod show;
mod storage;
mod text;
pub mod vmx;

pub use file::FileRef;
pub use observed::Power;
pub use storage::Storage;
