//! All SQL for writing: opening a store file, applying batches in transactions. SQL stays in this module and in
//! [`crate::view`].

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::digest::digest;
use crate::limits::REMEMBERED_BATCHES;
use crate::{Batch, Committed, Error, Op, Result};

/// `application_id` of a store: "ESFS".
const APPLICATION_ID: i64 = 0x4553_4653;
/// Version of the tables, in `user_version`.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Pages of write-ahead log after which SQLite copies it back into the file.
const CHECKPOINT_PAGES: u32 = 2_000;
/// Old batches are forgotten in steps of this many.
const FORGET_STEP: u64 = 256;
/// Prepared statements kept for reuse.
const STATEMENTS: usize = 32;

const TABLES: &str = "
CREATE TABLE record (
    collection TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (collection, key)) WITHOUT ROWID;
CREATE TABLE entry (
    log TEXT NOT NULL, sequence INTEGER NOT NULL, time_ms INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (log, sequence)) WITHOUT ROWID;
CREATE TABLE log (name TEXT PRIMARY KEY NOT NULL, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE counter (name TEXT PRIMARY KEY NOT NULL, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE batch (
    position INTEGER PRIMARY KEY NOT NULL, id BLOB NOT NULL UNIQUE, digest INTEGER NOT NULL, outcome TEXT NOT NULL);
";

/// Opens or creates the store file for writing.
pub(crate) fn open_writer(path: &Path) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    // The format is checked first, so that a foreign file is not changed.
    check_format(&connection)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    prepare(connection)
}

/// A store in memory.
pub(crate) fn open_memory() -> Result<Connection> {
    prepare(Connection::open_in_memory()?)
}

/// Opens an existing store file for reading only.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

fn pragma(connection: &Connection, name: &str) -> Result<i64> {
    Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
}

/// Refuses files of other programs and of newer formats. True if the file is new.
fn check_format(connection: &Connection) -> Result<bool> {
    let id = pragma(connection, "application_id")?;
    let found = u32::try_from(pragma(connection, "user_version")?).unwrap_or(u32::MAX);
    if id == 0 && found == 0 {
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
        if tables == 0 {
            return Ok(true);
        }
    }
    if id != APPLICATION_ID {
        return Err(Error::Foreign);
    }
    if found > FORMAT_VERSION {
        return Err(Error::NewerFormat { found, supported: FORMAT_VERSION });
    }
    if found == 0 {
        return Err(Error::Corrupt("the file has no format version".into()));
    }
    Ok(false)
}

fn prepare(mut connection: Connection) -> Result<Connection> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    if check_format(&connection)? {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT_VERSION)?;
        transaction.commit()?;
    }
    Ok(connection)
}

/// Applies batches in one durable transaction. The outer result is the transaction's, each inner one a batch's; a batch
/// that is refused leaves the others alone.
pub(crate) fn apply_group(connection: &mut Connection, batches: &[&Batch]) -> Result<Vec<Result<Committed>>> {
    let mut transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let mut results = Vec::with_capacity(batches.len());
    for batch in batches {
        let outcome = {
            let savepoint = transaction.savepoint()?;
            match apply(&savepoint, batch) {
                Ok(committed) => {
                    savepoint.commit()?;
                    Ok(committed)
                }
                Err(error @ (Error::IdReused(_) | Error::CounterExhausted(_))) => {
                    drop(savepoint);
                    Err(error)
                }
                Err(error) => return Err(error),
            }
        };
        results.push(outcome);
    }
    transaction.commit()?;
    Ok(results)
}

/// The stored part of [`Committed`].
type Outcome = (Vec<u64>, Vec<std::ops::Range<u64>>);

fn apply(connection: &Connection, batch: &Batch) -> Result<Committed> {
    let fingerprint = digest(&batch.ops).cast_signed();
    let earlier = connection
        .prepare_cached("SELECT position, digest, outcome FROM batch WHERE id = ?1")?
        .query_row([batch.id.as_bytes().as_slice()], |row| {
            Ok((unsigned(row.get(0)?), row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
        })
        .optional()?;
    if let Some((position, digest, outcome)) = earlier {
        if digest != fingerprint {
            return Err(Error::IdReused(batch.id));
        }
        let (appended, reserved): Outcome = if outcome.is_empty() {
            Outcome::default()
        } else {
            serde_json::from_str(&outcome)
                .map_err(|e| Error::Corrupt(format!("outcome of batch {position}: {e}")))?
        };
        return Ok(Committed { position, appended, reserved, replayed: true });
    }
    let mut outcome = Outcome::default();
    for op in &batch.ops {
        apply_op(connection, op, &mut outcome)?;
    }
    let text = if outcome.0.is_empty() && outcome.1.is_empty() {
        String::new()
    } else {
        serde_json::to_string(&outcome).expect("numbers can always be written as JSON")
    };
    let position = remember(connection, batch, fingerprint, &text)?;
    Ok(Committed { position, appended: outcome.0, reserved: outcome.1, replayed: false })
}

fn remember(connection: &Connection, batch: &Batch, digest: i64, outcome: &str) -> Result<u64> {
    let last: i64 = connection
        .prepare_cached("SELECT coalesce(max(position), 0) FROM batch")?
        .query_row([], |row| row.get(0))?;
    let position = last + 1;
    connection
        .prepare_cached("INSERT INTO batch (position, id, digest, outcome) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![position, batch.id.as_bytes().as_slice(), digest, outcome])?;
    let position = unsigned(position);
    if position.is_multiple_of(FORGET_STEP) && position > REMEMBERED_BATCHES {
        connection
            .prepare_cached("DELETE FROM batch WHERE position <= ?1")?
            .execute([signed(position - REMEMBERED_BATCHES)])?;
    }
    Ok(position)
}

fn apply_op(connection: &Connection, op: &Op, outcome: &mut Outcome) -> Result<()> {
    match op {
        Op::Put { collection, key, value } => {
            connection
                .prepare_cached(
                    "INSERT INTO record (collection, key, value) VALUES (?1, ?2, ?3) \
                     ON CONFLICT (collection, key) DO UPDATE SET value = excluded.value",
                )?
                .execute(params![collection, key, value])?;
        }
        Op::Delete { collection, key } => {
            connection
                .prepare_cached("DELETE FROM record WHERE collection = ?1 AND key = ?2")?
                .execute(params![collection, key])?;
        }
        Op::Clear { collection } => {
            connection.prepare_cached("DELETE FROM record WHERE collection = ?1")?.execute([collection])?;
        }
        Op::Append { log, time_ms, value } => outcome.0.push(append(connection, log, *time_ms, value)?),
        Op::Trim { log, keep, before_ms } => trim(connection, log, *keep, *before_ms)?,
        Op::Reserve { counter, n } => outcome.1.push(reserve(connection, counter, *n)?),
    }
    Ok(())
}

fn append(connection: &Connection, log: &str, time_ms: i64, value: &[u8]) -> Result<u64> {
    let sequence: i64 = connection
        .prepare_cached(
            "INSERT INTO log (name, last) VALUES (?1, 1) \
             ON CONFLICT (name) DO UPDATE SET last = last + 1 RETURNING last",
        )?
        .query_row([log], |row| row.get(0))?;
    connection
        .prepare_cached("INSERT INTO entry (log, sequence, time_ms, value) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![log, sequence, time_ms, value])?;
    Ok(unsigned(sequence))
}

fn trim(connection: &Connection, log: &str, keep: Option<u64>, before_ms: Option<i64>) -> Result<()> {
    if let Some(keep) = keep {
        let last: Option<i64> = connection
            .prepare_cached("SELECT last FROM log WHERE name = ?1")?
            .query_row([log], |row| row.get(0))
            .optional()?;
        let through = unsigned(last.unwrap_or(0)).saturating_sub(keep);
        connection
            .prepare_cached("DELETE FROM entry WHERE log = ?1 AND sequence <= ?2")?
            .execute(params![log, signed(through)])?;
    }
    if let Some(before_ms) = before_ms {
        connection
            .prepare_cached(
                "DELETE FROM entry WHERE log = ?1 AND sequence < coalesce(\
                 (SELECT sequence FROM entry WHERE log = ?1 AND time_ms >= ?2 ORDER BY sequence LIMIT 1), \
                 9223372036854775807)",
            )?
            .execute(params![log, before_ms])?;
    }
    Ok(())
}

fn reserve(connection: &Connection, counter: &str, n: u64) -> Result<std::ops::Range<u64>> {
    let first: i64 = connection
        .prepare_cached("SELECT next FROM counter WHERE name = ?1")?
        .query_row([counter], |row| row.get(0))
        .optional()?
        .unwrap_or(1);
    let next = i64::try_from(n)
        .ok()
        .and_then(|n| first.checked_add(n))
        .ok_or_else(|| Error::CounterExhausted(counter.to_owned()))?;
    connection
        .prepare_cached(
            "INSERT INTO counter (name, next) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET next = excluded.next",
        )?
        .execute(params![counter, next])?;
    Ok(unsigned(first)..unsigned(next))
}

/// A number from the file, where they are signed and never negative.
pub(crate) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// A number for the file; one larger than the file can hold lies beyond everything in it.
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_waits_for_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open_writer(&directory.path().join("state.db")).unwrap();
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        assert_eq!(
            pragma(&connection, "synchronous").unwrap(),
            2,
            "2 is FULL: the log is synced at every commit"
        );
    }
}
