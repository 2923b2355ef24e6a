//! A specification of a VM that names what is not there is refused through a center as on a host.

use vim::{Object, managed_id, vim};

use super::*;

/// The places where a VM is made: its folder and its pool.
fn places(who: &Insider) -> (MoRef, MoRef) {
    let datacenter = who.first(managed_id!(Datacenter));
    let compute = who.reference(&who.first(managed_id!(HostSystem)), prop!(HostSystem.parent).number());
    (
        who.reference(&datacenter, prop!(Datacenter.vmFolder).number()),
        who.reference(&compute, prop!(ComputeResource.resourcePool).number()),
    )
}

/// A disk at the controller with this key.
fn disk(controller: i32, path: &str, creates: bool) -> Object {
    let operation = creates.then_some("create").and_then(vim::EnumOf::parse);
    vim!(VirtualDeviceConfigSpec {
        operation: "add",
        fileOperation: operation,
        device: VirtualDisk {
            key: -2,
            controllerKey: controller,
            unitNumber: 5,
            capacityInKB: 1024_i64,
            backing: VirtualDiskFlatVer2BackingInfo { fileName: path, diskMode: "persistent" },
        },
    })
    .into()
}

fn disc(path: &str) -> Object {
    vim!(VirtualDeviceConfigSpec {
        operation: "add",
        device: VirtualCdrom {
            key: -2,
            controllerKey: 200,
            backing: VirtualCdromIsoBackingInfo { fileName: path },
        },
    })
    .into()
}

fn card(network: &str) -> Object {
    vim!(VirtualDeviceConfigSpec {
        operation: "add",
        device: VirtualVmxnet3 {
            key: -2,
            addressType: "generated",
            backing: VirtualEthernetCardNetworkBackingInfo { deviceName: network },
        },
    })
    .into()
}

/// The type and the message of the fault of a task.
async fn fault_of(who: &Insider, object: &MoRef, args: Args) -> (String, String) {
    let error = who.task(object, args).await.expect_err("the specification is refused");
    let fault = error.downcast::<Fault>().expect("a fault");
    (fault.type_name().to_owned(), fault.message().to_owned())
}

fn create(who: &Insider, home: &str, changes: Vec<Object>) -> (MoRef, Args) {
    let (folder, pool) = places(who);
    let controller = vim!(VirtualDeviceConfigSpec {
        operation: "add",
        device: ParaVirtualSCSIController { key: -1, busNumber: 0, sharedBus: "noSharing" },
    });
    let changes: Vec<Object> = std::iter::once(controller.into()).chain(changes).collect();
    let config = vim!(VirtualMachineConfigSpec {
        name: "new",
        files: VirtualMachineFileInfo { vmPathName: home },
        deviceChange: changes,
    });
    (folder, call!(CreateVM_Task { config: config, pool: pool }))
}

fn change(who: &Insider, changes: Vec<Object>) -> (MoRef, Args) {
    (who.vm(), call!(ReconfigVM_Task { spec: VirtualMachineConfigSpec { deviceChange: changes } }))
}

fn registration(who: &Insider, path: &str) -> (MoRef, Args) {
    let (folder, pool) = places(who);
    (folder, call!(RegisterVM_Task { path: path, asTemplate: false, pool: pool }))
}

type Asked = fn(&Insider) -> (MoRef, Args);

#[tokio::test]
async fn a_specification_with_an_unknown_name_is_refused_by_a_center_as_by_a_host() {
    let host = lone().await;
    let (_center, client) = managed().await;
    for who in [&host, &client] {
        who.task(&who.vm(), call!(PowerOffVM_Task {})).await.unwrap();
    }
    // Each with the name that the message must bear.
    let cases: [(&str, &str, Asked); 12] = [
        ("a home", "nowhere", |who| create(who, "[nowhere]", Vec::new())),
        ("a home with a path", "nowhere", |who| create(who, "[nowhere] a/a.vmx", Vec::new())),
        ("a home without brackets", "nowhere", |who| create(who, "nowhere", Vec::new())),
        ("a new VM's disk", "nowhere", |who| {
            create(who, "[LocalDS_0]", vec![disk(1000, "[nowhere] a.vmdk", true)])
        }),
        ("a disk", "nowhere", |who| change(who, vec![disk(1000, "[nowhere] a.vmdk", true)])),
        ("an existing disk", "nowhere", |who| change(who, vec![disk(1000, "[nowhere] a.vmdk", false)])),
        ("a missing disk", "missing", |who| {
            change(who, vec![disk(1000, "[LocalDS_0] missing/a.vmdk", false)])
        }),
        ("a disc", "nowhere", |who| change(who, vec![disc("[nowhere] a.iso")])),
        ("a network", "nowhere", |who| change(who, vec![card("nowhere")])),
        ("a new VM's network", "nowhere", |who| create(who, "[LocalDS_0]", vec![card("nowhere")])),
        ("a registration", "nowhere", |who| registration(who, "[nowhere] a/a.vmx")),
        ("a missing registration", "missing", |who| registration(who, "[LocalDS_0] missing/a.vmx")),
    ];
    let mut wrong = Vec::new();
    for (what, name, asked) in cases {
        let (object, args) = asked(&host);
        let (there, said) = fault_of(&host, &object, args).await;
        let (object, args) = asked(&client);
        let (through, repeated) = fault_of(&client, &object, args).await;
        if there != through || !said.contains(name) || !repeated.contains(name) {
            wrong.push(format!(
                "{what}: {there} ({said}) on a host, {through} ({repeated}) through the center"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The fault of a call that must be refused, whether before its task or in it.
async fn refusal(who: &Insider, object: &MoRef, args: Args) -> String {
    match who.call(object, args.clone()).await {
        Err(fault) => fault.type_name().to_owned(),
        Ok(_) => fault_of(who, object, args).await.0,
    }
}

#[tokio::test]
async fn a_cluster_has_no_rules_for_vms_that_do_not_exist() {
    let (_center, client) = managed().await;
    let folder = client.first(managed_id!(Datacenter));
    let folder = client.reference(&folder, prop!(Datacenter.hostFolder).number());
    let nobody = MoRef::new(managed_id!(VirtualMachine), "vm-4711");
    let rule = vim!(ClusterRuleSpec {
        operation: "add",
        info: ClusterAffinityRuleSpec { name: "together", enabled: true, vm: [nobody] },
    });
    let spec = vim!(ClusterConfigSpecEx { rulesSpec: [rule] });
    let made = client.call(&folder, call!(CreateClusterEx { name: "C", spec: spec.clone() })).await;
    assert_eq!(made.unwrap_err().type_name(), "ManagedObjectNotFound");
    let empty = vim!(ClusterConfigSpecEx {});
    let cluster =
        client.call(&folder, call!(CreateClusterEx { name: "C", spec: empty })).await.unwrap().unwrap();
    let change = call!(ReconfigureComputeResource_Task { spec: spec, modify: true });
    assert_eq!(refusal(&client, cluster.as_ref().unwrap(), change).await, "ManagedObjectNotFound");
}

#[tokio::test]
async fn two_vms_have_different_instance_uuids() {
    let (_center, client) = managed().await;
    let (folder, args) = create(&client, "[LocalDS_0]", Vec::new());
    let made = client.task(&folder, args).await.unwrap().unwrap();
    let first = client.vm();
    let config = client.get(&first, prop!(VirtualMachine.config).number()).unwrap();
    let config = config.as_object().unwrap().clone();
    let uuid = config.get(field!(VirtualMachineConfigInfo.instanceUuid)).unwrap().to_owned();
    let set = |uuid: &str| call!(ReconfigVM_Task { spec: VirtualMachineConfigSpec { instanceUuid: uuid } });
    let second = made.as_ref().unwrap();
    assert_ne!(second, &first);
    assert_eq!(refusal(&client, second, set(&uuid.to_uppercase())).await, "InvalidArgument");
    client.task(&first, set(&uuid)).await.unwrap();
    client.task(second, set("")).await.unwrap();
}
