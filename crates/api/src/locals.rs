//! State that parts of this crate keep with a session or a service, each under its own type.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Made at first use, dropped with their owner.
#[derive(Default)]
pub(crate) struct Locals(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Locals {
    pub fn get<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut locals = self.0.lock();
        let local = locals.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default())).clone();
        local.downcast().expect("each type has its own place")
    }

    /// Drops everything.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}
