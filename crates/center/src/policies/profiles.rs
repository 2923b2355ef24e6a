//! The ProfileManager: making, changing, removing and listing policies, and what rules may be about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::{Call, Table, invalid_argument};
use store::Batch;
use vim::{
    DateTime, Fault, Kind, List, ManagedId, MoRef, Object, Value, arg, data_id, fault, field, managed_id,
    method, ty, vim,
};

use super::matching::Policy;
use super::records::{DEFAULTS, MAX_POLICIES, POLICIES, Stored};
use super::{Policies, TAGS, id_of, profile_id};
use crate::estate::{store_fault, stored};
use crate::reply::Reply;

const MANAGER: ManagedId = managed_id!(PbmProfileProfileManager);
const STORAGE: &str = "STORAGE";
const REQUIREMENT: &str = "REQUIREMENT";
const MAX_NAME_CHARS: usize = 80;
const MAX_DESCRIPTION_CHARS: usize = 1_024;
/// The constraints of a policy, as text.
const MAX_CONSTRAINTS_BYTES: usize = 256 << 10;

pub(super) fn register(table: &mut Table<'_, Arc<Policies>>) {
    table.on(MANAGER, method!(PbmFetchResourceType), |_, _| async move {
        let storage = vim!(PbmProfileResourceType { resourceType: STORAGE });
        Ok(Some(list(data_id!(PbmProfileResourceType), vec![storage.into()])))
    });
    table.on(MANAGER, method!(PbmFetchVendorInfo), |_, _| async move { Ok(Some(vendors())) });
    table.on(MANAGER, method!(PbmFetchCapabilityMetadata), |policies, call| async move {
        capabilities(&policies, &call)
    });
    table.on(MANAGER, method!(PbmCreate), create);
    table.on(MANAGER, method!(PbmUpdate), update);
    table.on(MANAGER, method!(PbmDelete), delete);
    table.on(MANAGER, method!(PbmQueryProfile), |policies, call| async move { query(&policies, &call) });
    table.on(MANAGER, method!(PbmRetrieveContent), |policies, call| async move {
        let mut found: Vec<Value> = Vec::new();
        let mut seen = BTreeSet::new();
        for id in call.required(arg!(PbmRetrieveContent.profileIds))?.iter() {
            if seen.insert(id_of(id)) {
                let (id, stored) = policies.required("profileIds", id)?;
                found.push(stored.show(&id).into());
            }
        }
        Ok(Some(list(data_id!(PbmProfile), found)))
    });
}

pub(super) fn list(kind: vim::DataId, items: Vec<Value>) -> Value {
    Value::List(List::new(Kind::Data(kind), items))
}

/// A text of the catalogue of capabilities.
fn described(label: &str, summary: &str, key: &str) -> ty!(PbmExtendedElementDescription) {
    vim!(PbmExtendedElementDescription {
        label: label,
        summary: summary,
        key: key,
        messageCatalogKeyPrefix: TAGS,
    })
}

fn vendors() -> Value {
    let tags = vim!(PbmCapabilityVendorNamespaceInfo {
        vendorInfo: PbmCapabilitySchemaVendorInfo {
            vendorUuid: TAGS,
            info: described("Tags", "Tags of datastores", TAGS),
        },
        namespaceInfo: PbmCapabilityNamespaceInfo { version: "1.0", namespace: TAGS },
    });
    let storage =
        vim!(PbmCapabilityVendorResourceTypeInfo { resourceType: STORAGE, vendorNamespaceInfo: vec![tags] });
    list(data_id!(PbmCapabilityVendorResourceTypeInfo), vec![storage.into()])
}

/// Each category of tags is a capability, with its tags as values.
fn capabilities(policies: &Policies, call: &Call) -> Reply {
    if call.arg(arg!(PbmFetchCapabilityMetadata.vendorUuid)).is_some_and(|vendor| vendor != TAGS) {
        return Ok(None);
    }
    let mut names: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for tag in policies.tags.tags() {
        names.entry(tag.category).or_default().push(tag.name.as_str().into());
    }
    let categories = policies.tags.categories().into_iter().filter_map(|category| {
        let set = names.remove(&category.id)?;
        let property = format!("com.vmware.storage.tag.{}.property", category.name);
        let summary = || described(&category.name, &category.description, &category.name);
        Some(vim!(PbmCapabilityMetadata {
            id: PbmCapabilityMetadataUniqueId { namespace: TAGS, id: &category.name },
            summary: summary(),
            mandatory: false,
            propertyMetadata: vec![vim!(PbmCapabilityPropertyMetadata {
                id: property,
                summary: summary(),
                mandatory: false,
                type: PbmCapabilityGenericTypeInfo { typeName: "XSD_STRING", genericTypeName: "VMW_SET" },
                allowedValue: vim!(PbmCapabilityDiscreteSet { values: set }),
            })],
        }))
    });
    let categories: Vec<_> = categories.collect();
    if categories.is_empty() {
        return Ok(None);
    }
    let group = vim!(PbmCapabilityMetadataPerCategory { subCategory: "tag", capabilityMetadata: categories });
    Ok(Some(list(data_id!(PbmCapabilityMetadataPerCategory), vec![group.into()])))
}

/// Policies that are asked for by resource and category.
fn query(policies: &Policies, call: &Call) -> Reply {
    let resource = call.required(arg!(PbmQueryProfile.resourceType))?;
    is_storage("resourceType", resource)?;
    match call.arg(arg!(PbmQueryProfile.profileCategory)) {
        None | Some("" | REQUIREMENT) => {}
        // Centers of vSphere have policies of these kinds as well; there are none here.
        Some("RESOURCE" | "DATA_SERVICE_POLICY") => return Ok(None),
        Some(other) => {
            return Err(invalid_argument(
                "profileCategory",
                &format!("{other:?} is not a category of policies"),
            ));
        }
    }
    let ids = policies.all()?.into_iter().map(|(id, _)| profile_id(&id).into());
    Ok(Some(list(data_id!(PbmProfileId), ids.collect())))
}

fn is_storage(place: &str, resource: &Object) -> Result<(), Fault> {
    match resource.get(field!(PbmProfileResourceType.resourceType)) {
        Some(STORAGE) => Ok(()),
        other => {
            let other = other.unwrap_or_default();
            Err(invalid_argument(place, &format!("{other:?} is not a resource that policies are about")))
        }
    }
}

fn name(place: &str, text: &str) -> Result<String, Fault> {
    let text = text.trim();
    let fits =
        !text.is_empty() && text.chars().count() <= MAX_NAME_CHARS && !text.chars().any(char::is_control);
    if fits {
        return Ok(text.to_owned());
    }
    Err(invalid_argument(
        place,
        &format!("A policy has a name of at most {MAX_NAME_CHARS} characters, without control characters"),
    ))
}

fn description(place: &str, text: Option<&str>) -> Result<Option<String>, Fault> {
    match text {
        Some(text) if text.chars().count() > MAX_DESCRIPTION_CHARS => Err(invalid_argument(
            place,
            &format!("A description has at most {MAX_DESCRIPTION_CHARS} characters"),
        )),
        text => Ok(text.map(str::to_owned)),
    }
}

/// The constraints as the store has them, when they can be meant: rules about tags of categories that exist.
fn constraints(policies: &Policies, place: &str, given: &Arc<Object>) -> Result<serde_json::Value, Fault> {
    if !given.is_a(data_id!(PbmCapabilitySubProfileConstraints)) {
        return Err(invalid_argument(place, "The constraints must be sub-profiles"));
    }
    let policy = Policy::read(place, given)?;
    let categories: Vec<String> =
        policies.tags.categories().into_iter().map(|category| category.name).collect();
    for rule in policy.alternatives.iter().flatten() {
        match rule {
            super::Rule::Tagged { category, .. } if categories.contains(category) => {}
            super::Rule::Tagged { category, .. } => {
                return Err(invalid_argument(
                    place,
                    &format!("A category of tags {category:?} does not exist"),
                ));
            }
            super::Rule::Unmet { namespace, .. } => {
                let text = format!("No storage here has capabilities of the namespace {namespace:?}");
                return Err(invalid_argument(place, &text));
            }
        }
    }
    let text = stored::encode(given);
    if text.to_string().len() > MAX_CONSTRAINTS_BYTES {
        return Err(invalid_argument(place, "The constraints are too long"));
    }
    Ok(text)
}

fn duplicate(name: &str) -> Fault {
    fault!(PbmDuplicateName { name: name }, "There is a storage policy {name:?} already")
}

async fn create(policies: Arc<Policies>, call: Call) -> Reply {
    let spec = call.required(arg!(PbmCreate.createSpec))?;
    let given = spec.get(field!(PbmCapabilityProfileCreateSpec.name)).unwrap_or_default();
    let name = name("createSpec.name", given)?;
    let about = spec.get(field!(PbmCapabilityProfileCreateSpec.description));
    let description = description("createSpec.description", about)?.unwrap_or_default();
    if let Some(resource) = spec.get(field!(PbmCapabilityProfileCreateSpec.resourceType)) {
        is_storage("createSpec.resourceType", resource)?;
    }
    let category = spec.get(field!(PbmCapabilityProfileCreateSpec.category));
    if category.is_some_and(|category| !category.is_empty() && category != REQUIREMENT) {
        return Err(invalid_argument(
            "createSpec.category",
            "Only policies of the category REQUIREMENT are made",
        ));
    }
    let wanted = spec.get(field!(PbmCapabilityProfileCreateSpec.constraints));
    let wanted =
        wanted.ok_or_else(|| invalid_argument("createSpec.constraints", "The constraints are missing"))?;
    let constraints = constraints(&policies, "createSpec.constraints", wanted)?;
    let _turn = policies.changing.lock().await;
    let all = policies.all()?;
    if all.iter().any(|(_, known)| known.name.eq_ignore_ascii_case(&name)) {
        return Err(duplicate(&name));
    }
    if all.len() >= MAX_POLICIES {
        return Err(fault!(
            PbmFaultProfileStorageFault {},
            "There are {MAX_POLICIES} storage policies already"
        ));
    }
    let (now, user) = (DateTime::now().as_micros(), call.user().to_owned());
    let made = Stored {
        name,
        description,
        constraints,
        created_us: now,
        created_by: user.clone(),
        updated_us: now,
        updated_by: user,
        generation: 0,
        system: None,
    };
    let id = uuid::Uuid::new_v4().to_string();
    write(&policies, &id, &made).await?;
    Ok(Some(profile_id(&id).into()))
}

async fn write(policies: &Policies, id: &str, policy: &Stored) -> Result<(), Fault> {
    let mut batch = Batch::new();
    POLICIES.put(&mut batch, id, policy).map_err(|error| store_fault(&error))?;
    policies.core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
    Ok(())
}

async fn update(policies: Arc<Policies>, call: Call) -> Reply {
    let spec = call.required(arg!(PbmUpdate.updateSpec))?;
    let _turn = policies.changing.lock().await;
    let (id, mut policy) = policies.required("profileId", call.required(arg!(PbmUpdate.profileId))?)?;
    if policy.system.is_some() {
        return Err(invalid_argument("profileId", "This policy is part of the center and stays as it is"));
    }
    if let Some(given) = spec.get(field!(PbmCapabilityProfileUpdateSpec.name)) {
        policy.name = name("updateSpec.name", given)?;
        let taken =
            |(other, known): &(String, Stored)| *other != id && known.name.eq_ignore_ascii_case(&policy.name);
        if policies.all()?.iter().any(taken) {
            return Err(duplicate(&policy.name));
        }
    }
    let about = spec.get(field!(PbmCapabilityProfileUpdateSpec.description));
    if let Some(text) = description("updateSpec.description", about)? {
        policy.description = text;
    }
    if let Some(given) = spec.get(field!(PbmCapabilityProfileUpdateSpec.constraints)) {
        policy.constraints = constraints(&policies, "updateSpec.constraints", given)?;
        policy.generation += 1;
    }
    (policy.updated_us, policy.updated_by) = (DateTime::now().as_micros(), call.user().to_owned());
    write(&policies, &id, &policy).await?;
    Ok(None)
}

/// Removes policies; says of each what became of it.
async fn delete(policies: Arc<Policies>, call: Call) -> Reply {
    let _turn = policies.changing.lock().await;
    let mut outcomes: Vec<Value> = Vec::new();
    for id in call.required(arg!(PbmDelete.profileId))?.iter() {
        let fault = remove(&policies, &id_of(id)).await.err();
        outcomes.push(
            vim!(PbmProfileOperationOutcome { profileId: id, fault: fault.map(|fault| fault.localized()) })
                .into(),
        );
    }
    Ok(Some(list(data_id!(PbmProfileOperationOutcome), outcomes)))
}

async fn remove(policies: &Policies, id: &str) -> Result<(), Fault> {
    let Some(policy) = policies.find(id)? else {
        return Err(fault!(PbmFaultNotFound {}, "A storage policy with the id {id:?} does not exist"));
    };
    let in_use = |why: &str| {
        fault!(
            PbmResourceInUse { name: &policy.name },
            "The storage policy {:?} is in use: {why}",
            policy.name
        )
    };
    if policy.system.is_some() {
        return Err(in_use("it is part of the center"));
    }
    let defaults = DEFAULTS.all(&policies.core.store).map_err(|error| store_fault(&error))?;
    let mut batch = Batch::new();
    let state = policies.core.tree.snapshot();
    for (datastore, _) in defaults.iter().filter(|(_, policy)| policy == id) {
        if state.find(&MoRef::new(managed_id!(Datastore), datastore.as_str())).is_some() {
            return Err(in_use(&format!("it is the default of {datastore}")));
        }
        // The datastore is gone, and its default with it.
        DEFAULTS.delete(&mut batch, datastore);
    }
    POLICIES.delete(&mut batch, id);
    policies.core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
    Ok(())
}
