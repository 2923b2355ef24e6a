//! The way of the automation API to roles and permissions, global ones included, and to the uses of privileges.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use vim::MoRef;

use super::permissions::{Author, Place, Rule, Wanted};
use super::policy::GLOBAL;
use super::records::StoredPermission;
use super::roles::Role;
use super::used::{Noted, Page, Window};
use super::{AccountError, Accounts};
use crate::{Account, Snapshot};

type Result<T> = std::result::Result<T, AccountError>;

/// The place of a permission, for the automation API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PermissionPlace {
    Entity(MoRef),
    Global,
}

/// A permission, as the automation API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionInfo {
    /// `<entity>:user:<name>`
    pub id: String,
    pub place: PermissionPlace,
    /// Plain name.
    pub principal: String,
    pub group: bool,
    pub role: i32,
    pub propagate: bool,
}

/// A role, as the automation API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleInfo {
    pub id: i32,
    pub name: String,
    pub label: String,
    pub privileges: BTreeSet<String>,
    pub system: bool,
}

impl PermissionPlace {
    fn place(&self) -> Place<'_> {
        match self {
            Self::Entity(entity) => Place::Entity(entity),
            Self::Global => Place::Global,
        }
    }
}

/// The automation API's way to roles and permissions. The caller has checked the privilege of the operation.
impl Accounts {
    /// All roles, by their ids.
    pub fn role_infos(&self) -> Vec<RoleInfo> {
        let policy = self.policy.load();
        let info = |role: &Arc<Role>| RoleInfo {
            id: role.id,
            name: role.name.clone(),
            label: role.label.clone(),
            privileges: role.privileges.clone(),
            system: role.is_system(),
        };
        policy.roles.values().map(info).collect()
    }

    /// Adds a role, or changes the one with this id, and returns its id.
    ///
    /// # Errors
    /// [`AccountError`]
    pub async fn put_role_info(&self, info: RoleInfo, by: &Account, state: &Snapshot) -> Result<i32> {
        let author = Some(Author { account: by, state });
        let wanted = Wanted { name: info.name, label: Some(info.label), privileges: info.privileges };
        if info.id == 0 {
            return self.add_role(wanted, author).await;
        }
        self.update_role(info.id, wanted, author).await?;
        Ok(info.id)
    }

    /// Removes a role that no permission has.
    ///
    /// # Errors
    /// [`AccountError`]
    pub async fn remove_unused_role(&self, id: i32, by: &Account, state: &Snapshot) -> Result<()> {
        self.remove_role(id, true, Some(Author { account: by, state })).await
    }

    /// All permissions, global ones too, by their ids.
    pub fn permission_infos(&self) -> Vec<PermissionInfo> {
        let policy = self.policy.load();
        let mut all: Vec<_> =
            policy.all_permissions().filter_map(|known| self.permission_info(known)).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    fn permission_info(&self, known: &StoredPermission) -> Option<PermissionInfo> {
        let place = if known.entity == GLOBAL {
            PermissionPlace::Global
        } else {
            PermissionPlace::Entity(known.entity()?)
        };
        let at = if known.entity == GLOBAL { "global" } else { &known.entity };
        let kind = if known.group { "group" } else { "user" };
        Some(PermissionInfo {
            id: format!("{at}:{kind}:{}", known.principal.to_lowercase()),
            place,
            principal: known.principal.clone(),
            group: known.group,
            role: known.role,
            propagate: known.propagate,
        })
    }

    /// Sets a permission and returns its id. The field `id` of what is asked has no meaning.
    ///
    /// # Errors
    /// [`AccountError`]
    pub async fn put_permission_info(
        &self,
        info: &PermissionInfo,
        by: &Account,
        state: &Snapshot,
    ) -> Result<String> {
        let rule = Rule {
            principal: info.principal.clone(),
            group: info.group,
            role: info.role,
            propagate: info.propagate,
        };
        let place = info.place.place();
        self.set_permissions(place, std::slice::from_ref(&rule), false, Some(Author { account: by, state }))
            .await?;
        let name = self.key(&self.policy.load(), &rule.principal).unwrap_or_default();
        let stored = place.permission(name, &rule);
        Ok(self.permission_info(&stored).map(|info| info.id).unwrap_or_default())
    }

    /// Removes a permission.
    ///
    /// # Errors
    /// [`AccountError`]
    pub async fn remove_permission_info(
        &self,
        info: &PermissionInfo,
        by: &Account,
        state: &Snapshot,
    ) -> Result<()> {
        let author = Some(Author { account: by, state });
        self.remove_permission(info.place.place(), &info.principal, info.group, author).await
    }

    /// The privileges that accounts used, oldest first.
    pub fn uses(&self, window: &Window, fits: impl Fn(&Noted) -> bool) -> Page {
        self.uses.page(window, fits)
    }

    /// The same, but waits up to this time for the first one.
    pub async fn wait_for_uses(
        &self,
        window: &Window,
        time: Duration,
        fits: impl Fn(&Noted) -> bool,
    ) -> Page {
        self.uses.wait(window, time, fits).await
    }

    /// The last use of a privilege.
    pub fn last_use(&self) -> Option<Arc<Noted>> {
        self.uses.last()
    }
}
