//! `/folder`: the files of the host's datastores over HTTP. Names are checked here and by the datastore, which follows no
//! path or link that leads out of it.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use api::files::{ByteRange, Bytes, Download, Entry, Facts, FileError, Files, Target, Written};
use api::{Account, Authority};
use async_trait::async_trait;
use datastore::{Error, FilePath, Reader};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::task::JoinHandle;
use vim::Fault;
use vm::FileRef;

use super::{BROWSE, MANAGE, Storage};
use crate::datastores::Mounted;
use crate::ids;

/// Bytes of an upload that are written at once.
const PIECE_BYTES: usize = 1 << 20;
/// Bytes of a download that are read at once.
const READ_BYTES: usize = 256 << 10;
/// The only datacenter's path.
const DATACENTER: &str = "ha-datacenter";

impl Storage {
    /// The files of the datastores, for the accounts that `authority` admits.
    pub fn files(self: &Arc<Self>, authority: Arc<dyn Authority>) -> Arc<dyn Files> {
        Arc::new(Folders { storage: self.clone(), authority })
    }
}

struct Folders {
    storage: Arc<Storage>,
    authority: Arc<dyn Authority>,
}

impl Folders {
    /// The datastore that a request names, with the privilege that it needs. One that the account cannot see does not
    /// exist for it.
    fn find(&self, who: &Account, target: &Target, privilege: &'static str) -> Result<Mounted, FileError> {
        let on = self.storage.datastores.by_name(&target.datastore).ok_or(FileError::NotFound)?;
        if self.allows(who, &on, privilege) {
            return Ok(on);
        }
        let visible = self.allows(who, &on, "System.View");
        Err(if visible { FileError::NoPermission(privilege) } else { FileError::NotFound })
    }

    fn allows(&self, who: &Account, on: &Mounted, privilege: &str) -> bool {
        let state = self.storage.core.tree.snapshot();
        self.authority.allows(who, &on.me(), privilege, &state)
    }
}

fn path(target: &Target) -> Result<FilePath, FileError> {
    FilePath::parse(&target.path).map_err(|error| FileError::BadPath(error.fault.to_string()))
}

#[async_trait]
impl Files for Folders {
    async fn facts(&self, who: &Account, target: &Target) -> Result<Facts, FileError> {
        let (on, path) = (self.find(who, target, BROWSE)?, path(target)?);
        let entry = blocking(move || on.store.entry(&path).map_err(file_error)).await?;
        Ok(facts(&entry))
    }

    async fn read(
        &self,
        who: &Account,
        target: &Target,
        range: Option<ByteRange>,
    ) -> Result<Download, FileError> {
        let (on, path) = (self.find(who, target, BROWSE)?, path(target)?);
        let reader = blocking(move || on.store.open(&path).map_err(file_error)).await?;
        let (size, modified) = (reader.len_bytes(), Some(reader.modified()));
        let range = match range {
            Some(range) => range.of(size).ok_or(FileError::BadRange { size })?,
            None => 0..size,
        };
        let body = Box::new(Stream::new(reader, range.clone()));
        Ok(Download { size, modified, range, body })
    }

    async fn write(
        &self,
        who: &Account,
        target: &Target,
        length: Option<u64>,
        mut body: Bytes,
    ) -> Result<Written, FileError> {
        let (on, path) = (self.find(who, target, MANAGE)?, path(target)?);
        let file = FileRef { datastore: on.store.uuid(), path: path.clone() };
        let (me, in_use, store) = (on.me(), self.storage.in_use.clone(), on.store.clone());
        let refuse_open = move || match on.store.entry(&file.path) {
            Ok(_) => in_use.refuse_open_file(&on, &file).map_err(|fault| conflict(&fault)),
            // A file that cannot be looked at cannot be written to either, and writing says why.
            Err(_) => Ok(()),
        };
        let before = refuse_open.clone();
        let (mut upload, written) = blocking(move || {
            before()?;
            let there = store.exists(&path).map_err(file_error)?;
            let upload = store.upload(&path, true, length).map_err(file_error)?;
            Ok((upload, if there { Written::Replaced } else { Written::Created }))
        })
        .await?;
        let mut total = 0u64;
        loop {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            while piece.len() < PIECE_BYTES
                && (&mut body).take((PIECE_BYTES - piece.len()) as u64).read_buf(&mut piece).await? > 0
            {
            }
            if piece.is_empty() {
                break;
            }
            total += piece.len() as u64;
            upload = blocking(move || upload.write(&piece).map_err(file_error).map(|()| upload)).await?;
        }
        if length.is_some_and(|length| length != total) {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        // A VM may have been powered on while the body was on its way.
        blocking(move || {
            refuse_open()?;
            upload.finish().map_err(file_error)
        })
        .await?;
        self.storage.show_space(&[me]).await;
        Ok(written)
    }

    async fn delete(&self, who: &Account, target: &Target) -> Result<(), FileError> {
        let (on, path) = (self.find(who, target, MANAGE)?, path(target)?);
        let (me, in_use) = (on.me(), self.storage.in_use.clone());
        let file = FileRef { datastore: on.store.uuid(), path };
        blocking(move || {
            on.store.entry(&file.path).map_err(file_error)?;
            in_use.refuse_open_file(&on, &file).map_err(|fault| conflict(&fault))?;
            on.store.delete(&file.path).map_err(file_error)
        })
        .await?;
        self.storage.show_space(&[me]).await;
        Ok(())
    }

    async fn list(&self, who: &Account, target: &Target) -> Result<Vec<Entry>, FileError> {
        let (on, path) = (self.find(who, target, BROWSE)?, path(target)?);
        let entries = blocking(move || on.store.list(&path).map_err(file_error)).await?;
        Ok(entries.into_iter().map(|entry| Entry { facts: facts(&entry), name: entry.name }).collect())
    }

    async fn datastores(&self, who: &Account, datacenter: Option<&str>) -> Result<Vec<String>, FileError> {
        if datacenter.is_some_and(|name| name.trim_matches('/') != DATACENTER) {
            return Err(FileError::NotFound);
        }
        let mut names = Vec::new();
        for on in self.storage.datastores.all() {
            if self.allows(who, &on, BROWSE) {
                names.push(on.name);
            }
        }
        names.sort();
        Ok(names)
    }

    async fn datacenters(&self, who: &Account) -> Result<Vec<String>, FileError> {
        let state = self.storage.core.tree.snapshot();
        let visible = self.authority.allows(who, &ids::datacenter(), "System.View", &state);
        Ok(if visible { vec![DATACENTER.into()] } else { Vec::new() })
    }
}

fn facts(entry: &datastore::Entry) -> Facts {
    Facts { size: entry.size_bytes, modified: Some(entry.modified), directory: entry.is_folder() }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error).into()),
    }
}

fn conflict(fault: &Fault) -> FileError {
    tracing::info!(%fault, "a file was not changed");
    if fault.is_a(vim::data_id!(FileLocked)) { FileError::Conflict } else { FileError::Unavailable }
}

fn file_error(error: Error) -> FileError {
    match error {
        Error::Path(error) => FileError::BadPath(error.fault.to_string()),
        Error::NotFound(_) | Error::NotADirectory(_) => FileError::NotFound,
        Error::AlreadyExists(_)
        | Error::NotAFile(_)
        | Error::Busy(_)
        | Error::Locked { .. }
        | Error::IntoItself { .. }
        | Error::Root => FileError::Conflict,
        Error::Escapes(_) => FileError::BadPath("it leads through a symbolic link".into()),
        Error::NoSpace(_) => FileError::NoSpace,
        other => io::Error::other(other).into(),
    }
}

/// A range of a file as a stream; each piece is read on a thread that may wait.
struct Stream {
    state: State,
    range: Range<u64>,
}

enum State {
    Idle(Arc<Reader>),
    /// Bytes that were read, and the offset from which on they are not handed out yet.
    Filled(Arc<Reader>, Vec<u8>, usize),
    Reading(Arc<Reader>, JoinHandle<datastore::Result<Vec<u8>>>),
}

impl Stream {
    fn new(reader: Reader, range: Range<u64>) -> Self {
        Self { state: State::Idle(Arc::new(reader)), range }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { state, range } = &mut *self;
        loop {
            match state {
                State::Filled(reader, bytes, at) => {
                    let count = out.remaining().min(bytes.len() - *at);
                    out.put_slice(&bytes[*at..*at + count]);
                    *at += count;
                    if *at == bytes.len() {
                        let reader = reader.clone();
                        *state = State::Idle(reader);
                    }
                    return Poll::Ready(Ok(()));
                }
                State::Reading(reader, work) => {
                    let read = ready!(Pin::new(work).poll(context));
                    let bytes = read.map_err(io::Error::other)?.map_err(io::Error::other)?;
                    let reader = reader.clone();
                    if bytes.is_empty() {
                        // The file became shorter meanwhile: the client was promised more.
                        *state = State::Idle(reader);
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    range.start += bytes.len() as u64;
                    *state = State::Filled(reader, bytes, 0);
                }
                State::Idle(reader) => {
                    let left = range.end - range.start;
                    if left == 0 || out.remaining() == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    let want = usize::try_from(left).unwrap_or(usize::MAX).min(READ_BYTES);
                    let (reader, from) = (reader.clone(), range.start);
                    let held = reader.clone();
                    let work = tokio::task::spawn_blocking(move || {
                        let mut bytes = vec![0; want];
                        let count = reader.read_at(&mut bytes, from)?;
                        bytes.truncate(count);
                        Ok(bytes)
                    });
                    *state = State::Reading(held, work);
                }
            }
        }
    }
}
