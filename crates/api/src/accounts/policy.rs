//! Everything that decisions depend on, at one time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use store::Store;

use super::records::{
    ACCOUNTS, CERTIFICATES, PERMISSIONS, ROLES, StoredAccount, StoredCertificate, StoredPermission,
};
use super::roles::{self, Role};

#[derive(Clone, Default)]
pub(super) struct Policy {
    /// Rises with each change.
    pub version: u64,
    pub accounts: BTreeMap<String, StoredAccount>,
    pub roles: BTreeMap<i32, Arc<Role>>,
    /// By the entity's id.
    pub permissions: HashMap<String, Vec<StoredPermission>>,
    pub certificates: BTreeMap<String, StoredCertificate>,
}

impl Policy {
    pub(super) fn read(store: &Store) -> Result<Self, store::Error> {
        store.read(|view| {
            let mut policy = Self::default();
            policy.accounts.extend(ACCOUNTS.all_in(view)?);
            policy.certificates.extend(CERTIFICATES.all_in(view)?);
            for role in roles::system() {
                policy.roles.insert(role.id, Arc::new(role));
            }
            for (_, stored) in ROLES.all_in(view)? {
                let label = stored.name.clone();
                let role = Role { id: stored.id, name: stored.name, label, privileges: stored.privileges };
                policy.roles.insert(role.id, Arc::new(role));
            }
            for (_, permission) in PERMISSIONS.all_in(view)? {
                policy.put_permission(permission);
            }
            Ok(policy)
        })
    }

    /// Adds a permission, replacing one for the same entity and principal.
    pub(super) fn put_permission(&mut self, permission: StoredPermission) {
        self.remove_permission(&permission);
        self.permissions.entry(permission.entity.clone()).or_default().push(permission);
    }

    /// Removes the permission for the same entity and principal, and returns whether one existed.
    pub(super) fn remove_permission(&mut self, like: &StoredPermission) -> bool {
        let Some(there) = self.permissions.get_mut(&like.entity) else { return false };
        let before = there.len();
        let key = like.key();
        there.retain(|known| known.key() != key);
        let removed = there.len() < before;
        if there.is_empty() {
            self.permissions.remove(&like.entity);
        }
        removed
    }

    pub(super) fn all_permissions(&self) -> impl Iterator<Item = &StoredPermission> {
        self.permissions.values().flatten()
    }

    /// Whether an existing account is Admin of the whole inventory.
    pub(super) fn has_administrator(&self, root: &str) -> bool {
        let at_root = self.permissions.get(root).map_or(&[][..], Vec::as_slice);
        self.accounts.iter().any(|(key, account)| {
            // A permission for the user overrides those for his groups.
            let own = at_root.iter().find(|p| !p.group && p.is_for(key, &account.groups));
            let mut through = at_root.iter().filter(|p| p.group && p.is_for(key, &account.groups));
            let is_admin = |p: &StoredPermission| p.role == roles::ADMIN && p.propagate;
            own.map_or_else(|| through.any(is_admin), is_admin)
        })
    }
}
