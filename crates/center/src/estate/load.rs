//! Opening the inventory: the stored one, or a new one with its root folder.

use std::collections::HashMap;
use std::sync::Arc;

use api::Tree;
use api::managers::{CUSTOM_VALUES, show_custom_values};
use store::{Batch, Store};
use vim::{MoRef, managed_id};

use super::inventory::Inventory;
use super::records::{Folder, Holds, OBJECTS, Record};
use crate::error::Error;

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
        // Older objects first, so that lists are in the order of creation.
        objects.sort_by_key(|(reference, _)| (number(reference.id()), reference.clone()));
        let inventory = Self::empty(tree, store, durable);
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

    /// Gives objects the values of their custom fields and forgets the values of removed objects.
    async fn show_custom_values(&self) -> Result<(), Error> {
        let mut orphans = Batch::new();
        let mut all = Vec::new();
        let stored = CUSTOM_VALUES.all(&self.store)?;
        {
            let records = self.records();
            let by_id: HashMap<&str, &MoRef> = records.keys().map(|at| (at.id(), at)).collect();
            for (id, values) in stored {
                match by_id.get(id.as_str()) {
                    Some(me) => all.push(((*me).clone(), values)),
                    None => CUSTOM_VALUES.delete(&mut orphans, &id),
                }
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
