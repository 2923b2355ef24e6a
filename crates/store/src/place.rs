//! A place that has a store, for what is done while no center works with it: checking it, and moving it to another place.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::postgres::{self, Target};
use crate::sqlite::{open_file, open_reader};
use crate::store::lock;
use crate::transfer::{self, Totals};
use crate::{Error, Options, Result, View};

/// Where a store is.
#[derive(Debug, Clone)]
pub enum Place {
    /// In an SQLite file.
    File(PathBuf),
    /// In a PostgreSQL database.
    Database(Box<Target>),
}

/// A part of a store with its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Name of the collection or log.
    pub name: String,
    /// Records or entries.
    pub rows: u64,
    /// Bytes of their values.
    pub bytes: u64,
}

/// The content of a store in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Version of its format.
    pub format: u32,
    /// Position of its last batch.
    pub position: u64,
    /// Bytes that it takes on the disk.
    pub on_disk: u64,
    /// Collections by name.
    pub collections: Vec<Table>,
    /// Logs by name.
    pub logs: Vec<Table>,
}

impl Place {
    /// Reads the whole store and checks it. It must not be in use.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the first damage found; [`Error::InUse`] or [`Error::Held`]; those of opening.
    pub async fn check(&self) -> Result<Survey> {
        match self {
            Place::File(path) => {
                let _lock = lock(existing(path)?)?;
                survey(&open_file(path)?, path_size(path))
            }
            Place::Database(target) => {
                let scratch = scratch()?;
                let copy = scratch.path().join("copy.db");
                let on_disk = postgres::snapshot(target, &copy, postgres::Use::Nobody).await?;
                survey(&open_reader(&copy)?, on_disk)
            }
        }
    }

    /// Writes what the store has at this moment into the new file `to`. A center may work with it meanwhile.
    ///
    /// # Errors
    /// Those of opening, and [`Error::Io`] if the file exists or cannot be written.
    pub async fn export(&self, to: &Path) -> Result<Totals> {
        let scratch = scratch()?;
        let connection = match self {
            Place::File(path) => open_file(existing(path)?)?,
            Place::Database(target) => {
                let copy = scratch.path().join("copy.db");
                postgres::snapshot(target, &copy, postgres::Use::Shared).await?;
                open_reader(&copy)?
            }
        };
        let cannot = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::Full,
            _ => Error::Io(format!("{}: {error}", to.display())),
        };
        // The file has password hashes.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(cannot)?;
        let written = View::with(&connection, |view| {
            let mut out = BufWriter::new(&file);
            let totals = transfer::export(view, &mut out)?;
            out.flush().and_then(|()| file.sync_all()).map_err(cannot)?;
            Ok(totals)
        });
        if written.is_err() {
            let _ = std::fs::remove_file(to);
        }
        written
    }

    /// Fills the empty store at this place from an export, whole or not at all.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Export`], [`Error::InUse`] or [`Error::Held`]; those of opening.
    pub async fn import(&self, from: &Path, options: &Options) -> Result<Totals> {
        let file = File::open(from).map_err(|error| Error::Io(format!("{}: {error}", from.display())))?;
        match self {
            Place::File(path) => {
                let _lock = lock(path)?;
                if path.exists() {
                    let position = View::with(&open_file(path)?, |view| view.position())?;
                    if position > 0 {
                        return Err(Error::NotEmpty { position });
                    }
                }
                let new = beside(path, ".importing");
                remove(&new)?;
                let totals = transfer::import(file, &new).inspect_err(|_| _ = remove(&new))?;
                remove(path)?;
                let io = |error: std::io::Error| Error::Io(format!("{}: {error}", path.display()));
                std::fs::rename(&new, path).map_err(io)?;
                let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                File::open(directory.unwrap_or(Path::new("."))).and_then(|d| d.sync_all()).map_err(io)?;
                Ok(totals)
            }
            Place::Database(target) => {
                let scratch = scratch()?;
                let copy = scratch.path().join("copy.db");
                let totals = transfer::import(file, &copy)?;
                postgres::replace(target, options.claimant(), &copy).await?;
                Ok(totals)
            }
        }
    }
}

fn survey(connection: &rusqlite::Connection, on_disk: u64) -> Result<Survey> {
    View::with(connection, |view| {
        view.verify()?;
        if let Some(problem) = view.contradiction()? {
            return Err(Error::Corrupt(problem));
        }
        let table = |name: String, (rows, bytes): (u64, u64)| Table { name, rows, bytes };
        let (mut collections, mut logs) = (Vec::new(), Vec::new());
        for name in view.collections()? {
            let size = view.size_of_collection(&name)?;
            collections.push(table(name, size));
        }
        for (name, _) in view.logs()? {
            let size = view.size_of_log(&name)?;
            logs.push(table(name, size));
        }
        let format = view.format()?;
        Ok(Survey { format, position: view.position()?, on_disk, collections, logs })
    })
}

fn existing(path: &Path) -> Result<&Path> {
    if path.exists() { Ok(path) } else { Err(Error::Io(format!("{} does not exist", path.display()))) }
}

/// A directory for a copy, which nobody else reads.
fn scratch() -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("esfera-store-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .map_err(|error| Error::Io(format!("a directory for a copy cannot be made: {error}")))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a store's files, if there are any.
fn remove(path: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Io(format!("{}: {error}", path.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

fn path_size(path: &Path) -> u64 {
    let size = |suffix| std::fs::metadata(beside(path, suffix)).map_or(0, |file| file.len());
    size("") + size("-wal")
}
