//! The form of accounts, roles and permissions in the store.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use store::Collection;
use vim::{MoRef, schema};

/// Accounts by their plain names in lower case.
pub(super) const ACCOUNTS: Collection<StoredAccount> = Collection::new("accounts");
/// Groups by their plain names in lower case.
pub(super) const GROUPS: Collection<StoredGroup> = Collection::new("groups");
/// Tokens of scripts by their ids.
pub(super) const TOKENS: Collection<StoredToken> = Collection::new("tokens");
/// The settings of passwords, locks and sessions, under [`RULES`].
pub(super) const SETTINGS: Collection<StoredRules> = Collection::new("account-settings");
pub(super) const RULES: &str = "rules";
/// Roles that users have made, by their ids.
pub(super) const ROLES: Collection<StoredRole> = Collection::new("roles");
/// Permissions by entity and principal, see [`StoredPermission::key`].
pub(super) const PERMISSIONS: Collection<StoredPermission> = Collection::new("permissions");
/// Client certificates, and authorities of such, by their SHA-256 fingerprints.
pub(super) const CERTIFICATES: Collection<StoredCertificate> = Collection::new("trusted-certificates");
/// Identity sources by their domains in lower case.
pub(super) const SOURCES: Collection<directory::Source> = Collection::new("identity-sources");
/// Users of identity sources who have been met, by their keys.
pub(super) const MET: Collection<StoredMet> = Collection::new("foreign-users");
/// The counter for the numbers of accounts.
pub(super) const ACCOUNT_NUMBERS: &str = "accounts";
/// The counter for ids of roles.
pub(super) const ROLE_IDS: &str = "roles";

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct StoredAccount {
    pub name: String,
    pub full_name: String,
    /// None for an account that logs in by certificate only.
    pub hash: Option<String>,
    #[serde(default)]
    pub email: Option<String>,
    /// Such an account cannot log in.
    #[serde(default)]
    pub disabled: bool,
    /// The number that `PosixUserSearchResult.id` shows.
    #[serde(default)]
    pub number: Option<i32>,
    /// The time at which the password was set; unknown for accounts older than this field.
    #[serde(default)]
    pub password_set_ms: Option<i64>,
    /// Hashes of passwords that the account had before, the newest first.
    #[serde(default)]
    pub former: Vec<String>,
    /// Whether the password stays valid whatever its age.
    #[serde(default)]
    pub password_stays: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct StoredGroup {
    pub name: String,
    pub description: String,
    /// Keys of the users and groups that belong to it directly.
    #[serde(default)]
    pub users: BTreeSet<String>,
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// Whether the daemon has made the group, which cannot be removed then.
    #[serde(default)]
    pub built_in: bool,
}

/// A user of an identity source, as his directory told of him last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredMet {
    /// `DOMAIN\name`.
    pub name: String,
    pub full_name: String,
    /// Keys of the groups of the source to which he belongs, also through other groups.
    pub groups: BTreeSet<String>,
    /// The day of his last login, since 1970.
    pub seen_day: i64,
}

/// A secret by which a script logs in as a user, with the privileges of one role at most.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredToken {
    /// The key of its account.
    pub account: String,
    /// A user's word for it.
    pub name: String,
    /// SHA-256 of the secret, which is random and long.
    pub hash: String,
    pub role: i32,
    pub made_ms: i64,
    pub ends_ms: i64,
}

/// Settings, each none as long as it has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct StoredRules {
    pub quality: Option<String>,
    pub history: Option<i64>,
    pub max_days: Option<i64>,
    pub lock_failures: Option<i64>,
    pub unlock_seconds: Option<i64>,
    pub idle_minutes: Option<i64>,
    pub lifetime_hours: Option<i64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredRole {
    pub id: i32,
    pub name: String,
    /// Empty for a role that is shown by its name.
    #[serde(default)]
    pub label: String,
    pub privileges: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredPermission {
    pub entity_type: String,
    pub entity: String,
    /// Plain name, as the account or group is called; `DOMAIN\name` for one of an identity source.
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
