//! Identity sources as administrators add, change, try and remove them.
//!
//! Only an administrator of everything may do that: whoever names the server that vouches for a domain's users is each of them. The
//! password of a source's account is taken and never shown.

use std::sync::Arc;

use directory::{Endpoint, Error, Schema, Security, Source};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use store::Batch;
use vim::{Fault, fault, vim};

use super::abroad::Abroad;
use super::change::within;
use super::policy::Policy;
use super::records::{GROUPS, MET, PERMISSIONS, SOURCES, StoredPermission, TOKENS};
use super::who::Who;
use super::{AccountError, Accounts, Realm};
use crate::service::invalid_argument;

const MAX_SOURCES: usize = 16;

/// An identity source that is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSource {
    domain: String,
    alias: Option<String>,
    schema: Schema,
    /// `ldaps://host:port`, `ldap+starttls://host:port` or `ldap://host:port`
    endpoints: Vec<String>,
    #[serde(default)]
    authorities: String,
    account: String,
    password: String,
    users: String,
    groups: String,
    /// Whether passwords may cross the network in clear.
    #[serde(default)]
    clear_text: bool,
}

impl NewSource {
    pub(super) fn is_for(&self, domain: &str) -> bool {
        self.domain.eq_ignore_ascii_case(domain)
    }

    fn source(self) -> Result<Source, Fault> {
        let endpoints: Result<Vec<Endpoint>, Error> =
            self.endpoints.iter().map(|text| Endpoint::parse(text)).collect();
        let endpoints = endpoints.map_err(|error| unusable(&error))?;
        if !self.clear_text && endpoints.iter().any(|endpoint| endpoint.security() == Security::Clear) {
            return Err(invalid_argument(
                "endpoints",
                "ldap:// sends passwords in clear; use ldaps:// or ldap+starttls://, or say that clear text is allowed",
            ));
        }
        Ok(Source {
            domain: self.domain,
            alias: self.alias.filter(|alias| !alias.is_empty()),
            schema: self.schema,
            endpoints,
            authorities: self.authorities,
            account: self.account,
            password: self.password,
            users: self.users,
            groups: self.groups,
        })
    }
}

/// The fault for an administrator, who may know why a source cannot be used.
fn unusable(error: &Error) -> Fault {
    match error {
        Error::Source { field, .. } => fault!(InvalidArgument { invalidProperty: *field }, "{error}"),
        Error::Account { .. } => fault!(InvalidArgument { invalidProperty: "password" }, "{error}"),
        _ => fault!(InvalidArgument { invalidProperty: "endpoints" }, "{error}"),
    }
}

impl Accounts {
    /// The identity sources, without their passwords.
    pub(super) fn shown_sources(&self) -> Json {
        self.policy.load().sources.values().map(|source| shown(source.source())).collect()
    }

    /// Adds a source whose servers answer, or puts it in the place of the one of its domain. Users of a source that is replaced log in again.
    pub(super) async fn put_source(&self, who: &Who, new: NewSource, replace: bool) -> Result<(), Fault> {
        self.may_administer(who)?;
        let source = new.source()?;
        let new = Arc::new(Abroad::new(source).map_err(|error| unusable(&error))?);
        self.has_own_names(&self.policy.load(), new.source())?;
        new.ask(|directory| directory.probe()).await.map_err(|error| unusable(&error))?;
        let (domain, key) = (new.source().domain.clone(), new.key());
        let gone = self
            .change(|policy, batch| {
                match policy.sources.contains_key(&key) {
                    true if !replace => return Err(AccountError::SourceExists(domain.clone())),
                    false if replace => return Err(AccountError::UnknownSource(domain.clone())),
                    _ => {}
                }
                self.has_own_names(policy, new.source())?;
                let others = policy.sources.len() - usize::from(replace);
                within("identity sources", others, MAX_SOURCES)?;
                SOURCES.put(batch, &key, new.source())?;
                policy.sources.insert(key.clone(), new.clone());
                Ok(forget_users(policy, batch, &key))
            })
            .await?;
        self.close_sessions_of(who, &gone);
        let done = if replace { "changed" } else { "added" };
        tracing::info!(user = who.account().name, domain, done, "an identity source was added or changed");
        let message = format!("The identity source {domain} was {done}");
        self.tell_of_source(who, &format!("esfera.audit.identitySource.{done}"), message).await;
        Ok(())
    }

    /// Removes a source with all permissions, memberships and tokens of its users and groups, and ends their sessions.
    pub(super) async fn remove_source(&self, who: &Who, domain: &str) -> Result<(), Fault> {
        self.may_administer(who)?;
        let key = domain.to_lowercase();
        let gone = self
            .change(|policy, batch| {
                policy.sources.remove(&key).ok_or_else(|| AccountError::UnknownSource(domain.to_owned()))?;
                SOURCES.delete(batch, &key);
                let gone = forget_users(policy, batch, &key);
                forget_grants(policy, batch, &key)?;
                self.still_administered(policy)?;
                Ok(gone)
            })
            .await?;
        self.close_sessions_of(who, &gone);
        tracing::info!(user = who.account().name, domain, "an identity source was removed");
        let message = format!("The identity source {domain} was removed");
        self.tell_of_source(who, "esfera.audit.identitySource.removed", message).await;
        Ok(())
    }

    /// Asks a source for its bases, and for a user if one is named.
    pub(super) async fn test_source(
        &self,
        who: &Who,
        domain: &str,
        user: Option<&str>,
    ) -> Result<Json, Fault> {
        self.may_administer(who)?;
        let policy = self.policy.load_full();
        let unknown = || AccountError::UnknownSource(domain.to_owned());
        let source = policy.source(domain).ok_or_else(unknown)?;
        source.ask(|directory| directory.probe()).await.map_err(|error| unusable(&error))?;
        let Some(user) = user else { return Ok(json!({ "domain": source.source().domain })) };
        let person =
            source.ask(|directory| directory.person(user)).await.map_err(|error| unusable(&error))?;
        let person = person.ok_or_else(|| AccountError::UnknownUser(user.to_owned()))?;
        Ok(json!({
            "domain": source.source().domain,
            "user": {
                "name": source.canonical(&person.name),
                "full_name": person.full_name,
                "email": person.mail,
                "enabled": !person.disabled,
                "groups": person.groups,
            },
        }))
    }

    /// # Errors
    /// [`AccountError::SourceExists`] if a name of the source is that of another domain.
    fn has_own_names(&self, policy: &Policy, source: &Source) -> Result<(), AccountError> {
        let names = [Some(source.domain.as_str()), source.alias.as_deref()];
        for name in names.into_iter().flatten() {
            let is_ours =
                matches!(&self.realm, Realm::Center { domain } if domain.eq_ignore_ascii_case(name));
            let others = policy.sources.values().map(|other| other.source());
            let mut others = others.filter(|other| !other.domain.eq_ignore_ascii_case(&source.domain));
            if is_ours || others.any(|other| other.is_for(name)) {
                return Err(AccountError::SourceExists(name.to_owned()));
            }
        }
        Ok(())
    }

    fn close_sessions_of(&self, who: &Who, names: &[String]) {
        for name in names {
            who.service().core.sessions.close_of(name, None);
        }
    }

    async fn tell_of_source(&self, who: &Who, id: &str, message: String) {
        let event = vim!(EventEx { eventTypeId: id, severity: "info", message: message });
        who.tell(event.into()).await;
    }
}

fn shown(source: &Source) -> Json {
    json!({
        "domain": source.domain,
        "alias": source.alias,
        "schema": source.schema,
        "endpoints": source.endpoints,
        "authorities": source.authorities,
        "account": source.account,
        "users": source.users,
        "groups": source.groups,
    })
}

/// Forgets the users of a source who have been met; returns their names.
fn forget_users(policy: &mut Policy, batch: &mut Batch, source: &str) -> Vec<String> {
    let mut names = Vec::new();
    Arc::make_mut(&mut policy.met).retain(|key, met| {
        let is_of_it = belongs(key, source);
        if is_of_it {
            MET.delete(batch, key);
            names.push(met.name.clone());
        }
        !is_of_it
    });
    names
}

/// Removes all that users and groups of a source were given.
fn forget_grants(policy: &mut Policy, batch: &mut Batch, source: &str) -> Result<(), AccountError> {
    let of_it = |permission: &&StoredPermission| belongs(&permission.principal.to_lowercase(), source);
    let permissions: Vec<_> = policy.all_permissions().filter(of_it).cloned().collect();
    for permission in permissions {
        policy.remove_permission(&permission);
        PERMISSIONS.delete(batch, &permission.key());
    }
    policy.tokens.retain(|id, token| {
        let is_of_it = belongs(&token.account, source);
        if is_of_it {
            TOKENS.delete(batch, id);
        }
        !is_of_it
    });
    let mut changed = policy.groups().clone();
    changed.retain(|_, group| {
        let before = group.users.len() + group.groups.len();
        group.users.retain(|key| !belongs(key, source));
        group.groups.retain(|key| !belongs(key, source));
        group.users.len() + group.groups.len() < before
    });
    for (key, group) in &changed {
        GROUPS.put(batch, key, group)?;
    }
    policy.edit_groups(|groups| groups.extend(changed));
    Ok(())
}

/// Whether the key of a user or group is of the source.
fn belongs(key: &str, source: &str) -> bool {
    key.split_once('\\').is_some_and(|(domain, _)| domain == source)
}
