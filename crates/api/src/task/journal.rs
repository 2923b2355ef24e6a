//! Tasks in the store: one record each, by number, written before the client gets the reference and kept until the history drops it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use vim::{DataId, Object, data_id, field, vim_enum};

use crate::history::Source;
use crate::stored;

const COLLECTION: &str = "task";
/// The counter for the numbers of tasks.
const COUNTER: &str = "task";
/// Numbers that are reserved in the store at a time. A restart skips the unused ones.
const NUMBERS: u64 = 32;
/// Tasks that the history keeps.
pub const MAX_KEPT: u64 = 20_000;
/// The history is trimmed once in this many tasks.
const FORGET_EVERY: u64 = 64;

pub(crate) const INFO: DataId = data_id!(TaskInfo);

pub(crate) struct Journal {
    store: store::Store,
    free: tokio::sync::Mutex<std::ops::Range<u64>>,
    /// Tasks that have not ended: the history keeps them, however old.
    open: Mutex<BTreeSet<u64>>,
    /// Counts the writes.
    stamp: Arc<AtomicU64>,
}

impl Journal {
    pub fn new(store: store::Store) -> Self {
        Self { store, free: tokio::sync::Mutex::new(0..0), open: Mutex::default(), stamp: Arc::default() }
    }

    /// A number that no other task has.
    pub async fn number(&self) -> Result<u64, store::Error> {
        let mut free = self.free.lock().await;
        if free.is_empty() {
            let mut batch = store::Batch::new();
            batch.reserve(COUNTER, NUMBERS);
            let reserved = self.store.commit(batch).await?.reserved;
            *free = reserved.into_iter().next().ok_or(store::Error::Closed)?;
        }
        let number = free.start;
        free.start += 1;
        Ok(number)
    }

    /// Writes a task that begins.
    pub async fn begin(&self, number: u64, info: &Arc<Object>) -> Result<(), store::Error> {
        let mut batch = store::Batch::new();
        batch.put(COLLECTION, key(number), stored::encode(INFO, info));
        if number.is_multiple_of(FORGET_EVERY) {
            let open = self.open.lock();
            let end = number.saturating_sub(MAX_KEPT);
            // Twice the step: gaps between numbers may have skipped the last turn.
            for old in (end.saturating_sub(2 * FORGET_EVERY)..end).filter(|old| !open.contains(old)) {
                batch.delete(COLLECTION, key(old));
            }
        }
        self.store.commit(batch).await?;
        self.stamp.fetch_add(1, Ordering::Release);
        self.open.lock().insert(number);
        Ok(())
    }

    /// Writes the end or another change of a task.
    pub async fn write(&self, number: u64, info: &Arc<Object>) -> Result<(), store::Error> {
        let mut batch = store::Batch::new();
        batch.put(COLLECTION, key(number), stored::encode(INFO, info));
        self.store.commit(batch).await?;
        self.stamp.fetch_add(1, Ordering::Release);
        if has_ended(info) {
            self.open.lock().remove(&number);
        }
        Ok(())
    }

    /// Everything that is kept, oldest first.
    pub fn all(&self) -> Result<Vec<(u64, Arc<Object>)>, store::Error> {
        let mut all = Vec::new();
        self.store.read(|view| {
            view.for_each(COLLECTION, |key, value| {
                if let (Ok(number), Some(info)) = (key.parse(), stored::decode(INFO, value)) {
                    all.push((number, info));
                }
                Ok(())
            })
        })?;
        Ok(all)
    }

    pub fn source(&self) -> TaskLog {
        TaskLog { store: self.store.clone(), stamp: self.stamp.clone() }
    }
}

pub(super) fn has_ended(info: &Object) -> bool {
    let state = info.get(field!(TaskInfo.state));
    state == Some(vim_enum!(TaskInfoState.success)) || state == Some(vim_enum!(TaskInfoState.error))
}

fn key(number: u64) -> String {
    format!("{number:020}")
}

/// The tasks in the store, as a history to be read in pages.
pub(crate) struct TaskLog {
    store: store::Store,
    stamp: Arc<AtomicU64>,
}

impl Source for TaskLog {
    fn bounds(&self) -> Result<(u64, u64), store::Error> {
        self.store.read(|view| {
            let end = view.counter(COUNTER)?;
            let first = view.scan(COLLECTION, None, 1)?.first().and_then(|record| record.key.parse().ok());
            Ok((first.unwrap_or(end), end))
        })
    }

    fn stamp(&self) -> Result<u64, store::Error> {
        Ok(self.stamp.load(Ordering::Acquire))
    }

    fn read(&self, from: u64, limit: usize) -> Result<Vec<(u64, Arc<Object>)>, store::Error> {
        let after = from.checked_sub(1).map(key);
        let records = self.store.scan(COLLECTION, after.as_deref(), limit)?;
        let read =
            |record: &store::Record| Some((record.key.parse().ok()?, stored::decode(INFO, &record.value)?));
        Ok(records.iter().filter_map(read).collect())
    }
}
