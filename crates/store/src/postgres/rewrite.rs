//! Making the database equal to an SQLite file, in one transaction: for an import, and when the database has more or less
//! than was acknowledged.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use super::Target;
use super::effects::Effects;
use super::session::{Claimant, Failure, Refusal, Session};
use crate::sqlite::open_reader;
use crate::{Error, Result, View};

/// Rows that are sent at a time, and the bytes of their values after which no more are added.
const PAGE: usize = 1_000;

/// Puts the content of the store file `path` into the database, which must be empty.
///
/// # Errors
/// [`Error::NotEmpty`], [`Error::Held`], [`Error::Refused`], [`Error::NewerFormat`], [`Error::Foreign`], [`Error::Unavailable`].
pub(crate) async fn replace(target: &Target, claimant: (String, String), path: &Path) -> Result<()> {
    let claimant = Claimant { instance: claimant.0, name: claimant.1 };
    let session =
        Session::claim(target, &claimant, None).await.map_err(|refusal| refused(target, refusal))?;
    let replaced = match session.position {
        0 => rewrite(&session, &open_reader(path)?).await,
        position => Err(Failure::Stop(Error::NotEmpty { position })),
    };
    session.close().await;
    replaced.map_err(|failure| refused(target, Refusal::Failed(failure)))
}

/// The error for a database that cannot be opened.
pub(super) fn refused(target: &Target, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Held(by) | Refusal::Taken(by) => Error::Held { database: target.to_string(), by },
        Refusal::Failed(Failure::Away(reason)) => Error::Refused { database: target.to_string(), reason },
        Refusal::Failed(Failure::Full) => Error::Full,
        Refusal::Failed(Failure::Stop(error)) => error,
    }
}

/// Makes the database equal to the file.
pub(super) async fn rewrite(session: &Session, file: &Connection) -> Result<(), Failure> {
    let local = |error: rusqlite::Error| Failure::Stop(error.into());
    let transaction = file.unchecked_transaction().map_err(local)?;
    let view = View::on(&transaction);
    session.begin_anew(view.position().map_err(Failure::Stop)?).await?;
    send(session, &view).await?;
    session.commit().await
}

async fn send(session: &Session, view: &View<'_>) -> Result<(), Failure> {
    for collection in view.collections().map_err(Failure::Stop)? {
        let mut after: Option<String> = None;
        loop {
            let page = view.scan(&collection, after.as_deref(), PAGE).map_err(Failure::Stop)?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            // A page of the largest values is more than one transaction's worth of memory on the server.
            for part in page.chunk_by(|a, _| a.value.len() < 64 << 10) {
                let mut effects = Effects::default();
                for record in part {
                    effects.records.insert((&collection, &record.key), Some(&record.value));
                }
                session.add(&effects).await?;
            }
        }
    }
    let logs = view.logs().map_err(Failure::Stop)?;
    for (log, _) in &logs {
        let mut from = 0;
        loop {
            let page = view.range(log, from, PAGE).map_err(Failure::Stop)?;
            let Some(last) = page.last() else { break };
            from = last.sequence + 1;
            for part in page.chunk_by(|a, _| a.value.len() < 64 << 10) {
                let entries = part.iter().map(|e| (log.as_str(), e.sequence, e.time_ms, e.value.as_slice()));
                session.add(&Effects { entries: entries.collect(), ..Effects::default() }).await?;
            }
        }
    }
    let counters = view.counters().map_err(Failure::Stop)?;
    let numbers = |all: &[(String, u64)]| -> BTreeMap<String, u64> { all.iter().cloned().collect() };
    let (logs, counters) = (numbers(&logs), numbers(&counters));
    let named = Effects {
        logs: logs.iter().map(|(name, number)| (name.as_str(), *number)).collect(),
        counters: counters.iter().map(|(name, number)| (name.as_str(), *number)).collect(),
        ..Effects::default()
    };
    session.add(&named).await?;
    let mut after = 0;
    loop {
        let batches = view.batches(after, PAGE).map_err(Failure::Stop)?;
        let Some(last) = batches.last() else { return Ok(()) };
        after = last.position;
        session.add(&Effects { batches, ..Effects::default() }).await?;
    }
}
