//! The seam to the files of datastores, which the server offers over HTTP (`/folder`) and the daemons keep.

use std::io;
use std::ops::Range;
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::io::AsyncRead;

use crate::Account;

/// The stream of a file's bytes.
pub type Bytes = Box<dyn AsyncRead + Send + Unpin>;

/// The file that a request names: `/folder/{path}?dcPath={datacenter}&dsName={datastore}`, unescaped and otherwise as the client sent
/// it. Nothing has been checked: `path` may hold `..` or anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The inventory path of the datacenter. Hosts have only one and ignore it.
    pub datacenter: Option<String>,
    pub datastore: String,
    pub path: String,
}

/// The bytes that a client asks for by `Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// From `first` to `last`, inclusive; without `last` to the end.
    From { first: u64, last: Option<u64> },
    /// This many bytes at the end.
    Last(u64),
}

impl ByteRange {
    /// The range in a file of this size; none if it begins at or behind the end.
    pub fn of(self, size: u64) -> Option<Range<u64>> {
        match self {
            Self::From { first, .. } if first >= size => None,
            Self::From { first, last } => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                (first < end).then_some(first..end)
            }
            Self::Last(0) => None,
            Self::Last(count) => (size > 0).then(|| size.saturating_sub(count)..size),
        }
    }
}

/// Size, age and kind of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub size: u64,
    pub modified: Option<SystemTime>,
    pub directory: bool,
}

/// A file that is being read.
pub struct Download {
    /// Of the whole file.
    pub size: u64,
    pub modified: Option<SystemTime>,
    /// The part that `body` gives.
    pub range: Range<u64>,
    pub body: Bytes,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub facts: Facts,
}

/// Whether a file existed before it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Created,
    Replaced,
}

/// Why an operation on a file failed. The client reads the words in a variant: they must not name a path of the host's own file system.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("the file does not exist")]
    NotFound,
    #[error("the privilege {0} is missing")]
    NoPermission(&'static str),
    #[error("the path is not valid: {0}")]
    BadPath(String),
    #[error("the file has only {size} bytes")]
    BadRange { size: u64 },
    #[error("the file is in use, or it is a directory")]
    Conflict,
    #[error("the datastore is full")]
    NoSpace,
    #[error("the datastore cannot be reached at the moment")]
    Unavailable,
    /// The operating system failed; only the log tells the reason.
    #[error("the file could not be read or written")]
    Io(#[from] io::Error),
}

/// Keeps the files. It checks paths and privileges itself: reading takes `Datastore.Browse`, writing `Datastore.FileManagement`.
#[async_trait]
pub trait Files: Send + Sync {
    /// Size, age and kind of the file.
    async fn facts(&self, who: &Account, target: &Target) -> Result<Facts, FileError>;

    /// Reads a file or a part of it.
    async fn read(
        &self,
        who: &Account,
        target: &Target,
        range: Option<ByteRange>,
    ) -> Result<Download, FileError>;

    /// Writes a file until `body` ends. When `body` fails (the client hung up), the file must stay as it was before. The client has
    /// announced `length`; `body` fails if fewer bytes come.
    async fn write(
        &self,
        who: &Account,
        target: &Target,
        length: Option<u64>,
        body: Bytes,
    ) -> Result<Written, FileError>;

    async fn delete(&self, who: &Account, target: &Target) -> Result<(), FileError>;

    /// The entries of a directory.
    async fn list(&self, who: &Account, target: &Target) -> Result<Vec<Entry>, FileError>;

    /// Names of the datastores that the account sees in the datacenter (by inventory path), or everywhere.
    async fn datastores(&self, who: &Account, datacenter: Option<&str>) -> Result<Vec<String>, FileError>;

    /// Inventory paths of the datacenters that the account sees.
    async fn datacenters(&self, who: &Account) -> Result<Vec<String>, FileError>;
}

/// Undoes percent escapes; none if the result is not UTF-8.
pub fn unescape(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits"));
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

/// Writes text as one segment or value of a URL.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_file() {
        let from = |first, last| ByteRange::From { first, last };
        for (range, size, expected) in [
            (from(0, None), 10, Some(0..10)),
            (from(3, Some(5)), 10, Some(3..6)),
            (from(3, Some(u64::MAX)), 10, Some(3..10)),
            (from(10, None), 10, None),
            (from(5, Some(4)), 10, None),
            (ByteRange::Last(4), 10, Some(6..10)),
            (ByteRange::Last(40), 10, Some(0..10)),
            (ByteRange::Last(0), 10, None),
            (ByteRange::Last(1), 0, None),
        ] {
            assert_eq!(range.of(size), expected, "{range:?} of {size}");
        }
    }

    #[test]
    fn escapes_are_undone_once() {
        assert_eq!(unescape("a%20b%2fc%252e").as_deref(), Some("a b/c%2e"));
        assert_eq!(unescape("50%").as_deref(), Some("50%"));
        assert_eq!(unescape("%ff"), None);
        assert_eq!(unescape(&escape("ä/b c%")).as_deref(), Some("ä/b c%"));
    }
}
