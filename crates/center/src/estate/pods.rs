//! Datastore clusters (`StoragePod`): folders of datastores with the settings of Storage DRS, which the center keeps. Nothing
//! acts on them, so the center refuses to enable it.

use std::sync::Arc;

use api::managers::Singletons;
use api::{Call, Manager, Methods, Table, invalid_argument};
use vim::{
    Fault, ManagedId, MoRef, Object, Record as _, Value, arg, data_id, field, managed_id, method, props,
    schema, ty, vim,
};
use vm::plan::is_nothing;

use super::faults::not_found;
use super::inventory::Inventory;
use super::plan::Plan;
use super::records::{Datastore, Holds, Pod, Record};
use super::{folders, names, stored};
use crate::reply::Reply;

const MANAGER: ManagedId = managed_id!(StorageResourceManager);

/// Datastores of one cluster, as vSphere limits them.
pub(super) const MAX_DATASTORES: usize = 64;

/// The StorageResourceManager, which configures datastore clusters.
pub(crate) const ROW: Manager<Arc<Inventory>> = Manager {
    me: |_| Singletons::center().storage_resource_manager,
    named: Some(field!(ServiceContent.storageResourceManager).number()),
    properties: |_| Ok(props!(StorageResourceManager {})),
    register: |table| {
        table.on(MANAGER, method!(ConfigureStorageDrsForPod_Task), configure);
        table.on(MANAGER, method!(ValidateStoragePodConfig), validate);
    },
};

pub(super) fn register(methods: &mut Methods, inventory: &Arc<Inventory>) {
    let mut table = Table { methods, daemon: inventory };
    table.register(&[ROW]);
    table.on(managed_id!(Folder), method!(CreateStoragePod), create);
    table.on(managed_id!(StoragePod), method!(Destroy_Task), destroy);
}

async fn create(inventory: Arc<Inventory>, call: Call) -> Reply {
    let name = names::parse(call.required(arg!(CreateStoragePod.name))?, Some(&call.this))?;
    let parent = call.this.clone();
    let shown = name.clone();
    let made = inventory.change(|plan| add(plan, &parent, name)).await?;
    tell(&call, "StorageDrsStoragePodCreatedEvent", &made, &format!("Created datastore cluster {shown}"))
        .await;
    Ok(Some(made.into()))
}

/// A new datastore cluster.
///
/// # Errors
/// `NotSupported` in a folder that is for other contents, `DuplicateName`.
pub(crate) fn add(plan: &mut Plan, parent: &MoRef, name: String) -> Result<MoRef, Fault> {
    folders::holding(plan, parent, Holds::Datastores, "a datastore cluster")?;
    plan.free_name(parent, &name, None)?;
    let me = plan.ids.reference(managed_id!(StoragePod));
    let config = stored::encode(&Arc::new(new_config()));
    plan.put(&me, Record::Pod(Pod { name, parent: parent.clone(), config }));
    Ok(me)
}

async fn destroy(inventory: Arc<Inventory>, call: Call) -> Reply {
    let me = call.this.clone();
    let name = inventory.name_of(&me);
    let options = inventory.alone(&call);
    let told = call.clone();
    call.task(options, move |_| async move {
        inventory.change(|plan| remove(plan, &me)).await?;
        tell(&told, "StorageDrsStoragePodDestroyedEvent", &me, &format!("Removed datastore cluster {name}"))
            .await;
        Ok(None)
    })
    .await
}

/// Removes a datastore cluster; its datastores go to the folder that it is in.
fn remove(plan: &mut Plan, me: &MoRef) -> Result<(), Fault> {
    let Record::Pod(pod) = plan.get(me)?.clone() else { return Err(not_found(me)) };
    let inside: Vec<(MoRef, Record)> =
        plan.children(me).map(|(at, record)| (at.clone(), record.clone())).collect();
    for (at, record) in inside {
        let Record::Datastore(known) = record else { continue };
        plan.free_name(&pod.parent, &known.name, Some(me))?;
        plan.put(&at, Record::Datastore(Datastore { folder: pod.parent.clone(), ..known }));
    }
    plan.remove(me);
    Ok(())
}

/// The pod that a call of the StorageResourceManager names.
fn pod_of(inventory: &Inventory, reference: &MoRef) -> Result<(MoRef, Pod), Fault> {
    let me = inventory.resolve(reference)?;
    match inventory.record(&me) {
        Some(Record::Pod(pod)) => Ok((me, pod)),
        _ => Err(invalid_argument("pod", &format!("{me} is not a datastore cluster"))),
    }
}

async fn configure(inventory: Arc<Inventory>, call: Call) -> Reply {
    let (me, _) = pod_of(&inventory, call.required(arg!(ConfigureStorageDrsForPod_Task.pod))?)?;
    let spec = call.required(arg!(ConfigureStorageDrsForPod_Task.spec))?.clone();
    let modify = call.required(arg!(ConfigureStorageDrsForPod_Task.modify))?;
    let options = api::TaskOptions::exclusive(&me, inventory.name_of(&me));
    call.task(options, move |_| async move {
        let changed = inventory.change(|plan| {
            let Record::Pod(known) = plan.get(&me)?.clone() else { return Err(not_found(&me)) };
            let old = stored::decode(data_id!(StorageDrsPodConfigInfo), &known.config);
            let config = stored::encode(&Arc::new(changed(&old, &spec, modify)?));
            plan.put(&me, Record::Pod(Pod { config, ..known }));
            Ok(())
        });
        changed.await.map(|()| None)
    })
    .await
}

/// The fault that configuring would end with; none if it would succeed.
async fn validate(inventory: Arc<Inventory>, call: Call) -> Reply {
    let (_, pod) = pod_of(&inventory, call.required(arg!(ValidateStoragePodConfig.pod))?)?;
    let spec = call.required(arg!(ValidateStoragePodConfig.spec))?;
    let old = stored::decode(data_id!(StorageDrsPodConfigInfo), &pod.config);
    Ok(changed(&old, spec, true).err().map(|fault| fault.localized().into()))
}

/// The settings of a new datastore cluster: those of vSphere, with Storage DRS off.
pub(crate) fn new_config() -> Object {
    vim!(StorageDrsPodConfigInfo {
        enabled: false,
        ioLoadBalanceEnabled: false,
        defaultVmBehavior: "manual",
        loadBalanceInterval: 480,
        defaultIntraVmAffinity: true,
        spaceLoadBalanceConfig: StorageDrsSpaceLoadBalanceConfig {
            spaceThresholdMode: "utilization",
            spaceUtilizationThreshold: 80,
            minSpaceUtilizationDifference: 5,
        },
        ioLoadBalanceConfig: StorageDrsIoLoadBalanceConfig {
            ioLatencyThreshold: 15,
            ioLoadImbalanceThreshold: 5
        },
    })
    .into_object()
}

fn unsupported(field: &str) -> Fault {
    invalid_argument(
        &format!("spec.{field}"),
        &format!("The center keeps the settings of Storage DRS but does not have what {field} asks for"),
    )
}

/// Settings within which each number must be.
const BOUNDS: [(&str, std::ops::RangeInclusive<i32>); 5] = [
    ("loadBalanceInterval", 60..=43_200),
    ("spaceUtilizationThreshold", 50..=100),
    ("minSpaceUtilizationDifference", 1..=50),
    ("ioLatencyThreshold", 5..=100),
    ("ioLoadImbalanceThreshold", 1..=100),
];

/// The settings after a client's specification. With `modify`, those that it leaves unset stay as they are; otherwise they
/// return to those of a new datastore cluster.
///
/// # Errors
/// `InvalidArgument` for what nothing in the center does, and for a number out of bounds.
fn changed(old: &Object, spec: &Object, modify: bool) -> Result<Object, Fault> {
    if spec.get(field!(StorageDrsConfigSpec.vmConfigSpec)).is_some_and(|list| !list.is_empty()) {
        return Err(unsupported("vmConfigSpec"));
    }
    let mut new = if modify { Object::clone(old) } else { new_config() };
    let Some(pod) = spec.get(field!(StorageDrsConfigSpec.podConfigSpec)) else { return Ok(new) };
    for (number, value) in pod.fields() {
        let name = schema().data(pod.ty()).fields[usize::from(*number)].name;
        match (name, value) {
            ("enabled" | "ioLoadBalanceEnabled", Value::Boolean(true)) => return Err(unsupported(name)),
            ("rule" | "option", value) if !is_nothing(value) => return Err(unsupported(name)),
            ("rule" | "option", _) => continue,
            ("defaultVmBehavior", value) if !matches!(value.as_str(), Some("manual" | "automated")) => {
                return Err(invalid_argument(
                    "spec.podConfigSpec.defaultVmBehavior",
                    "It is manual or automated",
                ));
            }
            _ => {}
        }
        bounded(name, value)?;
        let Some(at) = schema().data(new.ty()).member(name) else { continue };
        let merged = match (new.at(at), value) {
            (Some(Value::Object(old)), Value::Object(given)) => {
                let mut merged = Object::clone(old);
                for (inner, value) in given.fields() {
                    bounded(schema().data(given.ty()).fields[usize::from(*inner)].name, value)?;
                    merged.put(*inner, Some(value.clone()));
                }
                merged.into()
            }
            _ => value.clone(),
        };
        new.put(at, Some(merged));
    }
    Ok(new)
}

fn bounded(name: &str, value: &Value) -> Result<(), Fault> {
    let Value::Int(number) = value else { return Ok(()) };
    match BOUNDS.iter().find(|(known, _)| *known == name) {
        Some((_, range)) if !range.contains(number) => Err(invalid_argument(
            &format!("spec.podConfigSpec.{name}"),
            &format!("{name} is from {} to {}", range.start(), range.end()),
        )),
        _ => Ok(()),
    }
}

/// Posts an event about a datastore cluster; vSphere has extended events for them.
async fn tell(call: &Call, kind: &str, me: &MoRef, message: &str) {
    let event: ty!(EventEx) = vim!(EventEx {
        userName: call.user(),
        eventTypeId: format!("com.vmware.vc.sdrs.{kind}"),
        severity: "info",
        message: message,
        objectId: me.id(),
        objectType: me.type_name(),
    });
    call.service.core.events.post(event).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_kept_and_what_nothing_acts_on_is_refused() {
        let spec = |pod: ty!(StorageDrsPodConfigSpec)| {
            Object::from(vim!(StorageDrsConfigSpec { podConfigSpec: pod }))
        };
        let old = new_config();
        let wanted = spec(vim!(StorageDrsPodConfigSpec {
            defaultVmBehavior: "automated",
            spaceLoadBalanceConfig: StorageDrsSpaceLoadBalanceConfig { spaceUtilizationThreshold: 70 },
        }));
        let new = changed(&old, &wanted, true).unwrap();
        let space = new.get(field!(StorageDrsPodConfigInfo.spaceLoadBalanceConfig)).unwrap();
        assert_eq!(space.get(field!(StorageDrsSpaceLoadBalanceConfig.spaceUtilizationThreshold)), Some(70));
        assert_eq!(
            space.get(field!(StorageDrsSpaceLoadBalanceConfig.minSpaceUtilizationDifference)),
            Some(5),
            "a field that was not given stays"
        );
        assert_eq!(changed(&new, &spec(vim!(StorageDrsPodConfigSpec {})), false).unwrap(), old);
        for refused in [
            vim!(StorageDrsPodConfigSpec { enabled: true }),
            vim!(StorageDrsPodConfigSpec { ioLoadBalanceEnabled: true }),
            vim!(StorageDrsPodConfigSpec { loadBalanceInterval: 1 }),
            vim!(StorageDrsPodConfigSpec { defaultVmBehavior: "wild" }),
        ] {
            let fault = changed(&old, &spec(refused), true).unwrap_err();
            assert_eq!(fault.type_name(), "InvalidArgument");
        }
    }
}
