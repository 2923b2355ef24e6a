//! `HostLocalAccountManager`: makes, changes and removes the accounts of a host.

use std::sync::Arc;

use vim::{Fault, ManagedId, Value, arg, field, managed_id, method, props};

use super::Accounts;
use crate::{Authority, Call, Manager};

type Reply = Result<Option<Value>, Fault>;

const MANAGER: ManagedId = managed_id!(HostLocalAccountManager);

/// The HostLocalAccountManager.
pub(super) const ROW: Manager<Arc<Accounts>> = Manager {
    me: |accounts| accounts.ids().account_manager,
    named: Some(field!(ServiceContent.accountManager).number()),
    properties: |_| Ok(props!(HostLocalAccountManager {})),
    register: |table| {
        table.on(MANAGER, method!(CreateUser), create);
        table.on(MANAGER, method!(UpdateUser), update);
        table.on(MANAGER, method!(RemoveUser), remove);
        table.on(MANAGER, method!(ChangePassword), change_password);
    },
};

async fn create(accounts: Arc<Accounts>, call: Call) -> Reply {
    let spec = call.required(arg!(CreateUser.user))?;
    let name = spec.get(field!(HostAccountSpec.id)).unwrap_or_default();
    let description = spec.get(field!(HostAccountSpec.description)).unwrap_or_default();
    accounts.create(name, description, spec.get(field!(HostAccountSpec.password))).await?;
    tracing::info!(user = call.user(), account = name, "an account was created");
    Ok(None)
}

async fn update(accounts: Arc<Accounts>, call: Call) -> Reply {
    let spec = call.required(arg!(UpdateUser.user))?;
    let name = spec.get(field!(HostAccountSpec.id)).unwrap_or_default();
    if let Some(description) = spec.get(field!(HostAccountSpec.description)) {
        accounts.set_full_name(name, description).await?;
    }
    if let Some(password) = spec.get(field!(HostAccountSpec.password)) {
        accounts.set_password(name, password).await?;
        end_sessions(&accounts, &call, name);
    }
    tracing::info!(user = call.user(), account = name, "an account was changed");
    Ok(None)
}

async fn remove(accounts: Arc<Accounts>, call: Call) -> Reply {
    let name = call.required(arg!(RemoveUser.userName))?;
    let account = accounts.find(name);
    accounts.remove(name).await?;
    tracing::info!(user = call.user(), account = name, "an account was removed");
    if let Some(gone) = account {
        call.service.core.sessions.close_of(&gone.name, None);
    }
    Ok(None)
}

/// Ends what was granted for an account's former password: its sessions with their tickets and consoles, but for the session that has
/// changed the password.
fn end_sessions(accounts: &Accounts, call: &Call, name: &str) {
    if let Some(account) = accounts.find(name) {
        let mine = call.session.as_ref().map(|session| session.key.as_str());
        call.service.core.sessions.close_of(&account.name, mine);
    }
}

async fn change_password(accounts: Arc<Accounts>, call: Call) -> Reply {
    let name = call.required(arg!(ChangePassword.user))?;
    accounts.login(name, call.required(arg!(ChangePassword.oldPassword))?).await?;
    accounts.set_password(name, call.required(arg!(ChangePassword.newPassword))?).await?;
    end_sessions(&accounts, &call, name);
    tracing::info!(account = name, "a password was changed");
    Ok(None)
}
