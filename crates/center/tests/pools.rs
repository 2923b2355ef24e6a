//! Resource pools as places for VMs, below a cluster and below a standalone host: their VMs, also after a restart.

#![allow(clippy::unwrap_used)]

mod common;

use center::Place;
use common::toy::Toy;
use common::{Client, center_in, root};
use vim::{MoRef, Value, call, field, managed_id, prop, vim};

/// Names of the VMs that the pool lists.
fn vms(client: &Client, pool: &MoRef) -> Vec<String> {
    client.refs(pool, prop!(ResourcePool.vm).number()).iter().map(|vm| client.name(vm)).collect()
}

fn pool_of(client: &Client, vm: &MoRef) -> MoRef {
    client.reference(vm, prop!(VirtualMachine.resourcePool).number())
}

fn limit(client: &Client, pool: &MoRef) -> Option<i64> {
    let config = client.get(pool, prop!(ResourcePool.config).number()).unwrap();
    let memory = config.as_object().unwrap().get(field!(ResourceConfigSpec.memoryAllocation)).unwrap();
    memory.get(field!(ResourceAllocationInfo.limit))
}

fn spec(limit: i64) -> vim::ty!(ResourceConfigSpec) {
    vim!(ResourceConfigSpec {
        cpuAllocation: ResourceAllocationInfo {},
        memoryAllocation: ResourceAllocationInfo { limit: limit },
    })
}

async fn vm_lives_in_child_pools(in_cluster: bool) {
    let directory = tempfile::tempdir().unwrap();
    let center = center_in(directory.path()).await;
    let client = Client::of(&center);
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    let folder = client.reference(&dc, prop!(Datacenter.vmFolder).number());
    let hosts = client.reference(&dc, prop!(Datacenter.hostFolder).number());
    let place = if in_cluster {
        Place::Cluster { cluster: center.add_cluster(&hosts, "C").await.unwrap() }
    } else {
        Place::Standalone { folder: hosts }
    };
    let toy = Toy::new("h1");
    let host = center.attach(toy.link(), &place).await.unwrap();
    let compute = client.reference(&host, prop!(HostSystem.parent).number());
    let top = client.reference(&compute, prop!(ComputeResource.resourcePool).number());
    let a = client.make(&top, call!(CreateResourcePool { name: "a", spec: spec(-1) })).await;
    let b = client.make(&a, call!(CreateResourcePool { name: "b", spec: spec(-1) })).await;
    let config = |name: &str| {
        vim!(VirtualMachineConfigSpec { name: name, files: VirtualMachineFileInfo { vmPathName: "[ds]" } })
    };
    let made = client.task(&folder, call!(CreateVM_Task { config: config("web"), pool: &b })).await.unwrap();
    let vm = made.unwrap().as_ref().unwrap().clone();
    client.task(&a, call!(CreateChildVM_Task { config: config("other") })).await.unwrap();
    assert_eq!(pool_of(&client, &vm), b);
    assert_eq!((vms(&client, &b), vms(&client, &a)), (vec!["web".into()], vec!["other".into()]));
    assert!(vms(&client, &top).is_empty());

    client.task(&b, call!(Rename_Task { newName: "c" })).await.unwrap();
    client.call(&b, call!(UpdateConfig { config: spec(512) })).await.unwrap();
    client.call(&a, call!(MoveIntoResourcePool { list: [vm.clone()] })).await.unwrap();
    assert_eq!((pool_of(&client, &vm), vms(&client, &b)), (a.clone(), Vec::new()));
    client.call(&top, call!(MoveIntoResourcePool { list: [b.clone()] })).await.unwrap();
    client.call(&b, call!(MoveIntoResourcePool { list: [vm.clone()] })).await.unwrap();
    // A later report of the host leaves the VM in its place.
    client.task(&vm, call!(PowerOnVM_Task {})).await.unwrap();
    let check = |client: &Client| {
        assert_eq!((pool_of(client, &vm), vms(client, &b)), (b.clone(), vec!["web".to_owned()]));
        assert_eq!((client.name(&b), limit(client, &b)), ("c".to_owned(), Some(512)));
        assert_eq!(client.refs(&top, prop!(ResourcePool.resourcePool).number()), [a.clone(), b.clone()]);
        assert_eq!(client.reference(&b, prop!(ResourcePool.owner).number()), compute);
        assert_eq!(vms(client, &a), ["other"]);
        assert!(vms(client, &top).is_empty());
    };
    check(&client);
    drop(client);
    drop(center);

    let center = center_in(directory.path()).await;
    let client = Client::of(&center);
    check(&client);
    assert_eq!(center.attach(toy.link(), &place).await.unwrap(), host, "it is the same host");
    check(&client);
    client.task(&b, call!(Destroy_Task {})).await.unwrap();
    assert!(!client.exists(&b));
    assert_eq!(pool_of(&client, &vm), top);
    client.call(&top, call!(DestroyChildren {})).await.unwrap();
    let all = client.refs(&top, prop!(ResourcePool.vm).number());
    assert_eq!(all.len(), 2, "the VMs of pools that are gone");
    assert!(client.all(managed_id!(ResourcePool)).iter().all(|(_, pool)| *pool == top));
    let state = client.get(&vm, prop!(VirtualMachine.runtime).number());
    assert!(state.as_ref().and_then(Value::as_object).is_some());
}

#[tokio::test]
async fn a_vm_lives_in_the_child_pools_of_a_cluster() {
    vm_lives_in_child_pools(true).await;
}

#[tokio::test]
async fn a_vm_lives_in_the_child_pools_of_a_standalone_host() {
    vm_lives_in_child_pools(false).await;
}

fn reserves(mhz: i64, mib: i64) -> vim::ty!(ResourceConfigSpec) {
    vim!(ResourceConfigSpec {
        cpuAllocation: ResourceAllocationInfo { reservation: mhz },
        memoryAllocation: ResourceAllocationInfo { reservation: mib },
    })
}

#[tokio::test]
async fn a_root_pool_gives_what_its_hosts_have_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let center = center_in(directory.path()).await;
    let client = Client::of(&center);
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    let hosts = client.reference(&dc, prop!(Datacenter.hostFolder).number());
    let cluster = center.add_cluster(&hosts, "C").await.unwrap();
    let top = client.reference(&cluster, prop!(ComputeResource.resourcePool).number());
    let pool = |name: &'static str, mhz, mib| {
        client.call(&top, call!(CreateResourcePool { name: name, spec: reserves(mhz, mib) }))
    };
    let refused = |answer: Result<Option<Value>, vim::Fault>| answer.unwrap_err().type_name();
    assert_eq!(
        refused(pool("none", 1, 0).await),
        "InsufficientCpuResourcesFault",
        "the cluster has no hosts yet"
    );
    let place = Place::Cluster { cluster: cluster.clone() };
    // Each has 8 GHz and 4 GiB.
    let one = center.attach(Toy::new("h1").link(), &place).await.unwrap();
    pool("all", 8_000, 4_096).await.unwrap();
    assert_eq!(refused(pool("more", 1, 0).await), "InsufficientCpuResourcesFault");
    assert_eq!(refused(pool("more", 0, 1).await), "InsufficientMemoryResourcesFault");
    center.attach(Toy::new("h2").link(), &place).await.unwrap();
    pool("more", 8_000, 4_096).await.unwrap();
    // Reservations stay when a host goes, and a step back is open.
    client.task(&one, call!(DisconnectHost_Task {})).await.unwrap();
    let more = client.refs(&top, prop!(ResourcePool.resourcePool).number()).pop().unwrap();
    let smaller = call!(UpdateConfig { config: reserves(0, 2_048) });
    client.call(&more, smaller).await.unwrap();
    let larger = client.call(&more, call!(UpdateConfig { config: reserves(0, 4_096) })).await;
    assert_eq!(refused(larger), "InsufficientMemoryResourcesFault");
}
