//! `HostLocalAccountManager`: makes, changes and removes users and groups, of a host as of a center. vCenter has no such manager, and
//! directs to its single sign-on.

use std::sync::Arc;

use vim::{Fault, ManagedId, Object, arg, data_id, fault, field, managed_id, method, props};

use super::who::Who;
use super::{Accounts, Edit};
use crate::{Call, Manager, Methods};

const MANAGER: ManagedId = managed_id!(HostLocalAccountManager);

/// The HostLocalAccountManager.
pub(super) const ROW: Manager<Arc<Accounts>> = Manager {
    me: |accounts| accounts.ids().account_manager,
    named: Some(field!(ServiceContent.accountManager).number()),
    properties: |_| Ok(props!(HostLocalAccountManager {})),
    register: |table| {
        let accounts = table.daemon.clone();
        register(table.methods, &accounts);
    },
};

fn register(methods: &mut Methods, accounts: &Arc<Accounts>) {
    macro_rules! on {
        ($method:ident, $does:ident) => {
            let accounts = accounts.clone();
            methods.on(MANAGER, method!($method), move |call| {
                let accounts = accounts.clone();
                async move { $does(accounts, call).await.map(|()| None) }
            });
        };
    }
    on!(CreateUser, create);
    on!(UpdateUser, update);
    on!(RemoveUser, remove);
    on!(CreateGroup, create_group);
    on!(RemoveGroup, remove_group);
    on!(AssignUserToGroup, assign);
    on!(UnassignUserFromGroup, unassign);
    on!(ChangePassword, change_password);
}

type Done = Result<(), Fault>;

/// The changes that a specification asks for. Nobody gets a shell of this machine.
fn edit(spec: &Object) -> Result<Edit<'_>, Fault> {
    let mut edit = Edit {
        full_name: spec.get(field!(HostAccountSpec.description)),
        password: spec.get(field!(HostAccountSpec.password)),
        ..Edit::default()
    };
    if spec.is_a(data_id!(HostPosixAccountSpec)) {
        if spec.get(field!(HostPosixAccountSpec.shellAccess)) == Some(true) {
            return Err(fault!(NotSupported {}, "Users have no access to a shell"));
        }
        edit.number = spec.get(field!(HostPosixAccountSpec.posixId));
    }
    Ok(edit)
}

fn id(spec: &Object) -> &str {
    spec.get(field!(HostAccountSpec.id)).unwrap_or_default()
}

async fn create(accounts: Arc<Accounts>, call: Call) -> Done {
    let spec = call.required(arg!(CreateUser.user))?;
    accounts.make_user(&Who::of_call(&call)?, id(spec), &edit(spec)?).await
}

async fn update(accounts: Arc<Accounts>, call: Call) -> Done {
    let spec = call.required(arg!(UpdateUser.user))?;
    let edit = edit(spec)?;
    if edit.number.is_some() {
        return Err(fault!(NotSupported {}, "The number of a user stays as it is"));
    }
    accounts.change_user(&Who::of_call(&call)?, id(spec), &edit).await
}

async fn remove(accounts: Arc<Accounts>, call: Call) -> Done {
    accounts.remove_user(&Who::of_call(&call)?, call.required(arg!(RemoveUser.userName))?).await
}

async fn create_group(accounts: Arc<Accounts>, call: Call) -> Done {
    let spec = call.required(arg!(CreateGroup.group))?;
    if spec.get(field!(HostAccountSpec.password)).is_some_and(|password| !password.is_empty()) {
        return Err(fault!(NotSupported {}, "A group has no password"));
    }
    let description = spec.get(field!(HostAccountSpec.description)).unwrap_or_default();
    accounts.make_group(&Who::of_call(&call)?, id(spec), description).await
}

async fn remove_group(accounts: Arc<Accounts>, call: Call) -> Done {
    accounts.drop_group(&Who::of_call(&call)?, call.required(arg!(RemoveGroup.groupName))?).await
}

async fn assign(accounts: Arc<Accounts>, call: Call) -> Done {
    let (user, group) =
        (call.required(arg!(AssignUserToGroup.user))?, call.required(arg!(AssignUserToGroup.group))?);
    accounts.assign(&Who::of_call(&call)?, user, group).await
}

async fn unassign(accounts: Arc<Accounts>, call: Call) -> Done {
    let user = call.required(arg!(UnassignUserFromGroup.user))?;
    let group = call.required(arg!(UnassignUserFromGroup.group))?;
    accounts.unassign(&Who::of_call(&call)?, user, group).await
}

/// For everybody who knows the old password, also if it has expired. A token does not change the password.
async fn change_password(accounts: Arc<Accounts>, call: Call) -> Done {
    let name = call.required(arg!(ChangePassword.user))?;
    if accounts.realm.key(name).is_none() && accounts.policy.load().abroad(name).is_some() {
        return Err(fault!(
            NotSupported {},
            "The password of {name} is kept by its identity source; change it there"
        ));
    }
    let verified = accounts.verified(name, call.required(arg!(ChangePassword.oldPassword))?).await;
    let account = match verified {
        Ok(account) => account,
        Err(fault) => {
            call.service.post_unposted().await;
            return Err(fault);
        }
    };
    let who = Who::himself(&call, account);
    accounts.change_own_password(&who, name, call.required(arg!(ChangePassword.newPassword))?).await
}
