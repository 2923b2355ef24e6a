//! Extensions, and the licence.

use vim::{Fault, ManagedId, Props, Value, arg, field, managed_id, method, prop, props};

use crate::{Call, Methods};

const MANAGER: ManagedId = managed_id!(ExtensionManager);

pub(super) fn register(methods: &mut Methods) {
    methods.on(MANAGER, method!(FindExtension), |call| async move { find(&call) });
}

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

/// There is nothing to buy: one licence, for everything and without a limit (`total` 0), and no evaluation that ends.
pub(super) fn license_properties() -> Props {
    props!(LicenseManager {
        source: LocalLicenseSource { licenseKeys: "" },
        sourceAvailable: true,
        licensedEdition: "esfera",
        licenses: [LicenseManagerLicenseInfo {
            licenseKey: "00000-00000-00000-00000-00000",
            editionKey: "esfera",
            name: "Esfera, free under the Apache License 2.0",
            total: 0,
            costUnit: "server",
        }],
        evaluation: LicenseManagerEvaluationInfo {},
    })
}
