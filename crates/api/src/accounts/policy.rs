//! Everything that decisions depend on, at one time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use store::Store;

use super::abroad::{Abroad, is_abroad};
use super::records::{
    ACCOUNTS, CERTIFICATES, GROUPS, MET, PERMISSIONS, ROLES, RULES, SETTINGS, SOURCES, StoredAccount,
    StoredCertificate, StoredGroup, StoredMet, StoredPermission, StoredRules, StoredToken, TOKENS,
};
use super::roles::{self, Role};

/// The entity of global permissions, above the root folder. The id of no object has a space.
pub(super) const GLOBAL: &str = "global root";
/// The built-in group to which all users belong.
pub(super) const EVERYBODY: &str = "users";

#[derive(Clone, Default)]
pub(super) struct Policy {
    /// Rises with each change.
    pub version: u64,
    pub accounts: BTreeMap<String, StoredAccount>,
    /// To be changed with [`Policy::edit_groups`].
    pub(super) groups: BTreeMap<String, StoredGroup>,
    pub(super) memberships: Memberships,
    pub tokens: BTreeMap<String, StoredToken>,
    pub rules: StoredRules,
    pub roles: BTreeMap<i32, Arc<Role>>,
    /// By the entity's id.
    pub permissions: HashMap<String, Vec<StoredPermission>>,
    pub certificates: BTreeMap<String, StoredCertificate>,
    /// Identity sources by their domains in lower case.
    pub sources: BTreeMap<String, Arc<Abroad>>,
    /// Users of identity sources who have been met.
    pub met: Arc<BTreeMap<String, Arc<StoredMet>>>,
}

/// The groups to which each user belongs, also through other groups: computed once for each state of the groups.
#[derive(Clone, Default)]
pub(super) struct Memberships {
    by_user: HashMap<String, Arc<BTreeSet<String>>>,
    /// Those of every other user.
    others: Arc<BTreeSet<String>>,
    /// The groups that contain each group directly.
    parents: Arc<HashMap<String, Vec<String>>>,
}

impl Memberships {
    fn of(groups: &BTreeMap<String, StoredGroup>) -> Self {
        let mut parents: HashMap<String, Vec<String>> = HashMap::new();
        for (key, group) in groups {
            group.groups.iter().for_each(|inner| parents.entry(inner.clone()).or_default().push(key.clone()));
        }
        let above = |key: &str| above(&parents, [key]);
        let everybody = groups.get(EVERYBODY).filter(|group| group.built_in);
        let others = everybody.map(|_| above(EVERYBODY)).unwrap_or_default();
        let mut by_user: HashMap<String, BTreeSet<String>> = HashMap::new();
        for (key, group) in groups.iter().filter(|(_, group)| !group.users.is_empty()) {
            let all = above(key);
            for user in &group.users {
                let of_everybody = || if is_abroad(user) { BTreeSet::new() } else { others.clone() };
                let his = by_user.entry(user.clone()).or_insert_with(of_everybody);
                his.extend(all.iter().cloned());
            }
        }
        let by_user = by_user.into_iter().map(|(user, all)| (user, Arc::new(all))).collect();
        Self { by_user, others: Arc::new(others), parents: Arc::new(parents) }
    }
}

/// These groups and all that contain them, directly or through others.
fn above<'a>(
    parents: &'a HashMap<String, Vec<String>>,
    groups: impl IntoIterator<Item = &'a str>,
) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut waiting: Vec<&str> = groups.into_iter().collect();
    while let Some(key) = waiting.pop() {
        if all.insert(key.to_owned()) {
            waiting.extend(parents.get(key).into_iter().flatten().map(String::as_str));
        }
    }
    all
}

impl Policy {
    /// The keys of all groups to which the user with this key belongs, directly or through other groups.
    pub(super) fn groups_of(&self, key: &str) -> Arc<BTreeSet<String>> {
        let here = self.memberships.by_user.get(key);
        match self.met.get(key) {
            Some(met) => {
                let mine = met.groups.iter().chain(here.into_iter().flat_map(|groups| groups.iter()));
                Arc::new(above(&self.memberships.parents, mine.map(String::as_str)))
            }
            None if is_abroad(key) => here.cloned().unwrap_or_default(),
            None => here.unwrap_or(&self.memberships.others).clone(),
        }
    }

    /// Whether an account or a user who has been met has this key.
    pub(super) fn is_user(&self, key: &str) -> bool {
        self.accounts.contains_key(key) || self.met.contains_key(key)
    }

    /// Whether the role of the token with this id has the privilege; a token that was removed has none.
    pub(super) fn token_allows(&self, token: &str, privilege: &str) -> bool {
        let role = self.tokens.get(token).and_then(|token| self.roles.get(&token.role));
        role.is_some_and(|role| role.has(privilege))
    }

    /// The groups by their keys.
    pub(super) fn groups(&self) -> &BTreeMap<String, StoredGroup> {
        &self.groups
    }

    /// Whether the group names the user as a member, or has all users.
    pub(super) fn is_direct_member(&self, group: &str, user: &str) -> bool {
        self.groups.get(group).is_some_and(|known| {
            known.users.contains(user) || (known.built_in && group == EVERYBODY && !is_abroad(user))
        })
    }

    /// The groups that contain this group, directly or through others, and itself.
    pub(super) fn groups_around(&self, key: &str) -> BTreeSet<String> {
        let mut all = BTreeSet::from([key.to_owned()]);
        loop {
            let more = self.groups.iter().filter(|(outer, group)| {
                !all.contains(*outer) && group.groups.iter().any(|inner| all.contains(inner))
            });
            let more: Vec<String> = more.map(|(outer, _)| outer.clone()).collect();
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }

    /// Changes groups, and with them who belongs to which.
    pub(super) fn edit_groups<T>(&mut self, edit: impl FnOnce(&mut BTreeMap<String, StoredGroup>) -> T) -> T {
        let result = edit(&mut self.groups);
        self.memberships = Memberships::of(&self.groups);
        result
    }

    pub(super) fn read(store: &Store) -> Result<Self, store::Error> {
        store.read(|view| {
            let mut policy = Self::default();
            policy.accounts.extend(ACCOUNTS.all_in(view)?);
            policy.certificates.extend(CERTIFICATES.all_in(view)?);
            policy.tokens.extend(TOKENS.all_in(view)?);
            for (key, source) in SOURCES.all_in(view)? {
                match Abroad::new(source) {
                    Ok(source) => {
                        policy.sources.insert(key, Arc::new(source));
                    }
                    Err(error) => tracing::error!(domain = key, %error, "an identity source cannot be used"),
                }
            }
            let met = MET.all_in(view)?.into_iter().map(|(key, met)| (key, Arc::new(met)));
            policy.met = Arc::new(met.collect());
            policy.rules = SETTINGS.get_in(view, RULES)?.unwrap_or_default();
            let groups = GROUPS.all_in(view)?;
            policy.edit_groups(|known| known.extend(groups));
            for role in roles::system() {
                policy.roles.insert(role.id, Arc::new(role));
            }
            for (_, stored) in ROLES.all_in(view)? {
                let role = Role::from(stored);
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

    /// Whether an account that can log in with a password is Admin of the whole inventory.
    pub(super) fn has_administrator(&self, root: &str) -> bool {
        let logs_in = |account: &StoredAccount| account.hash.is_some() && !account.disabled;
        self.accounts.iter().any(|(key, account)| logs_in(account) && self.is_administrator(key, root))
    }

    /// Whether the account with this key is Admin of the whole inventory, by its permission on the root folder or else by a global one.
    pub(super) fn is_administrator(&self, key: &str, root: &str) -> bool {
        let groups = self.groups_of(key);
        let is_admin = |p: &&StoredPermission| p.role == roles::ADMIN && p.propagate;
        // None where the account has no permission.
        let on = |entity: &str| -> Option<bool> {
            let here = self.permissions.get(entity)?;
            let mine: Vec<_> = here.iter().filter(|p| p.is_for(key, &groups)).collect();
            // A permission for the user overrides those for his groups.
            let own = mine.iter().find(|p| !p.group).map(is_admin);
            own.or_else(|| (!mine.is_empty()).then(|| mine.iter().any(is_admin)))
        };
        self.is_user(key) && on(root).or_else(|| on(GLOBAL)).unwrap_or(false)
    }
}
