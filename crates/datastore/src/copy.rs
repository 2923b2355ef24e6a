//! Copying and moving files and directories, within a datastore and between two, with progress and cancellation.
//! Every file appears whole; a directory whose copy fails is removed again.

use std::ops::ControlFlow;

use crate::limits::{COPY_STEP_BYTES, MAX_LISTED};
use crate::{Datastore, Error, FilePath, Result};

/// Progress of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes done, including holes.
    pub done_bytes: u64,
    /// Bytes in total.
    pub total_bytes: u64,
}

/// Receives the progress; [`ControlFlow::Break`] cancels.
type Report<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

struct Item {
    path: FilePath,
    folder: bool,
    size_bytes: u64,
}

impl Datastore {
    /// Copies a file, or a directory with all its content, to `to` on `target` (which may be this datastore).
    /// With `force` an existing file is replaced.
    ///
    /// # Errors
    /// [`Error::NoSpace`] before anything is copied if it cannot fit, [`Error::Cancelled`], [`Error::AlreadyExists`],
    /// [`Error::IntoItself`].
    pub fn copy(
        &self,
        from: &FilePath,
        target: &Datastore,
        to: &FilePath,
        force: bool,
        report: &mut Report<'_>,
    ) -> Result<()> {
        if self.uuid() == target.uuid() {
            self.check_pair(from, to)?;
        } else if to.is_root() || from.is_root() {
            return Err(Error::Root);
        }
        let (items, needed) = self.plan(from)?;
        target.require_space(to, needed)?;
        let mut progress =
            Progress { done_bytes: 0, total_bytes: items.iter().map(|item| item.size_bytes).sum() };
        if !items.first().is_some_and(|item| item.folder) {
            return self.copy_file(from, target, to, force, &mut progress, report);
        }
        target.make_directory(to, false)?;
        let copied = items.iter().skip(1).try_for_each(|item| {
            let below = item.path.as_str()[from.as_str().len()..].trim_start_matches('/');
            let to = to.join(below)?;
            if item.folder {
                target.make_directory(&to, false)
            } else {
                self.copy_file(&item.path, target, &to, false, &mut progress, report)
            }
        });
        if copied.is_err()
            && let Err(error) = target.delete(to)
        {
            tracing::warn!(path = %to, %error, "a partial copy of a directory stays behind");
        }
        copied
    }

    /// Moves a file or directory to `to` on `target`: renames it on the same datastore, otherwise copies it and then
    /// deletes the source.
    pub fn move_to(
        &self,
        from: &FilePath,
        target: &Datastore,
        to: &FilePath,
        force: bool,
        report: &mut Report<'_>,
    ) -> Result<()> {
        if self.uuid() == target.uuid() {
            return self.rename(from, to, force);
        }
        self.copy(from, target, to, force, report)?;
        self.delete(from)
    }

    /// The entries to copy, directories before their content, and the bytes that they take.
    fn plan(&self, from: &FilePath) -> Result<(Vec<Item>, u64)> {
        let first = self.entry(from)?;
        let mut needed = first.allocated_bytes;
        let mut items =
            vec![Item { path: from.clone(), folder: first.is_folder(), size_bytes: first.size_bytes }];
        let mut next = 0;
        while let Some(item) = items.get(next) {
            next += 1;
            if !item.folder {
                continue;
            }
            let folder = item.path.clone();
            for entry in self.list(&folder)? {
                needed = needed.saturating_add(entry.allocated_bytes);
                let path = folder.join(&entry.name)?;
                items.push(Item { path, folder: entry.is_folder(), size_bytes: entry.size_bytes });
            }
            if items.len() > MAX_LISTED {
                return Err(Error::TooMany { path: from.clone(), what: "entries", limit: MAX_LISTED as u64 });
            }
        }
        Ok((items, needed))
    }

    fn copy_file(
        &self,
        from: &FilePath,
        target: &Datastore,
        to: &FilePath,
        force: bool,
        progress: &mut Progress,
        report: &mut Report<'_>,
    ) -> Result<()> {
        let reader = self.open(from)?;
        let mut upload = target.upload(to, force, None)?;
        let base = progress.done_bytes;
        let mut at = 0;
        while at < reader.len_bytes() {
            let (start, end) = reader.next_data(at)?.unwrap_or((reader.len_bytes(), reader.len_bytes()));
            upload.skip(start - at)?;
            let step = (end - start).min(COPY_STEP_BYTES as u64);
            upload.copy_from(&reader, start, step)?;
            at = start + step;
            progress.done_bytes = base + at;
            if report(*progress).is_break() {
                return Err(Error::Cancelled);
            }
        }
        // The copy has the guest's bytes too.
        if self.is_kept_raw(from)? {
            upload.keep_raw()?;
        }
        upload.finish()
    }
}
