//! What the methods on files have in common: names become places on datastores, privileges are checked there, and
//! synchronous work goes to a thread that may wait.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU8, Ordering};

use api::{Call, Running, TaskOptions};
use vim::{Fault, MoRef, fault};
use vm::FileRef;

use crate::Host;
use crate::datastores::Mounted;
use crate::error::{file_fault, internal};

/// To see files.
pub(crate) const BROWSE: &str = "Datastore.Browse";
/// To change files.
pub(crate) const MANAGE: &str = "Datastore.FileManagement";

/// How the URL of a file begins, up to the identity of its datastore.
const VOLUMES: &str = "ds:///vmfs/volumes/";

/// A file or directory with the datastore that it is on.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) on: Mounted,
    pub(super) file: FileRef,
}

impl Place {
    /// What a client's text names: `[datastore] dir/file` or `ds:///vmfs/volumes/<uuid>/dir/file`. The caller must have
    /// the privilege on the datastore.
    ///
    /// # Errors
    /// `InvalidDatastorePath`, `InvalidDatastore`, `NoPermission`.
    pub(super) fn of(host: &Host, call: &Call, text: &str, privilege: &str) -> Result<Self, Fault> {
        let file = parse(host, text)?;
        let on = host.datastores.of(&file)?;
        call.service.check(call.session()?, &on.me(), privilege, &call.state())?;
        Ok(Self { on, file })
    }

    /// As the API writes it.
    pub(super) fn show(&self) -> String {
        self.on.show(&self.file.path)
    }

    /// How a task is shown that works on it.
    pub(super) fn task(&self, cancelable: bool) -> TaskOptions {
        let name = self.on.name.clone();
        TaskOptions { entity: Some(self.on.me()), entity_name: Some(name), exclusive: false, cancelable }
    }

    pub(super) fn datastore(&self) -> MoRef {
        self.on.me()
    }

    pub(super) fn fault(&self, error: &datastore::Error) -> Fault {
        file_fault(&self.on, error)
    }
}

fn parse(host: &Host, text: &str) -> Result<FileRef, Fault> {
    let Some(rest) = text.strip_prefix(VOLUMES) else { return host.datastores.parse(text) };
    let invalid = |reason: &dyn std::fmt::Display| {
        fault!(
            InvalidDatastorePath { datastorePath: text },
            "\"{text}\" names no file of a datastore: {reason}"
        )
    };
    let (volume, path) = rest.split_once('/').unwrap_or((rest, ""));
    let uuid = uuid::Uuid::parse_str(volume).map_err(|error| invalid(&error))?;
    let path = datastore::FilePath::parse(path).map_err(|error| invalid(&error))?;
    let file = FileRef { datastore: uuid, path };
    host.datastores.of(&file)?;
    Ok(file)
}

/// Runs synchronous work on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(internal("work on files ended", &error)),
    }
}

/// Shows a copy's progress in its task, and ends the copy when the task is cancelled.
pub(super) fn follow(running: Running) -> impl FnMut(datastore::Progress) -> ControlFlow<()> + Send {
    let percents = Percents::new(running.clone());
    move |progress| {
        let total = u128::from(progress.total_bytes.max(1));
        percents.show(u8::try_from(u128::from(progress.done_bytes) * 100 / total).unwrap_or(100));
        if running.cancelled().is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Tells a task each per cent once.
pub(super) struct Percents {
    running: Running,
    shown: AtomicU8,
}

impl Percents {
    pub(super) fn new(running: Running) -> Self {
        Self { running, shown: AtomicU8::new(0) }
    }

    pub(super) fn show(&self, percent: u8) {
        if self.shown.fetch_max(percent, Ordering::Relaxed) < percent {
            self.running.progress(percent);
        }
    }
}
