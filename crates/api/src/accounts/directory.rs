//! `UserDirectory` and `HostLocalAccountManager`.

use std::sync::Arc;

use vim::{Fault, List, Value, arg, data_id, fault, field, managed_id, method, vim};

use super::{Accounts, Realm, invalid_login};
use crate::{Authority, Call, Methods};

pub(super) fn register(methods: &mut Methods, accounts: &Arc<Accounts>) {
    let a = accounts.clone();
    methods.on(managed_id!(UserDirectory), method!(RetrieveUserGroups), move |call: Call| {
        let a = a.clone();
        async move { a.retrieve_user_groups(&call) }
    });
    let a = accounts.clone();
    methods.on(managed_id!(HostLocalAccountManager), method!(CreateUser), move |call: Call| {
        let a = a.clone();
        async move {
            let spec = call.required(arg!(CreateUser.user))?;
            let name = spec.get(field!(HostAccountSpec.id)).unwrap_or_default();
            let description = spec.get(field!(HostAccountSpec.description)).unwrap_or_default();
            a.create(name, description, spec.get(field!(HostAccountSpec.password))).await?;
            tracing::info!(user = call.user(), account = name, "an account was created");
            Ok(None)
        }
    });
    let a = accounts.clone();
    methods.on(managed_id!(HostLocalAccountManager), method!(UpdateUser), move |call: Call| {
        let a = a.clone();
        async move {
            let spec = call.required(arg!(UpdateUser.user))?;
            let name = spec.get(field!(HostAccountSpec.id)).unwrap_or_default();
            if let Some(description) = spec.get(field!(HostAccountSpec.description)) {
                a.set_full_name(name, description).await?;
            }
            if let Some(password) = spec.get(field!(HostAccountSpec.password)) {
                a.set_password(name, password).await?;
            }
            tracing::info!(user = call.user(), account = name, "an account was changed");
            Ok(None)
        }
    });
    let a = accounts.clone();
    methods.on(managed_id!(HostLocalAccountManager), method!(RemoveUser), move |call: Call| {
        let a = a.clone();
        async move {
            let name = call.required(arg!(RemoveUser.userName))?;
            let account = a.find(name);
            a.remove(name).await?;
            tracing::info!(user = call.user(), account = name, "an account was removed");
            let sessions = &call.service.core.sessions;
            for session in sessions.all() {
                if account.as_ref().is_some_and(|gone| gone.name == session.account.name) {
                    sessions.close(&session.key);
                }
            }
            Ok(None)
        }
    });
    let a = accounts.clone();
    methods.on(managed_id!(HostLocalAccountManager), method!(ChangePassword), move |call: Call| {
        let a = a.clone();
        async move {
            let name = call.required(arg!(ChangePassword.user))?;
            a.login(name, call.required(arg!(ChangePassword.oldPassword))?).await?;
            a.set_password(name, call.required(arg!(ChangePassword.newPassword))?).await?;
            tracing::info!(account = name, "a password was changed");
            Ok(None)
        }
    });
}

impl Accounts {
    fn retrieve_user_groups(&self, call: &Call) -> Result<Option<Value>, Fault> {
        let session = call.session()?;
        if self.find(&session.account.name).is_none() {
            return Err(invalid_login());
        }
        let domain = call.arg(arg!(RetrieveUserGroups.domain)).filter(|domain| !domain.is_empty());
        let known = match (&self.realm, domain) {
            (_, None) => true,
            (Realm::Host, Some(_)) => false,
            (Realm::Center { domain: own }, Some(asked)) => own.eq_ignore_ascii_case(asked),
        };
        if !known {
            let domain = domain.unwrap_or_default();
            return Err(fault!(NotFound {}, "There is no domain {domain} here"));
        }
        let search = call.required(arg!(RetrieveUserGroups.searchStr))?.to_lowercase();
        let exact = call.required(arg!(RetrieveUserGroups.exactMatch))?;
        let of_group = call.arg(arg!(RetrieveUserGroups.belongsToGroup)).map(str::to_lowercase);
        let of_user = call.arg(arg!(RetrieveUserGroups.belongsToUser)).and_then(|user| self.realm.key(user));
        let fits = |name: &str| {
            let name = name.to_lowercase();
            if exact { name == search } else { name.contains(&search) }
        };
        let policy = self.policy.load();
        let mut found: Vec<Value> = Vec::new();
        if call.required(arg!(RetrieveUserGroups.findUsers))? && of_user.is_none() {
            let users = policy.accounts.values().filter(|account| {
                fits(&account.name) && of_group.as_ref().is_none_or(|group| account.groups.contains(group))
            });
            found.extend(users.map(|account| {
                let full_name = Some(&account.full_name).filter(|name| !name.is_empty()).cloned();
                vim!(UserSearchResult { principal: &account.name, fullName: full_name, group: false }).into()
            }));
        }
        if call.required(arg!(RetrieveUserGroups.findGroups))? && of_group.is_none() {
            let members =
                policy.accounts.iter().filter(|(key, _)| of_user.as_ref().is_none_or(|of| of == *key));
            let mut groups: Vec<_> = members.flat_map(|(_, account)| &account.groups).collect();
            groups.sort_unstable();
            groups.dedup();
            let groups = groups.into_iter().filter(|group| fits(group));
            found.extend(groups.map(|group| vim!(UserSearchResult { principal: group, group: true }).into()));
        }
        let kind = vim::Kind::Data(data_id!(UserSearchResult));
        Ok((!found.is_empty()).then(|| Value::List(List::new(kind, found))))
    }
}
