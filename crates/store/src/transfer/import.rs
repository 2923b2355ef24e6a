//! Making a store file of an export. Nothing of an export that is cut off, damaged or made by a newer program becomes a store.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use rusqlite::params;
use sha2::{Digest, Sha256};

use super::{Bytes, Line, Totals, VERSION, hex};
use crate::batch::check_row;
use crate::limits::MAX_EXPORT_LINE;
use crate::migrate::{STEPS, remaining};
use crate::sqlite::{Keeping, open_writer, signed};
use crate::{Error, Result, View};

/// Reads an export into the new file `path`.
pub(crate) fn import(export: impl Read, path: &Path) -> Result<Totals> {
    let mut connection = open_writer(path, Keeping::Durable)?;
    let transaction = connection.transaction()?;
    let mut lines = Lines {
        input: BufReader::new(MultiGzDecoder::new(BufReader::new(export))),
        digest: Sha256::new(),
        line: Vec::new(),
    };
    match lines.next()? {
        Some(Line::Begin { version: VERSION, format }) => _ = remaining(format, STEPS)?,
        Some(Line::Begin { version, .. }) => {
            return Err(wrong(format!("it has version {version}, this program reads {VERSION}")));
        }
        _ => return Err(wrong("it does not begin like one")),
    }
    let mut found = Totals::default();
    let (stated, sha256) = loop {
        // The digest in the last line is that of all lines before.
        let digest = hex(&lines.digest.clone().finalize());
        match lines.next()? {
            Some(Line::End { totals, sha256 }) => break (totals, sha256 == digest),
            Some(line) => add(&transaction, line, &mut found)?,
            None => return Err(wrong("its end is missing")),
        }
    };
    if !sha256 {
        return Err(wrong("it was changed: its checksum differs"));
    }
    if lines.next()?.is_some() {
        return Err(wrong("something follows its end"));
    }
    let view = View::on(&transaction);
    found.position = view.position()?;
    if found != stated {
        return Err(wrong(format!("it has {found:?} and says {stated:?}")));
    }
    if let Some(problem) = view.contradiction()? {
        return Err(wrong(problem));
    }
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error.into()).map(|()| found)
}

/// Writes the row of a line.
fn add(connection: &rusqlite::Connection, line: Line, found: &mut Totals) -> Result<()> {
    let insert = |words: &str, values: &[&dyn rusqlite::ToSql]| -> Result<()> {
        match connection.prepare_cached(words)?.execute(values) {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                Err(wrong(format!("it has a row twice: {error}")))
            }
            result => Ok(result.map(drop)?),
        }
    };
    match line {
        Line::Record { collection, key, value } => {
            let value = checked(&collection, &key, value)?;
            found.records += 1;
            insert("INSERT INTO record VALUES (?1, ?2, ?3)", params![collection, key, value])
        }
        Line::Log { name, last } => {
            check_row(&name, "", &[])?;
            insert("INSERT INTO log VALUES (?1, ?2)", params![name, signed(last)])
        }
        Line::Entry { log, sequence, time_ms, value } => {
            let value = checked(&log, "", value)?;
            found.entries += 1;
            insert(
                "INSERT INTO entry VALUES (?1, ?2, ?3, ?4)",
                params![log, signed(sequence), time_ms, value],
            )
        }
        Line::Counter { name, next } => {
            check_row(&name, "", &[])?;
            insert("INSERT INTO counter VALUES (?1, ?2)", params![name, signed(next)])
        }
        Line::Batch { position, id, digest, outcome } => {
            found.batches += 1;
            let values = params![signed(position), id.as_bytes().as_slice(), digest, outcome];
            insert("INSERT INTO batch VALUES (?1, ?2, ?3, ?4)", values)
        }
        Line::Begin { .. } | Line::End { .. } => Err(wrong("it begins twice")),
    }
}

/// The value of a row that is within the limits.
fn checked(name: &str, key: &str, value: Bytes) -> Result<Vec<u8>> {
    let value = value.read()?;
    check_row(name, key, &value)?;
    Ok(value)
}

struct Lines<R: Read> {
    input: BufReader<MultiGzDecoder<BufReader<R>>>,
    /// Of all lines so far.
    digest: Sha256,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    fn next(&mut self) -> Result<Option<Line>> {
        self.line.clear();
        let limit = MAX_EXPORT_LINE as u64 + 1;
        let read = self.input.by_ref().take(limit).read_until(b'\n', &mut self.line);
        if read.map_err(|error| wrong(error.to_string()))? == 0 {
            return Ok(None);
        }
        if self.line.len() > MAX_EXPORT_LINE {
            let size = self.line.len();
            return Err(Error::TooLarge {
                what: "a line of an export (bytes)",
                size,
                limit: MAX_EXPORT_LINE,
            });
        }
        if self.line.last() != Some(&b'\n') {
            return Err(wrong("it is cut off"));
        }
        self.digest.update(&self.line);
        serde_json::from_slice(&self.line).map(Some).map_err(|error| wrong(error.to_string()))
    }
}

fn wrong(reason: impl Into<String>) -> Error {
    Error::Export(reason.into())
}
