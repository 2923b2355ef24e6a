//! vApps and datastore clusters: what a restart keeps, and whose rights count.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use center::{Center, Place};
use common::toy::Toy;
use common::{Client, center_in, root};
use vim::{MoRef, Value, call, field, managed_id, prop, vim};

/// A datacenter with a host that has the VM `web`, and a vApp with that VM in it.
struct Stage {
    toy: Arc<Toy>,
    place: Place,
    folder: MoRef,
    stores: MoRef,
    top: MoRef,
    vapp: MoRef,
    vm: MoRef,
}

impl Stage {
    async fn make(center: &Center, client: &Client) -> Self {
        let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
        let of = |property: u16| client.reference(&dc, property);
        let folder = of(prop!(Datacenter.vmFolder).number());
        let stores = of(prop!(Datacenter.datastoreFolder).number());
        let hosts = of(prop!(Datacenter.hostFolder).number());
        let place = Place::Cluster { cluster: center.add_cluster(&hosts, "C").await.unwrap() };
        let toy = Toy::new("h1");
        toy.add_vm("1", "web", "aaaa");
        let host = center.attach(toy.link(), &place).await.unwrap();
        let compute = client.reference(&host, prop!(HostSystem.parent).number());
        let top = client.reference(&compute, prop!(ComputeResource.resourcePool).number());
        let allocation = || vim!(ResourceAllocationInfo {});
        let create = call!(CreateVApp {
            name: "shop",
            resSpec: ResourceConfigSpec { cpuAllocation: allocation(), memoryAllocation: allocation() },
            configSpec: VAppConfigSpec { annotation: "sells" },
            vmFolder: &folder,
        });
        let vapp = client.make(&top, create).await;
        let vm = client.find(managed_id!(VirtualMachine), "web");
        client.call(&vapp, call!(MoveIntoResourcePool { list: [vm.clone()] })).await.unwrap();
        Self { toy, place, folder, stores, top, vapp, vm }
    }
}

#[tokio::test]
async fn a_vapp_and_a_datastore_cluster_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let center = center_in(directory.path()).await;
    let client = Client::of(&center);
    let stage = Stage::make(&center, &client).await;
    let Stage { toy, place, folder, stores, top, vapp, vm } = &stage;
    let entity = vim!(VAppEntityConfigInfo { key: vm, startOrder: 7 });
    client
        .call(vapp, call!(UpdateVAppConfig { spec: VAppConfigSpec { entityConfig: [entity] } }))
        .await
        .unwrap();
    let pod = client.make(stores, call!(CreateStoragePod { name: "gold" })).await;
    let (_, store) = client.all(managed_id!(Datastore)).swap_remove(0);
    client.task(&pod, call!(MoveIntoFolder_Task { list: [store.clone()] })).await.unwrap();
    let check = |client: &Client| {
        let config = client.get(vapp, prop!(VirtualApp.vAppConfig).number()).unwrap();
        let config = config.as_object().unwrap();
        assert_eq!(config.get(field!(VAppConfigInfo.annotation)), Some("sells"));
        let entities = config.get(field!(VAppConfigInfo.entityConfig)).unwrap();
        let entity = entities.iter().next().unwrap();
        assert_eq!(entity.get(field!(VAppEntityConfigInfo.startOrder)), Some(7));
        assert_eq!(entity.get(field!(VAppEntityConfigInfo.key)), Some(vm));
        assert_eq!(client.refs(vm, prop!(VirtualMachine.parentVApp).number()), std::slice::from_ref(vapp));
        assert!(client.get(vm, prop!(VirtualMachine.parent).number()).is_none());
        assert_eq!(client.refs(folder, prop!(Folder.childEntity).number()), std::slice::from_ref(vapp));
        assert_eq!(client.refs(top, prop!(ResourcePool.resourcePool).number()), std::slice::from_ref(vapp));
        assert_eq!(client.refs(&pod, prop!(Folder.childEntity).number()), std::slice::from_ref(&store));
        assert_eq!(client.reference(&store, prop!(Datastore.parent).number()), pod);
        assert_eq!(client.dangling(), Vec::<String>::new());
    };
    check(&client);
    drop(client);
    drop(center);
    let center = center_in(directory.path()).await;
    let client = Client::of(&center);
    check(&client);
    center.attach(toy.link(), place).await.unwrap();
    check(&client);
    client.task(vapp, call!(Destroy_Task {})).await.unwrap();
    client.task(&pod, call!(Destroy_Task {})).await.unwrap();
    assert!(!client.exists(vapp) && !client.exists(vm) && !client.exists(&pod));
    assert_eq!(client.reference(&store, prop!(Datastore.parent).number()), *stores);
    // Tasks keep the names of what they worked on.
    let lost = client.dangling().into_iter().filter(|lost| !lost.starts_with("Task:"));
    assert_eq!(lost.collect::<Vec<_>>(), Vec::<String>::new());
}

#[tokio::test]
async fn whoever_may_start_a_vapp_may_not_for_that_start_the_vms_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let center = center_in(directory.path()).await;
    let admin = Client::of(&center);
    let Stage { vapp, vm, .. } = Stage::make(&center, &admin).await;
    center.accounts().create("user", "", Some("Test!123")).await.unwrap();
    let user = Client::new(center.service(), center.accounts().find("user").unwrap());
    let manager = MoRef::new(managed_id!(AuthorizationManager), "AuthorizationManager");
    let grant = async |name: &str, privileges: &[&str]| {
        let ids: Vec<String> = privileges.iter().map(|id| (*id).to_owned()).collect();
        let Some(Value::Int(role)) =
            admin.call(&manager, call!(AddAuthorizationRole { name: name, privIds: ids })).await.unwrap()
        else {
            panic!("a role's number")
        };
        let principal = center.accounts().find("user").unwrap().name;
        let rule = vim!(Permission { principal: principal, group: false, roleId: role, propagate: true });
        admin
            .call(&manager, call!(SetEntityPermissions { entity: &vapp, permission: [rule] }))
            .await
            .unwrap();
    };
    grant("starts vApps", &["VApp.PowerOn", "VApp.Delete"]).await;
    for (call, privilege) in [
        (call!(PowerOnVApp_Task {}), "VirtualMachine.Interact.PowerOn"),
        (call!(Destroy_Task {}), "VirtualMachine.Inventory.Delete"),
    ] {
        let fault = user.call(&vapp, call).await.unwrap_err();
        assert_eq!(fault.type_name(), "NoPermission", "{fault}");
        assert_eq!(fault.object().get(field!(NoPermission.object)), Some(&vm));
        assert_eq!(fault.object().get(field!(NoPermission.privilegeId)), Some(privilege));
    }
    // A permission on the vApp holds for the VMs in it.
    grant("starts VMs too", &["VApp.PowerOn", "VirtualMachine.Interact.PowerOn"]).await;
    user.task(&vapp, call!(PowerOnVApp_Task {})).await.unwrap();
}
