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
mod walk;
mod writer;

pub use node::Node;
pub use shared::Shared;
pub use snapshot::{Change, Commit, Snapshot, TooOld, What, not_found};
pub use walk::ancestors;
pub(crate) use walk::{parent, root_folder};
pub use writer::Writer;

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

/// How many changes the log keeps. A reader that falls further behind reads everything again.
pub const LOG_CHANGES: usize = 200_000;

/// The tree of managed objects.
pub struct Tree {
    current: ArcSwap<Snapshot>,
    /// Belongs to the current writer.
    shared: Mutex<Shared>,
    version: watch::Sender<u64>,
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
        Self { current: ArcSwap::from_pointee(first), shared: Mutex::default(), version }
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
        let mut shared = self.shared.lock();
        let mut writer = Writer::new(Snapshot::clone(&self.current.load()), &mut shared);
        let result = change(&mut writer);
        if let Some(next) = writer.finish() {
            let version = next.version();
            self.current.store(Arc::new(next));
            self.version.send_replace(version);
        }
        result
    }

    /// A receiver that sees each new version (it may skip some).
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}
