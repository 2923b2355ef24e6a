//! Tasks in the store: one record each, by number, written before the client gets the reference and kept until the history drops it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use vim::{DataId, DateTime, Object, data_id, field, vim_enum};

use crate::history::Source;
use crate::retention::Retention;
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
/// Tasks that are deleted in one commit because of their age.
const TRIMMED_AT_ONCE: usize = 256;

pub(crate) const INFO: DataId = data_id!(TaskInfo);

pub(crate) struct Journal {
    store: store::Store,
    free: tokio::sync::Mutex<std::ops::Range<u64>>,
    /// Tasks that have not ended: the history keeps them, however old.
    open: Mutex<BTreeSet<u64>>,
    retention: Arc<Retention>,
    trimming: Arc<AtomicBool>,
    /// Counts the writes.
    stamp: Arc<AtomicU64>,
}

impl Journal {
    pub fn new(store: store::Store, retention: Arc<Retention>) -> Self {
        Self {
            store,
            free: tokio::sync::Mutex::new(0..0),
            open: Mutex::default(),
            retention,
            trimming: Arc::default(),
            stamp: Arc::default(),
        }
    }

    /// Deletes tasks that ended too long ago, a few at a time, so that no commit waits for long.
    pub fn trim(&self) {
        if self.trimming.swap(true, Ordering::AcqRel) {
            return;
        }
        let (store, retention, trimming) =
            (self.store.clone(), self.retention.clone(), self.trimming.clone());
        let stamp = self.stamp.clone();
        tokio::spawn(async move {
            if let Err(error) = forget_old(&store, &retention).await {
                tracing::error!(%error, "old tasks could not be deleted");
            }
            stamp.fetch_add(1, Ordering::Release);
            trimming.store(false, Ordering::Release);
        });
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
        if number.is_multiple_of(FORGET_EVERY) {
            self.trim();
        }
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

    /// The task of this number, if it is kept.
    pub fn find(&self, number: u64) -> Option<Arc<Object>> {
        let value = self.store.get(COLLECTION, &key(number));
        let value = value.inspect_err(|error| tracing::error!(%error, "a task cannot be read")).ok()??;
        stored::decode(INFO, &value)
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

async fn forget_old(store: &store::Store, retention: &Retention) -> store::Result<()> {
    while let Some(before) = retention.tasks_before(DateTime::now()) {
        let oldest = store.scan(COLLECTION, None, TRIMMED_AT_ONCE)?;
        let is_old = |record: &&store::Record| {
            let info = stored::decode(INFO, &record.value);
            // A damaged record is as old as its neighbours.
            info.is_none_or(|info| info.get(field!(TaskInfo.completeTime)).is_some_and(|at| at < before))
        };
        let mut batch = store::Batch::new();
        for record in oldest.iter().take_while(is_old) {
            batch.delete(COLLECTION, record.key.as_str());
        }
        let was_full = batch.ops.len() == TRIMMED_AT_ONCE;
        if !batch.is_empty() {
            store.commit(batch).await?;
        }
        if !was_full {
            break;
        }
    }
    Ok(())
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
