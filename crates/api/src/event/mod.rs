//! Events: records of occurrences, for people and for programs.
//!
//! [`Events::post`] completes an event, writes it to the store's log and shows it as `EventManager.latestEvent`. The
//! log's sequence number is the event's key. [`crate::history`] reads it in pages.

pub(crate) mod catalog;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use vim::{DataId, DateTime, MoRef, Object, Value, data_id, field, prop, props};

use crate::history::Source;
use crate::{Tree, stored};

/// The log in the store.
const LOG: &str = "event";
/// Events that are kept.
pub const MAX_EVENTS: u64 = 100_000;
/// How long an event is kept, in days.
pub const MAX_AGE_DAYS: i64 = 30;
/// The log is trimmed once in this many events.
const TRIM_EVERY: u64 = 256;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

pub(crate) const EVENT: DataId = data_id!(Event);

/// The events of the daemon.
pub struct Events {
    tree: Arc<Tree>,
    store: store::Store,
    manager: OnceLock<MoRef>,
    posted: AtomicU64,
}

impl Events {
    pub(crate) fn new(tree: Arc<Tree>, store: store::Store) -> Self {
        Self { tree, store, manager: OnceLock::new(), posted: AtomicU64::new(0) }
    }

    /// Sets the object that shows the events; until then they are only written.
    pub(crate) fn shown_by(&self, manager: &MoRef) {
        let _ = self.manager.set(manager.clone());
        if let Some((_, last)) = self.newest(1).pop() {
            self.show(last);
        }
    }

    /// Writes an event, of a type derived from `Event`, and returns its key when it is durable. `createdTime`,
    /// `userName`, `chainId` and `fullFormattedMessage` are filled in where they are unset; an event that begins a
    /// chain has its own key as `chainId`, and one without a message gets the one of its type's description.
    ///
    /// An event that cannot be written is logged and lost (key 0): that must not make the operation fail which it reports.
    pub async fn post(&self, event: impl Into<Object>) -> i32 {
        let event: Object = event.into();
        let ty = event.type_name();
        match self.post_all(vec![event], store::Batch::new()).await {
            Ok(key) => key,
            Err(error) => {
                tracing::error!(%error, event = ty, "an event could not be written and is lost");
                0
            }
        }
    }

    /// Writes events like [`Events::post`], in this order, and `with` in the same batch: both are durable, or neither. Returns the
    /// last event's key; 0 without an event.
    ///
    /// # Errors
    /// Those of [`store::Store::commit`]; no event is shown then.
    pub async fn post_all(&self, events: Vec<Object>, with: store::Batch) -> Result<i32, store::Error> {
        let now = DateTime::now();
        let events: Vec<Arc<Object>> =
            events.into_iter().map(|event| Arc::new(complete(event, now))).collect();
        let time_ms = now.as_micros() / 1000;
        let mut batch = with;
        for event in &events {
            batch.append(LOG, time_ms, stored::encode(EVENT, event));
            if self.posted.fetch_add(1, Ordering::Relaxed) % TRIM_EVERY == TRIM_EVERY - 1 {
                batch.trim(LOG, Some(MAX_EVENTS), Some(time_ms - MAX_AGE_DAYS * DAY_MS));
            }
        }
        let committed = self.store.commit(batch).await?;
        let mut last = None;
        // Appends of the caller's own come first.
        let ours = committed.appended.len().saturating_sub(events.len());
        for (event, sequence) in events.iter().zip(&committed.appended[ours..]) {
            let event = numbered(event, *sequence);
            tracing::info!(
                event = event.type_name(),
                key = sequence,
                "{}",
                event.get(field!(Event.fullFormattedMessage)).unwrap_or_default()
            );
            last = Some(event);
        }
        let Some(last) = last else { return Ok(0) };
        let key = last.get(field!(Event.key)).unwrap_or_default();
        self.show(last);
        Ok(key)
    }

    /// Shows the event as the latest one, unless a later one is shown already.
    fn show(&self, event: Arc<Object>) {
        let Some(manager) = self.manager.get() else { return };
        self.tree.write(|w| {
            let shown = w.find(manager).and_then(|node| node.get(prop!(EventManager.latestEvent)).cloned());
            let shown = shown.and_then(|shown| shown.get(field!(Event.key)));
            if shown < event.get(field!(Event.key)) {
                w.set(manager, props!(EventManager { latestEvent: event }));
            }
        });
    }

    /// The newest events, at most `limit`, oldest first.
    pub(crate) fn newest(&self, limit: usize) -> Vec<(u64, Arc<Object>)> {
        match self.store.tail(LOG, limit) {
            Ok(entries) => entries.iter().filter_map(read).collect(),
            Err(error) => {
                tracing::error!(%error, "events cannot be read");
                Vec::new()
            }
        }
    }

    pub(crate) fn source(&self) -> EventLog {
        EventLog(self.store.clone())
    }
}

/// The event with everything that its type requires; its key is given with its place in the log.
fn complete(mut event: Object, now: DateTime) -> Object {
    debug_assert!(event.is_a(EVENT), "{} is not an event", event.type_name());
    event.set(field!(Event.key), 0);
    if event.get(field!(Event.createdTime)).is_none() {
        event.set(field!(Event.createdTime), now);
    }
    if event.get(field!(Event.userName)).is_none() {
        event.set(field!(Event.userName), "");
    }
    if event.get(field!(Event.chainId)).is_none() {
        event.set(field!(Event.chainId), 0);
    }
    if event.get(field!(Event.fullFormattedMessage)).is_none_or(str::is_empty) {
        event.set(field!(Event.fullFormattedMessage), catalog::message(&event));
    }
    event
}

/// The log as a history to be read in pages.
pub(crate) struct EventLog(store::Store);

impl Source for EventLog {
    fn bounds(&self) -> Result<(u64, u64), store::Error> {
        self.0.read(|view| {
            let first = view.range(LOG, 0, 1)?.first().map(|entry| entry.sequence);
            let last = view.last_sequence(LOG)?;
            Ok((first.unwrap_or(last + 1), last + 1))
        })
    }

    fn stamp(&self) -> Result<u64, store::Error> {
        self.0.read(|view| view.last_sequence(LOG))
    }

    fn read(&self, from: u64, limit: usize) -> Result<Vec<(u64, Arc<Object>)>, store::Error> {
        Ok(self.0.range(LOG, from, limit)?.iter().filter_map(read).collect())
    }
}

fn read(entry: &store::Entry) -> Option<(u64, Arc<Object>)> {
    let event = stored::decode(EVENT, &entry.value)?;
    Some((entry.sequence, numbered(&event, entry.sequence)))
}

/// The event with its sequence number as key. Keys have 31 bits and start again after that many events.
fn numbered(event: &Arc<Object>, sequence: u64) -> Arc<Object> {
    let key = i32::try_from(sequence & 0x7fff_ffff).unwrap_or_default();
    let mut event = Object::clone(event);
    event.put(field!(Event.key).number(), Some(Value::Int(key)));
    if event.get(field!(Event.chainId)) == Some(0) {
        event.set(field!(Event.chainId), key);
    }
    Arc::new(event)
}
