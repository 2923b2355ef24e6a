//! A center that ends in the middle of its work: nothing acknowledged is lost, and its tasks end truthfully.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use center::connector::{Address, Certificate, Connector, Credentials};
use center::{Center, HostLink, LinkError, Network, Options};
use common::toy::{Toy, vm_ref};
use common::{Client, root, store_in};
use tokio::runtime::Runtime;
use vim::{Fault, MoRef, call, fault, field, managed_id, prop, vim};

/// A network with one host.
struct OneHost(Arc<Toy>);

#[async_trait]
impl Connector for OneHost {
    async fn probe(&self, _: &Address) -> Result<Certificate, Fault> {
        let text = || "AA:BB".to_owned();
        Ok(Certificate { thumbprint: text(), fingerprint: text(), pin: text(), self_signed: true })
    }
    async fn enroll(&self, _: &Address, _: &str, with: &Credentials, _: bool) -> Result<(), Fault> {
        if with.password == "secret" { Ok(()) } else { Err(fault!(InvalidLogin {}, "no")) }
    }
    async fn visit(&self, _: &Address, _: &str, _: &Credentials) -> Result<Arc<dyn HostLink>, Fault> {
        Ok(self.0.link())
    }
    async fn connect(&self, address: &Address, _: &str) -> Result<Arc<dyn HostLink>, LinkError> {
        if self.0.cut.is_cut() {
            return Err(LinkError::Unreachable { host: address.host.clone(), reason: "cut".into() });
        }
        Ok(self.0.link())
    }
    async fn release(&self, _: &Arc<dyn HostLink>) {}
}

async fn open(directory: &Path, toy: &Arc<Toy>) -> Arc<Center> {
    let mut options = Options::new(store_in(directory).await);
    options.password = Some("Test!123".into());
    options.network = Network::Connector(Arc::new(OneHost(toy.clone())));
    Center::open(options).await.unwrap()
}

struct Scene {
    hosts: Runtime,
    toy: Arc<Toy>,
    directory: tempfile::TempDir,
}

/// Runs a center until `work` ends, then kills it.
fn until_killed<T>(scene: &Scene, work: impl AsyncFnOnce(Client) -> T) -> T {
    let runtime = Runtime::new().unwrap();
    let result = runtime.block_on(async {
        let center = open(scene.directory.path(), &scene.toy).await;
        let result = work(Client::of(&center)).await;
        drop(center);
        result
    });
    // Its work ends with its threads, as after a kill.
    runtime.shutdown_timeout(Duration::from_secs(10));
    result
}

fn scene() -> Scene {
    let hosts = Runtime::new().unwrap();
    let toy = hosts.block_on(async { Toy::new("h1") });
    Scene { hosts, toy, directory: tempfile::tempdir().unwrap() }
}

async fn with_host(client: &Client) -> (MoRef, MoRef) {
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    let hosts = client.reference(&dc, prop!(Datacenter.hostFolder).number());
    let vms = client.reference(&dc, prop!(Datacenter.vmFolder).number());
    let spec = vim!(HostConnectSpec {
        hostName: "h1",
        userName: "root",
        password: "secret",
        sslThumbprint: "aabb",
        force: false,
    });
    let add = call!(AddStandaloneHost_Task { spec: spec, addConnected: true });
    let compute = client.task(&hosts, add).await.unwrap().unwrap().as_ref().unwrap().clone();
    (vms, client.reference(&compute, prop!(ComputeResource.resourcePool).number()))
}

/// Starts a task and waits until the center has noted the task of the host that it follows.
async fn begin(client: &Client, this: &MoRef, call: vim::Args) -> MoRef {
    let task = client.make(this, call).await;
    while client.service.core.store.get("carried_tasks", task.id()).unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    task
}

#[test]
fn a_task_that_the_host_finished_meanwhile_has_succeeded() {
    let scene = scene();
    scene.toy.add_vm("1", "web", "u1");
    let (task, vm) = until_killed(&scene, async |client| {
        with_host(&client).await;
        let vm = client.find(managed_id!(VirtualMachine), "web");
        scene.toy.gate.forget_permits(usize::MAX);
        (begin(&client, &vm, call!(PowerOnVM_Task {})).await, vm)
    });
    scene.toy.gate.add_permits(1);
    until_killed(&scene, async |client| {
        client.end(&task).await.unwrap();
        client
            .until(|client| {
                let runtime = client.get(&vm, prop!(VirtualMachine.runtime).number()).unwrap();
                let runtime = runtime.as_object().unwrap();
                let on = runtime.get(field!(VirtualMachineRuntimeInfo.powerState)).unwrap();
                on.name() == "poweredOn"
            })
            .await;
    });
    drop(scene.hosts);
}

#[test]
fn a_task_whose_host_cannot_be_asked_is_said_to_be_unknown() {
    let scene = scene();
    scene.toy.add_vm("1", "web", "u1");
    let (task, vm) = until_killed(&scene, async |client| {
        with_host(&client).await;
        let vm = client.find(managed_id!(VirtualMachine), "web");
        scene.toy.gate.forget_permits(usize::MAX);
        (begin(&client, &vm, call!(PowerOnVM_Task {})).await, vm)
    });
    scene.toy.cut.cut();
    until_killed(&scene, async |client| {
        let fault = client.end(&task).await.unwrap_err();
        assert_eq!(fault.type_name(), "SystemError", "{fault}");
        assert_eq!(client.name(&vm), "web", "the VM is shown while its host is away");
        let summary = client.get(&vm, prop!(VirtualMachine.summary).number()).unwrap();
        let config = summary.as_object().unwrap().get(field!(VirtualMachineSummary.config)).unwrap().clone();
        assert_eq!(config.get(field!(VirtualMachineConfigSummary.instanceUuid)), Some("u1"));
    });
}

#[test]
fn a_vm_that_the_host_makes_while_the_center_is_dead_appears_where_it_was_asked_for() {
    let scene = scene();
    let (folder, pool, task) = until_killed(&scene, async |client| {
        let (vms, root_pool) = with_host(&client).await;
        let nothing = || vim!(ResourceAllocationInfo {});
        let spec = vim!(ResourceConfigSpec { cpuAllocation: nothing(), memoryAllocation: nothing() });
        let pool = client.make(&root_pool, call!(CreateResourcePool { name: "p", spec: spec })).await;
        let folder = client.make(&vms, call!(CreateFolder { name: "f" })).await;
        scene.toy.gate.forget_permits(usize::MAX);
        let config = vim!(VirtualMachineConfigSpec { name: "web" });
        let create = call!(CreateVM_Task { config: config, pool: &pool });
        let task = begin(&client, &folder, create).await;
        (folder, pool, task)
    });
    scene.toy.gate.add_permits(1);
    until_killed(&scene, async |client| {
        client.end(&task).await.unwrap();
        client.until(|client| !client.all(managed_id!(VirtualMachine)).is_empty()).await;
        let vm = client.find(managed_id!(VirtualMachine), "web");
        assert_eq!(client.refs(&vm, prop!(VirtualMachine.parent).number()), vec![folder.clone()]);
        assert_eq!(client.refs(&vm, prop!(VirtualMachine.resourcePool).number()), vec![pool.clone()]);
    });
    assert!(scene.toy.core().tree.snapshot().find(&vm_ref("100")).is_some());
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let scene = scene();
    for round in 0..5 {
        let made = until_killed(&scene, async |client| {
            let known = client.all(managed_id!(Folder)).len();
            let folder = client.make(&root(), call!(CreateFolder { name: format!("f{round}") })).await;
            assert_eq!(known, round + 1, "everything from the earlier rounds is there");
            folder
        });
        until_killed(&scene, async |client| {
            assert!(client.exists(&made));
            let fault = client.call(&root(), call!(CreateFolder { name: format!("f{round}") })).await;
            assert_eq!(fault.unwrap_err().type_name(), "DuplicateName");
        });
    }
}

#[test]
fn of_many_who_make_the_same_folder_one_wins() {
    let scene = scene();
    until_killed(&scene, async |client| {
        let client = Arc::new(client);
        let many = (0..50).map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call(&root(), call!(CreateFolder { name: "same" })).await })
        });
        let mut won = 0;
        for answer in futures_util::future::join_all(many).await {
            match answer.unwrap() {
                Ok(_) => won += 1,
                Err(fault) => assert_eq!(fault.type_name(), "DuplicateName"),
            }
        }
        assert_eq!(won, 1);
    });
}
