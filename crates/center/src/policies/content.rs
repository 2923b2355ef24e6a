//! The service's instance and its managers.

use api::server::PBM_INSTANCE;
use vim::{managed_id, method, props, vim};

use super::{Policies, Row, compliance, defaults, placement, profiles, reference};

/// The managers of `/pbm/sdk`.
pub(crate) const MANAGERS: [Row; 7] = [
    SERVICE,
    Row {
        me: |_| reference(managed_id!(PbmProfileProfileManager), "pbm-profiles"),
        named: None,
        properties: |_| Ok(props!(PbmProfileProfileManager {})),
        register: |table| {
            profiles::register(table);
            defaults::register(table);
        },
    },
    Row {
        me: |_| reference(managed_id!(PbmComplianceManager), "pbm-compliance"),
        named: None,
        properties: |_| Ok(props!(PbmComplianceManager {})),
        register: compliance::register,
    },
    Row {
        me: |_| reference(managed_id!(PbmPlacementSolver), "pbm-placement"),
        named: None,
        properties: |_| Ok(props!(PbmPlacementSolver {})),
        register: placement::register,
    },
    Row {
        me: |_| reference(managed_id!(PbmSessionManager), "pbm-sessions"),
        named: None,
        properties: |_| Ok(props!(PbmSessionManager {})),
        register: |_| {},
    },
    Row {
        me: |_| reference(managed_id!(PbmCapabilityMetadataManager), "pbm-capabilities"),
        named: None,
        properties: |_| Ok(props!(PbmCapabilityMetadataManager {})),
        register: |_| {},
    },
    Row {
        me: |_| reference(managed_id!(PbmReplicationManager), "pbm-replication"),
        named: None,
        properties: |_| Ok(props!(PbmReplicationManager {})),
        register: |_| {},
    },
];

/// The object that clients begin with.
const SERVICE: Row = Row {
    me: |_| reference(managed_id!(PbmServiceInstance), PBM_INSTANCE),
    named: None,
    properties: |policies| Ok(props!(PbmServiceInstance { content: content(policies) })),
    register: |table| {
        table.on(
            managed_id!(PbmServiceInstance),
            method!(PbmRetrieveServiceContent),
            |policies, _| async move { Ok(Some(content(&policies).into())) },
        );
    },
};

fn content(policies: &Policies) -> vim::ty!(PbmServiceInstanceContent) {
    vim!(PbmServiceInstanceContent {
        aboutInfo: PbmAboutInfo { name: "PBM", version: "2.0", instanceUuid: &policies.center },
        sessionManager: reference(managed_id!(PbmSessionManager), "pbm-sessions"),
        capabilityMetadataManager: reference(managed_id!(PbmCapabilityMetadataManager), "pbm-capabilities"),
        profileManager: reference(managed_id!(PbmProfileProfileManager), "pbm-profiles"),
        complianceManager: reference(managed_id!(PbmComplianceManager), "pbm-compliance"),
        placementSolver: reference(managed_id!(PbmPlacementSolver), "pbm-placement"),
        replicationManager: reference(managed_id!(PbmReplicationManager), "pbm-replication"),
    })
}
