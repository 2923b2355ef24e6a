//! A place on a datastore: clients name it in text, and the privilege is checked on its datastore.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU8, Ordering};

use api::{Call, Running, TaskOptions};
use vim::{Fault, MoRef, fault};
use vm::FileRef;

use super::Storage;
use crate::datastores::{Datastores, Mounted};

/// The privilege to see files.
pub(crate) const BROWSE: &str = "Datastore.Browse";
/// The privilege to change files.
pub(crate) const MANAGE: &str = "Datastore.FileManagement";

/// The beginning of a file's URL, up to the identity of its datastore.
const VOLUMES: &str = "ds:///vmfs/volumes/";

/// A file or directory with the datastore that it is on.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) on: Mounted,
    pub(super) file: FileRef,
}

impl Place {
    /// The place that a client's text names: `[datastore] dir/file` or `ds:///vmfs/volumes/<uuid>/dir/file`. The caller
    /// must have the privilege on the datastore, and a datacenter that the call names must exist.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`, `InvalidDatastorePath`, `InvalidDatastore`, `NoPermission`.
    pub(super) fn of(storage: &Storage, call: &Call, text: &str, privilege: &str) -> Result<Self, Fault> {
        call.require_references()?;
        let file = parse(storage.datastores(), text)?;
        let on = storage.datastores().of(&file)?;
        call.service.check(call.session()?, &on.me(), privilege, &call.state())?;
        Ok(Self { on, file })
    }

    /// The place as the API writes it.
    pub(super) fn show(&self) -> String {
        self.on.show(&self.file.path)
    }

    /// The options of a task that works on the place.
    pub(super) fn task(&self, cancelable: bool) -> TaskOptions {
        let name = self.on.name.clone();
        TaskOptions {
            entity: Some(self.on.me()),
            entity_name: Some(name),
            cancelable,
            ..TaskOptions::default()
        }
    }

    pub(super) fn datastore(&self) -> MoRef {
        self.on.me()
    }

    pub(super) fn fault(&self, error: &datastore::Error) -> Fault {
        self.on.fault(error)
    }
}

fn parse(datastores: &Datastores, text: &str) -> Result<FileRef, Fault> {
    let Some(rest) = text.strip_prefix(VOLUMES) else { return datastores.parse(text) };
    let invalid = |reason: &dyn std::fmt::Display| {
        fault!(
            InvalidDatastorePath { datastorePath: text },
            "\"{text}\" does not name a file of a datastore: {reason}"
        )
    };
    let (volume, path) = rest.split_once('/').unwrap_or((rest, ""));
    let uuid = uuid::Uuid::parse_str(volume).map_err(|error| invalid(&error))?;
    let path = datastore::FilePath::parse(path).map_err(|error| invalid(&error))?;
    Ok(FileRef { datastore: uuid, path })
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

/// Reports each per cent to a task once.
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
