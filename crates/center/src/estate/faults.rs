//! Faults that several operations on the inventory answer with.

pub(crate) use api::not_found;
use vim::{Fault, MoRef, fault};

pub(crate) fn not_supported(message: &str) -> Fault {
    fault!(NotSupported {}, "{message}")
}

/// `object` already has the name in the same place.
pub(crate) fn duplicate_name(name: &str, object: &MoRef) -> Fault {
    fault!(DuplicateName { name: name, object: object }, "The name '{name}' already exists.")
}

/// Logs that the store failed.
pub(crate) fn store_fault(error: &store::Error) -> Fault {
    tracing::error!(%error, "the center's state cannot be written");
    fault!(SystemError { reason: error.to_string() }, "The center's database failed: {error}")
}
