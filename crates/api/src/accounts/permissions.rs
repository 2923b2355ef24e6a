//! Changes of roles and permissions. Each is stored before it takes effect.
//!
//! Nobody gives or takes away what he does not hold: whoever changes a permission must hold, on its entity, every privilege that some
//! account gains or loses there by the change, and every privilege of the role that he gives. The author of a change of a role must hold on
//! the root folder all that he puts into it or takes out of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use store::Batch;
use vim::{MoRef, managed_id, prop};

use super::change::within;
use super::decide::Subject;
use super::policy::{GLOBAL, Policy};
use super::records::{PERMISSIONS, ROLE_IDS, ROLES, StoredPermission, StoredRole, TOKENS};
use super::roles::{BASIC, Role};
use super::{AccountError, Accounts};
use crate::{Account, Snapshot};

const MAX_ROLES: usize = 1_000;
const MAX_PERMISSIONS: usize = 50_000;
const MAX_ROLE_NAME_CHARS: usize = 80;
const MAX_ROLE_LABEL_CHARS: usize = 1_000;

type Result<T> = std::result::Result<T, AccountError>;

/// A permission that a caller asks for.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub principal: String,
    pub group: bool,
    pub role: i32,
    pub propagate: bool,
}

/// A role as a caller wants it.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub name: String,
    /// None keeps the present one.
    pub label: Option<String>,
    pub privileges: BTreeSet<String>,
}

/// The author of a change of roles or permissions, and the state of the inventory for it; the daemon itself is nobody.
#[derive(Clone, Copy)]
pub(super) struct Author<'a> {
    pub account: &'a Account,
    pub state: &'a Snapshot,
}

/// The place of permissions.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Entity(&'a MoRef),
    /// Above the root folder.
    Global,
}

impl Place<'_> {
    fn id(&self) -> &str {
        match self {
            Self::Entity(entity) => entity.id(),
            Self::Global => GLOBAL,
        }
    }

    pub(super) fn permission(&self, principal: String, rule: &Rule) -> StoredPermission {
        let entity_type = match self {
            Self::Entity(entity) => entity.type_name(),
            // Not a type: the vSphere API does not show global permissions.
            Self::Global => "",
        };
        StoredPermission {
            entity_type: entity_type.to_owned(),
            entity: self.id().to_owned(),
            principal,
            group: rule.group,
            role: rule.role,
            propagate: rule.propagate,
        }
    }
}

/// Whether an entity always has the permissions of its parent: the folders of a datacenter, the root pool of a compute resource, the
/// host of a standalone compute resource.
pub(super) fn inherits_only(entity: &MoRef, state: &Snapshot) -> bool {
    let parent = state.find(entity).and_then(|node| node.get(prop!(ManagedEntity.parent)));
    let parent = parent.and_then(|parent| state.find(parent)).map(|node| node.me());
    parent.is_some_and(|parent| {
        (entity.is_a(managed_id!(Folder)) && parent.is_a(managed_id!(Datacenter)))
            || (entity.is_a(managed_id!(ResourcePool)) && parent.is_a(managed_id!(ComputeResource)))
            || (entity.is_a(managed_id!(HostSystem)) && parent.ty() == managed_id!(ComputeResource))
    })
}

impl Accounts {
    pub(super) async fn add_role(&self, wanted: Wanted, by: Option<Author<'_>>) -> Result<i32> {
        let mut ids = Batch::new();
        ids.reserve(ROLE_IDS, 1);
        let id =
            self.store.commit(ids).await?.reserved.first().and_then(|range| i32::try_from(range.start).ok());
        let id = id.ok_or(AccountError::Internal("numbering a role"))?;
        self.change(|policy, batch| {
            within("roles", policy.roles.len(), MAX_ROLES)?;
            self.put_role(policy, batch, id, wanted, by)
        })
        .await?;
        Ok(id)
    }

    pub(super) async fn update_role(&self, id: i32, wanted: Wanted, by: Option<Author<'_>>) -> Result<()> {
        self.change(|policy, batch| {
            changeable(policy, id)?;
            self.put_role(policy, batch, id, wanted, by)
        })
        .await
    }

    fn put_role(
        &self,
        policy: &mut Policy,
        batch: &mut Batch,
        id: i32,
        wanted: Wanted,
        by: Option<Author<'_>>,
    ) -> Result<()> {
        let Wanted { name, label, mut privileges } = wanted;
        let name = name.trim();
        let length = name.chars().count();
        if length == 0 || length > MAX_ROLE_NAME_CHARS || name.chars().any(is_deceptive) {
            return Err(AccountError::BadRoleName(name.to_owned()));
        }
        if label.as_ref().is_some_and(|label| label.chars().count() > MAX_ROLE_LABEL_CHARS) {
            return Err(AccountError::BadRoleName(label.unwrap_or_default()));
        }
        let same = |other: &str| other.to_lowercase() == name.to_lowercase();
        if policy.roles.values().any(|role| role.id != id && same(&role.name)) {
            return Err(AccountError::RoleExists(name.to_owned()));
        }
        if let Some(unknown) = privileges.iter().find(|id| !crate::all_privileges().contains(id.as_str())) {
            return Err(AccountError::UnknownPrivilege(unknown.clone()));
        }
        privileges.extend(BASIC.map(String::from));
        let before = policy.roles.get(&id);
        if let Some(by) = by {
            let none = BTreeSet::new();
            let had = before.map_or(&none, |role| &role.privileges);
            self.must_hold(by, &self.root, had.symmetric_difference(&privileges))?;
        }
        let label = label.unwrap_or_else(|| {
            let shown = before.filter(|role| role.label != role.name);
            shown.map(|role| role.label.clone()).unwrap_or_default()
        });
        let stored = StoredRole { id, name: name.to_owned(), label, privileges };
        ROLES.put(batch, &id.to_string(), &stored)?;
        policy.roles.insert(id, Arc::new(Role::from(stored)));
        Ok(())
    }

    pub(super) async fn remove_role(
        &self,
        id: i32,
        fail_if_used: bool,
        by: Option<Author<'_>>,
    ) -> Result<()> {
        self.change(|policy, batch| {
            changeable(policy, id)?;
            let users: Vec<_> = policy.all_permissions().filter(|p| p.role == id).cloned().collect();
            let tokens = policy.tokens.iter().filter(|(_, token)| token.role == id);
            let tokens: Vec<String> = tokens.map(|(token, _)| token.clone()).collect();
            if fail_if_used && !(users.is_empty() && tokens.is_empty()) {
                return Err(AccountError::RoleInUse(id));
            }
            for token in tokens {
                policy.tokens.remove(&token);
                TOKENS.delete(batch, &token);
            }
            for permission in &users {
                policy.remove_permission(permission);
                PERMISSIONS.delete(batch, &permission.key());
            }
            self.may_change(by, policy, &users)?;
            policy.roles.remove(&id);
            ROLES.delete(batch, &id.to_string());
            self.still_administered(policy)
        })
        .await
    }

    /// Gives the permissions of one role to another.
    pub(super) async fn merge_permissions(&self, from: i32, to: i32, by: Option<Author<'_>>) -> Result<()> {
        self.change(|policy, batch| {
            for role in [from, to] {
                if !policy.roles.contains_key(&role) {
                    return Err(AccountError::UnknownRole(role));
                }
            }
            let users: Vec<_> = policy.all_permissions().filter(|p| p.role == from).cloned().collect();
            let changed: Vec<_> =
                users.into_iter().map(|permission| StoredPermission { role: to, ..permission }).collect();
            for permission in &changed {
                PERMISSIONS.put(batch, &permission.key(), permission)?;
                policy.put_permission(permission.clone());
            }
            self.may_change(by, policy, &changed)?;
            self.still_administered(policy)
        })
        .await
    }

    /// Adds or changes permissions; `reset` removes all others at the place.
    pub(super) async fn set_permissions(
        &self,
        place: Place<'_>,
        rules: &[Rule],
        reset: bool,
        by: Option<Author<'_>>,
    ) -> Result<()> {
        if let (Place::Entity(entity), Some(by)) = (place, by)
            && inherits_only(entity, by.state)
        {
            return Err(AccountError::TakesNone(entity.clone()));
        }
        let mut rules = rules.to_vec();
        for rule in &mut rules {
            rule.principal = self.spelled(&rule.principal, rule.group).await?;
        }
        self.change(|policy, batch| {
            let mut changed = Vec::new();
            if reset {
                changed = policy.permissions.remove(place.id()).unwrap_or_default();
                for permission in &changed {
                    PERMISSIONS.delete(batch, &permission.key());
                }
            }
            within("permissions", policy.all_permissions().count() + rules.len(), MAX_PERMISSIONS)?;
            for rule in &rules {
                if !policy.roles.contains_key(&rule.role) {
                    return Err(AccountError::UnknownRole(rule.role));
                }
                let permission = place.permission(self.principal(policy, &rule.principal, rule.group)?, rule);
                PERMISSIONS.put(batch, &permission.key(), &permission)?;
                policy.put_permission(permission.clone());
                changed.push(permission);
            }
            self.may_change(by, policy, &changed)?;
            self.still_administered(policy)
        })
        .await
    }

    pub(super) async fn remove_permission(
        &self,
        place: Place<'_>,
        user: &str,
        group: bool,
        by: Option<Author<'_>>,
    ) -> Result<()> {
        self.change(|policy, batch| {
            let principal = self.principal_name(policy, user).ok_or(AccountError::UnknownPermission)?;
            let like = Rule { principal: principal.clone(), group, role: 0, propagate: false };
            let like = place.permission(principal, &like);
            if !policy.remove_permission(&like) {
                return Err(AccountError::UnknownPermission);
            }
            PERMISSIONS.delete(batch, &like.key());
            self.may_change(by, policy, &[like])?;
            self.still_administered(policy)
        })
        .await
    }

    pub(super) async fn seed_roles(
        &self,
        samples: Vec<(&'static str, &'static str, BTreeSet<String>)>,
    ) -> Result<()> {
        if samples.is_empty() || self.store.read(|view| view.counter(ROLE_IDS))? > 1 {
            return Ok(());
        }
        for (name, label, privileges) in samples {
            let wanted = Wanted { name: name.to_owned(), label: Some(label.to_owned()), privileges };
            self.add_role(wanted, None).await?;
        }
        Ok(())
    }

    /// The name of a principal that exists, as permissions keep it. Those of identity sources have been asked for already.
    fn principal(&self, policy: &Policy, name: &str, group: bool) -> Result<String> {
        let unknown = || AccountError::UnknownUser(name.to_owned());
        let Some(key) = self.realm.key(name) else {
            return self.principal_name(policy, name).ok_or_else(unknown);
        };
        match group {
            false => policy.accounts.get(&key).map(|account| account.name.clone()).ok_or_else(unknown),
            true => policy.groups().get(&key).map(|group| group.name.clone()).ok_or_else(unknown),
        }
    }

    /// Whether the author may change these permissions, which the new policy has, has otherwise, or no longer has.
    fn may_change(&self, by: Option<Author<'_>>, next: &Policy, changed: &[StoredPermission]) -> Result<()> {
        let Some(by) = by else { return Ok(()) };
        let before = self.policy.load();
        for permission in changed {
            // Global permissions hold from the root folder down.
            let entity = permission.entity().unwrap_or_else(|| self.root.clone());
            let mut touched: BTreeSet<String> = BTreeSet::new();
            let there = |policy: &Policy| {
                let here = policy.permissions.get(&permission.entity)?;
                here.iter().find(|known| known.key() == permission.key()).cloned()
            };
            let (taken, given) = (there(&before), there(next));
            if taken != given {
                let roles = [taken, given].into_iter().flatten().filter_map(|of| next.roles.get(&of.role));
                touched.extend(roles.flat_map(|role| role.privileges.iter().cloned()));
            }
            for key in concerned(next, permission) {
                let had = privileges(&before, key, self.root.id(), &entity, by.state);
                let has = privileges(next, key, self.root.id(), &entity, by.state);
                touched.extend(had.symmetric_difference(&has).map(|id| (*id).to_owned()));
            }
            self.must_hold(by, &entity, touched.iter())?;
        }
        Ok(())
    }

    /// # Errors
    /// [`AccountError::NotHeld`] for the privileges that the author lacks on the entity.
    fn must_hold<'a>(
        &self,
        by: Author<'_>,
        entity: &MoRef,
        privileges: impl Iterator<Item = &'a String>,
    ) -> Result<()> {
        let missing = self.lacking(by.account, entity, privileges, by.state);
        if missing.is_empty() {
            return Ok(());
        }
        Err(AccountError::NotHeld {
            user: by.account.name.clone(),
            object: entity.clone(),
            privileges: missing,
        })
    }
}

/// The keys of the accounts that a permission is for.
fn concerned<'a>(policy: &'a Policy, permission: &StoredPermission) -> impl Iterator<Item = &'a str> {
    let keys = policy.accounts.keys().chain(policy.met.keys()).map(String::as_str);
    keys.filter(|key| permission.is_for(key, &policy.groups_of(key)))
}

/// The privileges of an account on an entity.
fn privileges<'a>(
    policy: &'a Policy,
    key: &str,
    root: &str,
    entity: &MoRef,
    state: &Snapshot,
) -> BTreeSet<&'a str> {
    let groups = policy.groups_of(key);
    let roles = Subject { policy, key, groups: &groups, root }.on(entity, state);
    let known = roles.iter().filter_map(|role| policy.roles.get(&role.id));
    known.flat_map(|role| role.privileges.iter().map(String::as_str)).collect()
}

/// Whether a character could make a name look like another one, or like several lines.
pub(super) fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn changeable(policy: &Policy, id: i32) -> Result<()> {
    match policy.roles.get(&id) {
        None => Err(AccountError::UnknownRole(id)),
        Some(role) if role.is_system() => Err(AccountError::SystemRole(id)),
        Some(_) => Ok(()),
    }
}
