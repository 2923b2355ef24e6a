//! Opening the inventory: what was there, or a new one with its root folder.

use std::sync::{Arc, RwLock};

use api::Tree;
use api::managers::{CUSTOM_VALUES, show_custom_values};
use store::{Batch, Store};
use vim::{MoRef, managed_id};

use super::{Inventory, Records};
use crate::Error;
use crate::ids::Ids;
use crate::records::{Folder, Holds, OBJECTS, Record};

/// The root folder's id; it takes the counter's first number.
pub(crate) const ROOT: &str = "group-d1";

pub(crate) fn root() -> MoRef {
    MoRef::new(managed_id!(Folder), ROOT)
}

impl Inventory {
    /// Reads everything from the store and shows it in the tree.
    pub(crate) async fn open(tree: Arc<Tree>, store: Store, durable: bool) -> Result<Arc<Self>, Error> {
        let stored = OBJECTS.all(&store)?;
        let mut objects: Vec<_> =
            stored.into_iter().map(|(id, record)| (record.reference(&id), record)).collect();
        // Older objects first: lists come out in the order in which things were made.
        objects.sort_by_key(|(reference, _)| (number(reference.id()), reference.clone()));
        let ids = Ids::new(store.clone());
        let turn = Arc::default();
        let inventory =
            Arc::new(Self { tree, store, durable, ids, records: RwLock::new(Records::new()), turn });
        if objects.is_empty() {
            inventory.ids.reserve(1).await?;
            inventory.ids.take();
            let folder =
                Folder { name: "Datacenters".into(), parent: None, holds: Holds::Datacenters, fixed: true };
            let turn = inventory.turn().await;
            let first = vec![(root(), Some(Record::Folder(folder)))];
            turn.finish(first, |_, _| ()).await.map_err(Error::Start)?;
        } else {
            let known = objects.into_iter().map(|(reference, record)| (reference, Some(record))).collect();
            inventory.show(known, |_, _| ());
        }
        inventory.show_custom_values().await?;
        Ok(inventory)
    }

    /// Gives objects the values of their custom fields; those of objects that are gone are forgotten.
    async fn show_custom_values(&self) -> Result<(), Error> {
        let mut orphans = Batch::new();
        let seen = self.tree.snapshot();
        let mut all = Vec::new();
        for (id, values) in CUSTOM_VALUES.all(&self.store)? {
            match seen.find_id(&id) {
                Some(node) => all.push((node.me().clone(), values)),
                None => CUSTOM_VALUES.delete(&mut orphans, &id),
            }
        }
        self.store.commit(orphans).await?;
        self.tree.write(|w| {
            for (me, values) in &all {
                show_custom_values(w, me, values);
            }
        });
        Ok(())
    }
}

/// The number at the end of an id.
fn number(id: &str) -> u64 {
    let digits = id.bytes().rev().take_while(u8::is_ascii_digit).count();
    id[id.len() - digits..].parse().unwrap_or(u64::MAX)
}
