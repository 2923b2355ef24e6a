//! The tree at one version, with the log of the changes that led to it.

use std::sync::Arc;

use super::Node;
use super::by_id::ById;
use vim::{Fault, MoRef, fault};

/// `ManagedObjectNotFound` for this object.
pub fn not_found(reference: &MoRef) -> Fault {
    fault!(ManagedObjectNotFound { obj: reference }, "{reference} does not exist; it may have been deleted")
}

/// A change of an object in one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Created,
    /// The numbers of the properties that have a new value or were unset.
    Set(Box<[u16]>),
    Removed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub object: MoRef,
    pub what: What,
}

/// The changes that made one version out of the one before.
#[derive(Debug)]
pub struct Commit {
    pub version: u64,
    pub changes: Vec<Change>,
}

/// The log does not reach back to the requested version.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the change log no longer reaches back to version {0}")]
pub struct TooOld(pub u64);

/// The tree at one version. Cloning shares everything.
#[derive(Clone, Default)]
pub struct Snapshot {
    pub(super) version: u64,
    pub(super) nodes: imbl::HashMap<ById, Arc<Node>>,
    pub(super) log: imbl::Vector<Arc<Commit>>,
    pub(super) log_changes: usize,
}

/// The objects of a [`Snapshot`], without its log.
#[derive(Clone, Default)]
pub(crate) struct Nodes(imbl::HashMap<ById, Arc<Node>>);

impl Nodes {
    /// The object with this id whose type is the reference's or derived from it.
    pub fn find(&self, reference: &MoRef) -> Option<&Arc<Node>> {
        self.0.get(reference.id()).filter(|node| node.me().is_a(reference.ty()))
    }
}

impl Snapshot {
    pub(crate) fn nodes(&self) -> Nodes {
        Nodes(self.nodes.clone())
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// The object with this id whose type is the reference's or derived from it.
    pub fn find(&self, reference: &MoRef) -> Option<&Arc<Node>> {
        self.find_id(reference.id()).filter(|node| node.me().is_a(reference.ty()))
    }

    /// The same for an object that must exist.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    pub fn require(&self, reference: &MoRef) -> Result<&Arc<Node>, Fault> {
        self.find(reference).ok_or_else(|| not_found(reference))
    }

    pub fn find_id(&self, id: &str) -> Option<&Arc<Node>> {
        self.nodes.get(id)
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All objects, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// The commits after `version`, oldest first. The length of the log before them does not matter.
    ///
    /// # Errors
    /// [`TooOld`] if the log has dropped some of them.
    pub fn since(&self, version: u64) -> Result<impl Iterator<Item = &Arc<Commit>>, TooOld> {
        let missing = usize::try_from(self.version.saturating_sub(version)).unwrap_or(usize::MAX);
        if version > self.version || missing > self.log.len() {
            return Err(TooOld(version));
        }
        // Skipping with an iterator of the vector would step through all commits before.
        Ok((self.log.len() - missing..self.log.len()).filter_map(|at| self.log.get(at)))
    }
}
