//! Storage policies as the store has them, and those that every center has.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use store::Collection;
use vim::{DataId, DateTime, Object, data_id, ty, vim};

use super::profile_id;
use crate::estate::stored;

/// By id, a UUID.
pub(super) const POLICIES: Collection<Stored> = Collection::new("storage-policies");
/// The id of the default policy by the id of the datastore.
pub(super) const DEFAULTS: Collection<String> = Collection::new("storage-policy-defaults");
/// Policies that users have made.
pub(super) const MAX_POLICIES: usize = 1_000;

const CONSTRAINTS: DataId = data_id!(PbmCapabilitySubProfileConstraints);
/// The author of what the center has without anybody's doing.
const SYSTEM: &str = "System";
const VSAN: &str = "VSAN";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) description: String,
    /// `PbmCapabilitySubProfileConstraints` in VI-JSON.
    pub(super) constraints: serde_json::Value,
    pub(super) created_us: i64,
    pub(super) created_by: String,
    pub(super) updated_us: i64,
    pub(super) updated_by: String,
    /// It grows with each change of the constraints.
    pub(super) generation: i64,
    /// `PbmSystemCreatedProfileType`
    #[serde(skip)]
    pub(super) system: Option<&'static str>,
}

impl Stored {
    pub(super) fn constraints(&self) -> Arc<Object> {
        stored::decode(CONSTRAINTS, &self.constraints)
    }

    pub(super) fn show(&self, id: &str) -> ty!(PbmCapabilityProfile) {
        vim!(PbmCapabilityProfile {
            profileId: profile_id(id),
            name: &self.name,
            description: &self.description,
            creationTime: DateTime::from_micros(self.created_us),
            createdBy: &self.created_by,
            lastUpdatedTime: DateTime::from_micros(self.updated_us),
            lastUpdatedBy: &self.updated_by,
            profileCategory: "REQUIREMENT",
            resourceType: PbmProfileResourceType { resourceType: "STORAGE" },
            constraints: self.constraints(),
            generationId: self.generation,
            isDefault: self.system.is_some(),
            systemCreatedProfileType: self.system,
        })
    }
}

/// The policies that every center has, with the ids by which clients look for them.
pub(super) fn system() -> &'static [(String, Stored)] {
    static SYSTEM_POLICIES: LazyLock<Vec<(String, Stored)>> = LazyLock::new(make_system);
    &SYSTEM_POLICIES
}

fn make_system() -> Vec<(String, Stored)> {
    let rule = |id: &str, value: vim::Value| {
        vim!(PbmCapabilityInstance {
            id: PbmCapabilityMetadataUniqueId { namespace: VSAN, id: id },
            constraint: vec![vim!(PbmCapabilityConstraintInstance {
                propertyInstance: vec![vim!(PbmCapabilityPropertyInstance { id: id, value: value })],
            })],
        })
    };
    let redundant = vim!(PbmCapabilitySubProfileConstraints {
        subProfiles: vec![vim!(PbmCapabilitySubProfile {
            name: "VSAN sub-profile",
            capability: vec![
                rule("hostFailuresToTolerate", 1_i32.into()),
                rule("stripeWidth", 1_i32.into()),
                rule("forceProvisioning", false.into()),
                rule("proportionalCapacity", 0_i32.into()),
                rule("cacheReservation", 0_i32.into()),
            ],
        })],
    });
    let none = Object::new(CONSTRAINTS);
    let make = |id: &str, name: &str, description: &str, system, constraints: Object| {
        let stored = Stored {
            name: name.to_owned(),
            description: description.to_owned(),
            constraints: stored::encode(&Arc::new(constraints)),
            created_us: 0,
            created_by: SYSTEM.to_owned(),
            updated_us: 0,
            updated_by: SYSTEM.to_owned(),
            generation: 0,
            system: Some(system),
        };
        (id.to_owned(), stored)
    };
    vec![
        make(
            "aa6d5a82-1c88-45da-85d3-3d74b91a5bad",
            "vSAN Default Storage Policy",
            "One failure tolerated; fits vSAN datastores only",
            "VsanDefaultProfile",
            redundant.into_object(),
        ),
        make(
            "f4e5bade-15a2-4805-bf8e-52318c4ce443",
            "VVol No Requirements Policy",
            "Asks nothing of a datastore",
            "VVolDefaultProfile",
            none,
        ),
    ]
}
