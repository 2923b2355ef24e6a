//! The ExtensionManager: lists what other products have registered.

use std::sync::Arc;

use vim::{Fault, ManagedId, Value, arg, field, managed_id, method, prop, props};

use crate::common::Common;
use crate::{Call, Manager};

const MANAGER: ManagedId = managed_id!(ExtensionManager);

/// The ExtensionManager.
pub(super) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.extension_manager.clone(),
    named: Some(field!(ServiceContent.extensionManager).number()),
    properties: |_| Ok(props!(ExtensionManager {})),
    register: |table| {
        table.methods.on(MANAGER, method!(FindExtension), |call| async move { find(&call) });
    },
};

fn find(call: &Call) -> Result<Option<Value>, Fault> {
    let key = call.required(arg!(FindExtension.extensionKey))?;
    let state = call.state();
    let list = state.find(&call.this).and_then(|node| node.get(prop!(ExtensionManager.extensionList)));
    let mut extensions = list.into_iter().flatten();
    Ok(extensions
        .find(|extension| extension.get(field!(Extension.key)) == Some(key))
        .cloned()
        .map(Value::Object))
}
