//! Files of a host's datastores, through its `/folder`.

use std::io;

use api::Account;
use api::client::{CallError, Client, FilePath};
use api::files::{ByteRange, Bytes, Download, Entry, Facts, FileError, Files, Target, Written};
use async_trait::async_trait;

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

    async fn list(&self, _: &Account, _: &Target) -> Result<Vec<Entry>, FileError> {
        // A host lists directories only as a page for people; programs ask the datastore browser.
        Err(FileError::Unavailable)
    }

    async fn datastores(&self, _: &Account, _: Option<&str>) -> Result<Vec<String>, FileError> {
        Err(FileError::Unavailable)
    }

    async fn datacenters(&self, _: &Account) -> Result<Vec<String>, FileError> {
        Err(FileError::Unavailable)
    }
}
