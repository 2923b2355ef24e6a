//! What all parts of the center share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use api::Core;
use serde::{Deserialize, Serialize};
use store::{Batch, Collection};
use vim::MoRef;

use crate::hosts::Hosts;
use crate::hosts::connector::Connector;
use crate::inventory::Inventory;
use crate::records::Record;
use crate::reference;

pub(crate) struct State {
    pub core: Arc<Core>,
    pub inventory: Arc<Inventory>,
    pub hosts: Hosts,
    pub connector: Arc<dyn Connector>,
    pub expected: Expected,
    /// The center's own address as hosts and clients know it, if it was given.
    pub address: Option<String>,
}

/// Where a VM that is about to appear on a host belongs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Placement {
    #[serde(with = "reference")]
    pub folder: MoRef,
    #[serde(with = "reference")]
    pub pool: MoRef,
}

const PLACEMENTS: Collection<Placement> = Collection::new("placements");

/// Places of VMs whose creation is under way, by instance UUID. They outlive a crash, so that a VM that the host made
/// meanwhile is found where it was asked for.
#[derive(Default)]
pub(crate) struct Expected {
    places: Mutex<HashMap<String, Placement>>,
}

impl Expected {
    pub(crate) fn open(store: &store::Store) -> store::Result<Self> {
        Ok(Self { places: Mutex::new(PLACEMENTS.all(store)?.into_iter().collect()) })
    }

    /// Forgets the places of VMs that have appeared since.
    pub(crate) async fn prune(&self, inventory: &Inventory) -> store::Result<()> {
        let known: Vec<String> = {
            let records = inventory.records();
            let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            let vms = records.values().filter_map(|record| match record {
                Record::Vm(vm) => Some(&vm.instance_uuid),
                _ => None,
            });
            vms.filter(|uuid| places.contains_key(*uuid)).cloned().collect()
        };
        for uuid in known {
            self.remove(&inventory.store, &uuid).await?;
        }
        Ok(())
    }

    pub(crate) fn find(&self, instance_uuid: &str) -> Option<Placement> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).get(instance_uuid).cloned()
    }

    pub(crate) async fn add(
        &self,
        store: &store::Store,
        instance_uuid: &str,
        place: Placement,
    ) -> store::Result<()> {
        let mut batch = Batch::new();
        PLACEMENTS.put(&mut batch, instance_uuid, &place)?;
        store.commit(batch).await?;
        self.places.lock().unwrap_or_else(PoisonError::into_inner).insert(instance_uuid.to_owned(), place);
        Ok(())
    }

    pub(crate) async fn remove(&self, store: &store::Store, instance_uuid: &str) -> store::Result<()> {
        let mut batch = Batch::new();
        PLACEMENTS.delete(&mut batch, instance_uuid);
        store.commit(batch).await?;
        self.places.lock().unwrap_or_else(PoisonError::into_inner).remove(instance_uuid);
        Ok(())
    }
}
