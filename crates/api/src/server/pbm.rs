//! The differences on the wire between storage policies (`/pbm/sdk`) and the vSphere API: the first object's name, and the fault for a privilege.

use vim::{Fault, MethodId, MoRef, fault, field, is_of_pbm, managed_id, schema, vim};

/// The id of the object with which clients of storage policies begin. Ids are unique over all services here, but clients name that object
/// `ServiceInstance`, as the one of the vSphere API.
pub const PBM_INSTANCE: &str = "pbm-service";

/// The object that a client names.
pub(super) fn object(named: MoRef) -> MoRef {
    if named.is_a(managed_id!(PbmServiceInstance)) {
        MoRef::new(managed_id!(PbmServiceInstance), PBM_INSTANCE)
    } else {
        named
    }
}

/// The fault of a method, as the method's service has it.
pub(super) fn fault(method: MethodId, fault: Fault) -> Fault {
    if !is_of_pbm(schema().method(method).name) || !fault.is_a(vim::data_id!(NoPermission)) {
        return fault;
    }
    let missing: Vec<String> =
        fault.object().get(field!(NoPermission.privilegeId)).map(str::to_owned).into_iter().collect();
    fault!(
        PbmFaultNoPermission {
            missingPrivileges: vec![vim!(PbmFaultNoPermissionEntityPrivileges { privilegeIds: missing })],
        },
        "{}",
        fault.message()
    )
}
