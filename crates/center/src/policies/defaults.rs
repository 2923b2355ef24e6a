//! The ProfileManager's default policies of datastores.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{Call, Table};
use store::Batch;
use vim::{Fault, ManagedId, MoRef, Value, arg, data_id, managed_id, method, vim};

use super::profiles::list;
use super::records::DEFAULTS;
use super::{Policies, placement, profile_id};
use crate::estate::store_fault;
use crate::reply::Reply;

const MANAGER: ManagedId = managed_id!(PbmProfileProfileManager);

pub(super) fn register(table: &mut Table<'_, Arc<Policies>>) {
    table.on(MANAGER, method!(PbmAssignDefaultRequirementProfile), assign);
    table.on(MANAGER, method!(PbmQueryDefaultRequirementProfile), |policies, call| async move {
        let hub = call.required(arg!(PbmQueryDefaultRequirementProfile.hub))?;
        let datastore = placement::datastore_of(&call, hub)?;
        Ok(default(&policies, &datastore)?.map(|id| profile_id(&id).into()))
    });
    table.on(MANAGER, method!(PbmQueryDefaultRequirementProfiles), |policies, call| async move {
        let (mut found, mut seen) = (Vec::<Value>::new(), BTreeSet::new());
        for hub in call.required(arg!(PbmQueryDefaultRequirementProfiles.datastores))?.iter() {
            let datastore = placement::datastore_of(&call, hub)?;
            if !seen.insert(datastore.clone()) {
                continue;
            }
            let profile = match default(&policies, &datastore)? {
                Some(id) => policies.find(&id)?.map(|stored| stored.show(&id)),
                None => None,
            };
            found.push(vim!(PbmDefaultProfileInfo { datastores: vec![hub], defaultProfile: profile }).into());
        }
        Ok(Some(list(data_id!(PbmDefaultProfileInfo), found)))
    });
}

/// The id of a datastore's default policy.
fn default(policies: &Policies, datastore: &MoRef) -> Result<Option<String>, Fault> {
    DEFAULTS.get(&policies.core.store, datastore.id()).map_err(|error| store_fault(&error))
}

async fn assign(policies: Arc<Policies>, call: Call) -> Reply {
    let _turn = policies.changing.lock().await;
    let profile = call.required(arg!(PbmAssignDefaultRequirementProfile.profile))?;
    let (id, _) = policies.required("profile", profile)?;
    let mut batch = Batch::new();
    for hub in call.required(arg!(PbmAssignDefaultRequirementProfile.datastores))?.iter() {
        let datastore = placement::datastore_of(&call, hub)?;
        call.check(&datastore, "Datastore.Config")?;
        DEFAULTS.put(&mut batch, datastore.id(), &id).map_err(|error| store_fault(&error))?;
    }
    policies.core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
    Ok(None)
}
