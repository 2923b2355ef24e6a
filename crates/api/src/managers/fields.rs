//! Fields that administrators add to objects: their definitions, and their values.

use std::collections::BTreeMap;
use std::sync::Arc;

use vim::{
    DataId, Fault, Kind, List, ManagedId, MoRef, Object, Record, Value, arg, data_id, fault, field,
    managed_id, method, prop, props, schema, vim,
};

use super::in_turn::in_turn;
use crate::common::Common;
use crate::singletons::Singletons;
use crate::stored::{decode, encode, store_fault};
use crate::{Call, Core, Guard, Manager, Methods, Snapshot, Writer};

type Reply = Result<Option<Value>, Fault>;

const MANAGER: ManagedId = managed_id!(CustomFieldsManager);
const DEFINITION: DataId = data_id!(CustomFieldDef);
/// Definitions by key.
const COLLECTION: &str = "custom-field";
const COUNTER: &str = "custom-field";
/// Definitions that may exist.
const MAX_FIELDS: usize = 1_000;
const MAX_NAME_BYTES: usize = 256;
const MAX_VALUE_BYTES: usize = 4_096;

/// The values of an object's fields, by the object's id and the field's key. A daemon that makes its objects again after a restart
/// passes them to [`show_custom_values`], and deletes the record with the object.
pub const CUSTOM_VALUES: store::Collection<BTreeMap<i32, String>> = store::Collection::new("custom-value");

/// The CustomFieldsManager.
pub(super) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.custom_fields_manager.clone(),
    named: Some(field!(ServiceContent.customFieldsManager).number()),
    properties: |common| {
        let mut all = Vec::new();
        common.core.store.read(|view| {
            view.for_each(COLLECTION, |_, value| {
                all.extend(decode(DEFINITION, value));
                Ok(())
            })
        })?;
        all.sort_by_key(|definition| definition.get(field!(CustomFieldDef.key)));
        Ok(props!(CustomFieldsManager { field: to_list(all) }))
    },
    register: |table| register(table.methods),
};

fn register(methods: &mut Methods) {
    let extensible = managed_id!(ExtensibleManagedObject);
    in_turn!(
        methods,
        MANAGER, AddCustomFieldDef => add;
        MANAGER, RemoveCustomFieldDef => remove;
        MANAGER, RenameCustomFieldDef => rename;
        MANAGER, SetField => set_field;
        extensible, setCustomValue => set_custom_value;
    );
    methods.guard(extensible, method!(setCustomValue), Guard::Privilege("Global.SetCustomField"));
    let available = prop!(ExtensibleManagedObject.availableField).number();
    methods.compute(extensible, available, |_, _, node, state| {
        let all = definitions(state).into_iter().map(|(_, definition)| definition);
        let fits = all.filter(|definition| applies(definition, node.me())).map(Value::Object);
        let fits: Vec<Value> = fits.collect();
        (!fits.is_empty()).then(|| Value::List(List::new(Kind::Data(DEFINITION), fits)))
    });
}

/// The properties `customValue` and `value` of an object with these values; none if it has none.
pub fn custom_values(values: &BTreeMap<i32, String>) -> Option<List> {
    let values =
        values.iter().map(|(key, value)| vim!(CustomFieldStringValue { key: *key, value: value }).into());
    let values: Vec<Value> = values.collect();
    (!values.is_empty()).then(|| List::new(Kind::Data(data_id!(CustomFieldValue)), values))
}

fn to_list(definitions: impl IntoIterator<Item = Arc<Object>>) -> List {
    let items: Vec<Value> = definitions.into_iter().map(Value::Object).collect();
    List::new(Kind::Data(DEFINITION), items)
}

fn manager(state: &Snapshot) -> Option<MoRef> {
    let ids = [Singletons::center(), Singletons::host()].map(|ids| ids.custom_fields_manager);
    ids.into_iter().find(|id| state.find(id).is_some())
}

fn definitions(state: &Snapshot) -> Vec<(i32, Arc<Object>)> {
    let Some(node) = manager(state).and_then(|manager| state.find(&manager)) else { return Vec::new() };
    let list = node.get(prop!(CustomFieldsManager.field)).into_iter().flatten();
    list.filter_map(|definition| Some((definition.get(field!(CustomFieldDef.key))?, definition.clone())))
        .collect()
}

fn applies(definition: &Object, object: &MoRef) -> bool {
    let ty =
        definition.get(field!(CustomFieldDef.managedObjectType)).and_then(|name| schema().find_managed(name));
    ty.is_none_or(|ty| object.is_a(ty))
}

fn check_name(name: &str) -> Result<(), Fault> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(crate::service::invalid_argument(
            "name",
            &format!("The name of a field has 1 to {MAX_NAME_BYTES} bytes"),
        ));
    }
    Ok(())
}

/// No two fields of one type have the same name; a field of all types counts for each.
fn check_unique(
    call: &Call,
    all: &[(i32, Arc<Object>)],
    name: &str,
    ty: Option<&str>,
    not: i32,
) -> Result<(), Fault> {
    let clash = all.iter().any(|(key, known)| {
        let other = known.get(field!(CustomFieldDef.managedObjectType));
        *key != not
            && known.get(field!(CustomFieldDef.name)) == Some(name)
            && (other.is_none() || ty.is_none() || other == ty)
    });
    if clash {
        return Err(fault!(
            DuplicateName { name: name, object: &call.this },
            "The field {name:?} exists already"
        ));
    }
    Ok(())
}

async fn store_definition(call: &Call, key: i32, definition: &Arc<Object>) -> Result<(), Fault> {
    let mut batch = store::Batch::new();
    batch.put(COLLECTION, key.to_string(), encode(DEFINITION, definition));
    call.service.core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
    Ok(())
}

fn show(call: &Call, all: Vec<(i32, Arc<Object>)>) {
    let list = to_list(all.into_iter().map(|(_, definition)| definition));
    call.service.core.tree.write(|w| w.set(&call.this, props!(CustomFieldsManager { field: list })));
}

async fn add(call: &Call) -> Reply {
    let name = call.required(arg!(AddCustomFieldDef.name))?;
    let ty = call.arg(arg!(AddCustomFieldDef.moType)).filter(|ty| !ty.is_empty());
    check_name(name)?;
    if let Some(ty) = ty
        && schema().find_managed(ty).is_none()
    {
        return Err(crate::service::invalid_argument(
            "moType",
            &format!("The managed type {ty} does not exist"),
        ));
    }
    let mut all = definitions(&call.state());
    if all.len() >= MAX_FIELDS {
        return Err(fault!(
            OutOfBounds { argumentName: "name" },
            "The limit of {MAX_FIELDS} fields is reached; remove some"
        ));
    }
    check_unique(call, &all, name, ty, 0)?;
    let mut batch = store::Batch::new();
    batch.reserve(COUNTER, 1);
    let committed = call.service.core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
    let number = committed.reserved.first().map_or(0, |range| range.start);
    let key =
        i32::try_from(number).map_err(|_| fault!(RuntimeFault {}, "All numbers of fields are used up"))?;
    let definition = Arc::new(Object::from(vim!(CustomFieldDef {
        key: key,
        name: name,
        type: "string",
        managedObjectType: ty,
        fieldDefPrivileges: call.arg(arg!(AddCustomFieldDef.fieldDefPolicy)).cloned(),
        fieldInstancePrivileges: call.arg(arg!(AddCustomFieldDef.fieldPolicy)).cloned(),
    })));
    store_definition(call, key, &definition).await?;
    all.push((key, definition.clone()));
    show(call, all);
    let event = vim!(CustomFieldDefAddedEvent { fieldKey: key, name: name });
    call.service.core.events.post(event).await;
    Ok(Some(Value::Object(definition)))
}

fn no_such_field(key: i32) -> Fault {
    crate::service::invalid_argument("key", &format!("The field with the key {key} does not exist"))
}

async fn remove(call: &Call) -> Reply {
    let key = call.required(arg!(RemoveCustomFieldDef.key))?;
    let mut all = definitions(&call.state());
    let at = all.iter().position(|(known, _)| *known == key).ok_or_else(|| no_such_field(key))?;
    let (_, removed) = all.remove(at);
    let core = &call.service.core;
    let mut batch = store::Batch::new();
    batch.delete(COLLECTION, key.to_string());
    let mut changed = Vec::new();
    for (id, mut values) in CUSTOM_VALUES.all(&core.store).map_err(|error| store_fault(&error))? {
        if values.remove(&key).is_some() {
            CUSTOM_VALUES.put(&mut batch, &id, &values).map_err(|error| store_fault(&error))?;
            changed.push((id, values));
        }
    }
    core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
    show(call, all);
    for (id, values) in changed {
        if let Some(node) = call.state().find_id(&id) {
            show_values(core, node.me(), &values);
        }
    }
    let name = removed.get(field!(CustomFieldDef.name)).unwrap_or_default();
    core.events.post(vim!(CustomFieldDefRemovedEvent { fieldKey: key, name: name })).await;
    Ok(None)
}

async fn rename(call: &Call) -> Reply {
    let key = call.required(arg!(RenameCustomFieldDef.key))?;
    let name = call.required(arg!(RenameCustomFieldDef.name))?;
    check_name(name)?;
    let mut all = definitions(&call.state());
    let at = all.iter().position(|(known, _)| *known == key).ok_or_else(|| no_such_field(key))?;
    let ty = all[at].1.get(field!(CustomFieldDef.managedObjectType)).map(str::to_owned);
    check_unique(call, &all, name, ty.as_deref(), key)?;
    let mut definition = Object::clone(&all[at].1);
    let old = definition.get(field!(CustomFieldDef.name)).unwrap_or_default().to_owned();
    definition.set(field!(CustomFieldDef.name), name);
    let definition = Arc::new(definition);
    store_definition(call, key, &definition).await?;
    all[at].1 = definition;
    show(call, all);
    let event = vim!(CustomFieldDefRenamedEvent { fieldKey: key, name: old, newName: name });
    call.service.core.events.post(event).await;
    Ok(None)
}

async fn set_field(call: &Call) -> Reply {
    let key = call.required(arg!(SetField.key))?;
    let value = call.required(arg!(SetField.value))?;
    let state = call.state();
    let entity = state.require(call.required(arg!(SetField.entity))?)?.me().clone();
    let all = definitions(&call.state());
    let definition = all.iter().find(|(known, _)| *known == key).ok_or_else(|| no_such_field(key))?;
    set_value(call, &entity, key, &definition.1, value).await
}

async fn set_custom_value(call: &Call) -> Reply {
    let name = call.required(arg!(setCustomValue.key))?;
    let value = call.required(arg!(setCustomValue.value))?;
    let state = call.state();
    let all = definitions(&state);
    let named = all.iter().find(|(_, definition)| {
        definition.get(field!(CustomFieldDef.name)) == Some(name) && applies(definition, &call.this)
    });
    let (key, definition) = named.ok_or_else(|| {
        crate::service::invalid_argument("key", &format!("{} has no field {name:?}", call.this))
    })?;
    set_value(call, &call.this, *key, definition, value).await
}

async fn set_value(call: &Call, entity: &MoRef, key: i32, definition: &Object, value: &str) -> Reply {
    if !applies(definition, entity) {
        return Err(crate::service::invalid_argument(
            "key",
            &format!("The field does not apply to {entity}"),
        ));
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(crate::service::invalid_argument(
            "value",
            &format!("The value of a field has at most {MAX_VALUE_BYTES} bytes"),
        ));
    }
    let core = &call.service.core;
    let mut values =
        CUSTOM_VALUES.get(&core.store, entity.id()).map_err(|error| store_fault(&error))?.unwrap_or_default();
    if value.is_empty() {
        values.remove(&key);
    } else {
        values.insert(key, value.to_owned());
    }
    let mut batch = store::Batch::new();
    CUSTOM_VALUES.put(&mut batch, entity.id(), &values).map_err(|error| store_fault(&error))?;
    core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
    show_values(core, entity, &values);
    let state = core.tree.snapshot();
    let name = state.find(entity).filter(|node| node.me().is_a(managed_id!(ManagedEntity)));
    let name = name.and_then(|node| node.get(prop!(ManagedEntity.name))).unwrap_or_default();
    if entity.is_a(managed_id!(ManagedEntity)) {
        let event = vim!(CustomFieldValueChangedEvent {
            userName: call.user(),
            entity: ManagedEntityEventArgument { name: name, entity: entity },
            fieldKey: key,
            name: definition.get(field!(CustomFieldDef.name)).unwrap_or_default(),
            value: value,
        });
        core.events.post(event).await;
    }
    Ok(None)
}

fn show_values(core: &Core, entity: &MoRef, values: &BTreeMap<i32, String>) {
    core.tree.write(|w| show_custom_values(w, entity, values));
}

/// Shows the values in all properties of the object that hold them.
pub fn show_custom_values(w: &mut Writer, entity: &MoRef, values: &BTreeMap<i32, String>) {
    let list = custom_values(values).map(Value::List);
    w.put(entity, prop!(ExtensibleManagedObject.value).number(), list.clone());
    if !entity.is_a(managed_id!(ManagedEntity)) {
        return;
    }
    w.put(entity, prop!(ManagedEntity.customValue).number(), list.clone());
    let Some(summary) = schema().managed(entity.ty()).member("summary") else { return };
    let Some(Value::Object(old)) = w.find(entity).and_then(|node| node.at(summary)).cloned() else {
        return;
    };
    if let Some(field) = schema().data(old.ty()).member("customValue") {
        let mut new = Object::clone(&old);
        new.put(field, list);
        w.put(entity, summary, Some(new.into()));
    }
}
