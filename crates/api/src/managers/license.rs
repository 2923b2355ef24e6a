//! The LicenseManager. Esfera costs nothing: one licence, for everything and without a limit, and no evaluation that ends.

use std::sync::Arc;

use vim::{field, props, ty, vim};

use crate::Manager;
use crate::common::Common;

/// The LicenseManager.
pub(super) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.license_manager.clone(),
    named: Some(field!(ServiceContent.licenseManager).number()),
    properties: |common| {
        let assignment = &common.ids.license_assignment_manager;
        let assignment = common.facts.extensible.then_some(assignment).cloned();
        Ok(props!(LicenseManager {
            source: LocalLicenseSource { licenseKeys: "" },
            sourceAvailable: true,
            licensedEdition: "esfera",
            licenses: [licence()],
            licenseAssignmentManager: assignment,
            evaluation: LicenseManagerEvaluationInfo {},
        }))
    },
    register: |_| {},
};

/// The licence, without a limit.
pub(super) fn licence() -> ty!(LicenseManagerLicenseInfo) {
    vim!(LicenseManagerLicenseInfo {
        licenseKey: "00000-00000-00000-00000-00000",
        editionKey: "esfera",
        name: "Esfera, free under the Apache License 2.0",
        total: 0,
        costUnit: "server",
    })
}
