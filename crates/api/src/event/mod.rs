//! Events: records of occurrences, for people and for programs.
//!
//! [`Events::post`] completes an event, writes it to the store's log and shows it as `EventManager.latestEvent`. The
//! log's sequence number is the event's key. [`crate::history`] reads it in pages.

pub(crate) mod catalog;
mod spanish;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use vim::{DataId, DateTime, MoRef, Object, Value, data_id, field, prop, props};

use crate::history::Source;
use crate::retention::Retention;
use crate::{Actor, Tree, stored};

/// The log in the store.
const LOG: &str = "event";
/// Events that are kept.
pub const MAX_EVENTS: u64 = 100_000;
/// The log is trimmed once in this many events.
const TRIM_EVERY: u64 = 256;
/// Events that are dropped in one commit, so that no other commit waits for long.
const TRIMMED_AT_ONCE: usize = 512;

pub(crate) const EVENT: DataId = data_id!(Event);

/// The events of the daemon.
pub struct Events {
    tree: Arc<Tree>,
    store: store::Store,
    manager: OnceLock<MoRef>,
    posted: AtomicU64,
    retention: Arc<Retention>,
    trimming: Arc<AtomicBool>,
}

impl Events {
    pub(crate) fn new(tree: Arc<Tree>, store: store::Store, retention: Arc<Retention>) -> Self {
        Self {
            tree,
            store,
            manager: OnceLock::new(),
            posted: AtomicU64::new(0),
            retention,
            trimming: Arc::default(),
        }
    }

    /// Drops the oldest events if they are too many or too old, in the background and a few at a time.
    pub(crate) fn trim(&self) {
        if self.trimming.swap(true, Ordering::AcqRel) {
            return;
        }
        let (store, retention, trimming) =
            (self.store.clone(), self.retention.clone(), self.trimming.clone());
        tokio::spawn(async move {
            if let Err(error) = trim(&store, &retention).await {
                tracing::error!(%error, "old events could not be dropped");
            }
            trimming.store(false, Ordering::Release);
        });
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
        }
        let committed = self.store.commit(batch).await?;
        let posted = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let before = self.posted.fetch_add(posted, Ordering::Relaxed);
        if before / TRIM_EVERY != before.saturating_add(posted) / TRIM_EVERY {
            self.trim();
        }
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

async fn trim(store: &store::Store, retention: &Retention) -> store::Result<()> {
    loop {
        let before_ms = retention.events_before(DateTime::now()).map(|at| at.as_micros() / 1000);
        let step = store.read(|view| {
            let oldest = view.range(LOG, 0, TRIMMED_AT_ONCE + 1)?;
            let oldest: Vec<_> = oldest.iter().map(|entry| (entry.sequence, entry.time_ms)).collect();
            Ok(trim_step(&oldest, view.last_sequence(LOG)?, before_ms))
        })?;
        let Some((keep, before_ms)) = step else { return Ok(()) };
        let mut batch = store::Batch::new();
        batch.trim(LOG, keep, before_ms);
        store.commit(batch).await?;
    }
}

/// The next step of trimming a log whose oldest entries (number and time) are these, as [`store::Op::Trim`] takes it; none if nothing is
/// left to do. Entries that are appended meanwhile do not make it drop more than it should.
fn trim_step(oldest: &[(u64, i64)], last: u64, before_ms: Option<i64>) -> Option<(Option<u64>, Option<i64>)> {
    let (first, time_ms) = *oldest.first()?;
    let count = last.saturating_sub(first) + 1;
    if let Some(excess) = count.checked_sub(MAX_EVENTS).filter(|excess| *excess > 0) {
        let at_once = u64::try_from(TRIMMED_AT_ONCE).unwrap_or(u64::MAX);
        return Some((Some(count - excess.min(at_once)), None));
    }
    let before_ms = before_ms.filter(|before| time_ms < *before)?;
    let next_ms = oldest.get(TRIMMED_AT_ONCE).map_or(before_ms, |(_, time_ms)| *time_ms);
    Some((None, Some(before_ms.min(next_ms).max(time_ms + 1))))
}

/// The sentence of an event in the catalog; empty fields are shown as `?`.
pub fn message(event: &Object) -> String {
    catalog::message(event)
}

/// The event as a session with this locale reads it.
pub(crate) fn in_language(event: Arc<Object>, locale: &str) -> Arc<Object> {
    match catalog::translated(&event, locale) {
        Some(message) => {
            let mut event = Object::clone(&event);
            event.set(field!(Event.fullFormattedMessage), message);
            Arc::new(event)
        }
        None => event,
    }
}

/// The event with everything that its type requires; its key is given with its place in the log.
fn complete(mut event: Object, now: DateTime) -> Object {
    debug_assert!(event.is_a(EVENT), "{} is not an event", event.type_name());
    event.set(field!(Event.key), 0);
    if event.get(field!(Event.createdTime)).is_none() {
        event.set(field!(Event.createdTime), now);
    }
    let actor = Actor::current();
    if event.get(field!(Event.userName)).is_none() {
        event.set(field!(Event.userName), &actor.user);
    }
    if event.get(field!(Event.chainId)).is_none() {
        event.set(field!(Event.chainId), actor.chain);
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
