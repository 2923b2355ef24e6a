//! The inventory that the center owns: folders, datacenters, clusters, pools, and the place of each host and VM.
//!
//! Start with [`Inventory`]. A change is planned on records ([`Plan`], pure), stored, and then shown in the tree
//! ([`show`]). The other files hold the methods of the containers and the rules of where an object may be.

mod datacenter;
mod datastores;
mod destroy;
mod edges;
mod events;
mod expected;
mod faults;
mod folders;
mod ids;
mod index;
mod inventory;
mod kinds;
mod load;
mod lookup;
mod moving;
pub(crate) mod names;
mod parts;
mod plan;
pub(crate) mod pods;
mod pools;
mod records;
pub(crate) mod reference;
mod rename;
pub(crate) mod show;
pub(crate) mod stored;
mod tagged;
mod vapp_config;
pub(crate) mod vapps;

pub(crate) use datacenter::datacenter_of;
pub(crate) use datastores::datastore_name;
pub(crate) use destroy::remove_container;
pub(crate) use edges::Edges;
pub(crate) use expected::{Expected, Placement};
pub(crate) use faults::{duplicate_name, not_found, not_supported, store_fault};
pub(crate) use folders::holding;
pub(crate) use index::Records;
pub(crate) use inventory::Inventory;
pub(crate) use kinds::MOVE;
pub(crate) use load::root;
pub(crate) use moving::{compute_of, leave_cluster, move_entity, move_into_cluster, remove_compute};
pub(crate) use parts::{Parts, is_part, of_config_manager, systems};
pub(crate) use plan::Plan;
pub(crate) use records::{
    Compute, Datacenter, Datastore, Holds, Host, Network, Record, Snapshot, StartAction, StopAction,
    VAppEntity, Vm,
};

pub(crate) use vapp_config::in_order;

use std::sync::Arc;

use api::Methods;

/// Registers the methods of the containers, and the guards of methods that all kinds of objects have.
pub(crate) fn register(methods: &mut Methods, inventory: &Arc<Inventory>) {
    kinds::guard(methods);
    show::disabled::compute(methods);
    folders::register(methods, inventory);
    pools::register(methods, inventory);
    pods::register(methods, inventory);
    vapps::register(methods, inventory);
    rename::register(methods, inventory);
    destroy::register(methods, inventory);
}
