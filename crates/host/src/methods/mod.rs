//! What the methods of the host's objects do. One file for each kind of object; each registers its own.

mod advanced;
mod browser;
mod console;
mod datastore;
mod datastore_system;
mod disk_manager;
mod environment;
mod file_manager;
mod file_objects;
mod folder;
mod in_use;
mod network_config;
mod network_system;
pub(crate) mod place;
mod snapshot;
mod virtual_nic;
mod vm;

use std::sync::Arc;

use api::{Manager, Methods};

use crate::Host;

pub(crate) use file_objects::create as create_file_objects;
pub(crate) use in_use::{refuse_open_file, refuse_open_files};
pub(crate) use place::{BROWSE, MANAGE};

/// The method table with the host that the methods work on.
pub(crate) type Table<'a> = api::Table<'a, Arc<Host>>;

/// The managers that `ServiceContent` names and only a host has.
pub(crate) const MANAGERS: [Manager<Arc<Host>>; 2] = [file_manager::ROW, disk_manager::ROW];

impl Host {
    /// Adds what the methods of this host's objects do.
    pub fn register(self: &Arc<Self>, methods: &mut Methods) {
        let mut table = Table { daemon: self, methods };
        table.register(&MANAGERS);
        advanced::register(&mut table);
        folder::register(&mut table);
        vm::register(&mut table);
        snapshot::register(&mut table);
        console::register(&mut table);
        environment::register(&mut table);
        browser::register(&mut table);
        datastore::register(&mut table);
        datastore_system::register(&mut table);
        network_system::register(&mut table);
        virtual_nic::register(&mut table);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_privileges_of_a_vms_methods_are_known() {
        let unknown: Vec<_> =
            vm::privileges::all().filter(|privilege| !api::all_privileges().contains(privilege)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
