//! Files in memory that refuse paths out of the datastore, and record the paths that they were asked for.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Mutex;

use api::Account;
use api::files::{ByteRange, Bytes, Download, Entry, Facts, FileError, Files, Target, Written};
use tokio::io::AsyncReadExt;

#[derive(Default)]
pub struct ToyFiles {
    pub files: Mutex<BTreeMap<String, Vec<u8>>>,
    pub asked: Mutex<Vec<Target>>,
    pub broken: Mutex<Vec<String>>,
}

impl ToyFiles {
    pub fn put(&self, path: &str, content: &[u8]) {
        self.files.lock().unwrap().insert(path.into(), content.to_vec());
    }

    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        self.files.lock().unwrap().get(path).cloned()
    }

    fn is_directory(&self, path: &str) -> bool {
        let inside = format!("{}/", path.trim_end_matches('/'));
        self.files.lock().unwrap().keys().any(|name| name.starts_with(&inside))
    }

    fn path(&self, target: &Target) -> Result<String, FileError> {
        self.asked.lock().unwrap().push(target.clone());
        if target.datastore != "ds 1" {
            return Err(FileError::NotFound);
        }
        if target.path.split('/').any(|part| part == "..") || target.path.contains('\0') {
            return Err(FileError::BadPath("the path leads out of the datastore".into()));
        }
        Ok(target.path.clone())
    }
}

#[async_trait::async_trait]
impl Files for ToyFiles {
    async fn facts(&self, _who: &Account, target: &Target) -> Result<Facts, FileError> {
        let path = self.path(target)?;
        if self.is_directory(&path) {
            return Ok(Facts { size: 0, modified: None, directory: true });
        }
        let content = self.get(&path).ok_or(FileError::NotFound)?;
        Ok(Facts { size: content.len() as u64, modified: None, directory: false })
    }

    async fn read(
        &self,
        _who: &Account,
        target: &Target,
        range: Option<ByteRange>,
    ) -> Result<Download, FileError> {
        let path = self.path(target)?;
        if self.is_directory(&path) {
            return Err(FileError::Conflict);
        }
        let content = self.get(&path).ok_or(FileError::NotFound)?;
        let size = content.len() as u64;
        let range = match range {
            Some(range) => range.of(size).ok_or(FileError::BadRange { size })?,
            None => 0..size,
        };
        let part = content[range.start as usize..range.end as usize].to_vec();
        Ok(Download { size, modified: None, range, body: Box::new(Cursor::new(part)) })
    }

    async fn write(
        &self,
        who: &Account,
        target: &Target,
        _length: Option<u64>,
        mut body: Bytes,
    ) -> Result<Written, FileError> {
        if who.name != "root" {
            return Err(FileError::NoPermission("Datastore.FileManagement"));
        }
        let path = self.path(target)?;
        let mut content = Vec::new();
        if let Err(error) = body.read_to_end(&mut content).await {
            self.broken.lock().unwrap().push(path);
            return Err(error.into());
        }
        match self.files.lock().unwrap().insert(path, content) {
            Some(_) => Ok(Written::Replaced),
            None => Ok(Written::Created),
        }
    }

    async fn delete(&self, _who: &Account, target: &Target) -> Result<(), FileError> {
        let path = self.path(target)?;
        self.files.lock().unwrap().remove(&path).map(drop).ok_or(FileError::NotFound)
    }

    async fn list(&self, _who: &Account, target: &Target) -> Result<Vec<Entry>, FileError> {
        let path = self.path(target)?;
        let files = self.files.lock().unwrap();
        let inside = files.iter().filter_map(|(name, content)| {
            let name = name.strip_prefix(&path)?.to_owned();
            let facts = Facts { size: content.len() as u64, modified: None, directory: false };
            Some(Entry { name, facts })
        });
        Ok(inside.collect())
    }

    async fn datastores(&self, _who: &Account, _datacenter: Option<&str>) -> Result<Vec<String>, FileError> {
        Ok(vec!["ds 1".into()])
    }

    async fn datacenters(&self, _who: &Account) -> Result<Vec<String>, FileError> {
        Ok(Vec::new())
    }
}
