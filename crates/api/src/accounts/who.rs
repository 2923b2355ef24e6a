//! The client that changes accounts: the rights that he needs over them, and the events that the change leaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use vim::{Fault, Object, vim};

use super::Accounts;
use super::authorization::MAX_DECISIONS;
use super::groups::Member;
use super::people::{Edit, Person};
use super::policy::Policy;
use super::records::StoredPermission;
use super::roles::ADMIN;
use crate::service::no_permission;
use crate::{Account, Call, Service, Session};

/// The privilege for changing users and groups.
pub(super) const MANAGE: &str = "Host.Local.ManageUserGroups";

/// A client that changes accounts.
pub struct Who {
    account: Account,
    /// As events and logs name him.
    shown: String,
    /// The key of his session, which does not end with the others of his account.
    session: Option<String>,
    service: Arc<Service>,
}

impl Who {
    /// The caller of a method.
    ///
    /// # Errors
    /// `NotAuthenticated` without a session.
    pub fn of_call(call: &Call) -> Result<Self, Fault> {
        let who = Self::of_session(call.session()?, &call.service);
        Ok(Self { shown: call.user().to_owned(), ..who })
    }

    /// The holder of a session.
    pub fn of_session(session: &Session, service: &Arc<Service>) -> Self {
        Self {
            account: session.account.clone(),
            shown: session.account.name.clone(),
            session: Some(session.key.clone()),
            service: service.clone(),
        }
    }

    /// Somebody who has proved with his password that he is this account.
    pub(super) fn himself(call: &Call, account: Account) -> Self {
        let session = call.session.as_ref().map(|session| session.key.clone());
        Self { shown: account.name.clone(), account, session, service: call.service.clone() }
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn service(&self) -> &Service {
        &self.service
    }

    pub(super) async fn tell(&self, mut event: Object) {
        event.set(vim::field!(Event.userName), self.shown.as_str());
        self.service.core.events.post(event).await;
    }

    /// Ends what was granted to an account: its sessions with their tickets and consoles, but for the one that makes the change.
    fn end_sessions(&self, accounts: &Accounts, name: &str) {
        if let Some(account) = accounts.find(name) {
            self.service.core.sessions.close_of(&account.name, self.session.as_deref());
        }
    }
}

/// Checks that the caller has every right that these permissions give: nobody gains by a user or group what he does not hold himself.
fn holds(accounts: &Accounts, who: &Who, given: &[StoredPermission]) -> Result<(), Fault> {
    let (policy, state) = (accounts.policy.load(), who.service.core.tree.snapshot());
    let key = accounts.key(&policy, &who.account.name).unwrap_or_default();
    if who.account.narrowed.is_none() && policy.is_administrator(&key, accounts.root.id()) {
        return Ok(());
    }
    let mut decisions = 0;
    for permission in given {
        // Global permissions hold from the root folder down.
        let entity = permission.entity().unwrap_or_else(|| accounts.root.clone());
        let Some(role) = policy.roles.get(&permission.role) else { continue };
        decisions += role.privileges.len();
        let lacks = |privilege: &&String| !accounts.decide(&who.account, &entity, privilege, &state);
        // Some privileges of Admin have no name yet.
        let missing = if role.id == ADMIN { Some("Authorization.ModifyPermissions") } else { None };
        let missing = role.privileges.iter().find(lacks).map(String::as_str).or(missing);
        if let Some(privilege) = missing.filter(|_| decisions <= MAX_DECISIONS) {
            return Err(no_permission(&who.shown, &entity, privilege));
        }
        if decisions > MAX_DECISIONS {
            return Err(no_permission(&who.shown, &entity, MANAGE));
        }
    }
    Ok(())
}

impl Accounts {
    /// The privilege to manage users, on the whole daemon.
    ///
    /// # Errors
    /// `NoPermission`.
    pub fn may_manage(&self, who: &Who) -> Result<(), Fault> {
        let state = who.service.core.tree.snapshot();
        match self.decide(&who.account, &self.root, MANAGE, &state) {
            true => Ok(()),
            false => Err(no_permission(&who.shown, &self.root, MANAGE)),
        }
    }

    /// All rights on the whole daemon.
    ///
    /// # Errors
    /// `NoPermission`.
    pub(super) fn may_administer(&self, who: &Who) -> Result<(), Fault> {
        let everything = StoredPermission {
            entity_type: self.root.type_name().to_owned(),
            entity: self.root.id().to_owned(),
            principal: String::new(),
            group: false,
            role: ADMIN,
            propagate: true,
        };
        holds(self, who, &[everything])
    }

    /// # Errors
    /// `NoPermission` if the user has rights that the caller lacks. A user who does not exist has those of everybody.
    fn over_user(&self, who: &Who, name: &str) -> Result<(), Fault> {
        let policy = self.policy.load();
        let key = self.member_key(&policy, name);
        let groups = policy.groups_of(&key);
        let given: Vec<_> = policy.all_permissions().filter(|p| p.is_for(&key, &groups)).cloned().collect();
        holds(self, who, &given)
    }

    /// # Errors
    /// `NoPermission` if the members of the group have rights that the caller lacks.
    fn over_group(&self, who: &Who, name: &str) -> Result<(), Fault> {
        let policy = self.policy.load();
        let key = self.member_key(&policy, name);
        let around: BTreeSet<String> = policy.groups_around(&key);
        // No user is called so: only the permissions of groups count.
        let given: Vec<_> = policy.all_permissions().filter(|p| p.is_for("", &around)).cloned().collect();
        holds(self, who, &given)
    }

    /// The key of a user or group that is named, or whose key is given.
    fn member_key(&self, policy: &Policy, name: &str) -> String {
        self.key(policy, name).unwrap_or_default()
    }

    fn over(&self, who: &Who, member: &Member) -> Result<(), Fault> {
        match member {
            Member::User(key) => self.over_user(who, key),
            Member::Group(key) => self.over_group(who, key),
        }
    }

    /// Makes a user.
    ///
    /// # Errors
    /// Those of [`super::AccountError`]; `NoPermission` if all users have rights that the caller lacks.
    pub async fn make_user(&self, who: &Who, name: &str, new: &Edit<'_>) -> Result<(), Fault> {
        self.over_user(who, name)?;
        self.add_person(name, new).await?;
        tracing::info!(user = who.shown, account = name, "an account was created");
        who.tell(vim!(AccountCreatedEvent { spec: spec(self.person(name), name), group: false }).into())
            .await;
        Ok(())
    }

    /// Changes a user. His sessions end if his password changes or he is disabled.
    ///
    /// # Errors
    /// Those of [`super::AccountError`]; `NoPermission` if the user has rights that the caller lacks.
    pub async fn change_user(&self, who: &Who, name: &str, edit: &Edit<'_>) -> Result<(), Fault> {
        self.over_user(who, name)?;
        let before = self.person(name);
        if edit.enabled == Some(false) && self.is_himself(who, name) {
            return Err(crate::service::invalid_argument("enabled", "Nobody can disable himself"));
        }
        self.edit_person(name, edit).await?;
        tracing::info!(user = who.shown, account = name, "an account was changed");
        if edit.password.is_some() || edit.enabled == Some(false) {
            who.end_sessions(self, name);
        }
        if edit.password.is_some() {
            who.tell(vim!(UserPasswordChanged { userLogin: self.plain_name(name) }).into()).await;
        }
        let after = self.person(name);
        let seen = |person: &Option<Person>| {
            person.clone().map(|person| Person {
                password_set: None,
                password_ends: None,
                locked: false,
                ..person
            })
        };
        if seen(&before) != seen(&after) {
            let previous = before.map(|before| before.full_name).filter(|name| !name.is_empty());
            let event = vim!(AccountUpdatedEvent {
                spec: spec(after, name),
                group: false,
                prevDescription: previous
            });
            who.tell(event.into()).await;
        }
        Ok(())
    }

    /// Gives somebody the password that he has chosen himself.
    ///
    /// # Errors
    /// `InvalidArgument` for a password that is not good enough.
    pub(super) async fn change_own_password(
        &self,
        who: &Who,
        name: &str,
        password: &str,
    ) -> Result<(), Fault> {
        self.choose_password(name, password).await?;
        who.end_sessions(self, name);
        tracing::info!(account = name, "a password was changed");
        who.tell(vim!(UserPasswordChanged { userLogin: self.plain_name(name) }).into()).await;
        Ok(())
    }

    /// Removes a user with all that he has.
    ///
    /// # Errors
    /// Those of [`super::AccountError`]; `NoPermission` if the user has rights that the caller lacks.
    pub async fn remove_user(&self, who: &Who, name: &str) -> Result<(), Fault> {
        self.over_user(who, name)?;
        let (gone, plain) = (self.find(name), self.plain_name(name));
        self.remove(name).await?;
        tracing::info!(user = who.shown, account = name, "an account was removed");
        if let Some(gone) = gone {
            who.service.core.sessions.close_of(&gone.name, None);
        }
        who.tell(vim!(AccountRemovedEvent { account: plain, group: false }).into()).await;
        Ok(())
    }

    /// Ends the lock that wrong passwords have put on a user.
    pub(super) async fn unlock_user(&self, who: &Who, name: &str) -> Result<(), Fault> {
        if self.unlock(name)? {
            tracing::info!(user = who.shown, account = name, "an account was unlocked");
            who.tell(vim!(AccountUpdatedEvent { spec: spec(self.person(name), name), group: false }).into())
                .await;
        }
        Ok(())
    }

    pub(super) async fn make_group(&self, who: &Who, name: &str, description: &str) -> Result<(), Fault> {
        self.create_group(name, description).await?;
        tracing::info!(user = who.shown, group = name, "a group was created");
        let spec = vim!(HostAccountSpec { id: name, description: description });
        who.tell(vim!(AccountCreatedEvent { spec: Object::from(spec), group: true }).into()).await;
        Ok(())
    }

    pub(super) async fn drop_group(&self, who: &Who, name: &str) -> Result<(), Fault> {
        self.over_group(who, name)?;
        let members = self.policy.load().groups().get(&self.realm.key(name).unwrap_or_default()).cloned();
        // Members may have more rights without the group: it may be one that takes access away.
        for user in members.iter().flat_map(|group| &group.users) {
            self.over_user(who, user)?;
        }
        for inner in members.iter().flat_map(|group| &group.groups) {
            self.over_group(who, inner)?;
        }
        self.remove_group(name).await?;
        tracing::info!(user = who.shown, group = name, "a group was removed");
        who.tell(vim!(AccountRemovedEvent { account: name, group: true }).into()).await;
        Ok(())
    }

    /// Lets a user, or a group if there is none of the name, belong to a group.
    ///
    /// # Errors
    /// Those of [`super::AccountError`]; `NoPermission` if the group or the user has rights that the caller lacks.
    pub async fn assign(&self, who: &Who, name: &str, group: &str) -> Result<(), Fault> {
        let member = self.any_member(name).await?;
        self.over_group(who, group)?;
        self.over(who, &member)?;
        self.add_member(group, &member).await?;
        tracing::info!(user = who.shown, member = name, group, "a group has a new member");
        who.tell(vim!(UserAssignedToGroup { userLogin: name, group: group }).into()).await;
        Ok(())
    }

    /// Takes a user or group out of a group.
    ///
    /// # Errors
    /// As for [`Accounts::assign`].
    pub async fn unassign(&self, who: &Who, name: &str, group: &str) -> Result<(), Fault> {
        let member = match self.listed_abroad(name, group) {
            Some(member) => member,
            None => self.any_member(name).await?,
        };
        self.over_group(who, group)?;
        self.over(who, &member)?;
        self.remove_member(group, &member).await?;
        tracing::info!(user = who.shown, member = name, group, "a group lost a member");
        who.tell(vim!(UserUnassignedFromGroup { userLogin: name, group: group }).into()).await;
        Ok(())
    }

    fn is_himself(&self, who: &Who, name: &str) -> bool {
        self.find(name).is_some_and(|account| account.name == who.account.name)
    }

    /// The name as events show it.
    fn plain_name(&self, name: &str) -> String {
        self.person(name).map_or_else(|| name.to_owned(), |person| person.name)
    }
}

/// The account as events show it: never with a password.
fn spec(person: Option<Person>, name: &str) -> Object {
    let (id, full_name) = person.map_or_else(|| (name.to_owned(), String::new()), |p| (p.name, p.full_name));
    let description = Some(full_name).filter(|text| !text.is_empty());
    vim!(HostAccountSpec { id: id, description: description }).into()
}
