//! Decisions: the roles that an account has on an object, and whether one of them has a privilege.
//!
//! The permission on the nearest entity up the tree decides. A permission for the user overrides those for groups; those for several
//! groups add up. Most accounts have one permission, on the root, and need no walk. For the others the roles are remembered by object
//! until the policy or the structure of the inventory changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use vim::{MoRef, data_id, field, managed_id, prop, ty, vim};

use super::Accounts;
use super::policy::Policy;
use super::records::StoredPermission;
use super::roles::Role;
use crate::privilege::IMPLICIT;
use crate::tree::parent;
use crate::{Account, Snapshot, What};

/// How deep the inventory may be.
const MAX_DEPTH: usize = 100;
/// Objects whose roles are remembered, by account.
const MAX_REMEMBERED: usize = 200_000;
/// Accounts with remembered roles.
const MAX_ACCOUNTS: usize = 1_000;

/// Roles that apply together. It is empty without a permission.
type RoleSet = Arc<[Arc<Role>]>;

/// The decisions about one account under one policy.
pub(super) struct Decisions {
    policy: Arc<Policy>,
    key: String,
    groups: Arc<BTreeSet<String>>,
    /// The roles on everything, if the account's only permission is on the root.
    everywhere: Option<RoleSet>,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    /// The version of the tree for which the roles are right.
    version: u64,
    by_object: HashMap<MoRef, RoleSet>,
}

impl Accounts {
    pub(super) fn decide(
        &self,
        account: &Account,
        object: &MoRef,
        privilege: &str,
        state: &Snapshot,
    ) -> bool {
        let Some(decisions) = self.decisions(&account.name) else { return false };
        if let Some(narrowed) = &account.narrowed
            && !decisions.policy.token_allows(&narrowed.token, privilege)
        {
            return false;
        }
        let roles = match &decisions.everywhere {
            Some(roles) if roles.iter().any(|role| role.has(privilege)) => return true,
            Some(roles) => roles.clone(),
            None => match self.entity_of(object, state) {
                Some(entity) => decisions.on(&entity, state),
                None if IMPLICIT.contains(&privilege) => return true,
                None => decisions.on(&self.root, state),
            },
        };
        roles.iter().any(|role| role.has(privilege))
            || (IMPLICIT.contains(&privilege)
                && (self.is_own_task(account, object, state) || self.entity_of(object, state).is_none()))
    }

    pub(super) fn roles_on(&self, account: &Account, object: &MoRef, state: &Snapshot) -> Vec<i32> {
        let Some(decisions) = self.decisions(&account.name) else { return Vec::new() };
        let entity = self.entity_of(object, state).unwrap_or_else(|| self.root.clone());
        decisions.on(&entity, state).iter().map(|role| role.id).collect()
    }

    /// The permissions that are defined on this entity itself.
    pub(super) fn permissions_on(&self, object: &MoRef) -> Vec<ty!(Permission)> {
        let policy = self.policy.load();
        let here = policy.permissions.get(object.id()).map_or(&[][..], Vec::as_slice);
        here.iter().filter_map(|permission| self.shown_permission(permission)).collect()
    }

    pub(super) fn shown_permission(&self, permission: &StoredPermission) -> Option<ty!(Permission)> {
        Some(vim!(Permission {
            entity: permission.entity()?,
            principal: self.realm.canonical(&permission.principal),
            group: permission.group,
            roleId: permission.role,
            propagate: permission.propagate,
        }))
    }

    /// The entity whose permissions decide; none for the daemon's own managers.
    fn entity_of(&self, object: &MoRef, state: &Snapshot) -> Option<MoRef> {
        if object.is_a(managed_id!(ManagedEntity)) {
            return Some(object.clone());
        }
        if let Some(owner) = (self.owner)(object, state) {
            return Some(owner);
        }
        let node = state.find(object)?;
        if object.is_a(managed_id!(VirtualMachineSnapshot)) {
            return node.get(prop!(VirtualMachineSnapshot.vm)).cloned();
        }
        if object.is_a(managed_id!(Task)) {
            let info = node.get(prop!(Task.info)).filter(|info| info.is_a(data_id!(TaskInfo)))?;
            // The place of a removed entity is unknown, so the root decides; so it does for a task without an entity.
            let entity = info.get(field!(TaskInfo.entity)).filter(|entity| state.find(entity).is_some());
            return Some(entity.unwrap_or(&self.root).clone());
        }
        None
    }

    /// Whether the object is a task that the account began, whose outcome it may see.
    fn is_own_task(&self, account: &Account, object: &MoRef, state: &Snapshot) -> bool {
        if !object.is_a(managed_id!(Task)) {
            return false;
        }
        let info = state.find(object).and_then(|node| node.get(prop!(Task.info)));
        let info = info.filter(|info| info.is_a(data_id!(TaskInfo)));
        let reason = info.and_then(|info| info.get(field!(TaskInfo.reason)));
        let reason = reason.filter(|reason| reason.is_a(data_id!(TaskReasonUser)));
        let user = reason.and_then(|reason| reason.get(field!(TaskReasonUser.userName)));
        user.and_then(|user| self.realm.key(user))
            .is_some_and(|user| Some(user) == self.realm.key(&account.name))
    }

    /// The decisions about an account under the present policy; none if the account does not exist.
    fn decisions(&self, name: &str) -> Option<Arc<Decisions>> {
        let policy = self.policy.load();
        if let Some(known) = self.decisions.read().get(name)
            && known.policy.version == policy.version
        {
            return Some(known.clone());
        }
        let key = self.realm.key(name)?;
        policy.accounts.get(&key).filter(|account| !account.disabled)?;
        let groups = policy.groups_of(&key);
        let made = Arc::new(Decisions::new(policy.clone(), key, groups, self.root.id()));
        let mut all = self.decisions.write();
        if all.len() >= MAX_ACCOUNTS {
            all.clear();
        }
        all.insert(name.to_owned(), made.clone());
        Some(made)
    }
}

impl Decisions {
    fn new(policy: Arc<Policy>, key: String, groups: Arc<BTreeSet<String>>, root: &str) -> Self {
        let only_at_root = policy
            .all_permissions()
            .filter(|permission| permission.is_for(&key, &groups))
            .all(|permission| permission.entity == root && permission.propagate);
        let mut made = Self { policy, key, groups, everywhere: None, remembered: Mutex::default() };
        if only_at_root {
            made.everywhere = Some(made.defined_on(root, false).unwrap_or_else(|| Arc::new([])));
        }
        made
    }

    /// The roles on an entity.
    fn on(&self, entity: &MoRef, state: &Snapshot) -> RoleSet {
        if let Some(everywhere) = &self.everywhere {
            return everywhere.clone();
        }
        let mut remembered = self.remembered.lock();
        if remembered.version > state.version() {
            // A reader of an older state must not overwrite roles of a newer one.
            drop(remembered);
            return self.walk(entity, state);
        }
        remembered.catch_up(state);
        if let Some(roles) = remembered.by_object.get(entity) {
            return roles.clone();
        }
        let roles = self.walk(entity, state);
        if remembered.by_object.len() >= MAX_REMEMBERED {
            remembered.by_object.clear();
        }
        remembered.by_object.insert(entity.clone(), roles.clone());
        roles
    }

    fn walk(&self, entity: &MoRef, state: &Snapshot) -> RoleSet {
        let mut at = Some(entity.clone());
        for depth in 0..MAX_DEPTH {
            let Some(entity) = at else { break };
            if let Some(roles) = self.defined_on(entity.id(), depth > 0) {
                return roles;
            }
            at = parent(state, &entity);
        }
        Arc::new([])
    }

    /// The roles that the permissions on this entity itself give.
    fn defined_on(&self, entity: &str, inherited: bool) -> Option<RoleSet> {
        let here = self.policy.permissions.get(entity)?;
        let mut mine = here
            .iter()
            .filter(|p| (p.propagate || !inherited) && p.is_for(&self.key, &self.groups))
            .peekable();
        mine.peek()?;
        let (own, through): (Vec<_>, Vec<_>) = mine.partition(|permission| !permission.group);
        let chosen = if own.is_empty() { through } else { own };
        Some(
            chosen.iter().filter_map(|permission| self.policy.roles.get(&permission.role).cloned()).collect(),
        )
    }
}

impl Remembered {
    /// Forgets the roles that later changes may have altered.
    fn catch_up(&mut self, state: &Snapshot) {
        if self.version == state.version() {
            return;
        }
        let up = [prop!(ManagedEntity.parent).number(), prop!(VirtualMachine.parentVApp).number()];
        let moved = |me: &MoRef, numbers: &[u16]| {
            let leads_up =
                |number: &u16| *number == up[0] || (*number == up[1] && me.is_a(managed_id!(VirtualMachine)));
            me.is_a(managed_id!(ManagedEntity)) && numbers.iter().any(leads_up)
        };
        let from = std::mem::replace(&mut self.version, state.version());
        let Ok(commits) = state.since(from) else {
            self.by_object.clear();
            return;
        };
        for change in commits.flat_map(|commit| &commit.changes) {
            match &change.what {
                What::Set(numbers) => {
                    // The entities below a moved one are not known here, so all roles are looked up again.
                    if moved(&change.object, numbers) {
                        self.by_object.clear();
                    }
                }
                // Entities are created below existing ones and removed with all below them, so no other roles change.
                What::Created | What::Removed => {
                    self.by_object.remove(&change.object);
                }
            }
        }
    }
}
