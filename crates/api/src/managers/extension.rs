//! The ExtensionManager: other products register here and are listed.

use std::sync::Arc;

use vim::{
    DataId, Fault, Kind, List, ManagedId, Object, Value, arg, data_id, fault, field, managed_id, method,
    prop, props,
};

use super::in_turn::in_turn;
use crate::common::Common;
use crate::stored::{decode, encode, store_fault};
use crate::{Call, Manager};

type Reply = Result<Option<Value>, Fault>;

const MANAGER: ManagedId = managed_id!(ExtensionManager);
const EXTENSION: DataId = data_id!(Extension);
/// Extensions by key.
const COLLECTION: &str = "extension";
/// Extensions that may be registered.
const MAX_EXTENSIONS: usize = 500;
const MAX_KEY_BYTES: usize = 256;
const MAX_EXTENSION_BYTES: usize = 512 << 10;

/// The ExtensionManager.
pub(super) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.extension_manager.clone(),
    named: Some(field!(ServiceContent.extensionManager).number()),
    properties: |common| Ok(props!(ExtensionManager { extensionList: list(&all(&common.core.store)?) })),
    register: |table| {
        table.methods.on(MANAGER, method!(FindExtension), |call| async move { find(&call) });
        // A host's manager has methods of the same names, by which a center takes charge of it.
        if !table.daemon.facts.extensible {
            return;
        }
        table.methods.on(MANAGER, method!(QueryManagedBy), |call| async move { managed_by(&call) });
        in_turn!(
            table.methods,
            MANAGER, RegisterExtension => register;
            MANAGER, UpdateExtension => update;
            MANAGER, UnregisterExtension => unregister;
        );
    },
};

fn all(store: &store::Store) -> store::Result<Vec<Arc<Object>>> {
    let mut all = Vec::new();
    store.read(|view| {
        view.for_each(COLLECTION, |_, value| {
            all.extend(decode(EXTENSION, value));
            Ok(())
        })
    })?;
    Ok(all)
}

fn list(all: &[Arc<Object>]) -> Option<List> {
    let items: Vec<Value> = all.iter().cloned().map(Value::Object).collect();
    (!items.is_empty()).then(|| List::new(Kind::Data(EXTENSION), items))
}

fn find(call: &Call) -> Reply {
    let key = call.required(arg!(FindExtension.extensionKey))?;
    let state = call.state();
    let list = state.find(&call.this).and_then(|node| node.get(prop!(ExtensionManager.extensionList)));
    let mut extensions = list.into_iter().flatten();
    Ok(extensions
        .find(|extension| extension.get(field!(Extension.key)) == Some(key))
        .cloned()
        .map(Value::Object))
}

fn stored(call: &Call, key: &str) -> Result<Option<Vec<u8>>, Fault> {
    call.service.core.store.get(COLLECTION, key).map_err(|error| store_fault(&error))
}

fn not_registered(key: &str) -> Fault {
    fault!(NotFound {}, "The extension {key:?} is not registered")
}

async fn register(call: &Call) -> Reply {
    let extension = call.required(arg!(RegisterExtension.extension))?;
    let key = extension.get(field!(Extension.key)).unwrap_or_default();
    let well_formed = !key.is_empty() && key.len() <= MAX_KEY_BYTES && !key.chars().any(char::is_control);
    if !well_formed {
        return Err(crate::service::invalid_argument(
            "extension.key",
            &format!("The key of an extension has 1 to {MAX_KEY_BYTES} bytes and no control characters"),
        ));
    }
    if stored(call, key)?.is_some() {
        return Err(crate::service::invalid_argument(
            "extension.key",
            &format!("The extension {key:?} is registered already; update it"),
        ));
    }
    if all(&call.service.core.store).map_err(|error| store_fault(&error))?.len() >= MAX_EXTENSIONS {
        return Err(fault!(
            OutOfBounds { argumentName: "extension" },
            "The limit of {MAX_EXTENSIONS} extensions is reached; unregister some"
        ));
    }
    keep(call, key, Some(extension)).await
}

async fn update(call: &Call) -> Reply {
    let extension = call.required(arg!(UpdateExtension.extension))?;
    let key = extension.get(field!(Extension.key)).unwrap_or_default();
    if stored(call, key)?.is_none() {
        return Err(not_registered(key));
    }
    keep(call, key, Some(extension)).await
}

async fn unregister(call: &Call) -> Reply {
    let key = call.required(arg!(UnregisterExtension.extensionKey))?;
    if stored(call, key)?.is_none() {
        return Err(not_registered(key));
    }
    keep(call, key, None).await
}

/// Writes or removes an extension, and shows the list.
async fn keep(call: &Call, key: &str, extension: Option<&Arc<Object>>) -> Reply {
    let core = &call.service.core;
    let mut batch = store::Batch::new();
    match extension {
        Some(extension) => {
            let text = encode(EXTENSION, extension);
            if text.len() > MAX_EXTENSION_BYTES {
                return Err(crate::service::invalid_argument(
                    "extension",
                    &format!("An extension has at most {MAX_EXTENSION_BYTES} bytes"),
                ));
            }
            batch.put(COLLECTION, key, text);
        }
        None => drop(batch.delete(COLLECTION, key)),
    }
    core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
    let list = list(&all(&core.store).map_err(|error| store_fault(&error))?);
    core.tree.write(|w| w.set(&call.this, props!(ExtensionManager { extensionList: list })));
    Ok(None)
}

/// The VMs and vApps that the extension manages, as far as the session sees them.
fn managed_by(call: &Call) -> Reply {
    let key = call.required(arg!(QueryManagedBy.extensionKey))?;
    let session = call.session()?;
    let state = call.state();
    let by = |manager: Option<&Arc<Object>>| {
        manager.and_then(|by| by.get(field!(ManagedByInfo.extensionKey))) == Some(key)
    };
    let managed = state.iter().filter(|node| {
        let me = node.me();
        if me.is_a(managed_id!(VirtualMachine)) {
            let config = node.get(prop!(VirtualMachine.config));
            by(config.and_then(|config| config.get(field!(VirtualMachineConfigInfo.managedBy))))
        } else if me.is_a(managed_id!(VirtualApp)) {
            let config = node.get(prop!(VirtualApp.vAppConfig));
            by(config.and_then(|config| config.get(field!(VAppConfigInfo.managedBy))))
        } else {
            false
        }
    });
    let mut found: Vec<_> = managed.map(|node| node.me().clone()).collect();
    found.retain(|me| call.service.authority.allows(&session.account, me, "System.View", &state));
    found.sort();
    let items: Vec<Value> = found.into_iter().map(Value::Ref).collect();
    Ok((!items.is_empty()).then(|| Value::List(List::new(Kind::Ref(managed_id!(ManagedEntity)), items))))
}
