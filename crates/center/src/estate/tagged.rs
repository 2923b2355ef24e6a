//! Tags of objects that go: they go with them.

use std::sync::Arc;

use tags::{Object, TagError, Tags};
use vim::{MoRef, schema};

use super::inventory::Inventory;
use super::records::Changes;

/// The objects that a change removes, as tags name them.
pub(super) fn gone(changes: &Changes) -> Vec<Object> {
    let removed = changes.iter().filter(|(_, record)| record.is_none());
    removed.map(|(me, _)| Object::new(me.type_name(), me.id())).collect()
}

impl Inventory {
    /// From now on, an object that goes loses its tags. Those of objects that went just before a crash are removed at once.
    pub(crate) async fn tagged_by(&self, tags: &Arc<Tags>) -> Result<(), TagError> {
        let _ = self.tags.set(tags.clone());
        tags.prune(|object| {
            // Objects that are not of the inventory's types belong to others.
            let ty = schema().find_managed(object.ty());
            ty.is_some_and(|ty| self.record(&MoRef::new(ty, object.id())).is_none())
        })
        .await
    }

    /// Takes the tags from objects that are gone. They are invisible then, so a failure leaves nothing that a client can see, and the next
    /// start tries again.
    pub(super) async fn forget_tags(&self, gone: &[Object]) {
        let Some(tags) = self.tags.get().filter(|_| !gone.is_empty()) else { return };
        if let Err(error) = tags.forget(gone).await {
            tracing::warn!(%error, "tags of removed objects are left");
        }
    }
}
