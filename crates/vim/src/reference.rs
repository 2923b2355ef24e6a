//! References to managed objects.

use std::fmt;
use std::sync::Arc;

use crate::{ManagedId, schema};

/// Names a managed object: its type and its id (`VirtualMachine`, `vm-12`). As cheap to copy as a pointer.
///
/// The type is the object's own, most derived type when the server made the reference; a client may name a base type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MoRef(Arc<Inner>);

// The id comes first: it differs most often, so comparing is quick.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Inner {
    id: Box<str>,
    ty: ManagedId,
}

impl MoRef {
    pub fn new(ty: ManagedId, id: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Inner { id: id.into(), ty }))
    }

    pub fn ty(&self) -> ManagedId {
        self.0.ty
    }

    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Whether both are copies of one reference, so that keeping either takes the same memory.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The number of its copies.
    pub fn uses(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// The type's wire name.
    pub fn type_name(&self) -> &'static str {
        schema().managed(self.0.ty).name
    }

    /// Whether the object's type is `base` or derived from it.
    pub fn is_a(&self, base: ManagedId) -> bool {
        schema().managed(base).subtypes.contains(&self.0.ty.0)
    }
}

impl fmt::Display for MoRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.type_name(), self.id())
    }
}

impl fmt::Debug for MoRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
