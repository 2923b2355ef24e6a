//! Reads the header of a disk image: its format, the size that a guest sees, and the file below it. Reads only the first
//! bytes, so it is quick, and works while a VM has the image open.
//!
//! QEMU's `docs/interop/qcow2.txt` describes the layout; any other file counts as raw, as long as the file.

use uuid::Uuid;

use crate::vmx::parse_uuid;
use crate::{Datastore, Error, FilePath, Reader, Result};

const MAGIC: [u8; 4] = *b"QFI\xfb";
/// The first line of a VMDK descriptor (VMware, Virtual Disk Format 5.0), and the key of its UUID.
const DESCRIPTOR: &[u8] = b"# Disk DescriptorFile";
const DESCRIPTOR_UUID: &str = "ddb.uuid";
/// Most of a descriptor that is read, bytes.
const MAX_DESCRIPTOR: usize = 64 << 10;
/// Magic, version, place and length of the backing file's name, cluster bits, size.
const HEADER_BYTES: usize = 32;
/// Where version 3 has its features, and the bit of those that keep their data in another file.
const FEATURES: u64 = 72;
const EXTERNAL_DATA: u64 = 1 << 2;
/// Where version 3 has the length of its header; version 2 ends before its features.
const HEADER_LENGTH: u64 = 100;
/// The extension of the header that names the format of the backing file.
const BACKING_FORMAT: u32 = 0xe279_2aca;
/// Extensions that are searched for it.
const MAX_EXTENSIONS: usize = 32;
/// Longest name of a backing file (`docs/interop/qcow2.txt`).
const MAX_BACKING_NAME: usize = 1023;
/// Layers that a chain may have before it counts as endless.
const MAX_LAYERS: usize = 128;

/// The content of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whether the image is qcow2; otherwise it is raw.
    pub qcow2: bool,
    /// Size that a guest sees, bytes.
    pub capacity_bytes: u64,
    /// Name of the file below it, as the header spells it.
    pub backing: Option<String>,
}

/// Reads the header of an image.
///
/// # Errors
/// If the file cannot be read; [`Error::Escapes`] if it keeps its data in another file, which could be any file.
pub fn facts(store: &Datastore, path: &FilePath) -> Result<Facts> {
    let reader = store.open(path)?;
    let mut header = [0; HEADER_BYTES];
    let mut filled = 0;
    while filled < HEADER_BYTES {
        match reader.read_at(&mut header[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    if filled < HEADER_BYTES || header[..4] != MAGIC {
        return Ok(Facts { qcow2: false, capacity_bytes: reader.len_bytes(), backing: None });
    }
    let word = |at: usize| u64::from_be_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    if version(&header) >= 3 && number(&reader, FEATURES, 8)? & EXTERNAL_DATA != 0 {
        return Err(Error::Escapes(path.clone()));
    }
    let name_bytes = u32::from_be_bytes(header[16..20].try_into().expect("four bytes"));
    let name_bytes = usize::try_from(name_bytes).unwrap_or(usize::MAX).min(MAX_BACKING_NAME);
    let mut name = vec![0; name_bytes];
    let backing = if word(8) != 0 && name_bytes > 0 && reader.read_at(&mut name, word(8))? == name_bytes {
        Some(String::from_utf8_lossy(&name).into_owned())
    } else {
        None
    };
    Ok(Facts { qcow2: true, capacity_bytes: word(24), backing })
}

/// The identity of an image: the one that it was given on the datastore, or else that of its VMDK descriptor.
///
/// # Errors
/// If the file cannot be read.
pub fn uuid(store: &Datastore, path: &FilePath) -> Result<Option<Uuid>> {
    match store.identity_of(path)? {
        Some(given) => Ok(Some(given)),
        None => descriptor_uuid(&store.open(path)?),
    }
}

/// The UUID in a descriptor: `ddb.uuid = "60 00 C2 9c 46 48 8b 11-2d 3a 49 7d 7a 8b a2 c3"`.
fn descriptor_uuid(reader: &Reader) -> Result<Option<Uuid>> {
    let mut text = vec![0; MAX_DESCRIPTOR];
    let mut filled = 0;
    while filled < text.len() {
        match reader.read_at(&mut text[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
        if !text.starts_with(&DESCRIPTOR[..filled.min(DESCRIPTOR.len())]) {
            return Ok(None);
        }
    }
    let text = String::from_utf8_lossy(&text[..filled]);
    let value = |line: &str| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == DESCRIPTOR_UUID).then(|| parse_uuid(value.trim().trim_matches('"')))?
    };
    Ok(text.lines().find_map(value))
}

fn version(header: &[u8; HEADER_BYTES]) -> u32 {
    u32::from_be_bytes(header[4..8].try_into().expect("four bytes"))
}

/// A number of 4 or 8 bytes; 0 beyond the end.
fn number(reader: &Reader, at: u64, bytes: usize) -> Result<u64> {
    let mut word = [0; 8];
    let read = reader.read_at(&mut word[8 - bytes..], at)?;
    Ok(if read == bytes { u64::from_be_bytes(word) } else { 0 })
}

/// Whether an image declares the file below it as `raw` or `qcow2`. For any other format QEMU would probe the file's
/// content, or follow it: a text file can lead QEMU to any other file.
fn has_plain_backing(store: &Datastore, path: &FilePath) -> Result<bool> {
    let reader = store.open(path)?;
    let mut at = if number(&reader, 4, 4)? >= 3 { number(&reader, HEADER_LENGTH, 4)? } else { FEATURES };
    for _ in 0..MAX_EXTENSIONS {
        let (kind, length) = (number(&reader, at, 4)?, number(&reader, at + 4, 4)?);
        if kind == u64::from(BACKING_FORMAT) {
            let mut name = [0; 8];
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(name.len());
            let read = reader.read_at(&mut name[..length], at + 8)?;
            return Ok(matches!(&name[..read], b"raw" | b"qcow2"));
        }
        if kind == 0 {
            break;
        }
        at = at + 8 + length.next_multiple_of(8);
    }
    Ok(false)
}

/// The files below an image, nearest first; each in the same directory or below the datastore's root.
///
/// # Errors
/// If one of them cannot be read, or names a file outside the datastore or in a format that could lead there.
pub fn parents(store: &Datastore, path: &FilePath) -> Result<Vec<FilePath>> {
    let mut chain: Vec<FilePath> = Vec::new();
    let mut at = path.clone();
    while let Some(name) = facts(store, &at)?.backing {
        let below =
            backing_path(store, &at, &name).filter(|_| has_plain_backing(store, &at).unwrap_or(false));
        let below = below.ok_or_else(|| Error::Escapes(at.clone()))?;
        if chain.len() >= MAX_LAYERS || chain.contains(&below) || below == *path {
            return Err(Error::TooMany { path: path.clone(), what: "layers", limit: MAX_LAYERS as u64 });
        }
        chain.push(below.clone());
        at = below;
    }
    Ok(chain)
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
mod tests {
    use super::*;

    fn qcow2(bytes: u64, backing: &str) -> Vec<u8> {
        layer(bytes, backing, "qcow2", 0)
    }

    fn layer(bytes: u64, backing: &str, format: &str, features: u64) -> Vec<u8> {
        let mut image = MAGIC.to_vec();
        image.extend(3u32.to_be_bytes());
        image.extend((if backing.is_empty() { 0 } else { 128u64 }).to_be_bytes());
        image.extend(u32::try_from(backing.len()).unwrap().to_be_bytes());
        image.extend(16u32.to_be_bytes());
        image.extend(bytes.to_be_bytes());
        image.resize(72, 0);
        image.extend(features.to_be_bytes());
        image.resize(100, 0);
        image.extend(104u32.to_be_bytes());
        if !format.is_empty() {
            image.extend(BACKING_FORMAT.to_be_bytes());
            image.extend(u32::try_from(format.len()).unwrap().to_be_bytes());
            image.extend(format.as_bytes());
        }
        image.resize(128, 0);
        image.extend(backing.as_bytes());
        image
    }

    #[test]
    fn a_chain_is_followed_and_one_that_leads_out_or_round_is_refused() {
        let store = Datastore::memory(uuid::Uuid::new_v4(), 1 << 30);
        let path = |name: &str| FilePath::parse(name).unwrap();
        store.make_directory(&path("vm"), false).unwrap();
        for (name, content) in [
            ("vm/base.vmdk", qcow2(1 << 30, "")),
            ("vm/one.vmdk", qcow2(1 << 30, "base.vmdk")),
            ("vm/two.vmdk", qcow2(2 << 30, "./one.vmdk")),
            ("vm/out.vmdk", qcow2(1, "../../etc/passwd")),
            ("vm/nbd.vmdk", qcow2(1, "nbd://host/disk")),
            ("vm/round.vmdk", qcow2(1, "round.vmdk")),
            ("vm/text.vmdk", layer(1, "base.vmdk", "vmdk", 0)),
            ("vm/guess.vmdk", layer(1, "base.vmdk", "", 0)),
            ("vm/data.vmdk", layer(1, "", "", EXTERNAL_DATA)),
            ("vm/raw.vmdk", vec![0; 4096]),
        ] {
            store.write(&path(name), &content).unwrap();
        }
        let two = facts(&store, &path("vm/two.vmdk")).unwrap();
        assert_eq!((two.qcow2, two.capacity_bytes), (true, 2 << 30));
        assert_eq!(
            parents(&store, &path("vm/two.vmdk")).unwrap(),
            [path("vm/one.vmdk"), path("vm/base.vmdk")]
        );
        let raw = Facts { qcow2: false, capacity_bytes: 4096, backing: None };
        assert_eq!(facts(&store, &path("vm/raw.vmdk")).unwrap(), raw);
        assert!(matches!(parents(&store, &path("vm/out.vmdk")), Err(Error::Escapes(_))));
        assert!(matches!(parents(&store, &path("vm/text.vmdk")), Err(Error::Escapes(_))));
        assert!(matches!(parents(&store, &path("vm/guess.vmdk")), Err(Error::Escapes(_))));
        assert!(matches!(facts(&store, &path("vm/data.vmdk")), Err(Error::Escapes(_))));
        assert!(matches!(parents(&store, &path("vm/nbd.vmdk")), Err(Error::Escapes(_))));
        assert!(matches!(parents(&store, &path("vm/round.vmdk")), Err(Error::TooMany { .. })));
    }

    #[test]
    fn an_image_is_who_it_was_made_or_who_its_descriptor_says() {
        let store = Datastore::memory(Uuid::new_v4(), 1 << 30);
        let path = |name: &str| FilePath::parse(name).unwrap();
        let text = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\n\nddb.adapterType = \"lsilogic\"\n\
                    ddb.uuid = \"60 00 C2 9c 46 48 8b 11-2d 3a 49 7d 7a 8b a2 c3\"\n";
        let other = "ddb.uuid = \"60 00 C2 9c 46 48 8b 11-2d 3a 49 7d 7a 8b a2 c3\"\n";
        let without = "# Disk DescriptorFile\nddb.uuid = \"60\"\n";
        let contents = [text.as_bytes().to_vec(), other.into(), without.into(), qcow2(1 << 30, ""), vec![]];
        let mut found = Vec::new();
        for (number, content) in contents.iter().enumerate() {
            let path = path(&format!("{number}.vmdk"));
            store.write(&path, content).unwrap();
            found.push(uuid(&store, &path).unwrap().map(|uuid| uuid.to_string()));
        }
        assert_eq!(found, [Some("6000c29c-4648-8b11-2d3a-497d7a8ba2c3".to_owned()), None, None, None, None]);
        store.identify(&path("0.vmdk"), Uuid::from_u128(5)).unwrap();
        assert_eq!(uuid(&store, &path("0.vmdk")).unwrap(), Some(Uuid::from_u128(5)));
    }

    proptest::proptest! {
        /// Offsets and lengths that lead nowhere, extensions without an end, names that are not text.
        #[test]
        fn any_header_gives_facts_or_an_error(
            words in proptest::collection::vec(proptest::num::u32::ANY, 0..64),
            version in 2u32..4,
        ) {
            let store = Datastore::memory(uuid::Uuid::nil(), 1 << 20);
            let path = FilePath::parse("disk.vmdk").unwrap();
            let body = words.iter().flat_map(|word| word.to_be_bytes());
            let image: Vec<u8> = MAGIC.into_iter().chain(version.to_be_bytes()).chain(body).collect();
            store.write(&path, &image).unwrap();
            if let Ok(facts) = facts(&store, &path) {
                proptest::prop_assert!(facts.qcow2 || facts.capacity_bytes == image.len() as u64);
            }
            drop(parents(&store, &path));
        }
    }
}
