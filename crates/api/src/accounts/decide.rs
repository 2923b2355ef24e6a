//! Decisions: the roles that an account has on an object, and whether one of them has a privilege.
//!
//! The permission on the nearest entity up the tree decides. A permission for the user overrides those for groups; those for several
//! groups add up. An object with several parents (a VM in a folder and in a pool) has the roles that it inherits from each of them.
//! Global permissions lie above the root folder. Most accounts have one permission, on the root, and need no walk. For the others the
//! roles are remembered by object until the policy or the structure of the inventory changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use vim::{MoRef, data_id, field, managed_id, prop, ty, vim};

use super::Accounts;
use super::policy::{GLOBAL, Policy};
use super::records::StoredPermission;
use super::roles::Role;
use crate::privilege::IMPLICIT;
use crate::{Account, Snapshot, What};

/// How deep the inventory may be.
const MAX_DEPTH: usize = 100;
/// Objects whose roles are remembered, by account.
const MAX_REMEMBERED: usize = 200_000;
/// Accounts with remembered roles.
const MAX_DECIDED: usize = 1_000;

/// Roles that apply together. It is empty without a permission.
pub(super) type RoleSet = Arc<[Arc<Role>]>;

/// A principal that decisions are about, under one policy.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub policy: &'a Policy,
    /// The account's key.
    pub key: &'a str,
    pub groups: &'a BTreeSet<String>,
    /// The id of the root folder.
    pub root: &'a str,
}

/// The decisions about one account under one policy.
pub(super) struct Decisions {
    policy: Arc<Policy>,
    key: String,
    groups: Arc<BTreeSet<String>>,
    /// The id of the root folder.
    root: String,
    /// The roles on everything, if the account has no permission below the root.
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

    /// The privileges among these that the account lacks on an entity.
    pub(super) fn lacking<'a>(
        &self,
        account: &Account,
        entity: &MoRef,
        privileges: impl Iterator<Item = &'a String>,
        state: &Snapshot,
    ) -> Vec<String> {
        privileges.filter(|id| !self.decide(account, entity, id, state)).cloned().collect()
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
        let policy = self.policy.load();
        user.and_then(|user| self.key(&policy, user))
            .is_some_and(|user| Some(user) == self.key(&policy, &account.name))
    }

    /// The decisions about an account under the present policy; none if the account does not exist.
    fn decisions(&self, name: &str) -> Option<Arc<Decisions>> {
        let policy = self.policy.load();
        if let Some(known) = self.decisions.read().get(name)
            && known.policy.version == policy.version
        {
            return Some(known.clone());
        }
        let key = self.key(&policy, name)?;
        if !policy.met.contains_key(&key) {
            policy.accounts.get(&key).filter(|account| !account.disabled)?;
        }
        let groups = policy.groups_of(&key);
        let made = Arc::new(Decisions::new(policy.clone(), key, groups, self.root.id()));
        let mut all = self.decisions.write();
        if all.len() >= MAX_DECIDED {
            all.clear();
        }
        all.insert(name.to_owned(), made.clone());
        Some(made)
    }
}

/// The entities from which an entity inherits permissions: its parent, of a VM its pool or vApp as well, of a vApp its folder.
pub(super) fn parents(entity: &MoRef, state: &Snapshot) -> impl Iterator<Item = MoRef> {
    let node = state.find(entity).filter(|node| node.me().is_a(managed_id!(ManagedEntity)));
    let parent = node.and_then(|node| node.get(prop!(ManagedEntity.parent)));
    let vm = node.filter(|node| node.me().is_a(managed_id!(VirtualMachine)));
    let app = node.filter(|node| node.me().is_a(managed_id!(VirtualApp)));
    let others = [
        vm.and_then(|vm| vm.get(prop!(VirtualMachine.resourcePool))),
        vm.and_then(|vm| vm.get(prop!(VirtualMachine.parentVApp))),
        app.and_then(|app| app.get(prop!(VirtualApp.parentFolder))),
    ];
    parent.into_iter().chain(others.into_iter().flatten()).cloned()
}

/// The entity and those above it, nearest first, each once; `more` says whether the walk goes on above one.
fn upwards(entity: &MoRef, state: &Snapshot, mut more: impl FnMut(&MoRef, usize) -> bool) {
    let (mut seen, mut level) = (vec![entity.clone()], vec![entity.clone()]);
    for depth in 0..MAX_DEPTH {
        let mut next: Vec<MoRef> = Vec::new();
        for at in &level {
            if more(at, depth) {
                let above = parents(at, state).filter(|above| !seen.contains(above)).collect::<Vec<_>>();
                for above in above {
                    if !next.contains(&above) {
                        next.push(above);
                    }
                }
            }
        }
        if next.is_empty() {
            return;
        }
        seen.extend(next.iter().cloned());
        level = next;
    }
}

/// All entities from which an entity inherits, nearest first.
pub(super) fn ancestors(entity: &MoRef, state: &Snapshot) -> Vec<MoRef> {
    let mut found = Vec::new();
    upwards(entity, state, |at, depth| {
        if depth > 0 {
            found.push(at.clone());
        }
        true
    });
    found
}

impl Subject<'_> {
    /// The roles on an entity.
    pub(super) fn on(&self, entity: &MoRef, state: &Snapshot) -> RoleSet {
        let mut found: Vec<RoleSet> = Vec::new();
        upwards(entity, state, |at, depth| {
            let here = self.defined_on(at.id(), depth > 0);
            let here = here.or_else(|| self.global().filter(|_| at.id() == self.root));
            let goes_on = here.is_none();
            found.extend(here);
            goes_on
        });
        match found.as_slice() {
            [] => Arc::new([]),
            [only] => only.clone(),
            several => {
                let mut all: Vec<Arc<Role>> = Vec::new();
                for role in several.iter().flat_map(|roles| roles.iter()) {
                    if !all.iter().any(|known| known.id == role.id) {
                        all.push(role.clone());
                    }
                }
                all.into()
            }
        }
    }

    /// The roles that the root folder inherits from global permissions.
    fn global(&self) -> Option<RoleSet> {
        self.defined_on(GLOBAL, true)
    }

    /// The roles that the permissions on this entity itself give.
    pub(super) fn defined_on(&self, entity: &str, inherited: bool) -> Option<RoleSet> {
        let here = self.policy.permissions.get(entity)?;
        let mut mine =
            here.iter().filter(|p| (p.propagate || !inherited) && p.is_for(self.key, self.groups)).peekable();
        mine.peek()?;
        let (own, through): (Vec<_>, Vec<_>) = mine.partition(|permission| !permission.group);
        let chosen = if own.is_empty() { through } else { own };
        Some(
            chosen.iter().filter_map(|permission| self.policy.roles.get(&permission.role).cloned()).collect(),
        )
    }
}

impl Decisions {
    fn new(policy: Arc<Policy>, key: String, groups: Arc<BTreeSet<String>>, root: &str) -> Self {
        let only_at_top = policy
            .all_permissions()
            .filter(|permission| permission.is_for(&key, &groups))
            .all(|permission| [root, GLOBAL].contains(&permission.entity.as_str()) && permission.propagate);
        let root = root.to_owned();
        let mut made = Self { policy, key, groups, root, everywhere: None, remembered: Mutex::default() };
        if only_at_top {
            let subject = made.subject();
            let roles = subject.defined_on(&made.root, false).or_else(|| subject.global());
            made.everywhere = Some(roles.unwrap_or_else(|| Arc::new([])));
        }
        made
    }

    fn subject(&self) -> Subject<'_> {
        Subject { policy: &self.policy, key: &self.key, groups: &self.groups, root: &self.root }
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
            return self.subject().on(entity, state);
        }
        remembered.catch_up(state);
        if let Some(roles) = remembered.by_object.get(entity) {
            return roles.clone();
        }
        let roles = self.subject().on(entity, state);
        if remembered.by_object.len() >= MAX_REMEMBERED {
            remembered.by_object.clear();
        }
        remembered.by_object.insert(entity.clone(), roles.clone());
        roles
    }
}

impl Remembered {
    /// Forgets the roles that later changes may have altered.
    fn catch_up(&mut self, state: &Snapshot) {
        if self.version == state.version() {
            return;
        }
        let parent = prop!(ManagedEntity.parent).number();
        let folder = prop!(VirtualApp.parentFolder).number();
        let of_vm = [prop!(VirtualMachine.resourcePool).number(), prop!(VirtualMachine.parentVApp).number()];
        let from = std::mem::replace(&mut self.version, state.version());
        let Ok(commits) = state.since(from) else {
            self.by_object.clear();
            return;
        };
        for change in commits.flat_map(|commit| &commit.changes) {
            match &change.what {
                What::Set(numbers) => {
                    // The entities below a moved one are not known here, so all roles are looked up again.
                    let is_app = change.object.is_a(managed_id!(VirtualApp));
                    if (numbers.contains(&parent) && change.object.is_a(managed_id!(ManagedEntity)))
                        || (is_app && numbers.contains(&folder))
                    {
                        self.by_object.clear();
                    } else if change.object.is_a(managed_id!(VirtualMachine))
                        && of_vm.iter().any(|number| numbers.contains(number))
                    {
                        // Entities are never below a VM.
                        self.by_object.remove(&change.object);
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
