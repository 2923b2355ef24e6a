//! Looks at a disk image: its format, the size that a guest sees, and the files below and beside it. Reads only the first
//! bytes, so it is quick, and works while a VM has the image open.
//!
//! A format is found by the first bytes of a file, and those of a raw disk are the guest's: it could write the header of
//! another format, and be given the files that the header names at the next start. So whoever gives a raw disk to a guest
//! [keeps](keep_raw) first that it is raw, with the file, and from then on the content does not count. `FORMAT.md` tells how.

mod qcow2;
mod vmdk;

use uuid::Uuid;

use crate::{Datastore, Error, FilePath, Result};

pub use vmdk::Vmdk;

/// Bytes that tell a format.
const PROBED_BYTES: usize = 512;
/// Layers that a chain may have before it counts as endless.
const MAX_LAYERS: usize = 128;
/// Formats of other products, by what they begin with.
const OTHERS: [(usize, &[u8], &str); 4] = [
    (0, b"vhdxfile", "a VHDX image"),
    (0, b"conectix", "a VHD image"),
    (0, b"QED\0", "a QED image"),
    (64, &[0x7f, 0x10, 0xda, 0xbe], "a VDI image"),
];

/// The format of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// QEMU's qcow2.
    Qcow2,
    /// The bytes that the guest sees.
    Raw,
    /// One of VMware's.
    Vmdk(Vmdk),
    /// One of another product, in words.
    Other(&'static str),
}

impl Format {
    /// Whether VMs run on disks of this format.
    pub fn runs(self) -> bool {
        matches!(self, Self::Qcow2 | Self::Raw)
    }

    /// Whether a disk of this format can be copied into one that VMs run on.
    pub fn copies(self) -> bool {
        match self {
            Self::Qcow2 | Self::Raw => true,
            Self::Vmdk(vmdk) => vmdk.is_whole(),
            Self::Other(_) => false,
        }
    }

    /// The error of who would run a VM on a disk of this format, or copy it, where that cannot be done.
    pub fn unfit(self, path: &FilePath) -> Error {
        let (format, remedy) = match self {
            Self::Qcow2 => ("a qcow2 image", ""),
            Self::Raw => ("a raw image", ""),
            Self::Other(name) => (name, "convert it with qemu-img to qcow2, and upload the result"),
            Self::Vmdk(vmdk) if vmdk.is_whole() => {
                (vmdk.name(), "copy it with CopyVirtualDisk, which converts it, and use the copy")
            }
            Self::Vmdk(Vmdk::Extent) => (Vmdk::Extent.name(), "name its descriptor instead"),
            Self::Vmdk(vmdk) => (vmdk.name(), "clone it whole where it comes from (vmkfstools -i)"),
        };
        Error::Unfit { path: path.clone(), format, remedy }
    }
}

/// A file beside a descriptor that holds data of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// The file.
    pub path: FilePath,
    /// Whether it holds the bytes that the guest sees, and not a sparse extent with a header.
    pub flat: bool,
}

/// The facts of a disk, as its header or descriptor says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its format.
    pub format: Format,
    /// Size that a guest sees, bytes.
    pub capacity_bytes: u64,
    /// Name of the file below it, as the header spells it.
    pub backing: Option<String>,
    /// The files beside a descriptor that hold its data.
    pub extents: Vec<Extent>,
    /// Identity that VMware gave it.
    pub uuid: Option<Uuid>,
}

impl Facts {
    fn new(format: Format, capacity_bytes: u64) -> Self {
        Self { format, capacity_bytes, backing: None, extents: Vec::new(), uuid: None }
    }
}

/// Reads the header of an image.
///
/// # Errors
/// If the file cannot be read; [`Error::Escapes`] if it keeps its data in another file, which could be any file.
pub fn facts(store: &Datastore, path: &FilePath) -> Result<Facts> {
    let reader = store.open(path)?;
    let raw = || Ok(Facts::new(Format::Raw, reader.len_bytes()));
    if store.is_kept_raw(path)? {
        return raw();
    }
    let mut first = [0; PROBED_BYTES];
    let filled = vmdk::fill(&reader, &mut first)?;
    let first = &first[..filled];
    let begins = |bytes: &[u8]| first.get(..bytes.len()).is_some_and(|is| is.eq_ignore_ascii_case(bytes));
    if first.starts_with(&qcow2::MAGIC) && first.len() >= 32 {
        return qcow2::facts(&reader, path);
    }
    if first.starts_with(vmdk::SPARSE) {
        return vmdk::sparse(&reader);
    }
    if first.starts_with(vmdk::OLD_SPARSE) {
        return Ok(Facts::new(Format::Vmdk(Vmdk::Unknown), 0));
    }
    if begins(vmdk::DESCRIPTOR) {
        return vmdk::descriptor(&reader, path);
    }
    let is =
        |(at, magic, _): &&(usize, &[u8], &str)| first.get(*at..).is_some_and(|it| it.starts_with(magic));
    match OTHERS.iter().find(is) {
        Some((_, _, name)) => Ok(Facts::new(Format::Other(name), 0)),
        None => raw(),
    }
}

/// The identity of an image: the one that it was given on the datastore, or else the one that VMware gave it.
///
/// # Errors
/// As [`facts`].
pub fn uuid(store: &Datastore, path: &FilePath) -> Result<Option<Uuid>> {
    match store.identity_of(path)? {
        Some(given) => Ok(Some(given)),
        None => Ok(facts(store, path)?.uuid),
    }
}

/// The facts of a disk that a VM is to run on.
///
/// # Errors
/// As [`facts`]; [`Error::Unfit`] if VMs do not run on its format.
pub fn fit_to_run(store: &Datastore, path: &FilePath) -> Result<Facts> {
    let facts = facts(store, path)?;
    if facts.format.runs() { Ok(facts) } else { Err(facts.format.unfit(path)) }
}

/// The facts of a disk that is to be read whole, whose data is all there.
///
/// # Errors
/// As [`facts`]; [`Error::Unfit`] if it is not a whole disk; [`Error::NotFound`] of an extent.
pub fn fit_to_copy(store: &Datastore, path: &FilePath) -> Result<Facts> {
    let found = facts(store, path)?;
    if !found.format.copies() {
        return Err(found.format.unfit(path));
    }
    for extent in &found.extents {
        let within = facts(store, &extent.path);
        // A sparse extent without a size would be read as a descriptor. The bytes of a flat one are the guest's.
        let sparse = || matches!(within, Ok(Facts { format: Format::Vmdk(Vmdk::Extent | Vmdk::Sparse), .. }));
        if extent.flat {
            store.open(&extent.path)?;
        } else if !sparse() {
            within?;
            return Err(Format::Vmdk(Vmdk::Unknown).unfit(path));
        }
    }
    Ok(found)
}

/// Keeps for good that a disk is raw, whatever a guest writes into it.
///
/// # Errors
/// [`Error::Unfit`] if the file system does not keep user attributes: no guest must get the disk then.
pub fn keep_raw(store: &Datastore, path: &FilePath) -> Result<()> {
    if store.is_kept_raw(path)? { Ok(()) } else { store.keep_raw(path) }
}

/// An image below another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its file.
    pub path: FilePath,
    /// Its format, as the image above says.
    pub format: Format,
}

/// The images below an image, nearest first; each in the same directory or below the datastore's root.
///
/// # Errors
/// If one of them cannot be read, or names a file outside the datastore or in a format that could lead there.
pub fn layers(store: &Datastore, path: &FilePath) -> Result<Vec<Layer>> {
    let mut chain: Vec<Layer> = Vec::new();
    let mut at = path.clone();
    let mut above = facts(store, &at)?;
    while let Some(name) = above.backing {
        let escapes = || Error::Escapes(at.clone());
        let below = backing_path(store, &at, &name).ok_or_else(escapes)?;
        let format = qcow2::backing_format(store, &at).ok().flatten().ok_or_else(escapes)?;
        if chain.len() >= MAX_LAYERS || chain.iter().any(|layer| layer.path == below) || below == *path {
            return Err(Error::TooMany { path: path.clone(), what: "layers", limit: MAX_LAYERS as u64 });
        }
        chain.push(Layer { path: below.clone(), format });
        // A base that is opened as raw leads nowhere, whatever its guest wrote into it.
        if format == Format::Raw {
            store.entry(&below)?;
            break;
        }
        above = facts(store, &below)?;
        if above.format != format {
            return Err(escapes());
        }
        at = below;
    }
    Ok(chain)
}

/// The files below an image, nearest first.
///
/// # Errors
/// As [`layers`].
pub fn parents(store: &Datastore, path: &FilePath) -> Result<Vec<FilePath>> {
    Ok(layers(store, path)?.into_iter().map(|layer| layer.path).collect())
}

/// The file that a backing name refers to.
fn backing_path(store: &Datastore, of: &FilePath, name: &str) -> Option<FilePath> {
    let name = name.strip_prefix("./").unwrap_or(name);
    match store.root_path() {
        Some(root) if name.starts_with('/') => {
            let inner = std::path::Path::new(name).strip_prefix(root).ok()?;
            FilePath::parse(inner.to_str()?).ok()
        }
        _ if name.starts_with('/') || name.contains(':') => None,
        _ => of.sibling(name).ok(),
    }
}

#[cfg(test)]
mod tests;
