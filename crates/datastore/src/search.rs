//! The datastore browser's search: files by pattern and kind in a folder or in all folders below it.

use std::collections::VecDeque;

use crate::limits::{MAX_LISTED, MAX_PATTERNS};
use crate::{Datastore, Entry, Error, FileKind, FilePath, Pattern, Result};

/// A description of the files to find.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// A name matches if it fits any of them; without patterns every name matches.
    pub patterns: Vec<Pattern>,
    /// Kinds to find; without kinds all are found.
    pub kinds: Vec<FileKind>,
    /// Whether folders below are searched as well.
    pub sub_folders: bool,
}

/// The findings of one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The folder.
    pub folder: FilePath,
    /// Its matching entries, in the order of their names.
    pub entries: Vec<Entry>,
}

impl Datastore {
    /// Searches a folder. Every searched folder gets its [`Found`], the given one first.
    ///
    /// # Errors
    /// [`Error::TooMany`] for more than [`MAX_LISTED`] entries in all, [`Error::NotFound`], [`Error::NotADirectory`].
    pub fn search(&self, folder: &FilePath, search: &Search) -> Result<Vec<Found>> {
        if search.patterns.len() > MAX_PATTERNS {
            return Err(Error::Pattern);
        }
        let mut found = Vec::new();
        let mut seen = 0;
        let mut to_do = VecDeque::from([folder.clone()]);
        while let Some(next) = to_do.pop_front() {
            let mut entries = match self.list(&next) {
                Ok(entries) => entries,
                // Removed since the listing of its parent.
                Err(Error::NotFound(_) | Error::NotADirectory(_)) if next != *folder => continue,
                Err(error) => return Err(error),
            };
            seen += entries.len();
            if seen > MAX_LISTED {
                return Err(Error::TooMany {
                    path: folder.clone(),
                    what: "entries",
                    limit: MAX_LISTED as u64,
                });
            }
            if search.sub_folders {
                // A folder too deep to have a path has no files with a path either.
                to_do
                    .extend(entries.iter().filter(|e| e.is_folder()).filter_map(|e| next.join(&e.name).ok()));
            }
            entries.retain(|entry| {
                (search.kinds.is_empty() || search.kinds.contains(&entry.kind))
                    && (search.patterns.is_empty() || search.patterns.iter().any(|p| p.matches(&entry.name)))
            });
            found.push(Found { folder: next, entries });
        }
        Ok(found)
    }
}
