//! `UserDirectory`: finds users and groups by name.

use std::sync::Arc;

use vim::{Fault, List, Value, arg, data_id, fault, field, managed_id, method, props, vim};

use super::{Accounts, Realm, invalid_login};
use crate::{Call, Guard, Manager};

/// The UserDirectory.
pub(super) const ROW: Manager<Arc<Accounts>> = Manager {
    me: |accounts| accounts.ids().user_directory,
    named: Some(field!(ServiceContent.userDirectory).number()),
    properties: |accounts| {
        let domains = match &accounts.realm {
            Realm::Host => Vec::new(),
            Realm::Center { domain } => vec![domain.to_uppercase()],
        };
        Ok(props!(UserDirectory { domainList: domains }))
    },
    register: |table| {
        let retrieve = method!(RetrieveUserGroups);
        table.guarded(managed_id!(UserDirectory), retrieve, Guard::Open, |accounts, call| async move {
            accounts.retrieve_user_groups(&call)
        });
    },
};

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
            return Err(fault!(NotFound {}, "The domain {domain} is unknown here"));
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
