//! `AuthorizationManager`: roles, permissions, and questions about privileges.

use std::collections::BTreeSet;
use std::sync::Arc;

use vim::{
    Data, Fault, Kind, List, ListRef, MoRef, Object, Value, arg, data_id, fault, field, managed_id, method,
    props, vim,
};

use super::decide::ancestors;
use super::permissions::{Author, Place, Rule, Wanted};
use super::privileges::{description, listed};
use super::records::StoredPermission;
use super::{AccountError, Accounts};
use crate::{Account, Call, Manager, Snapshot, Table, all_privileges};

/// Decisions (objects times privileges) that one call may ask for.
pub(super) const MAX_DECISIONS: usize = 250_000;

/// The AuthorizationManager.
pub(super) const ROW: Manager<Arc<Accounts>> = Manager {
    me: |accounts| accounts.ids().authorization_manager,
    named: Some(field!(ServiceContent.authorizationManager).number()),
    properties: |_| Ok(props!(AuthorizationManager { privilegeList: listed(), description: description() })),
    register,
};

fn register(table: &mut Table<'_, Arc<Accounts>>) {
    macro_rules! on {
        ($method:ident, $does:ident) => {
            let manager = managed_id!(AuthorizationManager);
            table.on(manager, method!($method), |accounts, call| async move { accounts.$does(&call).await });
        };
    }
    on!(AddAuthorizationRole, add_authorization_role);
    on!(UpdateAuthorizationRole, update_authorization_role);
    on!(RemoveAuthorizationRole, remove_authorization_role);
    on!(MergePermissions, merge_permissions_of);
    on!(SetEntityPermissions, set_entity_permissions);
    on!(ResetEntityPermissions, reset_entity_permissions);
    on!(RemoveEntityPermission, remove_entity_permission);
    on!(RetrieveEntityPermissions, retrieve_entity_permissions);
    on!(RetrieveAllPermissions, retrieve_all_permissions);
    on!(RetrieveRolePermissions, retrieve_role_permissions);
    on!(HasPrivilegeOnEntity, has_privilege_on_entity);
    on!(HasPrivilegeOnEntities, has_privilege_on_entities);
    on!(HasUserPrivilegeOnEntities, has_user_privilege_on_entities);
    on!(FetchUserPrivilegeOnEntities, fetch_user_privilege_on_entities);
}

type Answer = Result<Option<Value>, Fault>;

impl Accounts {
    async fn add_authorization_role(&self, call: &Call) -> Answer {
        let name = call.required(arg!(AddAuthorizationRole.name))?;
        let privileges = strings(call.arg(arg!(AddAuthorizationRole.privIds)));
        let wanted = Wanted { name: name.to_owned(), label: None, privileges };
        let id = self.add_role(wanted, Some(author(call, &call.state())?)).await?;
        tracing::info!(user = call.user(), role = id, name, "a role was added");
        Ok(Some(Value::Int(id)))
    }

    async fn update_authorization_role(&self, call: &Call) -> Answer {
        let id = call.required(arg!(UpdateAuthorizationRole.roleId))?;
        let name = call.required(arg!(UpdateAuthorizationRole.newName))?;
        let privileges = strings(call.arg(arg!(UpdateAuthorizationRole.privIds)));
        let wanted = Wanted { name: name.to_owned(), label: None, privileges };
        self.update_role(id, wanted, Some(author(call, &call.state())?)).await?;
        tracing::info!(user = call.user(), role = id, name, "a role was changed");
        Ok(None)
    }

    async fn remove_authorization_role(&self, call: &Call) -> Answer {
        let id = call.required(arg!(RemoveAuthorizationRole.roleId))?;
        let fail_if_used = call.required(arg!(RemoveAuthorizationRole.failIfUsed))?;
        self.remove_role(id, fail_if_used, Some(author(call, &call.state())?)).await?;
        tracing::info!(user = call.user(), role = id, "a role was removed");
        Ok(None)
    }

    async fn merge_permissions_of(&self, call: &Call) -> Answer {
        let from = call.required(arg!(MergePermissions.srcRoleId))?;
        let to = call.required(arg!(MergePermissions.dstRoleId))?;
        self.merge_permissions(from, to, Some(author(call, &call.state())?)).await?;
        tracing::info!(user = call.user(), from, to, "the permissions of a role went to another");
        Ok(None)
    }

    async fn set_entity_permissions(&self, call: &Call) -> Answer {
        let state = call.state();
        let entity = state.require(call.required(arg!(SetEntityPermissions.entity))?)?.me().clone();
        let rules = rules(call.arg(arg!(SetEntityPermissions.permission)).into_iter().flatten());
        let by = author(call, &state)?;
        self.set_permissions(Place::Entity(&entity), &rules, false, Some(by)).await?;
        tracing::info!(user = call.user(), %entity, ?rules, "permissions were set");
        Ok(None)
    }

    async fn reset_entity_permissions(&self, call: &Call) -> Answer {
        let state = call.state();
        let entity = state.require(call.required(arg!(ResetEntityPermissions.entity))?)?.me().clone();
        let rules = rules(call.arg(arg!(ResetEntityPermissions.permission)).into_iter().flatten());
        let by = author(call, &state)?;
        self.set_permissions(Place::Entity(&entity), &rules, true, Some(by)).await?;
        tracing::info!(user = call.user(), %entity, ?rules, "permissions were replaced");
        Ok(None)
    }

    async fn remove_entity_permission(&self, call: &Call) -> Answer {
        let state = call.state();
        let entity = state.require(call.required(arg!(RemoveEntityPermission.entity))?)?.me().clone();
        let principal = call.required(arg!(RemoveEntityPermission.user))?;
        let group = call.required(arg!(RemoveEntityPermission.isGroup))?;
        let by = author(call, &state)?;
        self.remove_permission(Place::Entity(&entity), principal, group, Some(by)).await?;
        tracing::info!(user = call.user(), %entity, principal, "a permission was removed");
        Ok(None)
    }

    async fn retrieve_entity_permissions(&self, call: &Call) -> Answer {
        let state = call.state();
        let entity =
            call.state().require(call.required(arg!(RetrieveEntityPermissions.entity))?)?.me().clone();
        let mut found = self.permissions_on(&entity);
        if call.required(arg!(RetrieveEntityPermissions.inherited))? {
            for entity in ancestors(&entity, &state) {
                let here = self.permissions_on(&entity);
                found.extend(here.into_iter().filter(|p| p.get(field!(Permission.propagate)) == Some(true)));
            }
        }
        Ok(permissions(found))
    }

    async fn retrieve_all_permissions(&self, call: &Call) -> Answer {
        self.permissions_in_sight(call, |_| true)
    }

    async fn retrieve_role_permissions(&self, call: &Call) -> Answer {
        let id = call.required(arg!(RetrieveRolePermissions.roleId))?;
        if !self.policy.load().roles.contains_key(&id) {
            return Err(AccountError::UnknownRole(id).into());
        }
        self.permissions_in_sight(call, |permission| permission.role == id)
    }

    /// Permissions on the entities that the caller may view: the others are hidden with their entities.
    fn permissions_in_sight(&self, call: &Call, fits: impl Fn(&StoredPermission) -> bool) -> Answer {
        let (account, state, policy) = (&call.session()?.account, call.state(), self.policy.load());
        let sees = |permission: &&StoredPermission| {
            permission.entity().is_some_and(|entity| self.decide(account, &entity, "System.View", &state))
        };
        let found = policy.all_permissions().filter(|permission| fits(permission)).filter(sees);
        Ok(permissions(found.filter_map(|permission| self.shown_permission(permission)).collect()))
    }

    async fn has_privilege_on_entity(&self, call: &Call) -> Answer {
        let entity = call.required(arg!(HasPrivilegeOnEntity.entity))?;
        let account = session_account(call, call.required(arg!(HasPrivilegeOnEntity.sessionId))?)?;
        let state = call.state();
        let asked = call.arg(arg!(HasPrivilegeOnEntity.privId)).into_iter().flatten();
        let has = asked.map(|id| Value::Boolean(self.decide(&account, entity, id, &state)));
        Ok(list(Kind::Boolean, has.collect()))
    }

    async fn has_privilege_on_entities(&self, call: &Call) -> Answer {
        let account = session_account(call, call.required(arg!(HasPrivilegeOnEntities.sessionId))?)?;
        let asked = strings(call.arg(arg!(HasPrivilegeOnEntities.privId)));
        let entities = call.required(arg!(HasPrivilegeOnEntities.entity))?;
        self.availability(&account, entities.iter(), &asked, &call.state())
    }

    async fn has_user_privilege_on_entities(&self, call: &Call) -> Answer {
        let account = self.named(call.required(arg!(HasUserPrivilegeOnEntities.userName))?).await?;
        let asked = strings(call.arg(arg!(HasUserPrivilegeOnEntities.privId)));
        let entities = call.required(arg!(HasUserPrivilegeOnEntities.entities))?;
        let entities = entities.iter().filter(|object| object.is_a(managed_id!(ManagedEntity)));
        self.availability(&account, entities, &asked, &call.state())
    }

    async fn fetch_user_privilege_on_entities(&self, call: &Call) -> Answer {
        let account = self.named(call.required(arg!(FetchUserPrivilegeOnEntities.userName))?).await?;
        let state = call.state();
        let entities = call.required(arg!(FetchUserPrivilegeOnEntities.entities))?;
        let entities: Vec<&MoRef> = entities.iter().filter(|entity| state.find(entity).is_some()).collect();
        within_answer(entities.len(), all_privileges().len())?;
        let results = entities.into_iter().map(|entity| {
            let held = all_privileges().iter().filter(|id| self.decide(&account, entity, id, &state));
            let held: Vec<String> = held.map(|id| (*id).to_owned()).collect();
            vim!(UserPrivilegeResult { entity: entity, privileges: held }).into()
        });
        Ok(list(Kind::Data(data_id!(UserPrivilegeResult)), results.collect()))
    }

    pub(super) fn availability<'a>(
        &self,
        account: &Account,
        entities: impl Iterator<Item = &'a MoRef>,
        asked: &BTreeSet<String>,
        state: &Snapshot,
    ) -> Answer {
        let entities: Vec<&MoRef> = entities.filter(|entity| state.find(entity).is_some()).collect();
        within_answer(entities.len(), asked.len())?;
        let results = entities.into_iter().map(|entity| {
            let each: Vec<_> = asked
                .iter()
                .map(|id| {
                    let granted = self.decide(account, entity, id, state);
                    vim!(PrivilegeAvailability { privId: id, isGranted: granted })
                })
                .collect();
            vim!(EntityPrivilege { entity: entity, privAvailability: each }).into()
        });
        Ok(list(Kind::Data(data_id!(EntityPrivilege)), results.collect()))
    }

    async fn named(&self, user: &str) -> Result<Account, Fault> {
        if let Some(known) = self.find(user) {
            return Ok(known);
        }
        self.meet_named(user).await?.ok_or_else(|| AccountError::UnknownUser(user.to_owned()).into())
    }
}

/// # Errors
/// `OutOfBounds` for more than [`MAX_DECISIONS`].
fn within_answer(entities: usize, privileges: usize) -> Result<(), Fault> {
    if entities.saturating_mul(privileges) <= MAX_DECISIONS {
        return Ok(());
    }
    Err(fault!(
        OutOfBounds { argumentName: "entities" },
        "{privileges} privileges on {entities} objects exceed the limit of {MAX_DECISIONS} answers; ask for fewer at a time"
    ))
}

fn strings(list: Option<ListRef<'_, vim::kind::Text>>) -> BTreeSet<String> {
    list.into_iter().flatten().map(str::to_owned).collect()
}

fn list(kind: Kind, items: Vec<Value>) -> Option<Value> {
    (!items.is_empty()).then(|| Value::List(List::new(kind, items)))
}

fn permissions<const D: u16>(found: Vec<Data<D>>) -> Option<Value> {
    list(Kind::Data(data_id!(Permission)), found.into_iter().map(Into::into).collect())
}

fn rules<'a>(given: impl Iterator<Item = &'a Arc<Object>>) -> Vec<Rule> {
    let rule = |permission: &Arc<Object>| Rule {
        principal: permission.get(field!(Permission.principal)).unwrap_or_default().to_owned(),
        group: permission.get(field!(Permission.group)).unwrap_or_default(),
        role: permission.get(field!(Permission.roleId)).unwrap_or_default(),
        propagate: permission.get(field!(Permission.propagate)).unwrap_or_default(),
    };
    given.map(rule).collect()
}

/// The caller as the author of a change of roles and permissions.
fn author<'a>(call: &'a Call, state: &'a Snapshot) -> Result<Author<'a>, Fault> {
    Ok(Author { account: &call.session()?.account, state })
}

/// The account of a session, by what `UserSession.key` shows.
fn session_account(call: &Call, id: &str) -> Result<Account, Fault> {
    let own = call.session()?;
    if own.public_id() == id || own.key == id {
        return Ok(own.account.clone());
    }
    let other = call.service.core.sessions.all().into_iter().find(|session| session.public_id() == id);
    other.map(|session| session.account.clone()).ok_or_else(|| {
        fault!(InvalidArgument { invalidProperty: "sessionId" }, "The session {id} does not exist")
    })
}
