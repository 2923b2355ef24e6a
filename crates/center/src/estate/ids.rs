//! Numbers for new objects, from one durable counter. A number is never used twice, not even after a restart.

use std::ops::Range;

use parking_lot::Mutex;
use store::{Batch, Store};
use vim::{ManagedId, MoRef, managed_id, schema};

use super::records::Holds;

const COUNTER: &str = "inventory";
/// The fewest numbers that are reserved at a time; a restart skips those that are left.
const BLOCK: u64 = 64;

pub(crate) struct Ids {
    store: Store,
    reserved: Mutex<Range<u64>>,
}

impl Ids {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, reserved: Mutex::new(0..0) }
    }

    /// Makes sure that `n` numbers can be taken.
    pub(crate) async fn reserve(&self, n: u64) -> store::Result<()> {
        let left = {
            let reserved = self.reserved.lock();
            reserved.end - reserved.start
        };
        if left >= n {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.reserve(COUNTER, (n - left).max(BLOCK));
        let taken = self.store.commit(batch).await?.reserved.pop().expect("one counter was asked");
        let mut reserved = self.reserved.lock();
        // Only this object uses the counter, so blocks follow on each other.
        *reserved = if reserved.is_empty() { taken } else { reserved.start..taken.end };
        Ok(())
    }

    /// The next number of those reserved.
    pub(crate) fn take(&self) -> u64 {
        let mut reserved = self.reserved.lock();
        reserved.next().expect("numbers are reserved before they are taken")
    }

    /// A new reference, with the prefix of the type (`vm-`). For folders see [`Ids::folder`].
    pub(crate) fn reference(&self, ty: ManagedId) -> MoRef {
        MoRef::new(ty, format!("{}{}", prefix(ty), self.take()))
    }

    pub(crate) fn folder(&self, holds: Holds) -> MoRef {
        MoRef::new(managed_id!(Folder), format!("group-{}{}", holds.letter(), self.take()))
    }
}

/// The start of every id of the type.
fn prefix(ty: ManagedId) -> &'static str {
    const VM: ManagedId = managed_id!(VirtualMachine);
    const SNAPSHOT: ManagedId = managed_id!(VirtualMachineSnapshot);
    const HOST: ManagedId = managed_id!(HostSystem);
    const DATACENTER: ManagedId = managed_id!(Datacenter);
    const CLUSTER: ManagedId = managed_id!(ClusterComputeResource);
    const COMPUTE: ManagedId = managed_id!(ComputeResource);
    const POOL: ManagedId = managed_id!(ResourcePool);
    const DATASTORE: ManagedId = managed_id!(Datastore);
    const POD: ManagedId = managed_id!(StoragePod);
    const VAPP: ManagedId = managed_id!(VirtualApp);
    match ty {
        VM => "vm-",
        SNAPSHOT => "snapshot-",
        HOST => "host-",
        DATACENTER => "datacenter-",
        CLUSTER => "domain-c",
        COMPUTE => "domain-s",
        POOL => "resgroup-",
        DATASTORE => "datastore-",
        POD => "group-p",
        VAPP => "resgroup-v",
        ty if schema().managed(managed_id!(Network)).subtypes.contains(&ty.0) => "network-",
        _ => unreachable!("the center makes no other objects"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn numbers_are_not_given_again_after_a_restart() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("center.db");
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3 {
            let ids = Ids::new(Store::open(&path).expect("opens"));
            ids.reserve(3).await.expect("reserves");
            ids.reserve(100).await.expect("reserves");
            for _ in 0..100 {
                assert!(seen.insert(ids.take()), "every number is new");
            }
        }
    }
}
