//! The header of a qcow2 image. QEMU's `docs/interop/qcow2.txt` describes the layout.

use super::{Facts, Format};
use crate::{Datastore, Error, FilePath, Reader, Result};

pub(super) const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Where version 3 has its features, and the bit of those that keep their data in another file.
const FEATURES: u64 = 72;
pub(super) const EXTERNAL_DATA: u64 = 1 << 2;
/// Where version 3 has the length of its header; version 2 ends before its features.
const HEADER_LENGTH: u64 = 100;
/// The extension of the header that names the format of the backing file.
pub(super) const BACKING_FORMAT: u32 = 0xe279_2aca;
/// Extensions that are searched for it.
const MAX_EXTENSIONS: usize = 32;
/// Longest name of a backing file (`docs/interop/qcow2.txt`).
const MAX_BACKING_NAME: usize = 1023;

/// Reads the header of an image that begins with [`MAGIC`].
///
/// # Errors
/// [`Error::Escapes`] if it keeps its data in another file, which could be any file.
pub(super) fn facts(reader: &Reader, path: &FilePath) -> Result<Facts> {
    if number(reader, 4, 4)? >= 3 && number(reader, FEATURES, 8)? & EXTERNAL_DATA != 0 {
        return Err(Error::Escapes(path.clone()));
    }
    let at = number(reader, 8, 8)?;
    let name_bytes = usize::try_from(number(reader, 16, 4)?).unwrap_or(usize::MAX).min(MAX_BACKING_NAME);
    let mut name = vec![0; name_bytes];
    let backing = if at != 0 && name_bytes > 0 && reader.read_at(&mut name, at)? == name_bytes {
        Some(String::from_utf8_lossy(&name).into_owned())
    } else {
        None
    };
    Ok(Facts { backing, ..Facts::new(Format::Qcow2, number(reader, 24, 8)?) })
}

/// A number of 4 or 8 bytes; 0 beyond the end.
fn number(reader: &Reader, at: u64, bytes: usize) -> Result<u64> {
    let mut word = [0; 8];
    let read = reader.read_at(&mut word[8 - bytes..], at)?;
    Ok(if read == bytes { u64::from_be_bytes(word) } else { 0 })
}

/// The format that an image declares for the file below it: `raw` or `qcow2`. For any other one QEMU would probe the
/// file's content, or follow it: a text file can lead QEMU to any other file.
pub(super) fn backing_format(store: &Datastore, path: &FilePath) -> Result<Option<Format>> {
    let reader = store.open(path)?;
    let mut at = if number(&reader, 4, 4)? >= 3 { number(&reader, HEADER_LENGTH, 4)? } else { FEATURES };
    for _ in 0..MAX_EXTENSIONS {
        let (kind, length) = (number(&reader, at, 4)?, number(&reader, at.saturating_add(4), 4)?);
        if kind == u64::from(BACKING_FORMAT) {
            let mut name = [0; 8];
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(name.len());
            let read = reader.read_at(&mut name[..length], at.saturating_add(8))?;
            return Ok(match &name[..read] {
                b"raw" => Some(Format::Raw),
                b"qcow2" => Some(Format::Qcow2),
                _ => None,
            });
        }
        if kind == 0 {
            break;
        }
        at = at.saturating_add(8 + length.next_multiple_of(8));
    }
    Ok(None)
}
