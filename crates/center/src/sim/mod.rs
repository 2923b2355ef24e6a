//! The contents of a simulated data center. This is only a description: the caller creates the hosts and attaches them.
//!
//! [`Counts`] makes the description with the names that API test servers use; [`Inventory`] is its form, which also stands in
//! the files of `--save` and `--load`; [`describe`] makes it of the objects that a center shows.

mod counts;
mod describe;
mod inventory;
mod load;

pub use counts::{Counts, DATASTORE, NETWORK, VM_DISK_KIB, VM_MEMORY_MIB, lone_host, plan};
pub use describe::{KINDS, Shown, describe};
pub use inventory::{Compute, Datacenter, Datastore, FORMAT, Folders, Host, Inventory, Network, Path, Vm};
pub use load::{LIMIT, LoadError};
