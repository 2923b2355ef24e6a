//! The managed objects: one writer at a time, any number of readers that never wait.
//!
//! A reader takes a [`Snapshot`], which never changes. [`Tree::write`] applies changes to the current state, gives the result the
//! next version and appends the changes to the log, which is a part of the snapshot: a reader that knows version *n* finds there
//! everything that has changed since.

mod by_id;
mod node;
mod references;
mod shared;
mod snapshot;
mod structure;
mod waiters;
mod walk;
mod writer;

pub use node::Node;
pub use shared::share;
pub(crate) use snapshot::Nodes;
pub use snapshot::{Change, Commit, Snapshot, TooOld, What, not_found};
pub(crate) use structure::{is_structural, ways};
pub(crate) use waiters::{Concerns, Interest, Waiting};
pub use walk::ancestors;
pub(crate) use walk::root_folder;
pub use writer::Writer;

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use waiters::Waiters;

/// How many changes the log keeps. A reader that falls further behind reads everything again.
pub const LOG_CHANGES: usize = 200_000;

/// The tree of managed objects.
pub struct Tree {
    current: ArcSwap<Snapshot>,
    writing: Mutex<()>,
    version: watch::Sender<u64>,
    waiters: Arc<Waiters>,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    pub fn new() -> Self {
        let first = Snapshot::default();
        let version = watch::Sender::new(first.version());
        let current = ArcSwap::from_pointee(first);
        Self { current, writing: Mutex::default(), version, waiters: Arc::default() }
    }

    /// The state as it is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Changes the tree. The changes become visible at once and as a whole when `change` returns; it must not block.
    ///
    /// If it changes nothing, the version stays.
    pub fn write<R>(&self, change: impl FnOnce(&mut Writer<'_>) -> R) -> R {
        // Held to the end: one writer at a time.
        let turn = self.writing.lock();
        let mut writer = Writer::new(&turn, Snapshot::clone(&self.current.load()));
        let result = change(&mut writer);
        if let Some(next) = writer.finish() {
            let version = next.version();
            let commit = next.log.last().cloned();
            self.current.store(Arc::new(next));
            self.version.send_replace(version);
            if let Some(commit) = commit {
                self.waiters.tell(&commit);
            }
        }
        result
    }

    /// Takes a place among those who wait for changes. The caller then looks whether one has come meanwhile.
    pub(crate) fn wait(&self, interest: Interest) -> Waiting {
        self.waiters.enter(interest)
    }

    /// A receiver that sees each new version (it may skip some).
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}
