//! Clusters: their configuration, which is kept as it is given, and the hosts in them.

use std::sync::Arc;

use api::Call;
use vim::{Fault, Object, Value, arg, data_id, fault, field, managed_id, method, schema};

use super::Table;
use crate::hosts::{Place, Wanted};
use crate::objects::compute;
use crate::records::{Compute, Record};
use crate::state::State;

pub(super) fn register(table: &mut Table) {
    let resource = managed_id!(ComputeResource);
    let cluster = managed_id!(ClusterComputeResource);
    table.on(resource, method!(ReconfigureComputeResource_Task), |state, call| async move {
        let spec = call.required(arg!(ReconfigureComputeResource_Task.spec))?.clone();
        let modify = call.required(arg!(ReconfigureComputeResource_Task.modify))?;
        reconfigure(state, call, spec, modify).await
    });
    table.on(cluster, method!(ReconfigureCluster_Task), |state, call| async move {
        let spec = call.required(arg!(ReconfigureCluster_Task.spec))?.clone();
        let modify = call.required(arg!(ReconfigureCluster_Task.modify))?;
        reconfigure(state, call, spec, modify).await
    });
    table.on(cluster, method!(AddHost_Task), add_host);
    table.on(managed_id!(Datacenter), method!(ReconfigureDatacenter_Task), reconfigure_datacenter);
}

async fn reconfigure(
    state: Arc<State>,
    call: Call,
    spec: Arc<Object>,
    modify: bool,
) -> Result<Option<Value>, Fault> {
    let me = call.this.clone();
    let options = state.alone(&call);
    call.task(options, move |_running| async move {
        let change = state.inventory.change(|plan| {
            let known = plan.compute(&me)?.clone();
            let old = crate::stored::decode(compute::config_type(&me), &known.config);
            let config = crate::stored::encode(&Arc::new(changed(&old, &spec, modify)?));
            plan.put(&me, Record::Compute(Box::new(Compute { config, ..known })));
            Ok(())
        });
        change.await?;
        Ok(None)
    })
    .await
}

/// The configuration after a client's specification. `modify`: what the specification leaves out stays; else it goes
/// back to what a new cluster has.
///
/// # Errors
/// `InvalidArgument` for an element to change or remove that is not there.
pub(super) fn changed(old: &Object, spec: &Object, modify: bool) -> Result<Object, Fault> {
    let cluster = old.is_a(data_id!(ClusterConfigInfoEx));
    let mut new = match (modify, cluster) {
        (true, _) => Object::clone(old),
        (false, true) => compute::new_cluster_config(),
        (false, false) => compute::new_standalone_config(),
    };
    // Fields of both that have the same name and type are copied: the objects within are merged field by field.
    for (number, value) in spec.fields() {
        let name = schema().data(spec.ty()).fields[usize::from(*number)].name;
        let target = if name == "dpmConfig" { "dpmConfigInfo" } else { name };
        match name {
            "dasVmConfigSpec" => update(&mut new, "dasVmConfig", value, "key")?,
            "drsVmConfigSpec" => update(&mut new, "drsVmConfig", value, "key")?,
            "rulesSpec" => update(&mut new, "rule", value, "key")?,
            "groupSpec" => update(&mut new, "group", value, "name")?,
            "vmOrchestrationSpec" => update(&mut new, "vmOrchestration", value, "vm")?,
            "dpmHostConfigSpec" => update(&mut new, "dpmHostConfig", value, "key")?,
            _ => copy(&mut new, target, value),
        }
    }
    Ok(new)
}

fn number_of(object: &Object, name: &str) -> Option<u16> {
    use vim::Record as _;
    schema().data(object.ty()).member(name)
}

fn copy(new: &mut Object, name: &str, value: &Value) {
    let Some(number) = number_of(new, name) else { return };
    let merged = match (new.at(number), value) {
        (Some(Value::Object(old)), Value::Object(given)) if old.ty() == given.ty() => {
            let mut merged = Object::clone(old);
            for (at, value) in given.fields() {
                merged.put(*at, Some(value.clone()));
            }
            merged.into()
        }
        _ => value.clone(),
    };
    let member = &schema().data(new.ty()).fields[usize::from(number)];
    let fits = match (member.kind, &merged) {
        (vim::Kind::Data(base), Value::Object(object)) => object.is_a(base),
        (vim::Kind::Data(_), _) => false,
        _ => true,
    };
    if fits {
        new.put(number, Some(merged));
    }
}

/// Applies `ArrayUpdateSpec`s to a list whose elements are told apart by a field.
fn update(new: &mut Object, list: &str, specs: &Value, key: &str) -> Result<(), Fault> {
    let Some(number) = number_of(new, list) else { return Ok(()) };
    let vim::Kind::Data(element) = schema().data(new.ty()).fields[usize::from(number)].kind else {
        return Ok(());
    };
    let mut items = new.at(number).map(|list| list.items().to_vec()).unwrap_or_default();
    let key_of = |value: &Value| value.as_object().and_then(|object| object.named(key).cloned());
    for spec in specs.items().iter().filter_map(Value::as_object) {
        let operation = spec.get(field!(ArrayUpdateSpec.operation)).map_or("", |operation| operation.name());
        let info = spec.named("info").cloned();
        let wanted = match operation {
            "remove" => spec.get(field!(ArrayUpdateSpec.removeKey)).cloned(),
            _ => info.as_ref().and_then(key_of),
        };
        let place = items.iter().position(|item| {
            let known = key_of(item);
            known.is_some() && (known == wanted || known.as_ref().map(text) == wanted.as_ref().map(text))
        });
        match (operation, place, info) {
            ("add", None, Some(info)) => items.push(with_key(info, key, &items)),
            ("add" | "edit", Some(place), Some(info)) => items[place] = info,
            ("remove", Some(place), _) => drop(items.remove(place)),
            _ => {
                return Err(fault!(
                    InvalidArgument { invalidProperty: list },
                    "The {operation} of an element of {list} names none that is there"
                ));
            }
        }
    }
    let list = (!items.is_empty()).then(|| Value::List(vim::List::new(vim::Kind::Data(element), items)));
    new.put(number, list);
    Ok(())
}

/// Keys come back from clients as other kinds of scalars.
fn text(value: &Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::Long(number) => number.to_string(),
        Value::Ref(reference) => reference.id().to_owned(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

/// A new rule gets the next key and a UUID.
fn with_key(info: Value, key: &str, others: &[Value]) -> Value {
    let Some(object) = info.as_object().filter(|object| object.is_a(data_id!(ClusterRuleInfo))) else {
        return info;
    };
    debug_assert_eq!(key, "key");
    let highest =
        others.iter().filter_map(Value::as_object).filter_map(|other| other.get(field!(ClusterRuleInfo.key)));
    let next = highest.max().unwrap_or(0) + 1;
    let mut object = Object::clone(object);
    object.set(field!(ClusterRuleInfo.key), next);
    if object.get(field!(ClusterRuleInfo.ruleUuid)).is_none() {
        object.set(field!(ClusterRuleInfo.ruleUuid), uuid::Uuid::new_v4().to_string());
    }
    object.into()
}

async fn add_host(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let wanted = Wanted::read(call.required(arg!(AddHost_Task.spec))?)?;
    let connect = call.required(arg!(AddHost_Task.asConnected))?;
    let cluster = call.this.clone();
    let options = state.shared(&call);
    call.task(options, move |_running| async move {
        Ok(Some(state.add_host(Place::Cluster { cluster }, wanted, None, connect).await?.into()))
    })
    .await
}

async fn reconfigure_datacenter(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let spec = call.required(arg!(ReconfigureDatacenter_Task.spec))?;
    let version = spec.get(field!(DatacenterConfigSpec.defaultHardwareVersionKey)).map(str::to_owned);
    let modify = call.required(arg!(ReconfigureDatacenter_Task.modify))?;
    let me = call.this.clone();
    let options = state.alone(&call);
    call.task(options, move |_running| async move {
        let change = state.inventory.change(|plan| {
            let mut datacenter = plan.datacenter(&me)?.clone();
            if version.is_some() || !modify {
                datacenter.hardware_version = version;
            }
            plan.put(&me, Record::Datacenter(datacenter));
            Ok(())
        });
        change.await?;
        Ok(None)
    })
    .await
}
