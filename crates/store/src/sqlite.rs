//! All SQL for writing: opening a store file, applying batches in transactions. SQL stays in this module and in
//! [`crate::view`].

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::digest::digest;
use crate::limits::REMEMBERED_BATCHES;
use crate::migrate::{FORMAT_VERSION, STEPS, Step, remaining};
use crate::{Batch, Committed, Error, Op, Result};

/// `application_id` of a store: "ESFS".
const APPLICATION_ID: i64 = 0x4553_4653;
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

/// How much a file must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// Commits survive a loss of power.
    Durable,
    /// The file is a copy, which is made again when it is needed.
    Copy,
}

/// Opens or creates the store file for writing.
pub(crate) fn open_writer(path: &Path, keeping: Keeping) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    // The format is checked first, so that a foreign file is not changed.
    check_format(&connection)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    let synchronous = match keeping {
        Keeping::Durable => "full",
        Keeping::Copy => "off",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
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

/// Opens an existing file for reading, of which it is not known yet that it is a store.
pub(crate) fn open_file(path: &Path) -> Result<Connection> {
    let connection = open_reader(path)?;
    check_format(&connection)?;
    Ok(connection)
}

fn pragma(connection: &Connection, name: &str) -> Result<i64> {
    Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
}

/// Refuses files of other programs and of newer formats. The format; none if the file is new.
fn check_format(connection: &Connection) -> Result<Option<u32>> {
    let id = pragma(connection, "application_id")?;
    let found = u32::try_from(pragma(connection, "user_version")?).unwrap_or(u32::MAX);
    if id == 0 && found == 0 {
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
        if tables == 0 {
            return Ok(None);
        }
    }
    if id != APPLICATION_ID {
        return Err(Error::Foreign);
    }
    remaining(found, STEPS)?;
    Ok(Some(found))
}

fn prepare(mut connection: Connection) -> Result<Connection> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    match check_format(&connection)? {
        Some(found) => migrate(&mut connection, found, STEPS)?,
        None => {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", FORMAT_VERSION)?;
            transaction.commit()?;
        }
    }
    Ok(connection)
}

/// Takes the steps that the file has not seen, each with its new version in one transaction.
fn migrate(connection: &mut Connection, found: u32, steps: &[Step]) -> Result<()> {
    for (version, step) in (found + 1..).zip(remaining(found, steps)?) {
        tracing::info!(version, "the store's file moves to a newer format");
        let transaction = connection.transaction()?;
        transaction.execute_batch(step.sqlite)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// A batch that was applied, with what else the tables got by it.
pub(crate) struct Applied {
    pub(crate) committed: Committed,
    /// Fingerprint and outcome as the table `batch` has them.
    pub(crate) digest: i64,
    pub(crate) outcome: String,
    /// For each trim, the sequence number through which its log is gone.
    pub(crate) trimmed: Vec<u64>,
}

/// A row of the table `batch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BatchRow {
    pub(crate) position: u64,
    pub(crate) id: [u8; 16],
    pub(crate) digest: i64,
    pub(crate) outcome: String,
}

/// Applies batches in one durable transaction. The outer result is the transaction's, each inner one a batch's; a batch
/// that is refused leaves the others alone.
pub(crate) fn apply_group(connection: &mut Connection, batches: &[&Batch]) -> Result<Vec<Result<Committed>>> {
    let mut transaction = begin(connection)?;
    let results = apply_all(&mut transaction, batches)?;
    transaction.commit()?;
    Ok(results.into_iter().map(|result| result.map(|applied| applied.committed)).collect())
}

/// Begins a transaction that writes.
pub(crate) fn begin(connection: &mut Connection) -> Result<Transaction<'_>> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

/// Applies batches in a transaction, which the caller ends.
pub(crate) fn apply_all(
    transaction: &mut Transaction<'_>,
    batches: &[&Batch],
) -> Result<Vec<Result<Applied>>> {
    let mut results = Vec::with_capacity(batches.len());
    for batch in batches {
        let outcome = {
            let savepoint = transaction.savepoint()?;
            match apply(&savepoint, batch) {
                Ok(applied) => {
                    savepoint.commit()?;
                    Ok(applied)
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
    Ok(results)
}

/// The stored part of [`Committed`].
pub(crate) type Outcome = (Vec<u64>, Vec<std::ops::Range<u64>>);

fn apply(connection: &Connection, batch: &Batch) -> Result<Applied> {
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
        let (appended, reserved) = read_outcome(position, &outcome)?;
        let committed = Committed { position, appended, reserved, replayed: true };
        return Ok(Applied { committed, digest, outcome, trimmed: Vec::new() });
    }
    let (mut outcome, mut trimmed) = (Outcome::default(), Vec::new());
    for op in &batch.ops {
        apply_op(connection, op, &mut outcome, &mut trimmed)?;
    }
    let text = if outcome.0.is_empty() && outcome.1.is_empty() {
        String::new()
    } else {
        serde_json::to_string(&outcome).expect("numbers can always be written as JSON")
    };
    let position = remember(connection, batch, fingerprint, &text)?;
    let committed = Committed { position, appended: outcome.0, reserved: outcome.1, replayed: false };
    Ok(Applied { committed, digest: fingerprint, outcome: text, trimmed })
}

/// Reads the outcome of the batch at `position`.
pub(crate) fn read_outcome(position: u64, text: &str) -> Result<Outcome> {
    if text.is_empty() {
        return Ok(Outcome::default());
    }
    serde_json::from_str(text).map_err(|e| Error::Corrupt(format!("outcome of batch {position}: {e}")))
}

/// The position through which batches are forgotten when one is applied at `position`.
pub(crate) fn forgotten(position: u64) -> Option<u64> {
    let due = position.is_multiple_of(FORGET_STEP) && position > REMEMBERED_BATCHES;
    due.then(|| position - REMEMBERED_BATCHES)
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
    if let Some(through) = forgotten(position) {
        connection.prepare_cached("DELETE FROM batch WHERE position <= ?1")?.execute([signed(through)])?;
    }
    Ok(position)
}

fn apply_op(connection: &Connection, op: &Op, outcome: &mut Outcome, trimmed: &mut Vec<u64>) -> Result<()> {
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
        Op::Trim { log, keep, before_ms } => trimmed.push(trim(connection, log, *keep, *before_ms)?),
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

/// Trims a log and returns the sequence number through which it is gone.
fn trim(connection: &Connection, log: &str, keep: Option<u64>, before_ms: Option<i64>) -> Result<u64> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT last FROM log WHERE name = ?1")?
        .query_row([log], |row| row.get(0))
        .optional()?;
    let last = unsigned(last.unwrap_or(0));
    let remove = |through: u64| -> Result<u64> {
        connection
            .prepare_cached("DELETE FROM entry WHERE log = ?1 AND sequence <= ?2")?
            .execute(params![log, signed(through)])?;
        Ok(through)
    };
    let mut through = keep.map_or(Ok(0), |keep| remove(last.saturating_sub(keep)))?;
    if let Some(before_ms) = before_ms {
        let first: Option<i64> = connection
            .prepare_cached(
                "SELECT sequence FROM entry WHERE log = ?1 AND time_ms >= ?2 ORDER BY sequence LIMIT 1",
            )?
            .query_row(params![log, before_ms], |row| row.get(0))
            .optional()?;
        through = through.max(remove(first.map_or(last, |first| unsigned(first) - 1))?);
    }
    Ok(through)
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
        let connection = open_writer(&directory.path().join("state.db"), Keeping::Durable).unwrap();
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        assert_eq!(
            pragma(&connection, "synchronous").unwrap(),
            2,
            "2 is FULL: the log is synced at every commit"
        );
    }

    #[test]
    fn a_file_takes_the_steps_that_it_has_not_seen_and_keeps_its_content() {
        const STEPS: [Step; 2] = [
            Step { sqlite: "CREATE TABLE first (n INTEGER)", postgres: "" },
            Step { sqlite: "CREATE TABLE second (n INTEGER); INSERT INTO second VALUES (2)", postgres: "" },
        ];
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open_writer(&directory.path().join("state.db"), Keeping::Durable).unwrap();
        let mut batch = Batch::new();
        batch.put("vm", "1", "kept");
        apply_group(&mut connection, &[&batch]).unwrap();
        let tables = |connection: &Connection| -> i64 {
            let named = "SELECT count(*) FROM sqlite_master WHERE name IN ('first', 'second')";
            connection.query_row(named, [], |row| row.get(0)).unwrap()
        };

        migrate(&mut connection, 1, &STEPS[..1]).unwrap();
        assert_eq!((pragma(&connection, "user_version").unwrap(), tables(&connection)), (2, 1));
        // A second time, "first" would be refused, since it exists.
        migrate(&mut connection, 2, &STEPS).unwrap();
        assert_eq!((pragma(&connection, "user_version").unwrap(), tables(&connection)), (3, 2));
        migrate(&mut connection, 3, &STEPS).unwrap();
        let value: String =
            connection.query_row("SELECT CAST(value AS TEXT) FROM record", [], |r| r.get(0)).unwrap();
        assert_eq!(value, "kept");
        assert!(matches!(
            migrate(&mut connection, 4, &STEPS),
            Err(Error::NewerFormat { found: 4, supported: 3 })
        ));
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_at_its_format() {
        let mut connection = open_memory().unwrap();
        let step = Step { sqlite: "CREATE TABLE first (n INTEGER); SELECT nonsense", postgres: "" };
        assert!(migrate(&mut connection, 1, &[step]).is_err());
        assert_eq!(pragma(&connection, "user_version").unwrap(), 1);
        let made: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_master WHERE name = 'first'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(made, 0);
    }
}
