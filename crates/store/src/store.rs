//! The store itself: opening, committing, reading.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::limits::{MAX_IDLE_READERS, MAX_QUEUED_BATCHES, MAX_QUEUED_BYTES, PATIENCE};
use crate::postgres::{self, Target};
use crate::sqlite::Keeping;
use crate::writer::{Job, Outage};
use crate::{Batch, Committed, Entry, Error, Record, Result, View, sqlite, writer};

/// Unit in which waiting bytes are counted.
const SHARE_BYTES: usize = 1024;

/// Options for opening a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Batches that may wait for the writer before `commit` itself waits.
    pub queued_batches: usize,
    /// How long batches wait while a database is away; then `commit` refuses them until it is back.
    pub patience: Duration,
    /// The program that opens the store, for others who want to.
    pub program: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { queued_batches: MAX_QUEUED_BATCHES, patience: PATIENCE, program: "a program".into() }
    }
}

impl Options {
    /// Identity of this opening, and its name for people.
    pub(crate) fn claimant(&self) -> (String, String) {
        let computer = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = format!("{} (process {} on {})", self.program, std::process::id(), computer.trim());
        (uuid::Uuid::new_v4().to_string(), name)
    }
}

/// A handle on a store; clones share it. Dropping the last one closes the store after all waiting batches.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    /// To the writer; a store in memory has none, since it never waits for a disk.
    queue: Option<mpsc::Sender<Job>>,
    room: Arc<Semaphore>,
    readers: Readers,
    writer: Option<JoinHandle<()>>,
    /// The failure after which the writer stopped.
    stopped: watch::Receiver<Option<String>>,
    /// The present time without the database.
    outage: watch::Receiver<Option<Outage>>,
    /// Held while the store is open, so that no second process writes.
    _lock: Option<File>,
}

enum Readers {
    /// Read-only connections to a file; they never wait for the writer.
    File { path: PathBuf, idle: Mutex<Vec<Connection>> },
    /// A store in memory has one connection, on which its callers read and write.
    Memory(Mutex<Connection>),
}

impl Store {
    /// Opens the store in the file `path`, creating it if it does not exist. SQLite keeps `path-wal` and `path-shm` beside
    /// it, and the store keeps `path.lock`.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NewerFormat`], [`Error::Foreign`], [`Error::Corrupt`], [`Error::Writer`], [`Error::Full`], [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &Options::default())
    }

    /// [`Store::open`] with options.
    pub fn open_with(path: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let lock = lock(&path)?;
        let connection = sqlite::open_writer(&path, Keeping::Durable)?;
        let readers = Readers::File { path, idle: Mutex::default() };
        let (queue, mut jobs) = mpsc::channel(options.queued_batches.max(1));
        let (stopping, stopped) = watch::channel(None);
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer::run(connection, &mut jobs, &stopping))
            .map_err(|e| Error::Writer(e.to_string()))?;
        let (_, outage) = watch::channel(None);
        Ok(Self::with(Some(queue), readers, Some(writer), stopped, outage, Some(lock)))
    }

    /// Opens the store in a PostgreSQL database, creating its tables if there are none. `copy` is a file for the content, from
    /// which it is read; it is made anew, and belongs to the store while it is open. Blocks until the content is there.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Held`], [`Error::InUse`], [`Error::NewerFormat`], [`Error::Foreign`], [`Error::Corrupt`],
    /// [`Error::Target`], [`Error::Writer`], [`Error::Full`], [`Error::Io`].
    pub fn connect(target: &Target, copy: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let path = copy.as_ref().to_path_buf();
        let lock = lock(&path)?;
        let (queue, jobs) = mpsc::channel(options.queued_batches.max(1));
        let (stopping, stopped) = watch::channel(None);
        let (missing, outage) = watch::channel(None);
        let (opening, opened) = std::sync::mpsc::channel();
        let start = postgres::Start {
            target: target.clone(),
            copy: path.clone(),
            claimant: options.claimant(),
            patience: options.patience,
            outage: missing,
        };
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || postgres::run(start, jobs, &stopping, &opening))
            .map_err(|e| Error::Writer(e.to_string()))?;
        opened.recv().unwrap_or(Err(Error::Closed))?;
        let readers = Readers::File { path, idle: Mutex::default() };
        Ok(Self::with(Some(queue), readers, Some(writer), stopped, outage, Some(lock)))
    }

    /// A store in memory, gone with its last handle. It behaves like one in a file, except that the committing caller
    /// applies the batch, after any [`View`] in progress: there may be many such stores, and none has a thread.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn in_memory() -> Result<Self> {
        let connection = Mutex::new(sqlite::open_memory()?);
        let (_, stopped) = watch::channel(None);
        let (_, outage) = watch::channel(None);
        Ok(Self::with(None, Readers::Memory(connection), None, stopped, outage, None))
    }

    fn with(
        queue: Option<mpsc::Sender<Job>>,
        readers: Readers,
        writer: Option<JoinHandle<()>>,
        stopped: watch::Receiver<Option<String>>,
        outage: watch::Receiver<Option<Outage>>,
        lock: Option<File>,
    ) -> Self {
        let room = Arc::new(Semaphore::new(MAX_QUEUED_BYTES / SHARE_BYTES));
        Self { shared: Arc::new(Shared { queue, room, readers, writer, stopped, outage, _lock: lock }) }
    }

    /// Applies a batch and returns when it is durable. Waits while too many batches are waiting. A dropped call may have been
    /// applied: the batch can be committed again under its id.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::InvalidName`], [`Error::IdReused`], [`Error::CounterExhausted`] and
    /// [`Error::Full`] and [`Error::Unavailable`]: nothing was applied. [`Error::Io`], [`Error::Stopped`] and [`Error::Closed`]: the
    /// outcome is unknown.
    pub async fn commit(&self, batch: Batch) -> Result<Committed> {
        let bytes = batch.check()?;
        if let Readers::Memory(connection) = &self.shared.readers {
            return writer::apply(connection, &batch);
        }
        let share =
            self.shared.room.clone().acquire_many_owned(shares(bytes)).await.map_err(|_| Error::Closed)?;
        let (answer, answered) = oneshot::channel();
        let queue = self.shared.queue.as_ref().ok_or(Error::Closed)?;
        queue.send(Job { batch, bytes, answer, share }).await.map_err(|_| self.closed())?;
        answered.await.map_err(|_| self.closed())?
    }

    /// Waits until the store takes no more writes because one failed, and returns the reason; for ever if that never happens.
    pub async fn stopped(&self) -> Error {
        let mut stopped = self.shared.stopped.clone();
        match stopped.wait_for(Option::is_some).await {
            Ok(reason) => Error::Stopped(reason.clone().unwrap_or_default()),
            // A store in memory has no writer.
            Err(_) => std::future::pending().await,
        }
    }

    /// The present time without the database, if it is away.
    pub fn outage(&self) -> Option<Outage> {
        self.shared.outage.borrow().clone()
    }

    /// The error for a writer that is gone.
    fn closed(&self) -> Error {
        self.shared.stopped.borrow().clone().map_or(Error::Closed, Error::Stopped)
    }

    /// [`Store::commit`] for callers outside an async runtime.
    ///
    /// # Panics
    /// If called inside an async runtime.
    pub fn commit_blocking(&self, batch: Batch) -> Result<Committed> {
        let bytes = batch.check()?;
        if let Readers::Memory(connection) = &self.shared.readers {
            return writer::apply(connection, &batch);
        }
        let queue = self.shared.queue.as_ref().ok_or(Error::Closed)?;
        let share = loop {
            match self.shared.room.clone().try_acquire_many_owned(shares(bytes)) {
                Ok(share) => break share,
                Err(tokio::sync::TryAcquireError::Closed) => return Err(Error::Closed),
                Err(tokio::sync::TryAcquireError::NoPermits) => {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
        };
        let (answer, answered) = oneshot::channel();
        queue.blocking_send(Job { batch, bytes, answer, share }).map_err(|_| self.closed())?;
        answered.blocking_recv().map_err(|_| self.closed())?
    }

    /// Reads several things at one moment. Takes microseconds for small reads; a long one belongs on a
    /// blocking thread.
    pub fn read<T>(&self, body: impl FnOnce(&View<'_>) -> Result<T>) -> Result<T> {
        match &self.shared.readers {
            Readers::Memory(connection) => {
                let connection = connection.lock();
                View::with(&connection, body)
            }
            Readers::File { path, idle } => {
                let kept = idle.lock().pop();
                let connection = match kept {
                    Some(connection) => connection,
                    None => sqlite::open_reader(path)?,
                };
                let result = View::with(&connection, body);
                let mut idle = idle.lock();
                if idle.len() < MAX_IDLE_READERS {
                    idle.push(connection);
                }
                result
            }
        }
    }

    /// [`View::get`] at this moment.
    pub fn get(&self, collection: &str, key: &str) -> Result<Option<Vec<u8>>> {
        self.read(|view| view.get(collection, key))
    }

    /// [`View::scan`] at this moment.
    pub fn scan(&self, collection: &str, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        self.read(|view| view.scan(collection, after, limit))
    }

    /// [`View::tail`] at this moment.
    pub fn tail(&self, log: &str, limit: usize) -> Result<Vec<Entry>> {
        self.read(|view| view.tail(log, limit))
    }

    /// [`View::range`] at this moment.
    pub fn range(&self, log: &str, from: u64, limit: usize) -> Result<Vec<Entry>> {
        self.read(|view| view.range(log, from, limit))
    }

    /// Reads every page of the store and checks it. Slow on a large store.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the first damage found.
    pub fn verify(&self) -> Result<()> {
        self.read(|view| view.verify())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The writer's connection must close last: it moves the log into the file and removes it. So the readers close before
        // the queue ends, which ends the writer.
        if let Readers::File { idle, .. } = &self.readers {
            idle.lock().clear();
        }
        self.queue = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

fn shares(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(SHARE_BYTES).max(1)).expect("a checked batch is far below 4 TiB")
}

/// Takes the lock beside the file `path`.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let io = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::Full,
        _ => Error::Io(format!("{}: {e}", Path::new(&name).display())),
    };
    let file = File::options().create(true).truncate(false).write(true).open(&name).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::InUse(path.to_path_buf())),
        Err(std::fs::TryLockError::Error(e)) => Err(io(e)),
    }
}
