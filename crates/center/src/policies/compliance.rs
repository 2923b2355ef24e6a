//! The ComplianceManager: whether a VM or a disk lies on a datastore that fits a policy.

use std::sync::Arc;

use api::{Call, Table};
use vim::{
    DateTime, Fault, ManagedId, MoRef, Object, Value, arg, data_id, fault, field, managed_id, method, prop,
    vim,
};

use super::matching::Policy;
use super::profiles::list;
use super::{Policies, profile_id};
use crate::reply::Reply;

const MANAGER: ManagedId = managed_id!(PbmComplianceManager);

pub(super) fn register(table: &mut Table<'_, Arc<Policies>>) {
    table.on(MANAGER, method!(PbmCheckCompliance), |policies, call| async move {
        let profile = call.arg(arg!(PbmCheckCompliance.profile));
        let entities = call.required(arg!(PbmCheckCompliance.entities))?;
        check(&policies, &call, entities.iter(), profile)
    });
    // Nothing is kept: what is fetched is what is true now.
    table.on(MANAGER, method!(PbmFetchComplianceResult), |policies, call| async move {
        let profile = call.arg(arg!(PbmFetchComplianceResult.profile));
        let entities = call.required(arg!(PbmFetchComplianceResult.entities))?;
        check(&policies, &call, entities.iter(), profile)
    });
}

fn check<'a>(
    policies: &Policies,
    call: &Call,
    entities: impl Iterator<Item = &'a Arc<Object>>,
    profile: Option<&Arc<Object>>,
) -> Reply {
    let Some(profile) = profile else {
        let text = "No policy is assigned to VMs here; name the policy that is to be checked";
        return Err(api::invalid_argument("profile", text));
    };
    let (id, stored) = policies.required("profile", profile)?;
    let policy = Policy::read("profile", &stored.constraints())?;
    let mut results: Vec<Value> = Vec::new();
    for entity in entities {
        let fits =
            datastores(call, entity)?.iter().all(|datastore| policies.admits(&policy, datastore).is_ok());
        let status = if fits { "compliant" } else { "nonCompliant" };
        results.push(
            vim!(PbmComplianceResult {
                checkTime: DateTime::now(),
                entity: entity,
                profile: profile_id(&id),
                complianceTaskStatus: "success",
                complianceStatus: status,
                mismatch: false,
            })
            .into(),
        );
    }
    Ok(Some(list(data_id!(PbmComplianceResult), results)))
}

/// The datastores on which a VM or a disk (`vm-1:2000`) lies.
fn datastores(call: &Call, entity: &Object) -> Result<Vec<MoRef>, Fault> {
    let kind = entity.get(field!(PbmServerObjectRef.objectType)).unwrap_or_default();
    let key = entity.get(field!(PbmServerObjectRef.key)).unwrap_or_default();
    let unknown = || fault!(PbmFaultNotFound {}, "The object {kind} {key} does not exist");
    let (vm, disk) = match kind {
        "virtualMachine" | "virtualMachineAndDisks" => (key, None),
        "virtualDiskId" => {
            let (vm, disk) = key.split_once(':').ok_or_else(unknown)?;
            (vm, Some(disk.parse::<i32>().map_err(|_| unknown())?))
        }
        _ => {
            return Err(api::invalid_argument(
                "entities",
                &format!("Objects of the kind {kind:?} have no policy"),
            ));
        }
    };
    let me = MoRef::new(managed_id!(VirtualMachine), vm);
    let state = call.state();
    let node = state.find(&me).ok_or_else(unknown)?;
    call.check(&me, "System.Read").map_err(|_| unknown())?;
    let Some(disk) = disk else {
        let on = node.get(prop!(VirtualMachine.datastore));
        return Ok(on.into_iter().flatten().cloned().collect());
    };
    let config = node.get(prop!(VirtualMachine.config));
    let hardware = config.and_then(|config| config.get(field!(VirtualMachineConfigInfo.hardware)));
    let devices = hardware.and_then(|hardware| hardware.get(field!(VirtualHardware.device)));
    let found = devices.into_iter().flatten().find(|device| {
        device.is_a(data_id!(VirtualDisk)) && device.get(field!(VirtualDevice.key)) == Some(disk)
    });
    let backing = found.and_then(|device| device.get(field!(VirtualDevice.backing))).ok_or_else(unknown)?;
    let datastore = backing.named("datastore").and_then(Value::as_ref);
    Ok(datastore.into_iter().cloned().collect())
}
