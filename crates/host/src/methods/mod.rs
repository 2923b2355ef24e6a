//! What the methods of the host's objects do. One file for each kind of object; each registers its own.

mod console;
mod environment;
mod folder;
mod snapshot;
mod vm;

use std::sync::Arc;

use api::Methods;

use crate::Host;

/// The method table with the host that the methods work on.
pub(crate) type Table<'a> = api::Table<'a, Arc<Host>>;

impl Host {
    /// Adds what the methods of this host's VMs do.
    pub(crate) fn register(self: &Arc<Self>, methods: &mut Methods) {
        let mut table = Table { daemon: self, methods };
        folder::register(&mut table);
        vm::register(&mut table);
        snapshot::register(&mut table);
        console::register(&mut table);
        environment::register(&mut table);
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
