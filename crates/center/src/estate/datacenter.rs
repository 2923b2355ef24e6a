//! The datacenter of an object.

use vim::{MoRef, managed_id};

use super::records::Record;

/// The datacenter that an object is in, found by following its parents.
pub(crate) fn datacenter_of<'r>(
    find: impl Fn(&MoRef) -> Option<&'r Record>,
    reference: &MoRef,
) -> Option<MoRef> {
    let mut at = reference.clone();
    while !at.is_a(managed_id!(Datacenter)) {
        at = find(&at)?.parent()?.clone();
    }
    Some(at)
}
