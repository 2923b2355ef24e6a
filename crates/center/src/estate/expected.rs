//! The places of VMs whose creation is under way.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use store::{Batch, Collection, Store};
use vim::MoRef;

use super::inventory::Inventory;
use super::records::Record;
use super::reference;

/// The folder and pool of a VM that is about to appear on a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Placement {
    #[serde(with = "reference")]
    pub folder: MoRef,
    #[serde(with = "reference")]
    pub pool: MoRef,
}

const PLACEMENTS: Collection<Placement> = Collection::new("placements");

/// Placements by instance UUID. They outlive a crash, so that a VM that the host created meanwhile appears in the place
/// that the client asked for.
pub(crate) struct Expected {
    store: Store,
    places: Mutex<HashMap<String, Placement>>,
}

impl Expected {
    pub(crate) fn open(store: Store) -> store::Result<Self> {
        let places = PLACEMENTS.all(&store)?.into_iter().collect();
        Ok(Self { store, places: Mutex::new(places) })
    }

    /// Forgets the places of VMs that have appeared since.
    pub(crate) async fn prune(&self, inventory: &Inventory) -> store::Result<()> {
        let known: Vec<String> = {
            let records = inventory.records();
            let places = self.places.lock();
            let vms = records.values().filter_map(|record| match record {
                Record::Vm(vm) => Some(&vm.instance_uuid),
                _ => None,
            });
            vms.filter(|uuid| places.contains_key(*uuid)).cloned().collect()
        };
        for uuid in known {
            self.remove(&uuid).await?;
        }
        Ok(())
    }

    pub(crate) fn find(&self, instance_uuid: &str) -> Option<Placement> {
        self.places.lock().get(instance_uuid).cloned()
    }

    pub(crate) async fn add(&self, instance_uuid: &str, place: Placement) -> store::Result<()> {
        let mut batch = Batch::new();
        PLACEMENTS.put(&mut batch, instance_uuid, &place)?;
        self.store.commit(batch).await?;
        self.places.lock().insert(instance_uuid.to_owned(), place);
        Ok(())
    }

    pub(crate) async fn remove(&self, instance_uuid: &str) -> store::Result<()> {
        let mut batch = Batch::new();
        PLACEMENTS.delete(&mut batch, instance_uuid);
        self.store.commit(batch).await?;
        self.places.lock().remove(instance_uuid);
        Ok(())
    }
}
