//! The resource pools of this host, and which VM is in which. [`Pools::change`] is the one way to change them: it decides on
//! a copy, writes all that differs in one batch, and shows it. VMs that are being made wait for a change to end, and a change
//! for them ([`Pools::enter`]), so that none enters a pool that goes.
//!
//! A host under a center keeps its pools, which the center neither shows nor changes: there the center owns the pools, as
//! it does in vSphere, and all VMs that it makes on the host are in the host's root pool.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::pools::{Allocation, Capacity, Member, admission, admit, show};
use api::{Core, Writer};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use store::{Batch, Collection};
use tokio::sync::{RwLock, RwLockReadGuard};
use vim::{Fault, MoRef, fault, prop, props, vim_enum};

use super::records::number;
use super::register::Register;
use super::vm::Vm;
use crate::error::store_fault;
use crate::ids;

const POOLS: Collection<Pool> = Collection::new("pools");
/// The pool of each VM that is not in the root pool, by the VM's number.
pub(super) const MEMBERS: Collection<String> = Collection::new("vm-pools");
/// Counter of the numbers of pools.
const NUMBERS: &str = "pool";

/// A pool below the root pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Pool {
    pub(super) name: String,
    /// Id of the pool that it is in.
    pub(super) parent: String,
    pub(super) cpu: Allocation,
    pub(super) memory: Allocation,
    /// Counts the changes of the configuration.
    #[serde(default)]
    pub(super) version: u64,
}

pub(crate) struct Pools {
    core: Arc<Core>,
    register: Arc<Register>,
    capacity: Capacity,
    known: Mutex<Known>,
    /// Held by a change, and shared by VMs that enter a pool.
    turn: RwLock<()>,
}

/// Pools by their ids.
type Known = BTreeMap<String, Pool>;

/// A VM enters a pool. It is to be in the register when this is dropped, or not to be there at all.
pub(super) struct Entered<'a> {
    /// The root pool if the pool that was asked for has gone meanwhile.
    pub(super) pool: MoRef,
    _turn: RwLockReadGuard<'a, ()>,
}

/// A change of the pools before it is made.
pub(super) struct Plan {
    pub(super) pools: Known,
    /// The VMs, and the pools that they are to be in.
    pub(super) vms: Vec<(Arc<Vm>, MoRef)>,
}

impl Plan {
    /// A pool that can be changed.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`; `NotSupported` for the root pool.
    pub(super) fn pool(&mut self, me: &MoRef) -> Result<&mut Pool, Fault> {
        if *me == ids::root_pool() {
            return Err(vm::faults::not_supported(
                "The root resource pool stands for the host and cannot be changed",
            ));
        }
        self.pools.get_mut(me.id()).ok_or_else(|| not_found(me))
    }

    /// Refuses a name that another pool of the parent has.
    ///
    /// # Errors
    /// `DuplicateName`.
    pub(super) fn free_name(&self, parent: &str, name: &str, me: Option<&MoRef>) -> Result<(), Fault> {
        let own = me.map(MoRef::id);
        let mut others =
            self.pools.iter().filter(|(id, pool)| pool.parent == parent && own != Some(id.as_str()));
        match others.find(|(_, pool)| pool.name == name) {
            None => Ok(()),
            Some((id, _)) => Err(fault!(
                DuplicateName { name: name, object: reference(id) },
                "A resource pool called {name} exists already"
            )),
        }
    }

    /// Whether the pool `inner` is `outer` or somewhere below it.
    pub(super) fn is_within(&self, inner: &MoRef, outer: &MoRef) -> bool {
        let mut at = Some(inner.id());
        while let Some(here) = at {
            if here == outer.id() {
                return true;
            }
            at = self.pools.get(here).map(|pool| pool.parent.as_str());
        }
        false
    }

    /// Removes a pool; its VMs and pools go to its parent.
    ///
    /// # Errors
    /// Those of [`Self::pool`]; `DuplicateName` if the parent has a pool of the name of one of its pools.
    pub(super) fn remove(&mut self, me: &MoRef) -> Result<(), Fault> {
        let heir = self.pool(me)?.parent.clone();
        self.pools.remove(me.id());
        let children = self.pools.iter().filter(|(_, pool)| pool.parent == me.id());
        let children: Vec<(String, String)> =
            children.map(|(id, pool)| (id.clone(), pool.name.clone())).collect();
        for (id, name) in children {
            self.free_name(&heir, &name, None)?;
            if let Some(pool) = self.pools.get_mut(&id) {
                pool.parent.clone_from(&heir);
            }
        }
        for (_, pool) in self.vms.iter_mut().filter(|(_, pool)| pool == me) {
            *pool = reference(&heir);
        }
        Ok(())
    }

    /// Removes all pools below one, which gets their VMs.
    pub(super) fn dissolve_below(&mut self, me: &MoRef) {
        let below = |id: &String| id != me.id() && self.is_within(&reference(id), me);
        let gone: Vec<String> = self.pools.keys().filter(|id| below(id)).cloned().collect();
        for id in gone {
            self.pools.remove(&id);
            for (_, pool) in self.vms.iter_mut().filter(|(_, pool)| pool.id() == id) {
                *pool = me.clone();
            }
        }
    }
}

impl Pools {
    pub(super) fn new(core: Arc<Core>, register: Arc<Register>, capacity: Capacity) -> Self {
        Self { core, register, capacity, known: Mutex::default(), turn: RwLock::default() }
    }

    /// Reads and shows the pools. A pool whose parent is not there is in the root pool.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn open(&self) -> store::Result<()> {
        let mut pools: Known = POOLS.all(&self.core.store)?.into_iter().collect();
        let root = ids::root_pool();
        let lost: Vec<String> = pools
            .iter()
            .filter(|(_, pool)| !pools.contains_key(&pool.parent))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &lost {
            if let Some(pool) = pools.get_mut(id) {
                root.id().clone_into(&mut pool.parent);
            }
        }
        self.core.tree.write(|w| show_pools(w, &Known::new(), &pools));
        *self.known.lock() = pools;
        Ok(())
    }

    /// A pool below the root pool.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    pub(super) fn find(&self, me: &MoRef) -> Result<Pool, Fault> {
        self.known.lock().get(me.id()).cloned().ok_or_else(|| not_found(me))
    }

    /// The pool that a VM was in when it was last written.
    pub(super) fn of(&self, number: u64) -> MoRef {
        let pool = MEMBERS.get(&self.core.store, &number.to_string()).ok().flatten();
        match pool.filter(|id| self.known.lock().contains_key(id)) {
            Some(id) => reference(&id),
            None => ids::root_pool(),
        }
    }

    /// Notes that a VM is in a pool.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn enter(&self, pool: &MoRef, number: u64) -> Result<Entered<'_>, Fault> {
        let turn = self.turn.read().await;
        let there = self.known.lock().contains_key(pool.id());
        let pool = if there { pool.clone() } else { ids::root_pool() };
        let mut batch = Batch::new();
        assign(&mut batch, number, &pool)?;
        self.core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
        Ok(Entered { pool, _turn: turn })
    }

    /// A reference for a new pool.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn new_reference(&self) -> Result<MoRef, Fault> {
        let mut batch = Batch::new();
        batch.reserve(NUMBERS, 1);
        let reserved = self.core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
        Ok(ids::pool(reserved.reserved.first().map_or(1, |range| range.start)))
    }

    /// Makes a change of the pools and of the places of VMs, if the reservations fit afterwards.
    ///
    /// # Errors
    /// Those of `decide`, those of admission, and the store's; nothing is changed then.
    pub(super) async fn change<R>(
        &self,
        decide: impl FnOnce(&mut Plan) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let _turn = self.turn.write().await;
        let before = self.known.lock().clone();
        let vms = self.register.all().into_iter().map(|vm| {
            let pool = vm.read().pool.clone();
            (vm, pool)
        });
        let mut plan = Plan { pools: before.clone(), vms: vms.collect() };
        let result = decide(&mut plan)?;
        let root = Allocation::default();
        let (old, new) = (members(&before, &root), members(&plan.pools, &root));
        admission::bound(&old, &new)?;
        admit(&old, &new, Some(self.capacity))?;
        let mut moved = plan.vms;
        moved.retain(|(vm, pool)| vm.read().pool != *pool);
        let mut batch = Batch::new();
        for gone in before.keys().filter(|id| !plan.pools.contains_key(*id)) {
            POOLS.delete(&mut batch, gone);
        }
        for (id, pool) in plan.pools.iter().filter(|(id, pool)| before.get(*id) != Some(pool)) {
            POOLS.put(&mut batch, id, pool).map_err(|error| store_fault(&error))?;
        }
        for (vm, pool) in &moved {
            assign(&mut batch, number(&vm.me), pool)?;
        }
        self.core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
        self.core.tree.write(|w| show_pools(w, &before, &plan.pools));
        for (vm, pool) in moved {
            vm.change(|state| state.pool = pool);
        }
        // Last of all, since VMs have left them now.
        let gone = before.keys().filter(|id| !plan.pools.contains_key(*id));
        self.core.tree.write(|w| gone.for_each(|id| w.remove(&reference(id))));
        *self.known.lock() = plan.pools;
        Ok(result)
    }
}

/// Notes the pool of a VM.
fn assign(batch: &mut Batch, number: u64, pool: &MoRef) -> Result<(), Fault> {
    if *pool == ids::root_pool() {
        MEMBERS.delete(batch, &number.to_string());
        return Ok(());
    }
    let put = MEMBERS.put(batch, &number.to_string(), &pool.id().to_owned());
    put.map(drop).map_err(|error| store_fault(&error))
}

fn members<'a>(pools: &'a Known, root: &'a Allocation) -> Vec<Member<'a, &'a str>> {
    const ROOT: &str = "";
    let top = Member { me: ROOT, parent: None, cpu: root, memory: root };
    let others = pools.iter().map(|(id, pool)| Member {
        me: id.as_str(),
        parent: Some(if pools.contains_key(&pool.parent) { pool.parent.as_str() } else { ROOT }),
        cpu: &pool.cpu,
        memory: &pool.memory,
    });
    std::iter::once(top).chain(others).collect()
}

/// Shows the pools that differ; those that are gone leave their parents.
fn show_pools(w: &mut Writer<'_>, before: &Known, after: &Known) {
    for (id, pool) in before {
        if after.get(id).is_none_or(|now| now.parent != pool.parent) {
            w.remove_ref(&reference(&pool.parent), prop!(ResourcePool.resourcePool), &reference(id));
        }
    }
    for (id, pool) in after {
        let me = reference(id);
        let known = before.get(id);
        if known.is_none() {
            let shown = props!(ResourcePool {
                owner: ids::compute_resource(),
                overallStatus: vim_enum!(ManagedEntityStatus.green),
                configStatus: vim_enum!(ManagedEntityStatus.green),
                alarmActionsEnabled: true,
            });
            w.create(&me, shown);
        }
        if known != Some(pool) {
            let config = show::config(&me, pool.version, &pool.cpu, &pool.memory);
            let (name, parent) = (&pool.name, reference(&pool.parent));
            w.set(&me, props!(ResourcePool { name: name, parent: parent, config: config }));
        }
    }
    for (id, pool) in after {
        if before.get(id).is_none_or(|known| known.parent != pool.parent) {
            w.add_ref(&reference(&pool.parent), prop!(ResourcePool.resourcePool), &reference(id));
        }
    }
}

fn reference(id: &str) -> MoRef {
    MoRef::new(vim::managed_id!(ResourcePool), id)
}

fn not_found(pool: &MoRef) -> Fault {
    fault!(ManagedObjectNotFound { obj: pool }, "{pool} does not exist; it may have been removed")
}
