//! The configuration of clusters and standalone hosts: applying a client's specification (pure).

use vim::{Fault, Object, Value, data_id, fault, field, schema};
use vm::plan::is_nothing;

use crate::estate::show::compute;

/// The configuration after a client's specification. With `modify`, fields that the specification leaves unset stay as
/// they are; otherwise they return to those of a new cluster.
///
/// # Errors
/// `InvalidArgument` for an element to change or remove that does not exist, and for what nothing in the center does.
pub(crate) fn changed(old: &Object, spec: &Object, modify: bool) -> Result<Object, Fault> {
    let cluster = old.is_a(data_id!(ClusterConfigInfoEx));
    let mut new = match (modify, cluster) {
        (true, _) => Object::clone(old),
        (false, true) => compute::new_cluster_config(),
        (false, false) => compute::new_standalone_config(),
    };
    // Fields of the same name and type are copied; the objects in them are merged field by field.
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
            _ => copy(&mut new, target, value).map_err(|Lost| unsupported(name))?,
        }
    }
    unchanged(&new, spec)?;
    Ok(new)
}

/// Settings that nothing acts on, so that they stay as a new compute resource has them.
const FIXED: [&str; 4] =
    ["vmSwapPlacement", "spbmEnabled", "defaultHardwareVersionKey", "maximumHardwareVersionKey"];

/// Refuses what the center would not do: nothing acts on high availability, DRS and the like, so that they can be
/// configured but not enabled.
fn unchanged(new: &Object, spec: &Object) -> Result<(), Fault> {
    let cluster = new.is_a(data_id!(ClusterConfigInfoEx));
    let fresh = if cluster { compute::new_cluster_config() } else { compute::new_standalone_config() };
    for (number, value) in spec.fields() {
        let name = schema().data(spec.ty()).fields[usize::from(*number)].name;
        let enabled = value.as_object().and_then(|object| object.named("enabled"));
        if enabled == Some(&Value::Boolean(true)) {
            return Err(unsupported(&format!("{name}.enabled")));
        }
        if FIXED.contains(&name) && !is_nothing(value) && fresh.named(name) != Some(value) {
            return Err(unsupported(name));
        }
    }
    Ok(())
}

fn unsupported(field: &str) -> Fault {
    fault!(
        InvalidArgument { invalidProperty: format!("spec.{field}") },
        "The center does not have what {field} asks for"
    )
}

fn number_of(object: &Object, name: &str) -> Option<u16> {
    use vim::Record as _;
    schema().data(object.ty()).member(name)
}

/// A value that asks for something and that the configuration has no place for.
struct Lost;

/// Copies a field that a specification sets.
fn copy(new: &mut Object, name: &str, value: &Value) -> Result<(), Lost> {
    let lost = if is_nothing(value) { Ok(()) } else { Err(Lost) };
    let Some(number) = number_of(new, name) else { return lost };
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
    if !fits {
        return lost;
    }
    new.put(number, Some(merged));
    Ok(())
}

/// Applies `ArrayUpdateSpec`s to a list whose elements are identified by the field `key`.
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
            // A group has no other identity than its name.
            ("add", Some(_), _) if list == "group" => {
                return Err(fault!(
                    InvalidArgument { invalidProperty: list },
                    "The cluster has a group of this name already"
                ));
            }
            ("add", None, Some(info)) => items.push(with_key(info, key, &items)),
            ("add" | "edit", Some(place), Some(info)) => items[place] = info,
            ("remove", Some(place), _) => drop(items.remove(place)),
            _ => {
                return Err(fault!(
                    InvalidArgument { invalidProperty: list },
                    "The specification asks to {operation} an element that {list} does not have"
                ));
            }
        }
    }
    let list = (!items.is_empty()).then(|| Value::List(vim::List::new(vim::Kind::Data(element), items)));
    new.put(number, list);
    Ok(())
}

/// A key as text, since clients return keys as other kinds of scalars.
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
