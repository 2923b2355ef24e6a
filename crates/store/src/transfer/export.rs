//! Writing an export, a page of rows at a time.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::{Bytes, Line, Totals, VERSION, hex};
use crate::migrate::FORMAT_VERSION;
use crate::{Error, Result, View};

const PAGE: usize = 1_000;

/// Writes everything that the view has.
pub(crate) fn export(view: &View<'_>, file: impl Write) -> Result<Totals> {
    let mut lines = Lines { out: GzEncoder::new(file, Compression::default()), digest: Sha256::new() };
    lines.write(&Line::Begin { version: VERSION, format: FORMAT_VERSION })?;
    let mut totals = Totals { position: view.position()?, ..Totals::default() };
    for collection in view.collections()? {
        let mut after: Option<String> = None;
        loop {
            let page = view.scan(&collection, after.as_deref(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            totals.records += page.len() as u64;
            for record in page {
                let (collection, value) = (collection.clone(), Bytes::of(record.value));
                lines.write(&Line::Record { collection, key: record.key, value })?;
            }
        }
    }
    for (name, last) in view.logs()? {
        lines.write(&Line::Log { name: name.clone(), last })?;
        let mut from = 0;
        loop {
            let page = view.range(&name, from, PAGE)?;
            let Some(last) = page.last() else { break };
            from = last.sequence + 1;
            totals.entries += page.len() as u64;
            for entry in page {
                let (log, value) = (name.clone(), Bytes::of(entry.value));
                lines.write(&Line::Entry { log, sequence: entry.sequence, time_ms: entry.time_ms, value })?;
            }
        }
    }
    for (name, next) in view.counters()? {
        lines.write(&Line::Counter { name, next })?;
    }
    let mut after = 0;
    loop {
        let page = view.batches(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.position;
        totals.batches += page.len() as u64;
        for row in page {
            let (position, digest, id) = (row.position, row.digest, uuid::Uuid::from_bytes(row.id));
            lines.write(&Line::Batch { position, id, digest, outcome: row.outcome })?;
        }
    }
    let sha256 = hex(&lines.digest.clone().finalize());
    lines.write(&Line::End { totals, sha256 })?;
    lines.out.finish().and_then(|mut file| file.flush()).map_err(io)?;
    Ok(totals)
}

struct Lines<W: Write> {
    out: GzEncoder<W>,
    /// Of all bytes so far.
    digest: Sha256,
}

impl<W: Write> Lines<W> {
    fn write(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_vec(line).expect("lines can always be written as JSON");
        text.push(b'\n');
        self.digest.update(&text);
        self.out.write_all(&text).map_err(io)
    }
}

fn io(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::Full,
        _ => Error::Io(format!("the export cannot be written: {error}")),
    }
}
