//! The PlacementSolver: datastores that fit a policy.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{Call, Table};
use vim::{Fault, ManagedId, MoRef, Object, Value, arg, data_id, fault, field, managed_id, method, vim};

use super::matching::{Policy, Rule};
use super::profiles::list;
use super::{Policies, datastore, visible};
use crate::reply::Reply;

const SOLVER: ManagedId = managed_id!(PbmPlacementSolver);
const DATASTORE: &str = "Datastore";
/// Broken rules that the answer tells of one hub, and tags that it names of one rule.
const MAX_MISMATCHES: usize = 16;
const MAX_NAMED: usize = 16;

pub(super) fn register(table: &mut Table<'_, Arc<Policies>>) {
    table.on(SOLVER, method!(PbmQueryMatchingHub), |policies, call| async move {
        let policy = policy(&policies, call.required(arg!(PbmQueryMatchingHub.profile))?)?;
        let hubs = hubs(&call, call.arg(arg!(PbmQueryMatchingHub.hubsToSearch)))?;
        Ok(matching(&policies, &policy, hubs))
    });
    table.on(SOLVER, method!(PbmQueryMatchingHubWithSpec), |policies, call| async move {
        let policy = of_spec("createSpec", call.required(arg!(PbmQueryMatchingHubWithSpec.createSpec))?)?;
        let hubs = call.arg(arg!(PbmQueryMatchingHubWithSpec.hubsToSearch));
        Ok(matching(&policies, &policy, self::hubs(&call, hubs)?))
    });
    table.on(SOLVER, method!(PbmCheckCompatibility), |policies, call| async move {
        let policy = policy(&policies, call.required(arg!(PbmCheckCompatibility.profile))?)?;
        let hubs = call.arg(arg!(PbmCheckCompatibility.hubsToSearch));
        Ok(checked(&policies, &[policy], self::hubs(&call, hubs)?))
    });
    table.on(SOLVER, method!(PbmCheckCompatibilityWithSpec), |policies, call| async move {
        let policy = of_spec("profileSpec", call.required(arg!(PbmCheckCompatibilityWithSpec.profileSpec))?)?;
        let hubs = call.arg(arg!(PbmCheckCompatibilityWithSpec.hubsToSearch));
        Ok(checked(&policies, &[policy], self::hubs(&call, hubs)?))
    });
    table.on(SOLVER, method!(PbmCheckRequirements), requirements);
}

/// The datastore that a hub names.
///
/// # Errors
/// `PbmNonExistentHubs`, also for one that the caller may not see.
pub(super) fn datastore_of(call: &Call, hub: &Arc<Object>) -> Result<MoRef, Fault> {
    let kind = hub.get(field!(PbmPlacementHub.hubType)).unwrap_or_default();
    let id = hub.get(field!(PbmPlacementHub.hubId)).unwrap_or_default();
    let found = if kind == DATASTORE { datastore(call, id) } else { None };
    found.ok_or_else(|| fault!(PbmNonExistentHubs { hubs: vec![hub] }, "The hub {kind} {id} does not exist"))
}

/// The hubs to search, with their datastores; all datastores that the caller may see if he names none.
fn hubs<'a>(
    call: &Call,
    named: Option<impl IntoIterator<Item = &'a Arc<Object>>>,
) -> Result<Vec<(Arc<Object>, MoRef)>, Fault> {
    let named = named.map(|named| named.into_iter().collect::<Vec<_>>());
    match named.filter(|named| !named.is_empty()) {
        Some(named) => {
            let mut seen = BTreeSet::new();
            let mut hubs = Vec::new();
            for hub in named {
                let datastore = datastore_of(call, hub)?;
                if seen.insert(datastore.clone()) {
                    hubs.push((hub.clone(), datastore));
                }
            }
            Ok(hubs)
        }
        None => {
            let all = visible(call, managed_id!(Datastore)).into_iter();
            let hub = |me: &MoRef| vim!(PbmPlacementHub { hubType: DATASTORE, hubId: me.id() }).into_object();
            Ok(all.map(|me| (Arc::new(hub(&me)), me)).collect())
        }
    }
}

fn policy(policies: &Policies, id: &Object) -> Result<Policy, Fault> {
    let (_, stored) = policies.required("profile", id)?;
    Policy::read("profile", &stored.constraints())
}

fn of_spec(place: &str, spec: &Object) -> Result<Policy, Fault> {
    match spec.get(field!(PbmCapabilityProfileCreateSpec.constraints)) {
        Some(constraints) => Policy::read(place, constraints),
        None => Ok(Policy { alternatives: Vec::new() }),
    }
}

fn matching(policies: &Policies, policy: &Policy, hubs: Vec<(Arc<Object>, MoRef)>) -> Option<Value> {
    let fits = hubs.into_iter().filter(|(_, datastore)| policies.admits(policy, datastore).is_ok());
    let fits: Vec<Value> = fits.map(|(hub, _)| Value::Object(hub)).collect();
    (!fits.is_empty()).then(|| list(data_id!(PbmPlacementHub), fits))
}

/// Says of each hub whether it fits all policies, and which rules it breaks.
fn checked(policies: &Policies, asked: &[Policy], hubs: Vec<(Arc<Object>, MoRef)>) -> Option<Value> {
    let results = hubs.into_iter().map(|(hub, datastore)| {
        let broken = asked.iter().filter_map(|policy| policies.admits(policy, &datastore).err()).flatten();
        let errors: Vec<_> =
            broken.take(MAX_MISMATCHES).map(|rule| mismatch(&hub, &rule).localized()).collect();
        vim!(PbmPlacementCompatibilityResult { hub: hub, error: errors }).into()
    });
    let results: Vec<Value> = results.collect();
    (!results.is_empty()).then(|| list(data_id!(PbmPlacementCompatibilityResult), results))
}

/// The first few names.
fn shortened(tags: &[String]) -> String {
    let more = if tags.len() > MAX_NAMED { ", …" } else { "" };
    format!("{}{more}", tags[..tags.len().min(MAX_NAMED)].join(", "))
}

/// The fault for a rule that a hub breaks.
fn mismatch(hub: &Arc<Object>, rule: &Rule) -> Fault {
    let (namespace, id, text) = match rule {
        Rule::Tagged { category, tags, negated } => {
            let verb = if *negated { "has a tag" } else { "has no tag" };
            (super::TAGS, category, format!("The datastore {verb} of {category} among {}", shortened(tags)))
        }
        Rule::Unmet { namespace, id } => {
            (namespace.as_str(), id, format!("The datastore lacks the capability {namespace} {id}"))
        }
    };
    let value = match rule {
        Rule::Tagged { tags, .. } => {
            let names: Vec<Value> = tags.iter().take(MAX_NAMED).map(|tag| tag.as_str().into()).collect();
            vim!(PbmCapabilityDiscreteSet { values: names }).into()
        }
        Rule::Unmet { id, .. } => Value::from(id.as_str()),
    };
    fault!(
        PbmPropertyMismatchFault {
            hub: hub,
            capabilityInstanceId: PbmCapabilityMetadataUniqueId { namespace: namespace, id: id },
            requirementPropertyInstance: PbmCapabilityPropertyInstance { id: id, value: value },
        },
        "{text}"
    )
}

async fn requirements(policies: Arc<Policies>, call: Call) -> Reply {
    let mut asked = Vec::new();
    for requirement in call.arg(arg!(PbmCheckRequirements.placementSubjectRequirement)).into_iter().flatten()
    {
        if requirement.is_a(data_id!(PbmPlacementCapabilityProfileRequirement)) {
            let id = requirement.get(field!(PbmPlacementCapabilityProfileRequirement.profileId));
            let id = id.ok_or_else(|| missing("profileId"))?;
            asked.push(policy(&policies, id)?);
        } else if requirement.is_a(data_id!(PbmPlacementCapabilityConstraintsRequirement)) {
            let constraints =
                requirement.get(field!(PbmPlacementCapabilityConstraintsRequirement.constraints));
            asked.push(Policy::read(
                "placementSubjectRequirement",
                constraints.ok_or_else(|| missing("constraints"))?,
            )?);
        } else {
            let text = format!("A requirement of the type {} cannot be checked", requirement.type_name());
            return Err(api::invalid_argument("placementSubjectRequirement", &text));
        }
    }
    let hubs = call.arg(arg!(PbmCheckRequirements.hubsToSearch));
    Ok(checked(&policies, &asked, self::hubs(&call, hubs)?))
}

fn missing(field: &str) -> Fault {
    api::invalid_argument("placementSubjectRequirement", &format!("{field} is missing"))
}
