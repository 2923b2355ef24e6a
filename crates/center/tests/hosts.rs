//! Hosts in this process: how their objects appear and stay in step, and the operations that are carried to them.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use center::{Center, Place};
use common::toy::{self, Toy, vm_ref};
use common::{Client, center, root};
use vim::{MoRef, Value, call, field, managed_id, prop, props, vim, vim_enum};

async fn folders(client: &Client) -> (MoRef, MoRef, MoRef) {
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    let vms = client.reference(&dc, prop!(Datacenter.vmFolder).number());
    let hosts = client.reference(&dc, prop!(Datacenter.hostFolder).number());
    (dc, vms, hosts)
}

async fn standalone(center: &Center, toy: &Arc<Toy>, folder: &MoRef) -> MoRef {
    let place = Place::Standalone { folder: folder.clone() };
    center.attach(toy.link(), &place).await.expect("the host comes in")
}

fn power(client: &Client, vm: &MoRef) -> String {
    let runtime = client.get(vm, prop!(VirtualMachine.runtime).number()).expect("a runtime");
    let runtime = runtime.as_object().unwrap();
    runtime.get(field!(VirtualMachineRuntimeInfo.powerState)).unwrap().name().to_owned()
}

fn connection(client: &Client, vm: &MoRef) -> (String, String) {
    let runtime = client.get(vm, prop!(VirtualMachine.runtime).number()).expect("a runtime");
    let summary = client.get(vm, prop!(VirtualMachine.summary).number()).expect("a summary");
    let inner = summary.as_object().unwrap().get(field!(VirtualMachineSummary.runtime)).unwrap().clone();
    let read = |runtime: &vim::Object| {
        runtime.get(field!(VirtualMachineRuntimeInfo.connectionState)).unwrap().name().to_owned()
    };
    (read(runtime.as_object().unwrap()), read(&inner))
}

fn host_state(client: &Client, host: &MoRef) -> String {
    let runtime = client.get(host, prop!(HostSystem.runtime).number()).expect("a runtime");
    let runtime = runtime.as_object().unwrap();
    runtime.get(field!(HostRuntimeInfo.connectionState)).unwrap().name().to_owned()
}

#[tokio::test]
async fn a_hosts_objects_appear_in_the_centers_terms() {
    let center = center().await;
    let client = Client::of(&center);
    let (dc, vms, hosts) = folders(&client).await;
    let toy = Toy::new("h1");
    toy.add_vm("1", "web", "aaaa");
    let host = standalone(&center, &toy, &hosts).await;
    let compute = client.reference(&host, prop!(HostSystem.parent).number());
    assert_eq!((client.name(&host), client.name(&compute)), ("h1".to_owned(), "h1".to_owned()));
    assert_eq!(client.reference(&compute, prop!(ComputeResource.parent).number()), hosts);
    let vm = client.find(managed_id!(VirtualMachine), "web");
    let pool = client.reference(&compute, prop!(ComputeResource.resourcePool).number());
    for (object, property, expected) in [
        (&vm, prop!(VirtualMachine.parent).number(), &vms),
        (&vm, prop!(VirtualMachine.resourcePool).number(), &pool),
        (&vms, prop!(Folder.childEntity).number(), &vm),
        (&pool, prop!(ResourcePool.vm).number(), &vm),
        (&host, prop!(HostSystem.vm).number(), &vm),
    ] {
        assert_eq!(client.refs(object, property), vec![expected.clone()], "{object}");
    }
    let runtime = client.get(&vm, prop!(VirtualMachine.runtime).number()).unwrap();
    assert_eq!(runtime.as_object().unwrap().get(field!(VirtualMachineRuntimeInfo.host)), Some(&host));
    let browser = client.reference(&vm, prop!(VirtualMachine.environmentBrowser).number());
    assert_eq!(client.refs(&compute, prop!(ComputeResource.environmentBrowser).number()), vec![browser]);
    let datastore = client.find(managed_id!(Datastore), "ds");
    let network = client.find(managed_id!(Network), "VM Network");
    assert_eq!(client.refs(&datastore, prop!(Datastore.vm).number()), vec![vm.clone()]);
    assert_eq!(client.refs(&network, prop!(Network.vm).number()), vec![vm.clone()]);
    assert_eq!(client.refs(&network, prop!(Network.host).number()), vec![host.clone()]);
    assert_eq!(client.refs(&dc, prop!(Datacenter.datastore).number()).len(), 2);
    assert_eq!(client.refs(&compute, prop!(ComputeResource.network).number()), vec![network]);
    let summary = client.get(&compute, prop!(ComputeResource.summary).number()).unwrap();
    let summary = summary.as_object().unwrap();
    assert_eq!(summary.get(field!(ComputeResourceSummary.totalCpu)), Some(8_000));
    assert_eq!(summary.get(field!(ComputeResourceSummary.effectiveMemory)), Some(4_096));
    assert_eq!(summary.get(field!(ComputeResourceSummary.numEffectiveHosts)), Some(1));
    let manager = client.get(&host, prop!(HostSystem.configManager).number()).unwrap();
    let system = manager.as_object().unwrap().get(field!(HostConfigManager.networkSystem)).unwrap().clone();
    assert_eq!(system.id(), format!("networkSystem-{}", host.id().trim_start_matches("host-")));
    assert!(client.get(&system, prop!(HostNetworkSystem.offloadCapabilities).number()).is_some());
    let pool_summary = client.get(&pool, prop!(ResourcePool.summary).number()).unwrap();
    assert_eq!(
        pool_summary.as_object().unwrap().get(field!(ResourcePoolSummary.configuredMemoryMB)),
        Some(64)
    );
}

#[tokio::test]
async fn a_datastore_and_a_network_that_two_hosts_see_are_one() {
    let center = center().await;
    let client = Client::of(&center);
    let (dc, _, hosts) = folders(&client).await;
    let (one, two) = (Toy::new("h1"), Toy::new("h2"));
    let first = standalone(&center, &one, &hosts).await;
    let second = standalone(&center, &two, &hosts).await;
    let names: Vec<String> = client.all(managed_id!(Datastore)).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["ds", "own-h1", "own-h2"]);
    let shared = client.find(managed_id!(Datastore), "ds");
    let mounts = || {
        let mounts = client.get(&shared, prop!(Datastore.host).number());
        let mounts = mounts.iter().flat_map(Value::items).filter_map(Value::as_object).cloned();
        mounts.map(|mount| mount.get(field!(DatastoreHostMount.key)).unwrap().clone()).collect::<Vec<_>>()
    };
    let multiple = || {
        let summary = client.get(&shared, prop!(Datastore.summary).number()).unwrap();
        summary.as_object().unwrap().get(field!(DatastoreSummary.multipleHostAccess))
    };
    assert_eq!(mounts(), vec![first.clone(), second.clone()]);
    assert_eq!(multiple(), Some(true));
    assert_eq!(client.all(managed_id!(Network)).len(), 1);
    client.task(&first, call!(Destroy_Task {})).await.unwrap();
    assert_eq!(mounts(), vec![second.clone()]);
    assert_eq!(multiple(), Some(false));
    let names: Vec<String> = client.all(managed_id!(Datastore)).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["ds", "own-h2"], "the datastore that only the removed host had is gone");
    client.task(&second, call!(Destroy_Task {})).await.unwrap();
    assert!(client.all(managed_id!(Datastore)).is_empty() && client.all(managed_id!(Network)).is_empty());
    assert!(client.refs(&dc, prop!(Datacenter.datastore).number()).is_empty());
    assert!(client.all(managed_id!(ComputeResource)).is_empty());
    assert!(client.all(managed_id!(HostNetworkSystem)).is_empty());
}

#[tokio::test]
async fn a_name_that_two_datastores_have_cannot_be_used_for_files() {
    let center = center().await;
    let client = Client::of(&center);
    let (dc, _, hosts) = folders(&client).await;
    let (one, two) = (Toy::new("h1"), Toy::new("h2"));
    two.rename_own_datastore("own-h1");
    standalone(&center, &one, &hosts).await;
    let files = MoRef::new(managed_id!(FileManager), "FileManager");
    let make = || call!(MakeDirectory { name: "[own-h1] a", datacenter: &dc });
    client.call(&files, make()).await.unwrap();
    standalone(&center, &two, &hosts).await;
    let fault = client.call(&files, make()).await.unwrap_err();
    assert_eq!(fault.type_name(), "InvalidDatastore", "{fault}");
    let shared = call!(MakeDirectory { name: "[ds] a", datacenter: &dc });
    client.call(&files, shared).await.unwrap();
}

#[tokio::test]
async fn a_host_that_returns_does_not_overwrite_a_vm_that_runs_elsewhere_now() {
    let center = center().await;
    let client = Client::of(&center);
    let (_, _, hosts) = folders(&client).await;
    let (one, two) = (Toy::new("h1"), Toy::new("h2"));
    one.add_vm("1", "web", "aaaa");
    let first = standalone(&center, &one, &hosts).await;
    let second = standalone(&center, &two, &hosts).await;
    let vm = client.find(managed_id!(VirtualMachine), "web");
    one.cut.cut();
    client.until(|client| host_state(client, &first) == "notResponding").await;
    two.add_vm("5", "web", "aaaa");
    let of = |host: &MoRef| client.refs(host, prop!(HostSystem.vm).number());
    client.until(|_| of(&second) == vec![vm.clone()]).await;
    client.task(&vm, call!(PowerOnVM_Task {})).await.unwrap();
    one.cut.mend();
    client.until(|client| host_state(client, &first) == "connected").await;
    assert_eq!((power(&client, &vm), of(&second)), ("poweredOn".to_owned(), vec![vm.clone()]));
    assert!(!of(&first).contains(&vm));
    let host = client.get(&vm, prop!(VirtualMachine.runtime).number()).unwrap();
    let host = host.as_object().unwrap().get(field!(VirtualMachineRuntimeInfo.host)).cloned();
    assert_eq!(host, Some(second));
}

#[tokio::test]
async fn vms_that_come_and_go_on_the_host_come_and_go_here() {
    let center = center().await;
    let client = Client::of(&center);
    let (_, vms, hosts) = folders(&client).await;
    let toy = Toy::new("h1");
    let host = standalone(&center, &toy, &hosts).await;
    toy.add_vm("7", "new", "bbbb");
    client.until(|client| !client.all(managed_id!(VirtualMachine)).is_empty()).await;
    let vm = client.find(managed_id!(VirtualMachine), "new");
    toy::set_power(toy.core(), &vm_ref("7"), "poweredOn");
    client.until(|client| power(client, &vm) == "poweredOn").await;
    toy.remove_vm("7");
    client.until(|client| !client.exists(&vm)).await;
    for (object, property) in [
        (&vms, prop!(Folder.childEntity).number()),
        (&host, prop!(HostSystem.vm).number()),
        (&client.find(managed_id!(Datastore), "ds"), prop!(Datastore.vm).number()),
        (&client.find(managed_id!(Network), "VM Network"), prop!(Network.vm).number()),
    ] {
        assert!(client.refs(object, property).is_empty(), "{object}");
    }
}

#[tokio::test]
async fn a_new_vm_is_made_on_the_host_and_appears_where_it_was_asked_for() {
    let center = center().await;
    let client = Client::of(&center);
    let (_, vms, hosts) = folders(&client).await;
    let toy = Toy::new("h1");
    let host = standalone(&center, &toy, &hosts).await;
    let compute = client.reference(&host, prop!(HostSystem.parent).number());
    let root_pool = client.reference(&compute, prop!(ComputeResource.resourcePool).number());
    let nothing = || vim!(ResourceAllocationInfo {});
    let spec = vim!(ResourceConfigSpec { cpuAllocation: nothing(), memoryAllocation: nothing() });
    let pool = client.make(&root_pool, call!(CreateResourcePool { name: "p", spec: spec })).await;
    let folder = client.make(&vms, call!(CreateFolder { name: "f" })).await;
    let config = |name: &str| {
        vim!(VirtualMachineConfigSpec { name: name, files: VirtualMachineFileInfo { vmPathName: "[ds]" } })
    };
    let made =
        client.task(&folder, call!(CreateVM_Task { config: config("web"), pool: &pool })).await.unwrap();
    let vm = made.unwrap().as_ref().unwrap().clone();
    assert_eq!(client.refs(&vm, prop!(VirtualMachine.parent).number()), vec![folder.clone()]);
    assert_eq!(client.refs(&vm, prop!(VirtualMachine.resourcePool).number()), vec![pool.clone()]);
    assert_eq!(client.refs(&folder, prop!(Folder.childEntity).number()), vec![vm.clone()]);
    let again = client.task(&folder, call!(CreateVM_Task { config: config("web"), pool: &pool })).await;
    assert_eq!(again.unwrap_err().type_name(), "DuplicateName");
    let refused = client.task(&folder, call!(CreateVM_Task { config: config("refused"), pool: &pool })).await;
    let refused = refused.unwrap_err();
    let named = refused.object().get(field!(DuplicateName.object)).unwrap();
    assert_eq!(*named, client.find(managed_id!(Datastore), "ds"), "a fault names the center's objects");
    let elsewhere = vim!(VirtualMachineConfigSpec {
        name: "x",
        files: VirtualMachineFileInfo { vmPathName: "[nowhere]" },
    });
    let fault =
        client.call(&folder, call!(CreateVM_Task { config: elsewhere, pool: &pool })).await.unwrap_err();
    assert_eq!(fault.type_name(), "InvalidDatastorePath");

    client.task(&vm, call!(PowerOnVM_Task {})).await.unwrap();
    assert_eq!(power(&client, &vm), "poweredOn", "the effect of a task is shown when it has ended");
    client.task(&vm, call!(Rename_Task { newName: "www" })).await.unwrap();
    assert_eq!(client.name(&vm), "www");
    let fault = client.task(&folder, call!(Destroy_Task {})).await.unwrap_err();
    assert_eq!(fault.type_name(), "InvalidPowerState");
    client.task(&vm, call!(PowerOffVM_Task {})).await.unwrap();
    client.call(&vm, call!(UnregisterVM {})).await.unwrap();
    assert!(!client.exists(&vm), "the effect of a call is shown when it has returned");
}

#[tokio::test]
async fn a_new_vm_does_not_get_the_instance_uuid_of_one_on_another_host() {
    let center = center().await;
    let client = Client::of(&center);
    let (_, vms, hosts) = folders(&client).await;
    let (one, two) = (Toy::new("h1"), Toy::new("h2"));
    one.add_vm("1", "first", "aaaa");
    standalone(&center, &one, &hosts).await;
    let second = standalone(&center, &two, &hosts).await;
    let compute = client.reference(&second, prop!(HostSystem.parent).number());
    let pool = client.reference(&compute, prop!(ComputeResource.resourcePool).number());
    let create = |name: &str, uuid: &str| {
        let config = vim!(VirtualMachineConfigSpec {
            name: name,
            instanceUuid: uuid,
            files: VirtualMachineFileInfo { vmPathName: "[ds]" },
        });
        call!(CreateVM_Task { config: config, pool: &pool })
    };
    let uuid = |made: Option<Value>| {
        let summary = client.get(made.unwrap().as_ref().unwrap(), prop!(VirtualMachine.summary).number());
        let summary = summary.unwrap().as_object().unwrap().clone();
        let config = summary.get(field!(VirtualMachineSummary.config)).unwrap();
        config.get(field!(VirtualMachineConfigSummary.instanceUuid)).unwrap().to_owned()
    };
    let taken = client.task(&vms, create("second", "AAAA")).await.unwrap();
    assert_ne!(uuid(taken), "aaaa");
    let free = client.task(&vms, create("third", "BBBB")).await.unwrap();
    assert_eq!(uuid(free), "bbbb");
}

#[tokio::test]
async fn a_folder_of_vms_goes_with_them() {
    let center = center().await;
    let client = Client::of(&center);
    let (_, vms, hosts) = folders(&client).await;
    let toy = Toy::new("h1");
    toy.add_vm("1", "a", "u1");
    toy.add_vm("2", "b", "u2");
    standalone(&center, &toy, &hosts).await;
    let folder = client.make(&vms, call!(CreateFolder { name: "f" })).await;
    let both: Vec<MoRef> = client.all(managed_id!(VirtualMachine)).into_iter().map(|(_, vm)| vm).collect();
    client.task(&folder, call!(MoveIntoFolder_Task { list: both.clone() })).await.unwrap();
    assert_eq!(client.refs(&folder, prop!(Folder.childEntity).number()).len(), 2);
    client.task(&folder, call!(Destroy_Task {})).await.unwrap();
    assert!(both.iter().all(|vm| !client.exists(vm)) && !client.exists(&folder));
    assert!(toy.core().tree.snapshot().find(&vm_ref("1")).is_none(), "they are destroyed on the host");
}

#[tokio::test(start_paused = true)]
async fn a_lost_host_is_shown_as_lost_and_reconciled_when_it_returns() {
    let center = center().await;
    let client = Client::of(&center);
    let (_, _, hosts) = folders(&client).await;
    let toy = Toy::new("h1");
    for (id, name) in [("1", "stays"), ("2", "goes")] {
        toy.add_vm(id, name, &format!("uuid-{id}"));
    }
    let host = standalone(&center, &toy, &hosts).await;
    let stays = client.find(managed_id!(VirtualMachine), "stays");
    let goes = client.find(managed_id!(VirtualMachine), "goes");
    toy.cut.cut();
    client.until(|client| host_state(client, &host) == "notResponding").await;
    assert_eq!(connection(&client, &stays), ("disconnected".to_owned(), "disconnected".to_owned()));
    assert_eq!(client.name(&goes), "goes", "nothing is removed");
    let shared = client.find(managed_id!(Datastore), "ds");
    let summary = client.get(&shared, prop!(Datastore.summary).number()).unwrap();
    let accessible = summary.as_object().unwrap().get(field!(DatastoreSummary.accessible));
    assert_eq!(accessible, Some(false));
    let fault = client.call(&stays, call!(PowerOnVM_Task {})).await.unwrap_err();
    assert_eq!(fault.type_name(), "HostNotConnected");
    toy.remove_vm("2");
    toy.add_vm("3", "comes", "uuid-3");
    toy::set_power(toy.core(), &vm_ref("1"), "poweredOn");
    toy.cut.mend();
    client.until(|client| host_state(client, &host) == "connected").await;
    assert!(!client.exists(&goes));
    assert_eq!(power(&client, &stays), "poweredOn");
    assert_eq!(connection(&client, &stays).0, "connected");
    client.find(managed_id!(VirtualMachine), "comes");
    assert_eq!(client.refs(&host, prop!(HostSystem.vm).number()).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_host_is_lost_ends_as_unknown_and_the_truth_comes_later() {
    let center = center().await;
    let client = Client::of(&center);
    let (_, _, hosts) = folders(&client).await;
    let toy = Toy::new("h1");
    toy.add_vm("1", "web", "u");
    let host = standalone(&center, &toy, &hosts).await;
    let vm = client.find(managed_id!(VirtualMachine), "web");
    toy.gate.forget_permits(usize::MAX);
    let task = client.make(&vm, call!(PowerOnVM_Task {})).await;
    let other = client.call(&vm, call!(PowerOnVM_Task {})).await.unwrap_err();
    assert_eq!(other.type_name(), "TaskInProgress");
    toy.until_task_runs().await;
    toy.cut.cut();
    let fault = client.end(&task).await.unwrap_err();
    assert_eq!(fault.type_name(), "HostCommunication", "{fault}");
    toy.gate.add_permits(1);
    toy.cut.mend();
    client
        .until(|client| host_state(client, &host) == "connected" && power(client, &vm) == "poweredOn")
        .await;
}

#[tokio::test]
async fn an_administrator_disconnects_and_reconnects_a_host() {
    let center = center().await;
    let client = Client::of(&center);
    let (_, _, hosts) = folders(&client).await;
    let toy = Toy::new("h1");
    toy.add_vm("1", "web", "u");
    let host = standalone(&center, &toy, &hosts).await;
    let vm = client.find(managed_id!(VirtualMachine), "web");
    let again = client.task(&host, call!(ReconnectHost_Task {})).await.unwrap_err();
    assert_eq!(again.type_name(), "InvalidState");
    client.task(&host, call!(DisconnectHost_Task {})).await.unwrap();
    assert_eq!(
        (host_state(&client, &host), connection(&client, &vm).0),
        ("disconnected".into(), "disconnected".into())
    );
    toy.add_vm("2", "other", "u2");
    client.task(&host, call!(ReconnectHost_Task {})).await.unwrap();
    assert_eq!(
        (host_state(&client, &host), connection(&client, &vm).0),
        ("connected".into(), "connected".into())
    );
    client.find(managed_id!(VirtualMachine), "other");
}

#[tokio::test]
async fn a_host_in_maintenance_starts_no_vm_and_waits_for_those_that_run() {
    let center = center().await;
    let client = Client::of(&center);
    let (_, _, hosts) = folders(&client).await;
    let toy = Toy::new("h1");
    toy.add_vm("1", "web", "u");
    let host = standalone(&center, &toy, &hosts).await;
    let vm = client.find(managed_id!(VirtualMachine), "web");
    client.task(&vm, call!(PowerOnVM_Task {})).await.unwrap();
    let fault = client.task(&host, call!(EnterMaintenanceMode_Task { timeout: 1 })).await.unwrap_err();
    assert_eq!(fault.type_name(), "Timedout");
    let entering = client.make(&host, call!(EnterMaintenanceMode_Task { timeout: 0 })).await;
    client.task(&vm, call!(PowerOffVM_Task {})).await.unwrap();
    client.end(&entering).await.unwrap();
    let runtime = client.get(&host, prop!(HostSystem.runtime).number()).unwrap();
    assert_eq!(runtime.as_object().unwrap().get(field!(HostRuntimeInfo.inMaintenanceMode)), Some(true));
    let fault = client.call(&vm, call!(PowerOnVM_Task {})).await.unwrap_err();
    assert_eq!(fault.type_name(), "InvalidState");
    client.task(&host, call!(ExitMaintenanceMode_Task { timeout: 0 })).await.unwrap();
    client.task(&vm, call!(PowerOnVM_Task {})).await.unwrap();
    let again = client.task(&host, call!(ExitMaintenanceMode_Task { timeout: 0 })).await.unwrap_err();
    assert_eq!(again.type_name(), "InvalidState");
}

#[tokio::test]
async fn a_host_moves_into_a_cluster_and_out_again() {
    let center = center().await;
    let client = Client::of(&center);
    let (_, _, hosts) = folders(&client).await;
    let toy = Toy::new("h1");
    toy.add_vm("1", "web", "u");
    let host = standalone(&center, &toy, &hosts).await;
    let vm = client.find(managed_id!(VirtualMachine), "web");
    let spec = vim!(ClusterConfigSpecEx {});
    let cluster = client.make(&hosts, call!(CreateClusterEx { name: "C", spec: spec })).await;
    client.task(&cluster, call!(MoveInto_Task { host: vec![host.clone()] })).await.unwrap();
    assert_eq!(client.refs(&cluster, prop!(ComputeResource.host).number()), vec![host.clone()]);
    assert_eq!(client.refs(&hosts, prop!(Folder.childEntity).number()), vec![cluster.clone()]);
    let pool = client.reference(&cluster, prop!(ComputeResource.resourcePool).number());
    assert_eq!(client.refs(&vm, prop!(VirtualMachine.resourcePool).number()), vec![pool]);
    let summary = client.get(&cluster, prop!(ComputeResource.summary).number()).unwrap();
    assert_eq!(summary.as_object().unwrap().get(field!(ComputeResourceSummary.numHosts)), Some(1));
    for call in [call!(Destroy_Task {})] {
        assert_eq!(client.task(&cluster, call.clone()).await.unwrap_err().type_name(), "ResourceInUse");
        assert_eq!(client.task(&host, call).await.unwrap_err().type_name(), "InvalidState");
    }
    let out = || call!(MoveIntoFolder_Task { list: vec![host.clone()] });
    assert_eq!(client.task(&hosts, out()).await.unwrap_err().type_name(), "InvalidState");
    client.task(&host, call!(EnterMaintenanceMode_Task { timeout: 0 })).await.unwrap();
    client.task(&hosts, out()).await.unwrap();
    assert!(client.refs(&cluster, prop!(ComputeResource.host).number()).is_empty());
    let own = client.reference(&host, prop!(HostSystem.parent).number());
    assert!(own.id().starts_with("domain-s"), "{own}");
    client.task(&cluster, call!(Destroy_Task {})).await.unwrap();
    client.task(&own, call!(Destroy_Task {})).await.unwrap();
    assert!(!client.exists(&host) && !client.exists(&vm));
    assert!(toy.core().tree.snapshot().find(&vm_ref("1")).is_some(), "the host keeps its VM");
}

#[tokio::test]
async fn a_vm_of_a_lost_host_stays_the_same_object_when_another_host_runs_it() {
    let center = center().await;
    let client = Client::of(&center);
    let (_, vms, hosts) = folders(&client).await;
    let (one, two) = (Toy::new("h1"), Toy::new("h2"));
    one.add_vm("1", "web", "same-uuid");
    let first = standalone(&center, &one, &hosts).await;
    let second = standalone(&center, &two, &hosts).await;
    let vm = client.find(managed_id!(VirtualMachine), "web");
    let folder = client.make(&vms, call!(CreateFolder { name: "f" })).await;
    client.task(&folder, call!(MoveIntoFolder_Task { list: vec![vm.clone()] })).await.unwrap();
    client.task(&first, call!(DisconnectHost_Task {})).await.unwrap();
    two.add_vm("9", "web", "same-uuid");
    client.until(|client| client.refs(&second, prop!(HostSystem.vm).number()) == vec![vm.clone()]).await;
    assert!(client.refs(&first, prop!(HostSystem.vm).number()).is_empty());
    assert_eq!(client.refs(&folder, prop!(Folder.childEntity).number()), vec![vm.clone()]);
    assert_eq!(connection(&client, &vm).0, "connected");
    client.task(&vm, call!(PowerOnVM_Task {})).await.unwrap();
    assert_eq!(power(&client, &vm), "poweredOn");
}

#[tokio::test]
async fn many_vms_are_powered_on_at_once_each_with_a_separate_task() {
    let center = center().await;
    let client = Client::of(&center);
    let (dc, _, hosts) = folders(&client).await;
    let toy = Toy::new("h1");
    for id in 1..=3 {
        toy.add_vm(&id.to_string(), &format!("vm{id}"), &format!("u{id}"));
    }
    let host = standalone(&center, &toy, &hosts).await;
    let vms: Vec<MoRef> = client.all(managed_id!(VirtualMachine)).into_iter().map(|(_, vm)| vm).collect();
    let mut asked = vms.clone();
    asked.push(MoRef::new(managed_id!(VirtualMachine), "vm-9999"));
    let result = client.task(&dc, call!(PowerOnMultiVM_Task { vm: asked })).await.unwrap().unwrap();
    let result = result.as_object().unwrap();
    let attempted = result.get(field!(ClusterPowerOnVmResult.attempted)).unwrap();
    assert_eq!(
        (attempted.len(), result.get(field!(ClusterPowerOnVmResult.notAttempted)).unwrap().len()),
        (3, 1)
    );
    for info in attempted {
        client.end(info.get(field!(ClusterAttemptedVmInfo.task)).unwrap()).await.unwrap();
    }
    assert!(vms.iter().all(|vm| power(&client, vm) == "poweredOn"));
    let off = vim_enum!(VirtualMachinePowerState.poweredOff);
    assert!(off.name() != power(&client, &vms[0]) && client.exists(&host));
}

#[tokio::test]
async fn file_operations_go_to_a_host_that_has_the_datastore() {
    let center = center().await;
    let client = Client::of(&center);
    let (dc, _, hosts) = folders(&client).await;
    let toy = Toy::new("h1");
    standalone(&center, &toy, &hosts).await;
    let files = MoRef::new(managed_id!(FileManager), "FileManager");
    client.call(&files, call!(MakeDirectory { name: "[ds] a", datacenter: &dc })).await.unwrap();
    for (name, expected) in [
        ("[ds] there", "FileAlreadyExists"),
        ("[nowhere] a", "InvalidDatastorePath"),
        ("a", "InvalidDatastorePath"),
    ] {
        let fault =
            client.call(&files, call!(MakeDirectory { name: name, datacenter: &dc })).await.unwrap_err();
        assert_eq!(fault.type_name(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_hosts_event_names_the_centers_objects_even_those_just_removed() {
    let center = center().await;
    let client = Client::of(&center);
    let (dc, _, hosts) = folders(&client).await;
    let toy = Toy::new("h1");
    toy.add_vm("1", "web", "u");
    standalone(&center, &toy, &hosts).await;
    let vm = client.find(managed_id!(VirtualMachine), "web");
    toy.remove_vm("1");
    client.until(|client| !client.exists(&vm)).await;
    toy.say(1, "1");
    let manager = MoRef::new(managed_id!(EventManager), "EventManager");
    let latest = |client: &Client| {
        let event = client.get(&manager, prop!(EventManager.latestEvent).number());
        event.and_then(|event| event.as_object().cloned())
    };
    client.until(|client| latest(client).is_some_and(|event| event.type_name() == "VmRemovedEvent")).await;
    let event = latest(&client).unwrap();
    let named = event.get(field!(Event.vm)).unwrap().get(field!(VmEventArgument.vm)).unwrap().clone();
    assert_eq!(named, vm);
    let place = event.get(field!(Event.datacenter)).unwrap();
    assert_eq!(place.get(field!(DatacenterEventArgument.datacenter)), Some(&dc));
}

#[tokio::test]
async fn a_system_that_the_host_no_longer_names_leaves_the_tree_and_comes_back_with_its_name() {
    let center = center().await;
    let client = Client::of(&center);
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    let folder = client.reference(&dc, prop!(Datacenter.hostFolder).number());
    let toy = Toy::new("h1");
    let host = center.attach(toy.link(), &Place::Standalone { folder }).await.unwrap();
    let clock = |client: &Client| {
        let manager = client.get(&host, prop!(HostSystem.configManager).number())?;
        manager.as_object()?.get(field!(HostConfigManager.dateTimeSystem)).cloned()
    };
    let shown = clock(&client).unwrap();
    assert!(client.exists(&shown));
    let on_host = toy.core().tree.snapshot();
    let on_host = on_host
        .find(&center::link::names::host())
        .unwrap()
        .get(prop!(HostSystem.configManager))
        .unwrap()
        .clone();
    let name_it = |named: bool| {
        let mut manager = vim::Object::clone(&on_host);
        if !named {
            manager.put(field!(HostConfigManager.dateTimeSystem).number(), None);
        }
        toy.core().tree.write(|w| {
            w.set(&center::link::names::host(), props!(HostSystem { configManager: manager }));
        });
    };
    name_it(false);
    client.until(|client| !client.exists(&shown)).await;
    assert_eq!(clock(&client), None);
    name_it(true);
    client.until(|client| client.exists(&shown)).await;
    assert_eq!(clock(&client), Some(shown));
}
