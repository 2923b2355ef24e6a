//! Groups of users and of other groups: making, removing and filling them.

use std::collections::BTreeSet;

use super::abroad::is_abroad;
use super::change::{Result, within};
use super::policy::{EVERYBODY, Policy};
use super::records::{GROUPS, PERMISSIONS, StoredGroup, StoredPermission};
use super::roles::{ADMIN, READ_ONLY};
use super::{AccountError, Accounts, Realm};
use store::Batch;

const MAX_GROUPS: usize = 10_000;
/// Members of all groups together.
const MAX_MEMBERS: usize = 200_000;
/// Bytes of a description, a full name or a mail address.
pub(super) const MAX_TEXT_BYTES: usize = 1024;

/// The group whose members administer a center.
pub(super) const ADMINISTRATORS: &str = "Administrators";
const READERS: &str = "ReadOnlyUsers";

/// A user or a group, by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    User(String),
    Group(String),
}

impl Accounts {
    pub(super) async fn create_group(&self, name: &str, description: &str) -> Result<()> {
        let plain = self.realm.plain(name).ok_or_else(|| AccountError::BadName(name.to_owned()))?.to_owned();
        let description = text("description", description)?;
        let key = plain.to_lowercase();
        let group = StoredGroup { name: plain, description, ..StoredGroup::default() };
        self.change(|policy, batch| {
            if policy.groups().contains_key(&key) {
                return Err(AccountError::GroupExists(group.name.clone()));
            }
            within("groups", policy.groups().len(), MAX_GROUPS)?;
            put(policy, batch, key, group)
        })
        .await
    }

    /// Removes a group with its permissions. Its members stay.
    pub(super) async fn remove_group(&self, name: &str) -> Result<()> {
        self.change(|policy, batch| {
            let key = self.group_key(policy, name)?;
            if policy.groups().get(&key).is_some_and(|group| group.built_in) {
                return Err(AccountError::BuiltInGroup(name.to_owned()));
            }
            let of_it = |p: &&StoredPermission| p.group && p.principal.to_lowercase() == key;
            let permissions: Vec<_> = policy.all_permissions().filter(of_it).cloned().collect();
            for permission in permissions {
                policy.remove_permission(&permission);
                PERMISSIONS.delete(batch, &permission.key());
            }
            GROUPS.delete(batch, &key);
            policy.edit_groups(|groups| groups.remove(&key));
            leave_all(policy, batch, &Member::Group(key))?;
            self.still_administered(policy)
        })
        .await
    }

    /// Lets a user or a group belong to a group.
    pub(super) async fn add_member(&self, group: &str, member: &Member) -> Result<()> {
        self.change(|policy, batch| {
            let key = self.group_key(policy, group)?;
            let mut changed = policy.groups()[&key].clone();
            let members = policy.groups().values().map(|group| group.users.len() + group.groups.len()).sum();
            within("members of groups", members, MAX_MEMBERS)?;
            let new = match member {
                Member::User(user) => {
                    !policy.is_direct_member(&key, user) && changed.users.insert(user.clone())
                }
                Member::Group(inner) if policy.groups_around(&key).contains(inner) => {
                    return Err(AccountError::CircleOfGroups {
                        inner: inner.clone(),
                        outer: group.to_owned(),
                    });
                }
                Member::Group(inner) => changed.groups.insert(inner.clone()),
            };
            if !new {
                return Err(AccountError::MemberExists(group.to_owned()));
            }
            put(policy, batch, key, changed)?;
            // More groups can mean less access: NoAccess through one of them.
            self.still_administered(policy)
        })
        .await
    }

    pub(super) async fn remove_member(&self, group: &str, member: &Member) -> Result<()> {
        self.change(|policy, batch| {
            let key = self.group_key(policy, group)?;
            let mut changed = policy.groups()[&key].clone();
            let (was, name) = match member {
                Member::User(user) => (changed.users.remove(user), user),
                Member::Group(inner) => (changed.groups.remove(inner), inner),
            };
            if !was {
                return Err(AccountError::UnknownUser(name.clone()));
            }
            put(policy, batch, key, changed)?;
            self.still_administered(policy)
        })
        .await
    }

    /// The user of this name, or else the group.
    pub(super) fn member(&self, policy: &Policy, name: &str) -> Result<Member> {
        let unknown = || AccountError::UnknownUser(name.to_owned());
        let key = self.realm.key(name).ok_or_else(unknown)?;
        if policy.accounts.contains_key(&key) {
            return Ok(Member::User(key));
        }
        policy.groups().contains_key(&key).then_some(Member::Group(key)).ok_or_else(unknown)
    }

    /// The user or group of an identity source, if this group lists it: it can be taken out though its source is away.
    pub(super) fn listed_abroad(&self, name: &str, group: &str) -> Option<Member> {
        let policy = self.policy.load();
        let key = self.key(&policy, name).filter(|key| is_abroad(key))?;
        let group = policy.groups().get(&self.realm.key(group)?)?;
        if group.users.contains(&key) {
            return Some(Member::User(key));
        }
        group.groups.contains(&key).then_some(Member::Group(key))
    }

    /// The key of a group that exists.
    pub(super) fn group_key(&self, policy: &Policy, name: &str) -> Result<String> {
        let key = self.realm.key(name).filter(|key| policy.groups().contains_key(key));
        key.ok_or_else(|| AccountError::UnknownUser(name.to_owned()))
    }

    /// Gives a new center its groups, as vCenter has them, with the permissions by which they work. `first` is the administrator.
    pub(super) fn make_built_in(&self, policy: &mut Policy, batch: &mut Batch, first: &str) -> Result<()> {
        if self.realm == Realm::Host || !policy.groups().is_empty() {
            return Ok(());
        }
        let built_in = [
            (ADMINISTRATORS, "Users and groups that administer everything", Some(ADMIN)),
            ("Users", "All users", None),
            (READERS, "Users and groups that may read everything", Some(READ_ONLY)),
        ];
        for (name, description, role) in built_in {
            let users =
                if name == ADMINISTRATORS { BTreeSet::from([first.to_owned()]) } else { BTreeSet::new() };
            let group = StoredGroup {
                name: name.to_owned(),
                description: description.to_owned(),
                users,
                groups: BTreeSet::new(),
                built_in: true,
            };
            put(policy, batch, name.to_lowercase(), group)?;
            let Some(role) = role else { continue };
            let permission = StoredPermission {
                entity_type: self.root.type_name().to_owned(),
                entity: self.root.id().to_owned(),
                principal: name.to_owned(),
                group: true,
                role,
                propagate: true,
            };
            PERMISSIONS.put(batch, &permission.key(), &permission)?;
            policy.put_permission(permission);
        }
        debug_assert!(policy.groups().contains_key(EVERYBODY));
        Ok(())
    }
}

/// Takes a user or group out of all groups.
pub(super) fn leave_all(policy: &mut Policy, batch: &mut Batch, member: &Member) -> Result<()> {
    let holds = |group: &StoredGroup| match member {
        Member::User(user) => group.users.contains(user),
        Member::Group(inner) => group.groups.contains(inner),
    };
    let mut changed = policy.groups().clone();
    changed.retain(|_, group| holds(group));
    for (key, group) in &mut changed {
        match member {
            Member::User(user) => group.users.remove(user),
            Member::Group(inner) => group.groups.remove(inner),
        };
        GROUPS.put(batch, key, group)?;
    }
    if !changed.is_empty() {
        policy.edit_groups(|groups| groups.extend(changed));
    }
    Ok(())
}

fn put(policy: &mut Policy, batch: &mut Batch, key: String, group: StoredGroup) -> Result<()> {
    GROUPS.put(batch, &key, &group)?;
    policy.edit_groups(|groups| groups.insert(key, group));
    Ok(())
}

/// A text that people read, of one line and not too long.
pub(super) fn text(what: &'static str, text: &str) -> Result<String> {
    if text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
        return Err(AccountError::BadText(what));
    }
    Ok(text.to_owned())
}
