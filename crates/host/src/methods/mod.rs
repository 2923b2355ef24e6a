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

use std::future::Future;
use std::sync::Arc;

use api::{Call, Methods};
use vim::{Fault, ManagedId, MethodId, Value};

use crate::Host;

pub(crate) use file_objects::create as create_file_objects;
pub(crate) use in_use::{refuse_open_file, refuse_open_files};
pub(crate) use place::{BROWSE, MANAGE};

/// The method table with the host that the methods work on.
pub(crate) struct Table<'a> {
    pub(crate) host: &'a Arc<Host>,
    pub(crate) methods: &'a mut Methods,
}

impl Table<'_> {
    /// Says what a method does.
    pub(crate) fn on<F, R>(&mut self, ty: ManagedId, method: MethodId, handler: F)
    where
        F: Fn(Arc<Host>, Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<Value>, Fault>> + Send + 'static,
    {
        let host = self.host.clone();
        self.methods.on(ty, method, move |call| handler(host.clone(), call));
    }
}

impl Host {
    /// Adds what the methods of this host's objects do.
    pub fn register(self: &Arc<Self>, methods: &mut Methods) {
        let mut table = Table { host: self, methods };
        advanced::register(&mut table);
        folder::register(&mut table);
        vm::register(&mut table);
        snapshot::register(&mut table);
        console::register(&mut table);
        environment::register(&mut table);
        browser::register(&mut table);
        file_manager::register(&mut table);
        disk_manager::register(&mut table);
        datastore::register(&mut table);
        datastore_system::register(&mut table);
        network_system::register(&mut table);
        virtual_nic::register(&mut table);
    }
}
