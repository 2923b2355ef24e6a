//! The CustomizationSpecManager: specifications for the customization of guests, kept by name. No password leaves it: clients
//! see a token in its place, and a specification that comes back with the token keeps the password.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vim::{
    DataId, DateTime, Fault, Kind, List, ManagedId, Object, Value, arg, data_id, fault, field, managed_id,
    props,
};

use super::customization_xml::{from_xml, to_xml};
use super::in_turn::in_turn;
use crate::common::Common;
use crate::session::random_uuid;
use crate::stored::{decode, encode, store_fault};
use crate::{Call, Manager, Writer};

type Reply = Result<Option<Value>, Fault>;

const MANAGER: ManagedId = managed_id!(CustomizationSpecManager);
const ITEM: DataId = data_id!(CustomizationSpecItem);
const SPECS: store::Collection<Stored> = store::Collection::new("customization-spec");
/// Specifications that may exist.
const MAX_SPECS: usize = 1_000;
const MAX_NAME_BYTES: usize = 255;
const MAX_SPEC_BYTES: usize = 256 << 10;
/// Objects inside of each other in a specification.
const MAX_DEPTH: usize = 32;

/// A specification as the store holds it, by name.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    /// `CustomizationSpecItem` in VI-JSON, with tokens in place of passwords.
    item: serde_json::Value,
    /// The password of each token.
    passwords: BTreeMap<String, String>,
    /// Counts the changes.
    version: u64,
}

/// The CustomizationSpecManager.
pub(super) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.customization_spec_manager.clone(),
    named: Some(field!(ServiceContent.customizationSpecManager).number()),
    properties: |common| Ok(props!(CustomizationSpecManager { info: infos(&all(&common.core.store)?) })),
    register: |table| {
        in_turn!(
            table.methods,
            MANAGER, DoesCustomizationSpecExist => exists;
            MANAGER, GetCustomizationSpec => get;
            MANAGER, CreateCustomizationSpec => create;
            MANAGER, OverwriteCustomizationSpec => overwrite;
            MANAGER, DeleteCustomizationSpec => delete;
            MANAGER, DuplicateCustomizationSpec => duplicate;
            MANAGER, RenameCustomizationSpec => rename;
            MANAGER, CustomizationSpecItemToXml => to_xml;
            MANAGER, XmlToCustomizationSpecItem => from_xml;
        );
    },
};

fn all(store: &store::Store) -> store::Result<Vec<(String, Stored)>> {
    SPECS.all(store)
}

fn item_of(stored: &Stored) -> Option<Object> {
    decode(ITEM, stored.item.to_string().as_bytes()).map(|item| Object::clone(&item))
}

fn infos(all: &[(String, Stored)]) -> Option<List> {
    let info = |(_, stored): &(String, Stored)| {
        item_of(stored)?.at(field!(CustomizationSpecItem.info).number()).cloned()
    };
    let items: Vec<Value> = all.iter().filter_map(info).collect();
    (!items.is_empty()).then(|| List::new(Kind::Data(data_id!(CustomizationSpecInfo)), items))
}

fn find(call: &Call, name: &str) -> Result<Stored, Fault> {
    let found = SPECS.get(&call.service.core.store, name).map_err(|error| store_fault(&error))?;
    found.ok_or_else(|| fault!(NotFound {}, "The customization specification {name:?} does not exist"))
}

async fn exists(call: &Call) -> Reply {
    let name = call.required(arg!(DoesCustomizationSpecExist.name))?;
    let found = SPECS.get(&call.service.core.store, name).map_err(|error| store_fault(&error))?;
    Ok(Some(Value::Boolean(found.is_some())))
}

async fn get(call: &Call) -> Reply {
    let name = call.required(arg!(GetCustomizationSpec.name))?;
    let item = item_of(&find(call, name)?);
    item.map(|item| Some(item.into()))
        .ok_or_else(|| fault!(RuntimeFault {}, "The customization specification {name:?} is damaged"))
}

async fn create(call: &Call) -> Reply {
    let item = call.required(arg!(CreateCustomizationSpec.item))?;
    let name = name_of(item)?;
    refuse_known(call, &name)?;
    let stored = prepared(call, item, None, 1)?;
    keep(call, &[], &[(&name, &stored)]).await
}

async fn overwrite(call: &Call) -> Reply {
    let item = call.required(arg!(OverwriteCustomizationSpec.item))?;
    let name = name_of(item)?;
    let old = find(call, &name)?;
    let info = item.get(field!(CustomizationSpecItem.info));
    let version = info.and_then(|info| info.get(field!(CustomizationSpecInfo.changeVersion)));
    if version.is_some_and(|version| !version.is_empty() && version != old.version.to_string()) {
        return Err(fault!(
            ConcurrentAccess {},
            "The customization specification {name:?} has changed meanwhile; read it again"
        ));
    }
    let stored = prepared(call, item, Some(&old), old.version + 1)?;
    keep(call, &[], &[(&name, &stored)]).await
}

async fn delete(call: &Call) -> Reply {
    let name = call.required(arg!(DeleteCustomizationSpec.name))?;
    find(call, name)?;
    keep(call, &[name], &[]).await
}

async fn duplicate(call: &Call) -> Reply {
    let name = call.required(arg!(DuplicateCustomizationSpec.name))?;
    let new = checked_name(call.required(arg!(DuplicateCustomizationSpec.newName))?)?;
    let stored = renamed(&find(call, name)?, &new, 1)?;
    refuse_known(call, &new)?;
    keep(call, &[], &[(&new, &stored)]).await
}

async fn rename(call: &Call) -> Reply {
    let name = call.required(arg!(RenameCustomizationSpec.name))?;
    let new = checked_name(call.required(arg!(RenameCustomizationSpec.newName))?)?;
    let old = find(call, name)?;
    if new == name {
        return Ok(None);
    }
    refuse_known(call, &new)?;
    let stored = renamed(&old, &new, old.version + 1)?;
    keep(call, &[name], &[(&new, &stored)]).await
}

fn refuse_known(call: &Call, name: &str) -> Result<(), Fault> {
    let all = all(&call.service.core.store).map_err(|error| store_fault(&error))?;
    if all.iter().any(|(known, _)| known == name) {
        return Err(fault!(
            AlreadyExists { name: name },
            "The customization specification {name:?} exists already"
        ));
    }
    if all.len() >= MAX_SPECS {
        return Err(fault!(
            OutOfBounds { argumentName: "item" },
            "The limit of {MAX_SPECS} customization specifications is reached; remove some"
        ));
    }
    Ok(())
}

fn checked_name(name: &str) -> Result<String, Fault> {
    if name.trim().is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(crate::service::invalid_argument(
            "name",
            &format!("A name has 1 to {MAX_NAME_BYTES} bytes and no control characters"),
        ));
    }
    Ok(name.to_owned())
}

fn name_of(item: &Object) -> Result<String, Fault> {
    let info = item.get(field!(CustomizationSpecItem.info));
    checked_name(info.and_then(|info| info.get(field!(CustomizationSpecInfo.name))).unwrap_or_default())
}

/// The specification as it is stored: its passwords apart, its information completed.
fn prepared(call: &Call, item: &Object, old: Option<&Stored>, version: u64) -> Result<Stored, Fault> {
    let known = |token: &str| -> Option<String> {
        if let Some(password) = old.and_then(|old| old.passwords.get(token)) {
            return Some(password.clone());
        }
        let all = all(&call.service.core.store).ok()?;
        all.into_iter().find_map(|(_, stored)| stored.passwords.get(token).cloned())
    };
    let mut passwords = BTreeMap::new();
    let taken = take_passwords(&Value::Object(Arc::new(item.clone())), &known, &mut passwords, 0)?;
    let mut item = taken.as_object().map_or_else(|| item.clone(), |item| Object::clone(item));
    complete(&mut item, version);
    let text = encode(ITEM, &Arc::new(item));
    if text.len() > MAX_SPEC_BYTES {
        return Err(crate::service::invalid_argument(
            "item",
            &format!("A customization specification has at most {MAX_SPEC_BYTES} bytes"),
        ));
    }
    let item = serde_json::from_slice(&text)
        .map_err(|error| fault!(RuntimeFault {}, "The specification cannot be stored: {error}"))?;
    Ok(Stored { item, passwords, version })
}

fn complete(item: &mut Object, version: u64) {
    let info = item.get(field!(CustomizationSpecItem.info));
    let mut info =
        info.map_or_else(|| Object::new(data_id!(CustomizationSpecInfo)), |info| Object::clone(info));
    info.set(field!(CustomizationSpecInfo.changeVersion), version.to_string());
    info.set(field!(CustomizationSpecInfo.lastUpdateTime), DateTime::now());
    item.put(field!(CustomizationSpecItem.info).number(), Some(info.into()));
}

fn renamed(stored: &Stored, name: &str, version: u64) -> Result<Stored, Fault> {
    let mut item = item_of(stored).ok_or_else(|| fault!(RuntimeFault {}, "The specification is damaged"))?;
    let info = item.get(field!(CustomizationSpecItem.info));
    let mut info =
        info.map_or_else(|| Object::new(data_id!(CustomizationSpecInfo)), |info| Object::clone(info));
    info.set(field!(CustomizationSpecInfo.name), name);
    item.put(field!(CustomizationSpecItem.info).number(), Some(info.into()));
    complete(&mut item, version);
    let item = serde_json::from_slice(&encode(ITEM, &Arc::new(item)))
        .map_err(|error| fault!(RuntimeFault {}, "The specification cannot be stored: {error}"))?;
    Ok(Stored { item, passwords: stored.passwords.clone(), version })
}

/// The value with a token in place of every password, which goes to `passwords`.
///
/// # Errors
/// `CustomizationFault` for a password that is neither in plain text nor a token of a known one.
fn take_passwords(
    value: &Value,
    known: &impl Fn(&str) -> Option<String>,
    passwords: &mut BTreeMap<String, String>,
    depth: usize,
) -> Result<Value, Fault> {
    if depth > MAX_DEPTH {
        return Err(crate::service::invalid_argument("item", "The specification is nested too deeply"));
    }
    match value {
        Value::Object(object) if object.is_a(data_id!(CustomizationPassword)) => {
            let given = object.get(field!(CustomizationPassword.value)).unwrap_or_default();
            let (token, password) = if object.get(field!(CustomizationPassword.plainText)) == Some(false) {
                let password = known(given).ok_or_else(|| {
                    fault!(
                        CustomizationFault {},
                        "An encrypted password is not one that this center has shown; give it again in plain text"
                    )
                })?;
                (given.to_owned(), password)
            } else {
                (random_uuid(), given.to_owned())
            };
            let mut shown = Object::clone(object);
            shown.set(field!(CustomizationPassword.value), token.as_str());
            shown.set(field!(CustomizationPassword.plainText), false);
            passwords.insert(token, password);
            Ok(shown.into())
        }
        Value::Object(object) => {
            let mut taken = Object::clone(object);
            for (number, value) in object.fields() {
                taken.put(*number, Some(take_passwords(value, known, passwords, depth + 1)?));
            }
            Ok(taken.into())
        }
        Value::List(list) => {
            let items = list.items().iter().map(|item| take_passwords(item, known, passwords, depth + 1));
            Ok(Value::List(List::new(list.element(), items.collect::<Result<Vec<_>, _>>()?)))
        }
        other => Ok(other.clone()),
    }
}

/// Removes and writes specifications, and shows them.
async fn keep(call: &Call, gone: &[&str], new: &[(&String, &Stored)]) -> Reply {
    let core = &call.service.core;
    let mut batch = store::Batch::new();
    gone.iter().for_each(|name| SPECS.delete(&mut batch, name));
    for (name, stored) in new {
        SPECS.put(&mut batch, name, stored).map_err(|error| store_fault(&error))?;
    }
    core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
    let info = infos(&all(&core.store).map_err(|error| store_fault(&error))?);
    core.tree.write(|w: &mut Writer<'_>| w.set(&call.this, props!(CustomizationSpecManager { info: info })));
    Ok(None)
}
