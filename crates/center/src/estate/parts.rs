//! The owners of objects that are not entities: a host's systems, the browser of a datastore, the snapshots of a VM.
//!
//! A permission on the owner holds for its parts, and a method of a part is carried to the host of its owner.

use std::collections::HashMap;

use parking_lot::RwLock;
use vim::MoRef;

/// The owning entity of each part, both by the center's references.
#[derive(Default)]
pub(crate) struct Parts {
    owners: RwLock<HashMap<MoRef, MoRef>>,
}

impl Parts {
    pub(crate) fn add(&self, part: &MoRef, owner: &MoRef) {
        self.owners.write().insert(part.clone(), owner.clone());
    }

    pub(crate) fn remove(&self, part: &MoRef) {
        self.owners.write().remove(part);
    }

    pub(crate) fn owner(&self, part: &MoRef) -> Option<MoRef> {
        self.owners.read().get(part).cloned()
    }
}
