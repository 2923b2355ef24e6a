//! What the methods of the host's objects do. One file for each kind of object; each registers its own.

mod folder;
mod vm;

use std::future::Future;
use std::sync::Arc;

use api::{Call, Methods};
use vim::{Fault, ManagedId, MethodId, Value};

use crate::Host;

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
        folder::register(&mut table);
        vm::register(&mut table);
    }
}
