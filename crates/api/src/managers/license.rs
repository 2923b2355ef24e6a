//! The LicenseManager. Esfera costs nothing: one licence, for everything and without a limit, and no evaluation that ends.

use std::sync::Arc;

use vim::{field, props};

use crate::Manager;
use crate::common::Common;

/// The LicenseManager.
pub(super) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.license_manager.clone(),
    named: Some(field!(ServiceContent.licenseManager).number()),
    properties: |_| {
        Ok(props!(LicenseManager {
            source: LocalLicenseSource { licenseKeys: "" },
            sourceAvailable: true,
            licensedEdition: "esfera",
            licenses: [LicenseManagerLicenseInfo {
                licenseKey: "00000-00000-00000-00000-00000",
                editionKey: "esfera",
                name: "Esfera, free under the Apache License 2.0",
                // Without a limit.
                total: 0,
                costUnit: "server",
            }],
            evaluation: LicenseManagerEvaluationInfo {},
        }))
    },
    register: |_| {},
};
