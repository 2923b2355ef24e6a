//! An archive in the "new ASCII" cpio format that the kernel unpacks as its initial RAM file system (kernel
//! documentation, driver-api/early-userspace/buffer-format). Entries are sorted, owned by root and
//! without times, so equal contents give equal bytes.

use std::collections::BTreeMap;

const DIRECTORY: u32 = 0o040_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const REGULAR_FILE: u32 = 0o100_000;
const SYMBOLIC_LINK: u32 = 0o120_000;

struct Entry {
    mode: u32,
    contents: Vec<u8>,
    device: (u32, u32),
}

/// Files by their paths, which have no leading slash.
#[derive(Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

impl Archive {
    pub fn directory(&mut self, path: &str, mode: u32) {
        self.insert(path, DIRECTORY | mode, Vec::new(), (0, 0));
    }

    pub fn file(&mut self, path: &str, mode: u32, contents: Vec<u8>) {
        self.insert(path, REGULAR_FILE | mode, contents, (0, 0));
    }

    pub fn link(&mut self, path: &str, target: &str) {
        self.insert(path, SYMBOLIC_LINK | 0o777, target.as_bytes().to_vec(), (0, 0));
    }

    pub fn character_device(&mut self, path: &str, mode: u32, device: (u32, u32)) {
        self.insert(path, CHARACTER_DEVICE | mode, Vec::new(), device);
    }

    pub fn contains(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }

    /// Adds the entry, after the directories that it lies in.
    fn insert(&mut self, path: &str, mode: u32, contents: Vec<u8>, device: (u32, u32)) {
        for (at, _) in path.match_indices('/') {
            let parent = Entry { mode: DIRECTORY | 0o755, contents: Vec::new(), device: (0, 0) };
            self.entries.entry(path[..at].to_owned()).or_insert(parent);
        }
        self.entries.insert(path.to_owned(), Entry { mode, contents, device });
    }

    /// The archive's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // The kernel takes files of one inode number for hard links, so every entry has its own.
        for (inode, (path, entry)) in (1..).zip(&self.entries) {
            write_entry(&mut out, inode, path, entry);
        }
        write_entry(&mut out, 0, "TRAILER!!!", &Entry { mode: 0, contents: Vec::new(), device: (0, 0) });
        out
    }
}

fn write_entry(out: &mut Vec<u8>, inode: u32, path: &str, entry: &Entry) {
    let size = u32::try_from(entry.contents.len()).expect("a file of the guest is far below 4 GiB");
    let name_size = u32::try_from(path.len() + 1).expect("a path of the guest is short");
    let (major, minor) = entry.device;
    out.extend_from_slice(b"070701");
    for field in [inode, entry.mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0] {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(&entry.contents);
    pad(out);
}

/// Names and contents each end at a multiple of four bytes.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn an_entry_brings_the_directories_above_it_and_is_aligned() {
        let mut archive = Archive::default();
        archive.file("a/b/c", 0o644, b"hello".to_vec());
        let bytes = archive.bytes();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let names: Vec<_> = text.match_indices("070701").map(|(at, _)| &text[at + 110..at + 111]).collect();
        assert_eq!(names, ["a", "a", "a", "T"]);
        assert!(text.contains("a/b/c\0") && text.contains("hello\0\0\0"));
    }
}
