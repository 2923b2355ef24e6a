//! The objects that a scheduled task works on: its object itself, or those directly in it that have the method.

use api::{Call, Snapshot};
use vim::{Fault, ManagedId, MoRef, Value, fault, managed_id, prop, schema};

use super::action::MethodCall;
use crate::estate::not_found;

/// The containers, and the properties that list their contents.
const CONTENTS: &[(ManagedId, u16)] = &[
    (managed_id!(Folder), prop!(Folder.childEntity).number()),
    (managed_id!(ComputeResource), prop!(ComputeResource.host).number()),
    (managed_id!(ResourcePool), prop!(ResourcePool.vm).number()),
    (managed_id!(HostSystem), prop!(HostSystem.vm).number()),
];

/// Refuses an object that neither has the method nor may contain objects that have it.
///
/// # Errors
/// `InvalidArgument`.
pub(super) fn check(object: &MoRef, call: &MethodCall) -> Result<(), Fault> {
    if call.is_of(object) || CONTENTS.iter().any(|(ty, _)| object.is_a(*ty)) {
        return Ok(());
    }
    let name = schema().method(call.method).name;
    Err(fault!(
        InvalidArgument { invalidProperty: "spec.action.name" },
        "A {} has no method {name}",
        object.type_name()
    ))
}

/// The objects in this state of the tree.
///
/// # Errors
/// `ManagedObjectNotFound` if the object is gone, `InvalidArgument` if no object in it has the method.
pub(super) fn targets(object: &MoRef, call: &MethodCall, state: &Snapshot) -> Result<Vec<MoRef>, Fault> {
    let node = state.find(object).ok_or_else(|| not_found(object))?;
    if call.is_of(object) {
        return Ok(vec![object.clone()]);
    }
    let lists = CONTENTS.iter().filter(|(ty, _)| object.is_a(*ty)).filter_map(|(_, list)| node.at(*list));
    let inside = lists.flat_map(Value::items).filter_map(Value::as_ref);
    let found: Vec<MoRef> = inside.filter(|inner| call.is_of(inner)).cloned().collect();
    if found.is_empty() {
        let name = schema().method(call.method).name;
        return Err(fault!(
            InvalidArgument { invalidProperty: "spec.action.name" },
            "{object} contains no object with the method {name}"
        ));
    }
    Ok(found)
}

/// Refuses an action that its maker may not do himself. For the contents of a container that is known when it runs.
///
/// # Errors
/// `NoPermission`.
pub(super) fn may(call: &Call, object: &MoRef, action: &MethodCall) -> Result<(), Fault> {
    if !action.is_of(object) {
        return Ok(());
    }
    let mut asked = call.clone();
    asked.this = object.clone();
    asked.args = action.args.clone();
    call.service.may_call(&asked)
}
