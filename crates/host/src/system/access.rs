//! HostAccessManager: who may log in to this host itself, and its lockdown mode. In lockdown only the center and the exception
//! users get in; everything else goes through the center.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use api::accounts::{ADMIN, Accounts, CENTER_ACCOUNT, NO_ACCESS, READ_ONLY};
use api::{Account, Call, Manager, Table};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use store::{Batch, Collection, Store};
use vim::{
    Fault, Kind, List, ManagedId, MoRef, Object, Value, arg, data_id, fault, field, managed_id, method,
    props, ty, vim, vim_enum,
};

use super::System;
use crate::error::store_fault;
use crate::ids;

/// The account of a host's administrator.
pub const ADMINISTRATOR: &str = "root";

type Reply = Result<Option<Value>, Fault>;
type Shown = ty!(HostLockdownMode);

const MANAGER: ManagedId = managed_id!(HostAccessManager);
const ACCESS: Collection<Kept> = Collection::new("access");
const KEY: &str = "lockdown";
/// Users who may be exceptions of lockdown mode.
const MAX_EXCEPTIONS: usize = 100;

/// The lockdown mode and its exceptions, as the store holds them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    mode: Mode,
    exceptions: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Mode {
    #[default]
    Disabled,
    Normal,
    Strict,
}

impl Mode {
    fn shown(self) -> Shown {
        match self {
            Self::Disabled => vim_enum!(HostLockdownMode.lockdownDisabled),
            Self::Normal => vim_enum!(HostLockdownMode.lockdownNormal),
            Self::Strict => vim_enum!(HostLockdownMode.lockdownStrict),
        }
    }
}

/// Whether an account may have a session with a host in this state.
fn admits(kept: &Kept, account: &Account) -> bool {
    kept.mode == Mode::Disabled
        || (account.extension && account.name == CENTER_ACCOUNT)
        || kept.exceptions.contains(&account.name)
}

/// The host's access for users.
pub(crate) struct Access {
    system: Arc<System>,
    kept: Mutex<Kept>,
    /// Held while the mode or the exceptions are changed.
    changing: tokio::sync::Mutex<()>,
    /// The host's accounts; none for a simulated host, which has its administrator only.
    accounts: OnceLock<Arc<Accounts>>,
}

/// The host's HostAccessManager.
pub fn me() -> MoRef {
    MoRef::new(MANAGER, "ha-host-access-manager")
}

pub(crate) const ROW: Manager<Arc<Access>> = Manager {
    me: |_| me(),
    named: Some(field!(HostConfigManager.hostAccessManager).number()),
    properties: |access| Ok(props!(HostAccessManager { lockdownMode: access.kept.lock().mode.shown() })),
    register,
};

fn register(table: &mut Table<'_, Arc<Access>>) {
    macro_rules! on {
        ($ty:expr, $method:ident, $does:ident) => {
            table.on($ty, method!($method), |access, call| async move { access.$does(&call).await });
        };
    }
    on!(MANAGER, ChangeLockdownMode, change_lockdown_mode);
    on!(MANAGER, QueryLockdownExceptions, query_exceptions);
    on!(MANAGER, UpdateLockdownExceptions, update_exceptions);
    on!(MANAGER, QuerySystemUsers, query_system_users);
    on!(MANAGER, RetrieveHostAccessControlEntries, access_entries);
    on!(managed_id!(HostSystem), EnterLockdownMode, enter);
    on!(managed_id!(HostSystem), ExitLockdownMode, exit);
}

/// Ends the lockdown of the host whose state is in this directory; its daemon must not run. This is the way back for whoever
/// is root on the machine, when the center is gone for good. Returns whether the host was in lockdown.
///
/// # Errors
/// The store's.
pub fn lift_lockdown(data: &Path) -> crate::Result<bool> {
    let store = Store::open(data.join("host.db"))?;
    let Some(kept) = ACCESS.get(&store, KEY)?.filter(|kept| kept.mode != Mode::Disabled) else {
        return Ok(false);
    };
    let mut batch = Batch::new();
    ACCESS.put(&mut batch, KEY, &Kept { mode: Mode::Disabled, ..kept })?;
    store.commit_blocking(batch)?;
    Ok(true)
}

impl Access {
    /// Reads the mode, shows it, and has every new session asked for it.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn open(system: &Arc<System>) -> store::Result<Arc<Self>> {
        let kept = ACCESS.get(&system.core.store, KEY)?.unwrap_or_default();
        if kept.mode != Mode::Disabled {
            tracing::warn!(mode = ?kept.mode, "the host is in lockdown mode: only its center and exception users may log in");
        }
        system.hold_lockdown(kept.mode.shown());
        let access = Arc::new(Self {
            system: system.clone(),
            kept: Mutex::new(kept),
            changing: tokio::sync::Mutex::default(),
            accounts: OnceLock::new(),
        });
        let gate = Arc::downgrade(&access);
        system.core.sessions.guard(Box::new(move |account: &Account| match gate.upgrade() {
            Some(access) => access.admit(account),
            None => Ok(()),
        }));
        Ok(access)
    }

    /// The accounts of the host, once they are open.
    pub(crate) fn know_accounts(&self, accounts: &Arc<Accounts>) {
        let _ = self.accounts.set(accounts.clone());
    }

    fn admit(&self, account: &Account) -> Result<(), Fault> {
        if admits(&self.kept.lock(), account) {
            return Ok(());
        }
        tracing::info!(user = account.name, "a direct login was refused: the host is in lockdown mode");
        Err(fault!(
            NoPermission { object: ids::root_folder(), privilegeId: "System.View" },
            "The host is in lockdown mode: log in to its center instead"
        ))
    }

    /// Stores and shows a new state, and ends the sessions that it does not admit.
    async fn change(
        &self,
        call: &Call,
        change: impl FnOnce(&mut Kept) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let _one_at_a_time = self.changing.lock().await;
        let old = self.kept.lock().clone();
        let mut new = old.clone();
        change(&mut new)?;
        if new == old {
            return Ok(());
        }
        let core = &self.system.core;
        let mut batch = Batch::new();
        ACCESS.put(&mut batch, KEY, &new).map_err(|error| store_fault(&error))?;
        core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
        *self.kept.lock() = new.clone();
        self.system.show_lockdown(new.mode.shown());
        for session in core.sessions.all() {
            if !admits(&new, &session.account) {
                core.sessions.close(&session.key);
            }
        }
        if (old.mode == Mode::Disabled) != (new.mode == Mode::Disabled) {
            let (event, text) = if new.mode == Mode::Disabled {
                (data_id!(HostAdminEnableEvent), "Direct access to the host is possible again")
            } else {
                (
                    data_id!(HostAdminDisableEvent),
                    "The host entered lockdown mode: direct access is for exception users only",
                )
            };
            self.system.post_by(Object::new(event), call.user(), text).await;
        }
        Ok(())
    }

    async fn set_mode(&self, call: &Call, mode: Mode) -> Reply {
        // Without a center nobody could end it.
        if mode != Mode::Disabled && !call.session()?.account.extension {
            return Err(fault!(
                DisableAdminNotSupported {},
                "A host enters lockdown mode through its center only"
            ));
        }
        self.change(call, |kept| {
            kept.mode = mode;
            Ok(())
        })
        .await
        .map(|()| None)
    }

    async fn change_lockdown_mode(&self, call: &Call) -> Reply {
        let mode = match call.required(arg!(ChangeLockdownMode.mode))?.name() {
            "lockdownNormal" => Mode::Normal,
            "lockdownStrict" => Mode::Strict,
            _ => Mode::Disabled,
        };
        self.set_mode(call, mode).await
    }

    async fn enter(&self, call: &Call) -> Reply {
        if self.kept.lock().mode != Mode::Disabled {
            return Err(fault!(AdminDisabled {}, "The host is in lockdown mode already"));
        }
        self.set_mode(call, Mode::Normal).await
    }

    async fn exit(&self, call: &Call) -> Reply {
        if self.kept.lock().mode == Mode::Disabled {
            return Err(fault!(AdminNotDisabled {}, "The host is not in lockdown mode"));
        }
        self.set_mode(call, Mode::Disabled).await
    }

    async fn query_exceptions(&self, _call: &Call) -> Reply {
        let users: Vec<Value> =
            self.kept.lock().exceptions.iter().map(|user| Value::from(user.as_str())).collect();
        Ok(Some(Value::List(List::new(Kind::String, users))))
    }

    async fn update_exceptions(&self, call: &Call) -> Reply {
        let users: BTreeSet<String> =
            call.arg(arg!(UpdateLockdownExceptions.users)).into_iter().flatten().map(str::to_owned).collect();
        if users.len() > MAX_EXCEPTIONS {
            return Err(api::invalid_argument(
                "users",
                &format!("A host has at most {MAX_EXCEPTIONS} exception users"),
            ));
        }
        let users =
            users.into_iter().map(|user| self.canonical(&user)).collect::<Result<BTreeSet<_>, Fault>>()?;
        self.change(call, |kept| {
            kept.exceptions = users;
            Ok(())
        })
        .await
        .map(|()| None)
    }

    /// The name of a user who exists, as sessions have it. A simulated host has its administrator only, without a password.
    fn canonical(&self, user: &str) -> Result<String, Fault> {
        let account = self.accounts.get().and_then(|accounts| accounts.find(user));
        let known =
            account.map(|account| account.name).or_else(|| (user == ADMINISTRATOR).then(|| user.to_owned()));
        known.ok_or_else(|| {
            fault!(UserNotFound { principal: user, unresolved: true }, "The host has no user {user:?}")
        })
    }

    async fn query_system_users(&self, _call: &Call) -> Reply {
        Ok(Some(Value::List(List::new(Kind::String, vec![Value::from(CENTER_ACCOUNT)]))))
    }

    /// The permissions on the whole host, as kinds of access.
    async fn access_entries(&self, call: &Call) -> Reply {
        let permissions = call.service.authority.permissions(&ids::root_folder());
        let entries = permissions.iter().filter_map(|permission| {
            let principal = permission.get(field!(Permission.principal))?;
            if principal == CENTER_ACCOUNT {
                return None;
            }
            let mode = match permission.get(field!(Permission.roleId))? {
                ADMIN => vim_enum!(HostAccessMode.accessAdmin),
                NO_ACCESS => vim_enum!(HostAccessMode.accessNoAccess),
                READ_ONLY => vim_enum!(HostAccessMode.accessReadOnly),
                _ => vim_enum!(HostAccessMode.accessOther),
            };
            let group = permission.get(field!(Permission.group)).unwrap_or(false);
            Some(vim!(HostAccessControlEntry { principal: principal, group: group, accessMode: mode }).into())
        });
        let entries: Vec<Value> = entries.collect();
        let kind = Kind::Data(data_id!(HostAccessControlEntry));
        Ok((!entries.is_empty()).then(|| Value::List(List::new(kind, entries))))
    }
}

impl System {
    /// Notes the lockdown mode before anything is shown.
    fn hold_lockdown(&self, mode: Shown) {
        let mut shown = self.shown.lock();
        shown.config.set(field!(HostConfigInfo.lockdownMode), mode);
        let disabled = mode != vim_enum!(HostLockdownMode.lockdownDisabled);
        shown.config.set(field!(HostConfigInfo.adminDisabled), disabled);
    }

    fn show_lockdown(&self, mode: Shown) {
        self.hold_lockdown(mode);
        self.core.tree.write(|w| {
            let config = self.shown.lock().config.clone();
            w.set(&ids::host(), props!(HostSystem { config: config }));
            w.set(&me(), props!(HostAccessManager { lockdownMode: mode }));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lockdown_admits_the_center_and_exception_users_only() {
        let account = |name: &str, extension| Account { name: name.into(), extension, ..Account::default() };
        let kept = |mode| Kept { mode, exceptions: BTreeSet::from(["ann".to_owned()]) };
        for (mode, root) in [(Mode::Disabled, true), (Mode::Normal, false), (Mode::Strict, false)] {
            let kept = kept(mode);
            assert!(admits(&kept, &account(CENTER_ACCOUNT, true)), "{mode:?}");
            assert!(admits(&kept, &account("ann", false)), "{mode:?}");
            assert_eq!(admits(&kept, &account("root", false)), root, "{mode:?}");
            assert_eq!(admits(&kept, &account("backup", true)), root, "another certificate, {mode:?}");
            assert_eq!(admits(&kept, &account(CENTER_ACCOUNT, false)), root, "its name alone, {mode:?}");
        }
    }

    #[test]
    fn root_on_the_machine_ends_the_lockdown_of_a_host_that_is_off() {
        let directory = tempfile::tempdir().unwrap();
        {
            let store = Store::open(directory.path().join("host.db")).unwrap();
            let mut batch = Batch::new();
            let kept = Kept { mode: Mode::Strict, exceptions: BTreeSet::from(["ann".to_owned()]) };
            ACCESS.put(&mut batch, KEY, &kept).unwrap();
            store.commit_blocking(batch).unwrap();
        }
        assert!(lift_lockdown(directory.path()).unwrap());
        assert!(!lift_lockdown(directory.path()).unwrap(), "once");
        let store = Store::open(directory.path().join("host.db")).unwrap();
        let kept = ACCESS.get(&store, KEY).unwrap().unwrap();
        assert_eq!((kept.mode, kept.exceptions.len()), (Mode::Disabled, 1));
    }
}
