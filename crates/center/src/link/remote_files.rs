//! Files of a host's datastores, through its `/folder`.

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use api::Account;
use api::client::{CallError, Client, FilePath};
use api::files::{ByteRange, Bytes, Download, Entry, Facts, FileError, Files, Target, Written};
use async_trait::async_trait;
use vim::{Object, Value, call, data_id, field, vim};

use super::names;

pub(super) struct RemoteFiles {
    client: Client,
}

impl RemoteFiles {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }
}

fn file(target: &Target) -> FilePath {
    let (datastore, path) = (target.datastore.clone(), target.path.clone());
    FilePath { datacenter: names::DATACENTER.into(), datastore, path }
}

fn file_error(error: CallError) -> FileError {
    match error {
        CallError::Http { status: 404, .. } => FileError::NotFound,
        CallError::Http { status: 400, message, .. } => FileError::BadPath(message),
        CallError::Http { status: 409, .. } => FileError::Conflict,
        CallError::Http { status: 507, .. } => FileError::NoSpace,
        CallError::Http { status: 503, .. } | CallError::Unreachable { .. } | CallError::TimedOut { .. } => {
            FileError::Unavailable
        }
        other => FileError::Io(io::Error::other(other)),
    }
}

fn search_error(error: CallError) -> FileError {
    match error {
        CallError::Fault(fault)
            if fault.is_a(data_id!(FileNotFound)) || fault.is_a(data_id!(InvalidDatastore)) =>
        {
            FileError::NotFound
        }
        CallError::Fault(fault) => FileError::BadPath(fault.to_string()),
        other => file_error(other),
    }
}

fn entry(info: &Object) -> Entry {
    let modified = info.get(field!(FileInfo.modification)).map(|at| at.as_micros());
    let modified =
        modified.and_then(|at| UNIX_EPOCH.checked_add(Duration::from_micros(u64::try_from(at).ok()?)));
    let size = info.get(field!(FileInfo.fileSize)).and_then(|size| u64::try_from(size).ok());
    let directory = info.is_a(data_id!(FolderFileInfo));
    let facts = Facts { size: size.unwrap_or(0), modified, directory };
    Entry { name: info.get(field!(FileInfo.path)).unwrap_or_default().to_owned(), facts }
}

impl RemoteFiles {
    /// The `HostDatastoreBrowserSearchResults` of a directory.
    async fn search(&self, target: &Target) -> Result<Option<Value>, CallError> {
        let browser = self.client.property(&names::host(), "datastoreBrowser").await?;
        let Some(browser) = browser.as_ref().and_then(Value::as_ref) else { return Ok(None) };
        let flags =
            vim!(FileQueryFlags { fileType: true, fileSize: true, modification: true, fileOwner: false });
        let search = call!(SearchDatastore_Task {
            datastorePath: format!("[{}] {}", target.datastore, target.path.trim_end_matches('/')),
            searchSpec: HostDatastoreBrowserSearchSpec { details: flags },
        });
        let task = self.client.invoke(browser, &search).await?;
        match task.as_ref().and_then(Value::as_ref) {
            Some(task) => self.client.wait_for_task(task, |_| ()).await,
            None => Ok(None),
        }
    }
}

#[async_trait]
impl Files for RemoteFiles {
    async fn facts(&self, _: &Account, target: &Target) -> Result<Facts, FileError> {
        self.client.file_facts(&file(target)).await.map_err(file_error)
    }

    async fn read(
        &self,
        _: &Account,
        target: &Target,
        range: Option<ByteRange>,
    ) -> Result<Download, FileError> {
        let file = file(target);
        let facts = self.client.file_facts(&file).await.map_err(file_error)?;
        if facts.directory {
            return Err(FileError::Conflict);
        }
        let part = match range {
            None => 0..facts.size,
            Some(range) => range.of(facts.size).ok_or(FileError::BadRange { size: facts.size })?,
        };
        let asked = range.map(|_| ByteRange::From { first: part.start, last: Some(part.end - 1) });
        let received = self.client.download(&file, asked).await.map_err(file_error)?;
        let (size, modified) = (received.size.unwrap_or(facts.size), facts.modified);
        Ok(Download { size, modified, range: part, body: Box::new(received) })
    }

    async fn write(
        &self,
        _: &Account,
        target: &Target,
        length: Option<u64>,
        body: Bytes,
    ) -> Result<Written, FileError> {
        let file = file(target);
        let known = self.client.file_facts(&file).await.is_ok();
        self.client.upload(&file, length, body, |_| ()).await.map_err(file_error)?;
        Ok(if known { Written::Replaced } else { Written::Created })
    }

    async fn delete(&self, _: &Account, target: &Target) -> Result<(), FileError> {
        self.client.delete_file(&file(target)).await.map_err(file_error)
    }

    /// A host lists a directory on `/folder` as a page for people, so its datastore browser is asked.
    async fn list(&self, _: &Account, target: &Target) -> Result<Vec<Entry>, FileError> {
        let results = self.search(target).await.map_err(search_error)?;
        let results = results.as_ref().and_then(Value::as_object);
        let found = results.and_then(|results| results.get(field!(HostDatastoreBrowserSearchResults.file)));
        Ok(found.into_iter().flatten().map(|info| entry(info)).collect())
    }

    async fn datastores(&self, _: &Account, _: Option<&str>) -> Result<Vec<String>, FileError> {
        Err(FileError::Unavailable)
    }

    async fn datacenters(&self, _: &Account) -> Result<Vec<String>, FileError> {
        Err(FileError::Unavailable)
    }
}
