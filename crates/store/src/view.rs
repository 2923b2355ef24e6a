//! Reading: a [`View`] shows one moment of the store, however long it is kept and whatever is committed meanwhile.

use rusqlite::{Connection, OptionalExtension, params};

use crate::limits::MAX_PAGE;
use crate::sqlite::{BatchRow, read_outcome, signed, unsigned};
use crate::{Error, Result};

/// A record of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Key within the collection.
    pub key: String,
    /// Value as written.
    pub value: Vec<u8>,
}

/// An entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Number within the log, rising, never reused.
    pub sequence: u64,
    /// The writer's time, milliseconds since 1970.
    pub time_ms: i64,
    /// Value as written.
    pub value: Vec<u8>,
}

/// One moment of the store; see [`crate::Store::read`].
pub struct View<'a> {
    connection: &'a Connection,
}

impl<'a> View<'a> {
    /// The view of a transaction.
    pub(crate) fn on(connection: &'a Connection) -> Self {
        Self { connection }
    }
}

impl View<'_> {
    /// Runs `body` on a view of this moment.
    pub(crate) fn with<T>(connection: &Connection, body: impl FnOnce(&View<'_>) -> Result<T>) -> Result<T> {
        let transaction = connection.unchecked_transaction()?;
        let result = body(&View::on(&transaction));
        // Nothing was written: ending the transaction only releases the snapshot.
        transaction.rollback()?;
        result
    }

    /// The value of a record.
    pub fn get(&self, collection: &str, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self
            .connection
            .prepare_cached("SELECT value FROM record WHERE collection = ?1 AND key = ?2")?
            .query_row([collection, key], |row| row.get(0))
            .optional()?)
    }

    /// Up to `limit` records of a collection in the order of their keys, starting behind the key `after` if one is given.
    pub fn scan(&self, collection: &str, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        let limit = page(limit)?;
        let row = |row: &rusqlite::Row<'_>| Ok(Record { key: row.get(0)?, value: row.get(1)? });
        let mut statement = self.connection.prepare_cached(match after {
            None => "SELECT key, value FROM record WHERE collection = ?1 ORDER BY key LIMIT ?2",
            Some(_) => {
                "SELECT key, value FROM record WHERE collection = ?1 AND key > ?3 ORDER BY key LIMIT ?2"
            }
        })?;
        let records = match after {
            None => statement.query_map(params![collection, limit], row)?.collect::<rusqlite::Result<_>>(),
            Some(after) => statement.query_map(params![collection, limit, after], row)?.collect(),
        };
        Ok(records?)
    }

    /// Calls `each` with every record of a collection in the order of their keys, without holding them all in memory.
    pub fn for_each(&self, collection: &str, mut each: impl FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT key, value FROM record WHERE collection = ?1 ORDER BY key")?;
        let mut rows = statement.query([collection])?;
        while let Some(row) = rows.next()? {
            let key = row.get_ref(0)?.as_str().map_err(|e| Error::Corrupt(e.to_string()))?;
            let value = row.get_ref(1)?.as_blob().map_err(|e| Error::Corrupt(e.to_string()))?;
            each(key, value)?;
        }
        Ok(())
    }

    /// Number of records in a collection.
    pub fn count(&self, collection: &str) -> Result<u64> {
        let count = self
            .connection
            .prepare_cached("SELECT count(*) FROM record WHERE collection = ?1")?
            .query_row([collection], |row| row.get(0))?;
        Ok(unsigned(count))
    }

    /// The newest `limit` entries of a log, oldest first.
    pub fn tail(&self, log: &str, limit: usize) -> Result<Vec<Entry>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT sequence, time_ms, value FROM entry WHERE log = ?1 ORDER BY sequence DESC LIMIT ?2",
        )?;
        let mut entries: Vec<Entry> =
            statement.query_map(params![log, page(limit)?], entry)?.collect::<rusqlite::Result<_>>()?;
        entries.reverse();
        Ok(entries)
    }

    /// Up to `limit` entries of a log with sequence numbers from `from` on, oldest first.
    pub fn range(&self, log: &str, from: u64, limit: usize) -> Result<Vec<Entry>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT sequence, time_ms, value FROM entry WHERE log = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT ?3",
        )?;
        let entries = statement.query_map(params![log, signed(from), page(limit)?], entry)?;
        Ok(entries.collect::<rusqlite::Result<_>>()?)
    }

    /// The sequence number last given in a log, 0 before the first; trimming does not change it.
    pub fn last_sequence(&self, log: &str) -> Result<u64> {
        let last = self
            .connection
            .prepare_cached("SELECT last FROM log WHERE name = ?1")?
            .query_row([log], |row| row.get(0))
            .optional()?;
        Ok(last.map_or(0, unsigned))
    }

    /// The next number of a counter.
    pub fn counter(&self, counter: &str) -> Result<u64> {
        let next = self
            .connection
            .prepare_cached("SELECT next FROM counter WHERE name = ?1")?
            .query_row([counter], |row| row.get(0))
            .optional()?;
        Ok(next.map_or(1, unsigned))
    }

    /// Position of the last applied batch, 0 before the first.
    pub fn position(&self) -> Result<u64> {
        let position = self
            .connection
            .prepare_cached("SELECT coalesce(max(position), 0) FROM batch")?
            .query_row([], |row| row.get(0))?;
        Ok(unsigned(position))
    }

    /// The collections that have records, by name.
    pub fn collections(&self) -> Result<Vec<String>> {
        // Each step finds the next name in the index, however many records lie between.
        let mut statement = self.connection.prepare_cached(
            "SELECT collection FROM record WHERE collection > ?1 ORDER BY collection LIMIT 1",
        )?;
        let mut names: Vec<String> = Vec::new();
        loop {
            let last = names.last().map_or("", String::as_str);
            match statement.query_row([last], |row| row.get(0)).optional()? {
                Some(name) => names.push(name),
                None => return Ok(names),
            }
        }
    }

    /// The logs by name, each with the sequence number last given.
    pub fn logs(&self) -> Result<Vec<(String, u64)>> {
        self.numbers("SELECT name, last FROM log ORDER BY name")
    }

    /// The counters by name, each with its next number.
    pub fn counters(&self) -> Result<Vec<(String, u64)>> {
        self.numbers("SELECT name, next FROM counter ORDER BY name")
    }

    fn numbers(&self, words: &str) -> Result<Vec<(String, u64)>> {
        let mut statement = self.connection.prepare_cached(words)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Up to `limit` remembered batches behind the position `after`.
    pub(crate) fn batches(&self, after: u64, limit: usize) -> Result<Vec<BatchRow>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT position, id, digest, outcome FROM batch WHERE position > ?1 ORDER BY position LIMIT ?2",
        )?;
        let row = |row: &rusqlite::Row<'_>| {
            Ok(BatchRow {
                position: unsigned(row.get(0)?),
                id: row.get(1)?,
                digest: row.get(2)?,
                outcome: row.get(3)?,
            })
        };
        let rows = statement.query_map(params![signed(after), page(limit)?], row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Number of entries of a log, and the bytes of their values.
    pub(crate) fn size_of_log(&self, log: &str) -> Result<(u64, u64)> {
        self.size("SELECT count(*), coalesce(sum(length(value)), 0) FROM entry WHERE log = ?1", log)
    }

    /// Number of records of a collection, and the bytes of their values.
    pub(crate) fn size_of_collection(&self, collection: &str) -> Result<(u64, u64)> {
        self.size(
            "SELECT count(*), coalesce(sum(length(value)), 0) FROM record WHERE collection = ?1",
            collection,
        )
    }

    fn size(&self, words: &str, name: &str) -> Result<(u64, u64)> {
        let mut statement = self.connection.prepare_cached(words)?;
        Ok(statement.query_row([name], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))?)
    }

    /// The first thing in the tables that no batch can have made.
    pub(crate) fn contradiction(&self) -> Result<Option<String>> {
        const RULES: [(&str, &str); 5] = [
            (
                "an entry is newer than the last of its log",
                "SELECT entry.log || ' ' || entry.sequence FROM entry LEFT JOIN log ON log.name = entry.log \
                 WHERE log.last IS NULL OR entry.sequence > log.last LIMIT 1",
            ),
            ("an entry has no number", "SELECT log FROM entry WHERE sequence < 1 LIMIT 1"),
            ("a counter has no number", "SELECT name FROM counter WHERE next < 1 LIMIT 1"),
            (
                "a batch is missing",
                "SELECT max(position) FROM batch HAVING count(*) > 0 AND count(*) <> max(position) - min(position) + 1",
            ),
            (
                "the identity of a batch is not one",
                "SELECT position FROM batch WHERE length(id) <> 16 LIMIT 1",
            ),
        ];
        for (rule, words) in RULES {
            let found = self.connection.query_row(words, [], |row| row.get::<_, rusqlite::types::Value>(0));
            if let Some(place) = found.optional()? {
                let place = match place {
                    rusqlite::types::Value::Text(text) => text,
                    other => format!("{other:?}"),
                };
                return Ok(Some(format!("{rule}: {place}")));
            }
        }
        let mut after = 0;
        loop {
            let batches = self.batches(after, MAX_PAGE)?;
            let Some(last) = batches.last() else { return Ok(None) };
            after = last.position;
            for batch in &batches {
                read_outcome(batch.position, &batch.outcome)?;
            }
        }
    }

    /// Version of the format.
    pub(crate) fn format(&self) -> Result<u32> {
        Ok(self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
    }

    pub(crate) fn verify(&self) -> Result<()> {
        let report: String = self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if report == "ok" { Ok(()) } else { Err(Error::Corrupt(report)) }
    }
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry { sequence: unsigned(row.get(0)?), time_ms: row.get(1)?, value: row.get(2)? })
}

fn page(limit: usize) -> Result<i64> {
    if limit > MAX_PAGE {
        return Err(Error::TooLarge { what: "a page (records)", size: limit, limit: MAX_PAGE });
    }
    Ok(signed(limit as u64))
}
