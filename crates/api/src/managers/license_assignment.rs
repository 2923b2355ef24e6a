//! The LicenseAssignmentManager: the licence of each host, cluster and of the center, which is always the one of Esfera.

use std::sync::Arc;

use vim::{
    DataId, Fault, Kind, List, ManagedId, MoRef, Value, arg, data_id, field, managed_id, method, prop, props,
    vim,
};

use super::license;
use crate::common::Common;
use crate::singletons::Singletons;
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
    let items = all.into_iter().map(|(id, name)| {
        vim!(LicenseAssignmentManagerLicenseAssignment {
            entityId: id,
            entityDisplayName: name,
            assignedLicense: license::licence(),
        })
        .into()
    });
    let items: Vec<Value> = items.collect();
    Ok((!items.is_empty()).then(|| Value::List(List::new(Kind::Data(ASSIGNMENT), items))))
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
