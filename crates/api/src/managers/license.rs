//! The LicenseManager. Esfera costs nothing: one licence, for everything and without a limit, and no evaluation that ends.
//! Keys that clients add are kept, shown and assigned, since their automation expects to find them; nothing depends on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vim::{
    Fault, Kind, List, ManagedId, Value, arg, data_id, fault, field, managed_id, method, props, ty, vim,
};

use super::in_turn::in_turn;
use crate::common::Common;
use crate::stored::store_fault;
use crate::{Call, Core, Manager};

type Reply = Result<Option<Value>, Fault>;

const MANAGER: ManagedId = managed_id!(LicenseManager);
/// The key of the licence that always exists.
pub(super) const OWN: &str = "00000-00000-00000-00000-00000";
/// Added keys.
const KEYS: store::Collection<Labels> = store::Collection::new("license");
/// The added key of each entity that has one, by the entity's id.
pub(super) const ASSIGNED: store::Collection<String> = store::Collection::new("assigned-license");
/// Keys that may be added.
const MAX_KEYS: usize = 500;
const MAX_LABELS: usize = 100;
const MAX_LABEL_BYTES: usize = 1_024;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Labels {
    labels: BTreeMap<String, String>,
}

/// The LicenseManager.
pub(super) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.license_manager.clone(),
    named: Some(field!(ServiceContent.licenseManager).number()),
    properties: |common| {
        let assignment = &common.ids.license_assignment_manager;
        let assignment = common.facts.extensible.then_some(assignment).cloned();
        Ok(props!(LicenseManager {
            source: LocalLicenseSource { licenseKeys: "" },
            sourceAvailable: true,
            licensedEdition: "esfera",
            licenses: licences(&common.core)?,
            licenseAssignmentManager: assignment,
            evaluation: LicenseManagerEvaluationInfo {},
        }))
    },
    register: |table| {
        in_turn!(
            table.methods,
            MANAGER, AddLicense => add;
            MANAGER, UpdateLicense => update;
            MANAGER, RemoveLicense => remove;
            MANAGER, UpdateLicenseLabel => set_label;
            MANAGER, RemoveLicenseLabel => remove_label;
        );
        table.methods.on(MANAGER, method!(DecodeLicense), |call| async move {
            let key = checked(call.required(arg!(DecodeLicense.licenseKey))?)?;
            Ok(Some(licence(&call.service.core, &key).map_err(|error| store_fault(&error))?.into()))
        });
    },
};

/// The licence with this key: the one of Esfera, or one that was added. All are without a limit.
pub(super) fn licence(core: &Core, key: &str) -> store::Result<ty!(LicenseManagerLicenseInfo)> {
    let used = ASSIGNED.all(&core.store)?.into_iter().filter(|(_, assigned)| assigned == key).count();
    let labels = KEYS.get(&core.store, key)?.unwrap_or_default().labels;
    let labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| vim!(KeyValue { key: key.as_str(), value: value.as_str() }))
        .collect();
    let name = if key == OWN {
        "Esfera, free under the Apache License 2.0"
    } else {
        "A key that was added; Esfera needs none"
    };
    Ok(vim!(LicenseManagerLicenseInfo {
        licenseKey: key,
        editionKey: "esfera",
        name: name,
        total: 0,
        used: i32::try_from(used).unwrap_or(i32::MAX),
        costUnit: "server",
        labels: labels,
    }))
}

fn licences(core: &Core) -> store::Result<List> {
    let mut items: Vec<Value> = vec![licence(core, OWN)?.into()];
    for (key, _) in KEYS.all(&core.store)? {
        items.push(licence(core, &key)?.into());
    }
    Ok(List::new(Kind::Data(data_id!(LicenseManagerLicenseInfo)), items))
}

/// Whether the key is that of Esfera's licence or was added.
pub(super) fn is_known(core: &Core, key: &str) -> store::Result<bool> {
    Ok(key == OWN || KEYS.get(&core.store, key)?.is_some())
}

/// A key in its usual form: five groups of five letters and digits.
fn checked(key: &str) -> Result<String, Fault> {
    let key = key.trim().to_ascii_uppercase();
    let groups: Vec<&str> = key.split('-').collect();
    let good = |group: &&str| group.len() == 5 && group.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if groups.len() == 5 && groups.iter().all(good) {
        return Ok(key);
    }
    Err(crate::service::invalid_argument(
        "licenseKey",
        "A licence key is five groups of five letters and digits, with dashes between them",
    ))
}

fn limited(labels: &Labels) -> Result<(), Fault> {
    let long = |text: &str| text.len() > MAX_LABEL_BYTES;
    if labels.labels.len() > MAX_LABELS || labels.labels.iter().any(|(key, value)| long(key) || long(value)) {
        return Err(crate::service::invalid_argument(
            "labels",
            &format!("A licence has at most {MAX_LABELS} labels of {MAX_LABEL_BYTES} bytes"),
        ));
    }
    Ok(())
}

async fn add(call: &Call) -> Reply {
    let key = checked(call.required(arg!(AddLicense.licenseKey))?)?;
    let mut labels = known(call, &key)?.unwrap_or_default();
    for label in call.arg(arg!(AddLicense.labels)).into_iter().flatten() {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        labels.labels.insert(text(label.get(field!(KeyValue.key))), text(label.get(field!(KeyValue.value))));
    }
    if KEYS.all(&call.service.core.store).map_err(|error| store_fault(&error))?.len() >= MAX_KEYS {
        return Err(fault!(
            OutOfBounds { argumentName: "licenseKey" },
            "The limit of {MAX_KEYS} licence keys is reached; remove some"
        ));
    }
    keep(call, &key, Some(labels)).await
}

async fn update(call: &Call) -> Reply {
    let key = checked(call.required(arg!(UpdateLicense.licenseKey))?)?;
    let mut labels = added(call, &key)?;
    for label in call.arg(arg!(UpdateLicense.labels)).into_iter().flatten() {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        labels.labels.insert(text(label.get(field!(KeyValue.key))), text(label.get(field!(KeyValue.value))));
    }
    keep(call, &key, Some(labels)).await
}

async fn remove(call: &Call) -> Reply {
    let key = checked(call.required(arg!(RemoveLicense.licenseKey))?)?;
    added(call, &key)?;
    let assigned = ASSIGNED.all(&call.service.core.store).map_err(|error| store_fault(&error))?;
    if assigned.iter().any(|(_, known)| *known == key) {
        return Err(fault!(
            InvalidState {},
            "The licence key is assigned; assign another one in its place first"
        ));
    }
    keep(call, &key, None).await.map(|_| None)
}

async fn set_label(call: &Call) -> Reply {
    let key = checked(call.required(arg!(UpdateLicenseLabel.licenseKey))?)?;
    let mut labels = added(call, &key)?;
    let (label, value) = (
        call.required(arg!(UpdateLicenseLabel.labelKey))?,
        call.required(arg!(UpdateLicenseLabel.labelValue))?,
    );
    labels.labels.insert(label.to_owned(), value.to_owned());
    keep(call, &key, Some(labels)).await.map(|_| None)
}

async fn remove_label(call: &Call) -> Reply {
    let key = checked(call.required(arg!(RemoveLicenseLabel.licenseKey))?)?;
    let mut labels = added(call, &key)?;
    labels.labels.remove(call.required(arg!(RemoveLicenseLabel.labelKey))?);
    keep(call, &key, Some(labels)).await.map(|_| None)
}

fn known(call: &Call, key: &str) -> Result<Option<Labels>, Fault> {
    KEYS.get(&call.service.core.store, key).map_err(|error| store_fault(&error))
}

fn added(call: &Call, key: &str) -> Result<Labels, Fault> {
    known(call, key)?
        .ok_or_else(|| crate::service::invalid_argument("licenseKey", "The licence key has not been added"))
}

/// Writes or removes a key, shows the list, and returns the licence.
async fn keep(call: &Call, key: &str, labels: Option<Labels>) -> Reply {
    let core = &call.service.core;
    let mut batch = store::Batch::new();
    match &labels {
        Some(labels) => {
            limited(labels)?;
            if key != OWN {
                KEYS.put(&mut batch, key, labels).map_err(|error| store_fault(&error))?;
            }
        }
        None => KEYS.delete(&mut batch, key),
    }
    core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
    show(core).map_err(|error| store_fault(&error))?;
    Ok(Some(licence(core, key).map_err(|error| store_fault(&error))?.into()))
}

/// Shows the licences again, since the number of their uses changes too.
pub(super) fn show(core: &Core) -> store::Result<()> {
    let list = licences(core)?;
    let ids = [crate::singletons::Singletons::center(), crate::singletons::Singletons::host()]
        .map(|ids| ids.license_manager);
    core.tree.write(|w| {
        for me in ids.iter().filter(|me| w.find(me).is_some()).cloned().collect::<Vec<_>>() {
            w.set(&me, props!(LicenseManager { licenses: list.clone() }));
        }
    });
    Ok(())
}
