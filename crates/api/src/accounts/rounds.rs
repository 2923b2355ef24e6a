//! The rounds in which the daemon asks identity sources again about the users that it keeps.
//!
//! A user whom his directory has disabled or removed loses his sessions and his rights within a round if he has a session, and his rights
//! within a day otherwise; changed groups count from then on. While a source gives no answer, its users keep what they have.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::Accounts;
use super::abroad::{Abroad, is_abroad, today};
use crate::authority::Present;

/// The time from round to round.
pub(super) const ROUND_TIME: Duration = Duration::from_secs(300);
/// Users without a session that a round asks about: all of them within a day and a half.
const MAX_ABSENT: usize = 50;
/// A user who has not logged in for so long is forgotten.
const MAX_DAYS: i64 = 90;

/// The answers about the users of one source.
#[derive(Default)]
struct Gone(BTreeSet<String>);

impl Accounts {
    /// Asks the sources about all users with sessions and some others, and ends the sessions of users who are gone.
    pub(super) async fn make_round(&self, sessions: &dyn Present) {
        let policy = self.policy.load_full();
        let mut present = BTreeSet::new();
        for name in &sessions.users() {
            if self.realm.key(name).is_some() || !is_abroad(name) {
                continue;
            }
            match self.key(&policy, name).filter(|key| policy.met.contains_key(key)) {
                Some(key) => present.extend([key]),
                None => sessions.end(name),
            }
        }
        if policy.met.is_empty() {
            return;
        }
        let today = today();
        let old =
            policy.met.iter().filter(|(key, met)| met.seen_day + MAX_DAYS < today && !present.contains(*key));
        let mut gone: BTreeSet<String> = old.map(|(key, _)| key.clone()).collect();
        let mut due = present.clone();
        due.extend(self.some_absent(&policy.met));
        let mut by_source: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
        for key in due.difference(&gone) {
            let domain = key.split_once('\\').map_or("", |(domain, _)| domain);
            by_source.entry(domain).or_default().push(key);
        }
        let asked = by_source.into_iter().filter_map(|(domain, keys)| {
            let source = policy.sources.get(domain)?;
            let known =
                keys.into_iter().filter_map(|key| Some((key.as_str(), policy.met.get(key)?.seen_day)));
            Some(self.ask_again(source, known.collect()))
        });
        for Gone(found) in join_all(asked).await {
            gone.extend(found);
        }
        if gone.is_empty() {
            return;
        }
        if let Err(error) = self.forget(&gone).await {
            tracing::error!(%error, "users who are gone cannot be forgotten");
        }
        for met in gone.iter().filter_map(|key| policy.met.get(key)) {
            tracing::info!(
                user = met.name,
                "an identity source has removed or disabled a user, or he was long away"
            );
            sessions.end(&met.name);
        }
    }

    /// The next few of all users that are kept.
    fn some_absent(&self, met: &BTreeMap<String, Arc<super::records::StoredMet>>) -> Vec<String> {
        let mut last = self.asked_last.lock();
        let after = (Bound::Excluded(last.as_str()), Bound::Unbounded);
        let next: Vec<String> =
            met.range::<str, _>(after).take(MAX_ABSENT).map(|(key, _)| key.clone()).collect();
        *last =
            if next.len() < MAX_ABSENT { String::new() } else { next.last().cloned().unwrap_or_default() };
        next
    }

    /// Asks one source about users, given with the day on which each was seen.
    async fn ask_again(&self, source: &Arc<Abroad>, known: Vec<(&str, i64)>) -> Gone {
        let mut gone = Gone::default();
        for (key, seen_day) in known {
            let Some((_, name)) = key.split_once('\\') else { continue };
            match source.ask(|directory| directory.person(name)).await {
                // Another user may have taken over a name by which a directory finds users too.
                Ok(Some(person)) if !person.disabled && source.key_of(&person.name) == key => {
                    if let Err(fault) = self.meet(source, &person, seen_day).await {
                        tracing::warn!(
                            user = person.name,
                            fault = fault.message(),
                            "a user's groups cannot be kept"
                        );
                    }
                }
                Ok(_) => {
                    gone.0.insert(key.to_owned());
                }
                // The trouble of one user is not that of the others.
                Err(error @ (directory::Error::Ambiguous { .. } | directory::Error::Server { .. })) => {
                    tracing::warn!(user = key, %error, "an identity source cannot tell about a user");
                }
                Err(error) => {
                    // Its other users keep what they have until the next round.
                    tracing::warn!(domain = source.source().domain, %error, "an identity source gave no answer");
                    break;
                }
            }
        }
        gone
    }
}
