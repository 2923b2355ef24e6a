//! A tree of files in memory, for simulated hosts. Contents are sparse and shared by copies: an unwritten disk of any
//! size costs a few dozen bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::limits::MAX_LISTED;
use crate::{Entry, Error, FileKind, FilePath, LockOwner, Reader, Result, Space, VmLock};

/// Granularity of contents.
const CHUNK: usize = 64 << 10;

/// Bytes of a file; unwritten ones are zero.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sparse {
    len: u64,
    allocated: u64,
    /// Chunk number to its bytes, which may be shorter than a chunk: zeros follow.
    chunks: BTreeMap<u64, Vec<u8>>,
}

impl Sparse {
    pub(crate) fn len_bytes(&self) -> u64 {
        self.len
    }

    pub(crate) fn allocated_bytes(&self) -> u64 {
        self.allocated
    }

    pub(crate) fn set_len(&mut self, len: u64) {
        self.len = len;
    }

    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> usize {
        if offset >= self.len {
            return 0;
        }
        let (number, within) = split(offset);
        let left = usize::try_from(self.len - offset).unwrap_or(usize::MAX);
        let count = buffer.len().min(CHUNK - within).min(left);
        let part = &mut buffer[..count];
        part.fill(0);
        if let Some(bytes) = self.chunks.get(&number).and_then(|chunk| chunk.get(within..)) {
            let known = bytes.len().min(count);
            part[..known].copy_from_slice(&bytes[..known]);
        }
        count
    }

    pub(crate) fn write_at(&mut self, mut bytes: &[u8], mut offset: u64) {
        while !bytes.is_empty() {
            let (number, within) = split(offset);
            let count = bytes.len().min(CHUNK - within);
            let (now, later) = bytes.split_at(count);
            if self.chunks.contains_key(&number) || now.iter().any(|byte| *byte != 0) {
                let chunk = self.chunks.entry(number).or_default();
                let before = chunk.len();
                if chunk.len() < within + count {
                    chunk.resize(within + count, 0);
                }
                chunk[within..within + count].copy_from_slice(now);
                self.allocated += (chunk.len() - before) as u64;
            }
            bytes = later;
            offset += count as u64;
        }
        self.len = self.len.max(offset);
    }

    pub(crate) fn next_data(&self, offset: u64) -> Option<(u64, u64)> {
        let (number, _) = split(offset);
        let (number, _) = self.chunks.range(number..).next()?;
        let start = (number * CHUNK as u64).max(offset);
        let end = ((number + 1) * CHUNK as u64).min(self.len);
        (start < end).then_some((start, end))
    }
}

fn split(offset: u64) -> (u64, usize) {
    let within = usize::try_from(offset % CHUNK as u64).expect("less than a chunk");
    (offset / CHUNK as u64, within)
}

enum Node {
    Directory { children: BTreeMap<String, Node>, modified: SystemTime },
    File { content: Arc<Sparse>, modified: SystemTime, identity: Option<Uuid>, raw: bool },
}

impl Node {
    fn directory() -> Self {
        Self::Directory { children: BTreeMap::new(), modified: SystemTime::now() }
    }

    fn entry(&self, name: &str) -> Entry {
        let (kind, size_bytes, allocated_bytes, modified) = match self {
            Self::Directory { modified, .. } => (FileKind::Folder, 0, 0, *modified),
            Self::File { content, modified, .. } => {
                (FileKind::of_name(name), content.len_bytes(), content.allocated_bytes(), *modified)
            }
        };
        Entry { name: name.to_owned(), kind, size_bytes, allocated_bytes, modified, owner: 0 }
    }

    fn allocated(&self) -> u64 {
        match self {
            Self::File { content, .. } => content.allocated_bytes(),
            Self::Directory { children, .. } => children.values().map(Self::allocated).sum(),
        }
    }
}

struct Tree {
    root: Node,
    used: u64,
    locks: HashMap<FilePath, LockOwner>,
}

/// A datastore in memory.
pub(crate) struct Memory {
    tree: Mutex<Tree>,
    capacity: u64,
    /// Bytes that may really be held, whatever the capacity.
    limit: u64,
}

impl Memory {
    pub(crate) fn new(capacity: u64, limit: u64) -> Self {
        let tree = Tree { root: Node::directory(), used: 0, locks: HashMap::new() };
        Self { tree: Mutex::new(tree), capacity, limit }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock()
    }

    pub(crate) fn space(&self) -> Space {
        let free_bytes = self.capacity.saturating_sub(self.tree().used);
        Space { capacity_bytes: self.capacity, free_bytes }
    }

    /// Fails unless `bytes` more fit.
    pub(crate) fn require(&self, path: &FilePath, bytes: u64) -> Result<()> {
        self.tree().require(path, bytes, self.capacity.min(self.limit))
    }

    pub(crate) fn entry(&self, path: &FilePath) -> Result<Entry> {
        Ok(self.tree().node(path)?.entry(path.name()))
    }

    pub(crate) fn list(&self, path: &FilePath) -> Result<Vec<Entry>> {
        match self.tree().node(path)? {
            Node::File { .. } => Err(Error::NotADirectory(path.clone())),
            Node::Directory { children, .. } if children.len() > MAX_LISTED => {
                Err(Error::TooMany { path: path.clone(), what: "entries", limit: MAX_LISTED as u64 })
            }
            Node::Directory { children, .. } => {
                Ok(children.iter().map(|(name, node)| node.entry(name)).collect())
            }
        }
    }

    pub(crate) fn make_directory(&self, path: &FilePath, parents: bool) -> Result<()> {
        let mut tree = self.tree();
        if parents {
            let mut at = FilePath::root();
            let parent = path.parent().unwrap_or_default();
            for component in parent.components() {
                let children = tree.children(&at)?;
                children.entry(component.to_owned()).or_insert_with(Node::directory);
                at = at.join(component)?;
            }
        }
        tree.add(path, Node::directory(), false)
    }

    pub(crate) fn rename(&self, from: &FilePath, to: &FilePath, force: bool) -> Result<()> {
        let mut tree = self.tree();
        // Only a file may replace one.
        let force = force && matches!(tree.node(from)?, Node::File { .. });
        tree.check_target(to, force)?;
        let node = tree.take(from)?;
        tree.add(to, node, force)
    }

    pub(crate) fn delete(&self, path: &FilePath) -> Result<()> {
        self.tree().take(path).map(drop)
    }

    pub(crate) fn open_file(&self, path: &FilePath) -> Result<Reader> {
        match self.tree().node(path)? {
            Node::Directory { .. } => Err(Error::NotAFile(path.clone())),
            Node::File { content, modified, .. } => {
                Ok(Reader::memory(content.clone(), path.clone(), *modified))
            }
        }
    }

    pub(crate) fn identity_of(&self, path: &FilePath) -> Result<Option<Uuid>> {
        match self.tree().node(path)? {
            Node::Directory { .. } => Err(Error::NotAFile(path.clone())),
            Node::File { identity, .. } => Ok(*identity),
        }
    }

    pub(crate) fn identify(&self, path: &FilePath, uuid: Uuid) -> Result<()> {
        let mut tree = self.tree();
        match tree.children(&path.parent().ok_or(Error::Root)?)?.get_mut(path.name()) {
            Some(Node::File { identity, .. }) => *identity = Some(uuid),
            Some(Node::Directory { .. }) => return Err(Error::NotAFile(path.clone())),
            None => return Err(Error::NotFound(path.clone())),
        }
        Ok(())
    }

    pub(crate) fn is_kept_raw(&self, path: &FilePath) -> Result<bool> {
        match self.tree().node(path)? {
            Node::Directory { .. } => Err(Error::NotAFile(path.clone())),
            Node::File { raw, .. } => Ok(*raw),
        }
    }

    pub(crate) fn keep_raw(&self, path: &FilePath) -> Result<()> {
        let mut tree = self.tree();
        match tree.children(&path.parent().ok_or(Error::Root)?)?.get_mut(path.name()) {
            Some(Node::File { raw, .. }) => *raw = true,
            Some(Node::Directory { .. }) => return Err(Error::NotAFile(path.clone())),
            None => return Err(Error::NotFound(path.clone())),
        }
        Ok(())
    }

    pub(crate) fn insert(
        &self,
        path: &FilePath,
        mut content: Sparse,
        raw: bool,
        overwrite: bool,
    ) -> Result<()> {
        for chunk in content.chunks.values_mut() {
            chunk.shrink_to_fit();
        }
        let mut tree = self.tree();
        tree.require(path, content.allocated_bytes(), self.capacity.min(self.limit))?;
        let file =
            Node::File { content: Arc::new(content), modified: SystemTime::now(), identity: None, raw };
        tree.add(path, file, overwrite)
    }

    pub(crate) fn lock_vm(self: &Arc<Self>, vmx: &FilePath, host: &str) -> Result<VmLock> {
        let mut tree = self.tree();
        tree.children(&vmx.parent().ok_or(Error::Root)?)?;
        if let Some(owner) = tree.locks.get(vmx) {
            return Err(Error::Locked { path: vmx.clone(), owner: owner.clone() });
        }
        tree.locks.insert(vmx.clone(), LockOwner::new(host));
        Ok(VmLock::in_memory(self.clone(), vmx.clone()))
    }

    pub(crate) fn unlock_vm(&self, vmx: &FilePath) {
        self.tree().locks.remove(vmx);
    }

    pub(crate) fn vm_lock_owner(&self, vmx: &FilePath) -> Option<LockOwner> {
        self.tree().locks.get(vmx).cloned()
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl Tree {
    fn require(&self, path: &FilePath, bytes: u64, limit: u64) -> Result<()> {
        if self.used.saturating_add(bytes) > limit { Err(Error::NoSpace(path.clone())) } else { Ok(()) }
    }

    fn node(&self, path: &FilePath) -> Result<&Node> {
        path.components().try_fold(&self.root, |node, component| match node {
            Node::Directory { children, .. } => {
                children.get(component).ok_or_else(|| Error::NotFound(path.clone()))
            }
            Node::File { .. } => Err(Error::NotADirectory(path.clone())),
        })
    }

    fn children(&mut self, path: &FilePath) -> Result<&mut BTreeMap<String, Node>> {
        let mut node = &mut self.root;
        for component in path.components() {
            node = match node {
                Node::Directory { children, .. } => {
                    children.get_mut(component).ok_or_else(|| Error::NotFound(path.clone()))?
                }
                Node::File { .. } => return Err(Error::NotADirectory(path.clone())),
            };
        }
        match node {
            Node::Directory { children, .. } => Ok(children),
            Node::File { .. } => Err(Error::NotADirectory(path.clone())),
        }
    }

    fn check_target(&mut self, path: &FilePath, overwrite: bool) -> Result<()> {
        match self.children(&path.parent().ok_or(Error::Root)?)?.get(path.name()) {
            Some(Node::File { .. }) if overwrite => Ok(()),
            Some(_) => Err(Error::AlreadyExists(path.clone())),
            None => Ok(()),
        }
    }

    fn add(&mut self, path: &FilePath, node: Node, overwrite: bool) -> Result<()> {
        self.check_target(path, overwrite)?;
        let added = node.allocated();
        let parent = path.parent().ok_or(Error::Root)?;
        let replaced = self.children(&parent)?.insert(path.name().to_owned(), node);
        self.used = (self.used + added).saturating_sub(replaced.map_or(0, |node| node.allocated()));
        Ok(())
    }

    fn take(&mut self, path: &FilePath) -> Result<Node> {
        let parent = path.parent().ok_or(Error::Root)?;
        let node =
            self.children(&parent)?.remove(path.name()).ok_or_else(|| Error::NotFound(path.clone()))?;
        self.used = self.used.saturating_sub(node.allocated());
        Ok(node)
    }
}
