//! The LicenseAssignmentManager: the licence of each host, cluster and of the center, which is the one of Esfera unless a client has
//! assigned another key.

use std::collections::HashMap;
use std::sync::Arc;

use vim::{
    DataId, Fault, Kind, List, ManagedId, MoRef, Value, arg, data_id, fault, field, managed_id, method, prop,
    props, vim,
};

use super::license;
use crate::common::Common;
use crate::singletons::Singletons;
use crate::stored::store_fault;
use crate::{Call, Manager, Snapshot};

const MANAGER: ManagedId = managed_id!(LicenseAssignmentManager);
const ASSIGNMENT: DataId = data_id!(LicenseAssignmentManagerLicenseAssignment);

/// The LicenseAssignmentManager, which `LicenseManager` names.
pub(super) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.license_assignment_manager.clone(),
    named: None,
    properties: |_| Ok(props!(LicenseAssignmentManager {})),
    register: |table| {
        table.methods.on(MANAGER, method!(QueryAssignedLicenses), |call| async move { query(&call) });
        table.methods.on(MANAGER, method!(UpdateAssignedLicense), |call| async move {
            let key = call.required(arg!(UpdateAssignedLicense.licenseKey))?.trim().to_ascii_uppercase();
            let core = &call.service.core;
            if !license::is_known(core, &key).map_err(|error| store_fault(&error))? {
                return Err(crate::service::invalid_argument(
                    "licenseKey",
                    "The licence key has not been added",
                ));
            }
            assign(&call, call.required(arg!(UpdateAssignedLicense.entity))?, Some(&key)).await?;
            Ok(Some(license::licence(core, &key).map_err(|error| store_fault(&error))?.into()))
        });
        table.methods.on(MANAGER, method!(RemoveAssignedLicense), |call| async move {
            assign(&call, call.required(arg!(RemoveAssignedLicense.entityId))?, None).await.map(|()| None)
        });
    },
};

fn query(call: &Call) -> Result<Option<Value>, Fault> {
    let asked = call.arg(arg!(QueryAssignedLicenses.entityId)).filter(|id| !id.is_empty());
    let session = call.session()?;
    let state = call.state();
    let sees =
        |entity: &MoRef| call.service.authority.allows(&session.account, entity, "System.View", &state);
    let licensed = state.iter().map(|node| node.me()).filter(|me| is_licensed(me) && sees(me));
    let mut all: Vec<(String, String)> =
        licensed.map(|me| (me.id().to_owned(), name_of(me, &state))).chain(server(&state)).collect();
    all.retain(|(id, _)| asked.is_none_or(|asked| asked == id));
    all.sort();
    let core = &call.service.core;
    let mut items: Vec<Value> = Vec::with_capacity(all.len());
    let assigned: HashMap<String, String> =
        license::ASSIGNED.all(&core.store).map_err(|error| store_fault(&error))?.into_iter().collect();
    for (id, name) in all {
        let key = assigned.get(&id).map_or(license::OWN, String::as_str);
        let licence = license::licence(core, key).map_err(|error| store_fault(&error))?;
        let assignment = vim!(LicenseAssignmentManagerLicenseAssignment {
            entityId: id,
            entityDisplayName: name,
            assignedLicense: licence,
        });
        items.push(assignment.into());
    }
    Ok((!items.is_empty()).then(|| Value::List(List::new(Kind::Data(ASSIGNMENT), items))))
}

/// Assigns an added key to an entity; none, or Esfera's own, takes it away.
async fn assign(call: &Call, entity: &str, key: Option<&str>) -> Result<(), Fault> {
    let state = call.state();
    let is_there = server(&state).is_some_and(|(id, _)| id == entity)
        || state.find_id(entity).is_some_and(|node| is_licensed(node.me()));
    if !is_there {
        return Err(fault!(
            LicenseEntityNotFound { entityId: entity },
            "{entity:?} is not a host, a cluster or the center"
        ));
    }
    let core = &call.service.core;
    let mut batch = store::Batch::new();
    let written = match key.filter(|key| *key != license::OWN) {
        Some(key) => license::ASSIGNED.put(&mut batch, entity, &key.to_owned()),
        None => {
            license::ASSIGNED.delete(&mut batch, entity);
            Ok(())
        }
    };
    written.map_err(|error| store_fault(&error))?;
    // An entity that is removed from the inventory gives its key back.
    for (gone, _) in license::ASSIGNED.all(&core.store).map_err(|error| store_fault(&error))? {
        if state.find_id(&gone).is_none() && server(&state).is_none_or(|(id, _)| id != gone) {
            license::ASSIGNED.delete(&mut batch, &gone);
        }
    }
    core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
    license::show(core).map_err(|error| store_fault(&error))
}

fn is_licensed(me: &MoRef) -> bool {
    me.is_a(managed_id!(HostSystem)) || me.is_a(managed_id!(ClusterComputeResource))
}

fn name_of(me: &MoRef, state: &Snapshot) -> String {
    let name = state.find(me).and_then(|node| node.get(prop!(ManagedEntity.name)));
    name.unwrap_or(me.id()).to_owned()
}

/// The center itself, by its instance UUID.
fn server(state: &Snapshot) -> Option<(String, String)> {
    let instance = state.find(&Singletons::center().service_instance)?;
    let content = instance.get(prop!(ServiceInstance.content))?;
    let about = content.get(field!(ServiceContent.about))?;
    let name = about.get(field!(AboutInfo.name)).unwrap_or_default();
    Some((about.get(field!(AboutInfo.instanceUuid))?.to_owned(), name.to_owned()))
}
