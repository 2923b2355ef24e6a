//! VMware's disks: files that begin with the header of a sparse extent, and descriptors, which are texts that name the
//! files with the data. VMware's "Virtual Disk Format 5.0" describes both.

use uuid::Uuid;

use super::{Extent, Facts, Format};
use crate::vmx::parse_uuid;
use crate::{Error, FilePath, Reader, Result};

/// The beginning of a sparse extent, and of one of old hosts.
pub(super) const SPARSE: &[u8] = b"KDMV";
pub(super) const OLD_SPARSE: &[u8] = b"COWD";
/// The beginning of a descriptor, in any case.
pub(super) const DESCRIPTOR: &[u8] = b"# disk descriptorfile";
/// Longest descriptor that is read. An embedded one lies within the first bytes too.
const MAX_DESCRIPTOR_BYTES: usize = 64 << 10;
/// Extents that a descriptor may name.
const MAX_EXTENTS: usize = 4096;
const SECTOR_BYTES: u64 = 512;
/// Longest header of a sparse extent.
const HEADER_BYTES: usize = 512;
/// The bit of the flags that says that grains are compressed.
const COMPRESSED: u32 = 1 << 16;
/// The key of a descriptor that names the disk below. QEMU would open that file, whatever it is.
const PARENT: &str = "parentFileNameHint";
/// The value of `parentCID` of a disk that is none of another.
const NO_PARENT: &str = "ffffffff";

/// A VMDK of VMware's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vmdk {
    /// One compressed file, made to be sent.
    StreamOptimized,
    /// One file that grows, of Workstation and its like.
    Sparse,
    /// A descriptor over one file that holds the bytes themselves, as hosts make it.
    Flat,
    /// A descriptor over several files, or over a sparse one.
    Split,
    /// A file that a descriptor names.
    Extent,
    /// The changes to another disk: a snapshot or a linked clone.
    Delta,
    /// A kind that is not read.
    Unknown,
}

impl Vmdk {
    /// The kind in words, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::StreamOptimized => "a stream-optimised VMDK",
            Self::Sparse => "a sparse VMDK",
            Self::Flat => "a VMDK descriptor with a flat extent",
            Self::Split => "a VMDK descriptor with sparse or several extents",
            Self::Extent => "an extent of a VMDK",
            Self::Delta => "a VMDK with the changes to another disk",
            Self::Unknown => "a VMDK of a kind that is not supported",
        }
    }

    /// Whether it holds a whole disk that can be read and copied.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::StreamOptimized | Self::Sparse | Self::Flat | Self::Split)
    }
}

/// Reads the header of a file that begins with [`SPARSE`].
pub(super) fn sparse(reader: &Reader) -> Result<Facts> {
    let mut head = vec![0; MAX_DESCRIPTOR_BYTES];
    let read = fill(reader, &mut head)?;
    head.truncate(read.max(HEADER_BYTES));
    let long = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let capacity_bytes = long(12).saturating_mul(SECTOR_BYTES);
    let embedded = long(28);
    let text = String::from_utf8_lossy(&head[HEADER_BYTES..]);
    // QEMU looks for the parent wherever a descriptor may begin, and takes a header without a size for a descriptor.
    let kind = if capacity_bytes == 0 {
        Vmdk::Unknown
    } else if text.contains(PARENT) {
        Vmdk::Delta
    } else if embedded == 0 {
        Vmdk::Extent
    } else if word(8) & COMPRESSED != 0 {
        Vmdk::StreamOptimized
    } else {
        Vmdk::Sparse
    };
    let uuid = text.split(['\n', '\0']).find_map(identity);
    Ok(Facts { uuid, ..Facts::new(Format::Vmdk(kind), capacity_bytes) })
}

/// Reads a descriptor.
///
/// # Errors
/// [`Error::Escapes`] if it names a file that is not beside it; [`Error::TooMany`].
pub(super) fn descriptor(reader: &Reader, path: &FilePath) -> Result<Facts> {
    if reader.len_bytes() > MAX_DESCRIPTOR_BYTES as u64 {
        return Ok(Facts::new(Format::Vmdk(Vmdk::Unknown), 0));
    }
    let text = reader.read_all(MAX_DESCRIPTOR_BYTES as u64)?;
    let text = String::from_utf8_lossy(&text);
    let mut facts = Facts::new(Format::Vmdk(Vmdk::Unknown), 0);
    let (mut kinds, mut delta) = (Vec::new(), false);
    // QEMU fills a descriptor up with zeros.
    for line in text.split(['\n', '\0']).map(str::trim) {
        if let Some(extent) = named(line) {
            facts.capacity_bytes =
                facts.capacity_bytes.saturating_add(extent.sectors.saturating_mul(SECTOR_BYTES));
            kinds.push(extent.kind(facts.extents.len()));
            if let Some(name) = extent.file {
                let beside = !name.contains(['/', ':']) && name != path.name();
                let file = path.sibling(name).ok().filter(|_| beside);
                let path = file.ok_or_else(|| Error::Escapes(path.clone()))?;
                facts.extents.push(Extent { path, flat: extent.ty != "SPARSE" });
            }
            if kinds.len() > MAX_EXTENTS {
                let limit = MAX_EXTENTS as u64;
                return Err(Error::TooMany { path: path.clone(), what: "extents", limit });
            }
        }
        let parent = value(line, "parentCID").is_some_and(|cid| !cid.eq_ignore_ascii_case(NO_PARENT));
        delta |= parent || line.contains(PARENT);
        facts.uuid = facts.uuid.or_else(|| identity(line));
    }
    facts.format = Format::Vmdk(match kinds[..] {
        _ if delta => Vmdk::Delta,
        [] => Vmdk::Unknown,
        _ if kinds.contains(&None) => Vmdk::Unknown,
        [Some(kind)] => kind,
        _ => Vmdk::Split,
    });
    Ok(facts)
}

/// A line of a descriptor that names data: `RW 8192 FLAT "disk-flat.vmdk" 0`.
struct Named<'a> {
    sectors: u64,
    ty: &'a str,
    file: Option<&'a str>,
    offset: u64,
}

impl Named<'_> {
    /// The kind of a disk that only this extent is in; none for an extent that is not read.
    fn kind(&self, before: usize) -> Option<Vmdk> {
        match self.ty {
            "FLAT" | "VMFS" if before == 0 && self.offset == 0 && self.file.is_some() => Some(Vmdk::Flat),
            "FLAT" | "VMFS" | "SPARSE" if self.file.is_some() => Some(Vmdk::Split),
            "ZERO" => Some(Vmdk::Split),
            _ => None,
        }
    }
}

fn named(line: &str) -> Option<Named<'_>> {
    let (access, rest) = line.split_once(char::is_whitespace)?;
    if !matches!(access, "RW" | "RDONLY" | "NOACCESS") {
        return None;
    }
    let (sectors, rest) = rest.trim_start().split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let (ty, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let file = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
    let offset = file.map_or("", |(_, offset)| offset.split_whitespace().next().unwrap_or(""));
    Some(Named {
        sectors: sectors.parse().ok()?,
        ty,
        file: file.map(|(name, _)| name),
        // Words that are not a number do not count as 0.
        offset: if offset.is_empty() { 0 } else { offset.parse().unwrap_or(u64::MAX) },
    })
}

/// The value of `key` in a line `key = "value"`.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (name, value) = line.split_once('=')?;
    name.trim().eq_ignore_ascii_case(key).then(|| value.trim().trim_matches('"'))
}

/// The identity of the disk: `ddb.uuid = "60 00 C2 9d 26 5f 7d 0a-5b 39 1d 36 d8 4a 3f 1c"`.
fn identity(line: &str) -> Option<Uuid> {
    parse_uuid(value(line, "ddb.uuid")?)
}

/// Reads from the beginning until the buffer is full or the file ends; the bytes that were read.
pub(super) fn fill(reader: &Reader, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read_at(&mut buffer[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
