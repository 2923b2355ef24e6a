//! The form of accounts, roles and permissions in the store.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use store::Collection;
use vim::{MoRef, schema};

/// Accounts by their plain names in lower case.
pub(super) const ACCOUNTS: Collection<StoredAccount> = Collection::new("accounts");
/// Roles that users have made, by their ids.
pub(super) const ROLES: Collection<StoredRole> = Collection::new("roles");
/// Permissions by entity and principal, see [`StoredPermission::key`].
pub(super) const PERMISSIONS: Collection<StoredPermission> = Collection::new("permissions");
/// Client certificates, and authorities of such, by their SHA-256 fingerprints.
pub(super) const CERTIFICATES: Collection<StoredCertificate> = Collection::new("trusted-certificates");
/// The counter for ids of roles.
pub(super) const ROLE_IDS: &str = "roles";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredAccount {
    pub name: String,
    pub full_name: String,
    /// None for an account that logs in by certificate only.
    pub hash: Option<String>,
    #[serde(default)]
    pub groups: BTreeSet<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredRole {
    pub id: i32,
    pub name: String,
    pub privileges: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredPermission {
    pub entity_type: String,
    pub entity: String,
    /// Plain name, as the account or group is called.
    pub principal: String,
    pub group: bool,
    pub role: i32,
    pub propagate: bool,
}

impl StoredPermission {
    pub(super) fn key(&self) -> String {
        let kind = if self.group { "group" } else { "user" };
        format!("{}/{kind}/{}", self.entity, self.principal.to_lowercase())
    }

    /// None if the entity's type is unknown.
    pub(super) fn entity(&self) -> Option<MoRef> {
        Some(MoRef::new(schema().find_managed(&self.entity_type)?, self.entity.as_str()))
    }

    pub(super) fn is_for(&self, key: &str, groups: &BTreeSet<String>) -> bool {
        let principal = self.principal.to_lowercase();
        if self.group { groups.contains(&principal) } else { principal == key }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredCertificate {
    /// For an authority's certificate: the URI that a certificate of it must bear.
    #[serde(default)]
    pub uri: Option<String>,
    pub account: String,
    pub description: String,
    pub added_ms: i64,
}
