//! `UserDirectory`: finds users and groups by name.

use std::sync::Arc;

use vim::{Fault, List, Value, arg, data_id, fault, field, managed_id, method, props, vim};

use super::CENTER_ACCOUNT;
use super::abroad::{Abroad, is_abroad, unavailable};
use super::groups::Member;
use super::policy::Policy;
use super::records::StoredAccount;
use super::{Accounts, Realm, invalid_login};
use crate::{Call, Guard, Manager};

/// The UserDirectory.
pub(super) const ROW: Manager<Arc<Accounts>> = Manager {
    me: |accounts| accounts.ids().user_directory,
    named: Some(field!(ServiceContent.userDirectory).number()),
    properties: |accounts| {
        Ok(props!(UserDirectory { domainList: accounts.domains(&accounts.policy.load()) }))
    },
    register: |table| {
        let retrieve = method!(RetrieveUserGroups);
        table.guarded(managed_id!(UserDirectory), retrieve, Guard::Open, |accounts, call| async move {
            accounts.retrieve_user_groups(&call).await
        });
    },
};

impl Accounts {
    /// The domains whose users can be asked for.
    pub(super) fn domains(&self, policy: &Policy) -> Vec<String> {
        let own = match &self.realm {
            Realm::Host => None,
            Realm::Center { domain } => Some(domain.to_uppercase()),
        };
        own.into_iter()
            .chain(policy.sources.values().map(|abroad| abroad.source().domain.to_uppercase()))
            .collect()
    }

    async fn retrieve_user_groups(&self, call: &Call) -> Result<Option<Value>, Fault> {
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
            let policy = self.policy.load_full();
            if let Some(source) = domain.and_then(|domain| policy.source(domain)) {
                return search_abroad(source, call).await;
            }
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
        let find_users = call.required(arg!(RetrieveUserGroups.findUsers))?;
        let find_groups = call.required(arg!(RetrieveUserGroups.findGroups))?;
        if find_users && of_user.is_none() {
            let users = policy.accounts.iter().filter(|(key, account)| {
                fits(&account.name)
                    && of_group.as_ref().is_none_or(|group| policy.is_direct_member(group, key))
            });
            found.extend(users.map(|(_, account)| self.shown_user(account)));
        }
        if let Some(listed) = of_group.as_ref().and_then(|group| policy.groups().get(group)) {
            let users = listed.users.iter().filter(|key| is_abroad(key)).map(|key| (key, false));
            let groups = listed.groups.iter().filter(|key| is_abroad(key)).map(|key| (key, true));
            for (key, group) in users.chain(groups) {
                let met = policy.met.get(key).filter(|_| !group);
                let name = met.map_or(key, |met| &met.name);
                let wanted = if group { find_groups } else { find_users && of_user.is_none() };
                if wanted && fits(name) {
                    let full_name = met.map(|met| met.full_name.clone()).filter(|name| !name.is_empty());
                    found.push(
                        vim!(UserSearchResult { principal: name, fullName: full_name, group: group }).into(),
                    );
                }
            }
        }
        if find_groups {
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

/// Searches an identity source, which answers with [`directory::MAX_FOUND`] users and groups at most.
async fn search_abroad(source: &Abroad, call: &Call) -> Result<Option<Value>, Fault> {
    let group = call.arg(arg!(RetrieveUserGroups.belongsToGroup)).filter(|name| !name.is_empty());
    let user = call.arg(arg!(RetrieveUserGroups.belongsToUser)).filter(|name| !name.is_empty());
    if group.is_some() || user.is_some() {
        let words =
            "Identity sources are not searched by membership; leave belongsToGroup and belongsToUser out";
        return Err(fault!(NotSupported {}, "{words}"));
    }
    let text = call.required(arg!(RetrieveUserGroups.searchStr))?;
    let exact = call.required(arg!(RetrieveUserGroups.exactMatch))?;
    let failed = |error: directory::Error| unavailable(&error, source);
    let mut found: Vec<Value> = Vec::new();
    if call.required(arg!(RetrieveUserGroups.findUsers))? {
        let people = if exact {
            source.ask(|directory| directory.person(text)).await.map(|one| one.into_iter().collect())
        } else {
            source.ask(|directory| directory.users_like(text)).await
        };
        found.extend(people.map_err(failed)?.into_iter().map(|person| {
            let full_name = Some(person.full_name).filter(|name| !name.is_empty());
            vim!(UserSearchResult { principal: person.name, fullName: full_name, group: false }).into()
        }));
    }
    if call.required(arg!(RetrieveUserGroups.findGroups))? {
        let groups = if exact {
            source.ask(|directory| directory.group(text)).await.map(|one| one.into_iter().collect())
        } else {
            source.ask(|directory| directory.groups_like(text)).await
        };
        found.extend(groups.map_err(failed)?.into_iter().map(|group| {
            let description = Some(group.description).filter(|text| !text.is_empty());
            vim!(UserSearchResult { principal: group.name, fullName: description, group: true }).into()
        }));
    }
    let kind = vim::Kind::Data(data_id!(UserSearchResult));
    Ok((!found.is_empty()).then(|| Value::List(List::new(kind, found))))
}
