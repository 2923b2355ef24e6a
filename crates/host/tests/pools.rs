//! Resource pools of a host: their VMs, their reservations, and what is left of them after a restart.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Site, simulated, small};
use host::ids;
use vim::{Fault, MoRef, Object, Value, call, field, prop, ty, vim};

fn spec(memory_reservation: i64, expandable: bool) -> ty!(ResourceConfigSpec) {
    vim!(ResourceConfigSpec {
        cpuAllocation: ResourceAllocationInfo {},
        memoryAllocation: ResourceAllocationInfo {
            reservation: memory_reservation,
            expandableReservation: expandable,
        },
    })
}

async fn make(c: &Client, parent: &MoRef, name: &str, spec: ty!(ResourceConfigSpec)) -> Result<MoRef, Fault> {
    let made = c.invoke(parent, call!(CreateResourcePool { name: name, spec: spec })).await?;
    Ok(made.as_ref().and_then(Value::as_ref).unwrap().clone())
}

async fn vm_in(c: &Client, pool: &MoRef, name: &str) -> MoRef {
    let made = c.task(pool, call!(CreateChildVM_Task { config: Object::from(small(name)) })).await.unwrap();
    made.as_ref().and_then(Value::as_ref).unwrap().clone()
}

fn pool_of(c: &Client, vm: &MoRef) -> MoRef {
    let state = c.host.core.tree.snapshot();
    state.find(vm).unwrap().get(prop!(VirtualMachine.resourcePool)).unwrap().clone()
}

fn vms(c: &Client, pool: &MoRef) -> Vec<MoRef> {
    let state = c.host.core.tree.snapshot();
    state.find(pool).unwrap().get(prop!(ResourcePool.vm)).into_iter().flatten().cloned().collect()
}

fn children(c: &Client, pool: &MoRef) -> Vec<MoRef> {
    let state = c.host.core.tree.snapshot();
    state.find(pool).unwrap().get(prop!(ResourcePool.resourcePool)).into_iter().flatten().cloned().collect()
}

fn refused<T>(outcome: Result<T, Fault>) -> &'static str {
    outcome.err().expect("a refusal").type_name()
}

#[tokio::test]
async fn pools_and_their_vms_survive_a_restart() {
    let site = Site::new();
    let c = site.open().await;
    let root = ids::root_pool();
    let a = make(&c, &root, "a", spec(0, true)).await.unwrap();
    let b = make(&c, &a, "b", spec(0, true)).await.unwrap();
    let in_b = vm_in(&c, &b, "web").await;
    let in_root = vm_in(&c, &root, "db").await;
    c.invoke(&b, call!(UpdateConfig { name: "c", config: spec(64, false) })).await.unwrap();
    c.close().await;
    let c = site.open().await;
    assert_eq!((pool_of(&c, &in_b), pool_of(&c, &in_root)), (b.clone(), root.clone()));
    assert_eq!((vms(&c, &b), vms(&c, &root)), (vec![in_b.clone()], vec![in_root.clone()]));
    assert_eq!((children(&c, &root), children(&c, &a)), (vec![a.clone()], vec![b.clone()]));
    assert_eq!(c.get(&b, prop!(ManagedEntity.name)).unwrap(), "c");
    let config = c.get(&b, prop!(ResourcePool.config)).unwrap();
    let memory = config.get(field!(ResourceConfigSpec.memoryAllocation)).unwrap();
    assert_eq!(memory.get(field!(ResourceAllocationInfo.reservation)), Some(64));
    assert_eq!(memory.get(field!(ResourceAllocationInfo.expandableReservation)), Some(false));
    // A pool that goes leaves its VMs and pools to its parent.
    c.task(&a, call!(Destroy_Task {})).await.unwrap();
    assert_eq!(children(&c, &root), std::slice::from_ref(&b));
    c.task(&b, call!(Destroy_Task {})).await.unwrap();
    assert_eq!(pool_of(&c, &in_b), root);
    assert_eq!(vms(&c, &root).len(), 2);
    c.close().await;
    let c = site.open().await;
    assert_eq!((pool_of(&c, &in_b), children(&c, &root)), (root, Vec::new()));
    // Its number is never used again.
    let next = make(&c, &ids::root_pool(), "a", spec(0, true)).await.unwrap();
    assert!(next != a && next != b);
}

#[tokio::test]
async fn vms_and_pools_move_within_the_host_and_not_into_themselves() {
    let c = simulated().await;
    let root = ids::root_pool();
    let a = make(&c, &root, "a", spec(0, true)).await.unwrap();
    let b = make(&c, &a, "b", spec(0, true)).await.unwrap();
    let vm = vm_in(&c, &root, "web").await;
    c.invoke(&b, call!(MoveIntoResourcePool { list: [vm.clone()] })).await.unwrap();
    assert_eq!((pool_of(&c, &vm), vms(&c, &root)), (b.clone(), Vec::new()));
    let into_itself = c.invoke(&b, call!(MoveIntoResourcePool { list: [a.clone()] })).await;
    assert_eq!(refused(into_itself), "InvalidArgument");
    let the_root = c.invoke(&b, call!(MoveIntoResourcePool { list: [root.clone()] })).await;
    assert_eq!(refused(the_root), "NotSupported");
    c.invoke(&root, call!(MoveIntoResourcePool { list: [b.clone()] })).await.unwrap();
    assert_eq!((children(&c, &root), children(&c, &a)), (vec![a.clone(), b.clone()], Vec::new()));
    assert_eq!(refused(c.task(&b, call!(Rename_Task { newName: "a" })).await), "DuplicateName");
    assert_eq!(refused(c.task(&root, call!(Rename_Task { newName: "x" })).await), "NotSupported");
    c.invoke(&root, call!(DestroyChildren {})).await.unwrap();
    assert_eq!((children(&c, &root), pool_of(&c, &vm)), (Vec::new(), root));
}

#[tokio::test]
async fn a_reservation_that_the_host_or_the_parent_does_not_have_is_refused() {
    // 64 GiB.
    let c = simulated().await;
    let root = ids::root_pool();
    let all = 64 << 10;
    assert_eq!(refused(make(&c, &root, "a", spec(all + 1, true)).await), "InsufficientMemoryResourcesFault");
    let a = make(&c, &root, "a", spec(all - 1000, false)).await.unwrap();
    assert_eq!(refused(make(&c, &root, "b", spec(1001, true)).await), "InsufficientMemoryResourcesFault");
    let b = make(&c, &root, "b", spec(1000, true)).await.unwrap();
    let more = call!(UpdateConfig { config: spec(1001, true) });
    assert_eq!(refused(c.invoke(&b, more).await), "InsufficientMemoryResourcesFault");
    let inner = make(&c, &a, "inner", spec(all - 1000, true)).await.unwrap();
    let out = c.invoke(&root, call!(MoveIntoResourcePool { list: [inner.clone()] })).await;
    assert_eq!(refused(out), "InsufficientMemoryResourcesFault");
    assert_eq!(children(&c, &a), std::slice::from_ref(&inner));
    let children_of_b = call!(UpdateChildResourceConfiguration {
        spec: [vim!(ResourceConfigSpec {
            entity: &inner,
            cpuAllocation: ResourceAllocationInfo {},
            memoryAllocation: ResourceAllocationInfo {},
        })]
    });
    assert_eq!(refused(c.invoke(&b, children_of_b).await), "InvalidArgument");
}
