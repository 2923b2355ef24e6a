//! The service's instance and its managers.

use api::server::PBM_INSTANCE;
use vim::{MoRef, managed_id, method, props, vim};

use super::{Policies, Row, compliance, defaults, placement, profiles};

/// The managers of `/pbm/sdk`.
pub(crate) const MANAGERS: [Row; 7] = [
    SERVICE,
    Row {
        me: |_| profile_manager(),
        named: None,
        properties: |_| Ok(props!(PbmProfileProfileManager {})),
        register: |table| {
            profiles::register(table);
            defaults::register(table);
        },
    },
    Row {
        me: |_| compliance_manager(),
        named: None,
        properties: |_| Ok(props!(PbmComplianceManager {})),
        register: compliance::register,
    },
    Row {
        me: |_| placement_solver(),
        named: None,
        properties: |_| Ok(props!(PbmPlacementSolver {})),
        register: placement::register,
    },
    Row {
        me: |_| session_manager(),
        named: None,
        properties: |_| Ok(props!(PbmSessionManager {})),
        register: |_| {},
    },
    Row {
        me: |_| capability_manager(),
        named: None,
        properties: |_| Ok(props!(PbmCapabilityMetadataManager {})),
        register: |_| {},
    },
    Row {
        me: |_| replication_manager(),
        named: None,
        properties: |_| Ok(props!(PbmReplicationManager {})),
        register: |_| {},
    },
];

/// The object that clients begin with.
const SERVICE: Row = Row {
    me: |_| instance(),
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
        sessionManager: session_manager(),
        capabilityMetadataManager: capability_manager(),
        profileManager: profile_manager(),
        complianceManager: compliance_manager(),
        placementSolver: placement_solver(),
        replicationManager: replication_manager(),
    })
}

fn instance() -> MoRef {
    MoRef::new(managed_id!(PbmServiceInstance), PBM_INSTANCE)
}

fn profile_manager() -> MoRef {
    MoRef::new(managed_id!(PbmProfileProfileManager), "pbm-profiles")
}

fn compliance_manager() -> MoRef {
    MoRef::new(managed_id!(PbmComplianceManager), "pbm-compliance")
}

fn placement_solver() -> MoRef {
    MoRef::new(managed_id!(PbmPlacementSolver), "pbm-placement")
}

fn session_manager() -> MoRef {
    MoRef::new(managed_id!(PbmSessionManager), "pbm-sessions")
}

fn capability_manager() -> MoRef {
    MoRef::new(managed_id!(PbmCapabilityMetadataManager), "pbm-capabilities")
}

fn replication_manager() -> MoRef {
    MoRef::new(managed_id!(PbmReplicationManager), "pbm-replication")
}
