//! Questions to one identity source.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ldap3::{Ldap, LdapError, LdapResult, Scope, SearchEntry, SearchOptions};
use rustls::ClientConfig;
use tokio::sync::Semaphore;

use crate::groups::{Climb, MAX_DEPTH};
use crate::source::{Security, Source};
use crate::{Error, Group, Person, Result, connect, entry, filter};

/// Users or groups that one search returns at most.
pub const MAX_FOUND: usize = 500;
/// Entries that a search for one name asks for: a second one shows that the name is not unique.
const ONE_NAME: usize = 2;
/// The time for a whole question, over all servers.
const DEADLINE: Duration = Duration::from_secs(15);
/// Questions to a source at the same time.
const MAX_QUESTIONS: usize = 16;
/// Result code of a wrong name or password (RFC 4511, A.1).
const INVALID_CREDENTIALS: u32 = 49;
/// Result codes of an answer that a limit has cut: time and size.
const CUT: [u32; 2] = [3, 4];
/// Result code of a base that does not exist.
const NO_SUCH_OBJECT: u32 = 32;

/// An identity source that can be asked. Clones would share nothing; keep it in an `Arc`.
pub struct Directory {
    source: Source,
    tls: Option<Arc<ClientConfig>>,
    places: Semaphore,
}

impl Directory {
    /// Checks the source, and asks no server.
    ///
    /// # Errors
    /// [`Error::Source`].
    pub fn new(source: Source) -> Result<Self> {
        source.check()?;
        let needs_tls = source.endpoints.iter().any(|endpoint| endpoint.security() != Security::Clear);
        let tls = if needs_tls { Some(connect::tls(&source.authorities)?) } else { None };
        Ok(Self { source, tls, places: Semaphore::new(MAX_QUESTIONS) })
    }

    /// The source.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The user with this plain name if the password is his; none for a wrong name or password, and for a disabled user.
    ///
    /// # Errors
    /// [`Error`] if no server gives an answer.
    pub async fn login(&self, name: &str, password: &str) -> Result<Option<Person>> {
        // A server takes an empty password for an anonymous login, and says yes.
        if password.is_empty() {
            return Ok(None);
        }
        self.ask(async {
            let ldap = &mut self.open().await?;
            let Some(mut person) = self.find(ldap, name).await?.filter(|person| !person.disabled) else {
                return Ok(None);
            };
            person.groups = self.groups_of(ldap, &person).await?;
            let bound = ldap.simple_bind(&person.dn, password).await.map_err(|error| self.failed(error))?;
            match bound.rc {
                0 => Ok(Some(person)),
                INVALID_CREDENTIALS => Ok(None),
                _ => Err(self.refused(&bound)),
            }
        })
        .await
    }

    /// The user with this plain name and his groups.
    ///
    /// # Errors
    /// [`Error`] if no server gives an answer.
    pub async fn person(&self, name: &str) -> Result<Option<Person>> {
        self.ask(async {
            let ldap = &mut self.open().await?;
            let Some(mut person) = self.find(ldap, name).await? else { return Ok(None) };
            person.groups = self.groups_of(ldap, &person).await?;
            Ok(Some(person))
        })
        .await
    }

    /// The group with this plain name.
    ///
    /// # Errors
    /// [`Error`] if no server gives an answer.
    pub async fn group(&self, name: &str) -> Result<Option<Group>> {
        self.ask(async {
            let ldap = &mut self.open().await?;
            let asked = filter::group(self.source.schema, name);
            let found =
                self.search(ldap, &self.source.groups, &asked, entry::of_group(self.source.schema), ONE_NAME);
            let mut found =
                found.await?.iter().filter_map(|e| Group::read(self.source.schema, e)).collect::<Vec<_>>();
            self.only(name, &mut found)
        })
        .await
    }

    /// Users whose name contains the text, at most [`MAX_FOUND`], without their groups.
    ///
    /// # Errors
    /// [`Error`] if no server gives an answer.
    pub async fn users_like(&self, text: &str) -> Result<Vec<Person>> {
        self.ask(async {
            let ldap = &mut self.open().await?;
            let schema = self.source.schema;
            let asked = filter::users_like(schema, text);
            let found =
                self.search(ldap, &self.source.users, &asked, entry::of_person(schema), MAX_FOUND).await?;
            Ok(found.iter().filter_map(|entry| Person::read(schema, entry)).collect())
        })
        .await
    }

    /// Groups whose name contains the text, at most [`MAX_FOUND`].
    ///
    /// # Errors
    /// [`Error`] if no server gives an answer.
    pub async fn groups_like(&self, text: &str) -> Result<Vec<Group>> {
        self.ask(async {
            let ldap = &mut self.open().await?;
            let schema = self.source.schema;
            let asked = filter::groups_like(schema, text);
            let found =
                self.search(ldap, &self.source.groups, &asked, entry::of_group(schema), MAX_FOUND).await?;
            Ok(found.iter().filter_map(|entry| Group::read(schema, entry)).collect())
        })
        .await
    }

    /// Asks the servers for both bases, to see that everything in the source is right.
    ///
    /// # Errors
    /// [`Error::Source`] for a base that does not exist, else [`Error`] if no server gives an answer.
    pub async fn probe(&self) -> Result<()> {
        self.ask(async {
            let ldap = &mut self.open().await?;
            for (field, base) in [("users", &self.source.users), ("groups", &self.source.groups)] {
                let found = ldap.search(base, Scope::Base, "(objectClass=*)", vec!["1.1"]).await;
                let found = found.map_err(|error| self.failed(error))?.1;
                match found.rc {
                    0 => {}
                    NO_SUCH_OBJECT => {
                        return Err(Error::Source { field, reason: format!("{base} does not exist") });
                    }
                    _ => return Err(self.refused(&found)),
                }
            }
            Ok(())
        })
        .await
    }

    /// Runs a question within the deadline, in its turn.
    async fn ask<T>(&self, question: impl Future<Output = Result<T>>) -> Result<T> {
        let domain = &self.source.domain;
        let asking = async {
            let _place = self.places.acquire().await.map_err(|_| Error::Busy(domain.clone()))?;
            question.await
        };
        match tokio::time::timeout(DEADLINE, asking).await {
            Ok(answer) => answer,
            Err(_) if self.places.available_permits() == 0 => Err(Error::Busy(domain.clone())),
            Err(_) => Err(Error::Late { domain: domain.clone(), seconds: DEADLINE.as_secs() }),
        }
    }

    /// The first server that can be reached, logged in as the source's account. The connection ends when it is dropped.
    async fn open(&self) -> Result<Ldap> {
        let domain = &self.source.domain;
        let mut failure = String::from("it has none");
        for endpoint in &self.source.endpoints {
            let reason = match connect::open(endpoint, self.tls.as_ref()).await {
                Ok(mut ldap) => match self.bind(&mut ldap).await {
                    Ok(()) => return Ok(ldap),
                    Err(wrong @ Error::Account { .. }) => return Err(wrong),
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            tracing::warn!(domain, %endpoint, reason, "a server of an identity source cannot be used");
            failure = format!("{endpoint}: {reason}");
        }
        Err(Error::Unreachable { domain: domain.clone(), reason: failure })
    }

    async fn bind(&self, ldap: &mut Ldap) -> Result<()> {
        let Source { domain, account, password, .. } = &self.source;
        let bound = ldap.simple_bind(account, password).await.map_err(|error| self.failed(error))?;
        if bound.rc == 0 {
            return Ok(());
        }
        Err(Error::Account { domain: domain.clone(), account: account.clone(), reason: reason(&bound) })
    }

    async fn find(&self, ldap: &mut Ldap, name: &str) -> Result<Option<Person>> {
        let schema = self.source.schema;
        let asked = filter::user(&self.source, name);
        let found = self.search(ldap, &self.source.users, &asked, entry::of_person(schema), ONE_NAME).await?;
        let mut found = found.iter().filter_map(|entry| Person::read(schema, entry)).collect::<Vec<_>>();
        self.only(name, &mut found)
    }

    fn only<T>(&self, name: &str, found: &mut Vec<T>) -> Result<Option<T>> {
        if found.len() > 1 {
            return Err(Error::Ambiguous { domain: self.source.domain.clone(), name: name.to_owned() });
        }
        Ok(found.pop())
    }

    async fn groups_of(&self, ldap: &mut Ldap, person: &Person) -> Result<BTreeSet<String>> {
        let Source { schema, groups: base, .. } = &self.source;
        let mut climb = Climb::default();
        let mut level = vec![(person.dn.clone(), Some(person.name.as_str()))];
        for _ in 0..MAX_DEPTH {
            for (dn, user) in &level {
                let asked = filter::groups_of(*schema, dn, *user);
                let found =
                    self.search(ldap, base, &asked, entry::of_group(*schema), crate::MAX_GROUPS).await?;
                for group in found.iter().filter_map(|entry| Group::read(*schema, entry)) {
                    climb.found(&group.name, &group.dn);
                }
            }
            level = climb.next_level().into_iter().map(|dn| (dn, None)).collect();
            // Active Directory has followed all levels already.
            if level.is_empty() || *schema == crate::Schema::ActiveDirectory {
                break;
            }
        }
        let (names, is_cut) = climb.end();
        if is_cut || !level.is_empty() && *schema == crate::Schema::OpenLdap {
            tracing::warn!(
                user = person.name,
                domain = self.source.domain,
                "not all groups of a user are followed"
            );
        }
        Ok(names)
    }

    /// Entries below a base, at most `limit`.
    async fn search(
        &self,
        ldap: &mut Ldap,
        base: &str,
        filter: &str,
        attributes: Vec<&'static str>,
        limit: usize,
    ) -> Result<Vec<SearchEntry>> {
        let size = i32::try_from(limit).unwrap_or(i32::MAX);
        let seconds = i32::try_from(DEADLINE.as_secs()).unwrap_or(i32::MAX);
        let mut stream = ldap
            .with_search_options(SearchOptions::new().sizelimit(size).timelimit(seconds))
            .streaming_search(base, Scope::Subtree, filter, attributes)
            .await
            .map_err(|error| self.failed(error))?;
        let mut found = Vec::new();
        while let Some(item) = stream.next().await.map_err(|error| self.failed(error))? {
            // References to other servers are not followed.
            if item.is_ref() || item.is_intermediate() {
                continue;
            }
            if found.len() == limit {
                break;
            }
            found.push(SearchEntry::construct(item));
        }
        let end = stream.finish().await;
        // A search for people to choose from may be cut. Elsewhere a missing entry means that a user or a right is gone.
        let may_be_cut = limit == MAX_FOUND && CUT.contains(&end.rc);
        // A server that was cut short above has not said how its answer ended.
        if found.len() == limit || end.rc == 0 || may_be_cut { Ok(found) } else { Err(self.refused(&end)) }
    }

    fn failed(&self, error: LdapError) -> Error {
        Error::Server { domain: self.source.domain.clone(), reason: error.to_string() }
    }

    fn refused(&self, result: &LdapResult) -> Error {
        Error::Server { domain: self.source.domain.clone(), reason: reason(result) }
    }
}

/// The server's reason, without what could control a terminal.
fn reason(result: &LdapResult) -> String {
    const MAX_CHARS: usize = 200;
    let text: String = result.text.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect();
    if text.is_empty() {
        format!("LDAP result {}", result.rc)
    } else {
        format!("LDAP result {}: {text}", result.rc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_can_be_asked_from_any_thread() {
        fn is_send<T: Send>(_: impl FnOnce(&'static Directory) -> T) {}
        is_send(|directory| directory.login("", ""));
        is_send(|directory| directory.person(""));
        is_send(|directory| directory.group(""));
        is_send(|directory| directory.users_like(""));
        is_send(|directory| directory.groups_like(""));
        is_send(|directory| directory.probe());
    }
}
