//! `UserDirectory`: finds users and groups by name.

use std::sync::Arc;

use vim::{Fault, List, Value, arg, data_id, fault, field, managed_id, method, props, vim};

use super::CENTER_ACCOUNT;
use super::groups::Member;
use super::records::StoredAccount;
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
        let unknown = |name: &str| fault!(NotFound {}, "The user or group {name:?} is unknown here");
        let search = call.required(arg!(RetrieveUserGroups.searchStr))?.to_lowercase();
        let exact = call.required(arg!(RetrieveUserGroups.exactMatch))?;
        let policy = self.policy.load();
        let of_group = match call.arg(arg!(RetrieveUserGroups.belongsToGroup)).filter(|name| !name.is_empty())
        {
            Some(name) => Some(self.group_key(&policy, name).map_err(|_| unknown(name))?),
            None => None,
        };
        let of_user = match call.arg(arg!(RetrieveUserGroups.belongsToUser)).filter(|name| !name.is_empty()) {
            Some(name) => Some(self.member(&policy, name).map_err(|_| unknown(name))?),
            None => None,
        };
        let fits = |name: &str| {
            let name = name.to_lowercase();
            if exact { name == search } else { name.contains(&search) }
        };
        let mut found: Vec<Value> = Vec::new();
        if call.required(arg!(RetrieveUserGroups.findUsers))? && of_user.is_none() {
            let users = policy.accounts.iter().filter(|(key, account)| {
                fits(&account.name)
                    && of_group.as_ref().is_none_or(|group| policy.is_direct_member(group, key))
            });
            found.extend(users.map(|(_, account)| self.shown_user(account)));
        }
        if call.required(arg!(RetrieveUserGroups.findGroups))? {
            let groups = policy.groups().iter().filter(|(key, group)| {
                let holds = |member: &Member| match member {
                    Member::User(user) => policy.is_direct_member(key, user),
                    Member::Group(inner) => group.groups.contains(inner),
                };
                let within = |outer: &String| policy.groups()[outer].groups.contains(*key);
                fits(&group.name)
                    && of_user.as_ref().is_none_or(holds)
                    && of_group.as_ref().is_none_or(within)
            });
            found.extend(groups.map(|(_, group)| {
                let description = Some(&group.description).filter(|text| !text.is_empty()).cloned();
                vim!(UserSearchResult { principal: &group.name, fullName: description, group: true }).into()
            }));
        }
        let kind = vim::Kind::Data(data_id!(UserSearchResult));
        Ok((!found.is_empty()).then(|| Value::List(List::new(kind, found))))
    }

    /// On a host with the user's number, as ESXi shows it. Nobody has a shell.
    fn shown_user(&self, account: &StoredAccount) -> Value {
        let full_name = Some(&account.full_name).filter(|name| !name.is_empty()).cloned();
        // ESXi's numbers of the accounts that a host has from the beginning.
        let number = match account.name.as_str() {
            "root" => Some(0),
            CENTER_ACCOUNT => Some(500),
            _ => account.number,
        };
        match number.filter(|_| self.realm == Realm::Host) {
            Some(number) => vim!(PosixUserSearchResult {
                principal: &account.name,
                fullName: full_name,
                group: false,
                id: number,
                shellAccess: false,
            })
            .into(),
            None => {
                vim!(UserSearchResult { principal: &account.name, fullName: full_name, group: false }).into()
            }
        }
    }
}
