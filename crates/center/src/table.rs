//! Registers methods together with the service that they work on.

use std::future::Future;
use std::sync::Arc;

use api::{Call, Methods};
use vim::{Fault, ManagedId, MethodId, Value};

/// The result of every method.
pub(crate) type Reply = Result<Option<Value>, Fault>;

/// A part of the method table whose methods share a service.
pub(crate) struct Table<'m, S> {
    methods: &'m mut Methods,
    service: &'m Arc<S>,
}

impl<'m, S: Send + Sync + 'static> Table<'m, S> {
    pub(crate) fn new(methods: &'m mut Methods, service: &'m Arc<S>) -> Self {
        Self { methods, service }
    }

    /// Registers a method of the type and of those derived from it.
    pub(crate) fn on<R>(
        &mut self,
        ty: ManagedId,
        method: MethodId,
        does: impl Fn(Arc<S>, Call) -> R + Send + Sync + 'static,
    ) where
        R: Future<Output = Reply> + Send + 'static,
    {
        let service = self.service.clone();
        self.methods.on(ty, method, move |call| does(service.clone(), call));
    }
}
