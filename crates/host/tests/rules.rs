//! A rule about VMs is the same by every way to make or change one: names, instance UUIDs, addresses and pools.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, added, simulated, small, small_with};
use host::ids;
use vim::{Args, Fault, MoRef, Object, Value, call, field, managed_id, prop, vim};

fn config(c: &Client, vm: &MoRef) -> std::sync::Arc<Object> {
    c.get(vm, prop!(VirtualMachine.config)).unwrap()
}

fn instance_uuid(c: &Client, vm: &MoRef) -> String {
    config(c, vm).get(field!(VirtualMachineConfigInfo.instanceUuid)).unwrap().to_owned()
}

async fn reconfigure(c: &Client, vm: &MoRef, spec: impl Into<Object>) -> Result<(), Fault> {
    let spec: Object = spec.into();
    c.task(vm, call!(ReconfigVM_Task { spec: spec })).await.map(drop)
}

async fn register(c: &Client, path: &str, name: Option<&str>) -> Result<MoRef, Fault> {
    let args: Args =
        call!(RegisterVM_Task { path: path, name: name, asTemplate: false, pool: ids::root_pool() });
    let made = c.task(&ids::vm_folder(), args).await?;
    Ok(made.and_then(|vm| vm.as_ref().cloned()).unwrap())
}

fn path(c: &Client, vm: &MoRef) -> String {
    let config = config(c, vm);
    let files = config.get(field!(VirtualMachineConfigInfo.files)).unwrap();
    files.get(field!(VirtualMachineFileInfo.vmPathName)).unwrap().to_owned()
}

#[tokio::test]
async fn one_name_has_one_spelling_by_every_door() {
    let c = simulated().await;
    let first = c.create(small("a/b")).await.unwrap();
    assert_eq!(c.get(&first, prop!(VirtualMachine.name)).unwrap(), "a%2fb");
    let second = c.create(small("50%")).await.unwrap();
    assert_eq!(c.get(&second, prop!(VirtualMachine.name)).unwrap(), "50%25");
    for same in ["a/b", "a%2fb"] {
        assert_eq!(c.create(small(same)).await.unwrap_err().type_name(), "DuplicateName", "{same}");
        let renamed = c.task(&second, call!(Rename_Task { newName: same })).await;
        assert_eq!(renamed.unwrap_err().type_name(), "DuplicateName", "{same}");
        let reconfigured = reconfigure(&c, &second, vim!(VirtualMachineConfigSpec { name: same })).await;
        assert_eq!(reconfigured.unwrap_err().type_name(), "DuplicateName", "{same}");
    }
    let home = path(&c, &second);
    c.invoke(&second, call!(UnregisterVM {})).await.unwrap();
    assert_eq!(register(&c, &home, Some("a/b")).await.unwrap_err().type_name(), "DuplicateName");
    let second = register(&c, &home, None).await.unwrap();
    assert_eq!(c.get(&second, prop!(VirtualMachine.name)).unwrap(), "50%25");
    c.task(&second, call!(Rename_Task { newName: "c\\d" })).await.unwrap();
    assert_eq!(c.get(&second, prop!(VirtualMachine.name)).unwrap(), "c%5cd");
}

#[tokio::test]
async fn of_two_vms_that_are_given_one_name_at_once_one_gets_it() {
    let c = simulated().await;
    let (first, second) = (c.create(small("1")).await.unwrap(), c.create(small("2")).await.unwrap());
    let (renamed, reconfigured) = tokio::join!(
        c.task(&first, call!(Rename_Task { newName: "web" })),
        reconfigure(&c, &second, vim!(VirtualMachineConfigSpec { name: "web" })),
    );
    let refused: Vec<_> =
        [renamed.err(), reconfigured.err()].into_iter().flatten().map(|fault| fault.type_name()).collect();
    assert_eq!(refused, ["DuplicateName"]);
}

#[tokio::test]
async fn a_newcomer_gets_an_instance_uuid_that_no_vm_has() {
    let c = simulated().await;
    let first = c.create(small("first")).await.unwrap();
    let taken = instance_uuid(&c, &first);
    let spec = |name: &str| {
        let mut spec = small(name);
        spec.set(field!(VirtualMachineConfigSpec.instanceUuid), taken.as_str());
        spec
    };
    let (second, third) = tokio::join!(c.create(spec("second")), c.create(spec("third")));
    let (second, third) = (second.unwrap(), third.unwrap());
    let mut all: Vec<_> = [&first, &second, &third].map(|vm| instance_uuid(&c, vm)).into();
    assert_eq!(all[0], taken);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 3, "each VM has its own");
    reconfigure(&c, &third, vim!(VirtualMachineConfigSpec { instanceUuid: &*taken })).await.unwrap();
    assert_ne!(instance_uuid(&c, &third), taken);
    let before = instance_uuid(&c, &second);
    reconfigure(&c, &second, vim!(VirtualMachineConfigSpec { instanceUuid: "" })).await.unwrap();
    assert_ne!(instance_uuid(&c, &second), before, "an empty text asks for a new one");
    // The files of a VM whose identity another VM has taken meanwhile.
    let home = path(&c, &first);
    c.invoke(&first, call!(UnregisterVM {})).await.unwrap();
    let heir = c.create(spec("heir")).await.unwrap();
    assert_eq!(instance_uuid(&c, &heir), taken);
    let first = register(&c, &home, None).await.unwrap();
    assert_ne!(instance_uuid(&c, &first), taken);
}

#[tokio::test]
async fn an_address_that_another_vm_has_is_allowed_with_a_warning() {
    let c = simulated().await;
    let nic = |key: i32| {
        added(vim!(VirtualVmxnet3 {
            key: key,
            addressType: "manual",
            macAddress: "00:50:56:00:00:07",
            backing: VirtualEthernetCardNetworkBackingInfo { deviceName: "VM Network" },
        }))
    };
    c.create(small_with("first", vec![nic(-1)])).await.unwrap();
    c.create(small_with("second", vec![nic(-1)])).await.unwrap();
    assert_eq!(c.events().await.iter().filter(|ty| **ty == "VmMacConflictEvent").count(), 1);
    let (ty, text) = c.latest_event();
    assert_eq!(
        (ty, text.as_str()),
        (
            "VmMacConflictEvent",
            "The MAC address (00:50:56:00:00:07) of second on sim.test is that of first as well"
        )
    );
    let twice = c.create(small_with("twice", vec![nic(-1), nic(-2)])).await.unwrap_err();
    assert_eq!(twice.type_name(), "InvalidDeviceSpec");
}

#[tokio::test]
async fn a_template_becomes_a_vm_in_a_pool_of_the_host_only() {
    let c = simulated().await;
    let vm = c.create(small("golden")).await.unwrap();
    c.invoke(&vm, call!(MarkAsTemplate {})).await.unwrap();
    let elsewhere = MoRef::new(managed_id!(ResourcePool), "resgroup-9");
    let refused = c.invoke(&vm, call!(MarkAsVirtualMachine { pool: elsewhere })).await.unwrap_err();
    assert_eq!(refused.type_name(), "ManagedObjectNotFound");
    c.invoke(&vm, call!(MarkAsVirtualMachine { pool: ids::root_pool() })).await.unwrap();
    assert_eq!(c.get(&ids::root_pool(), prop!(ResourcePool.vm)).unwrap(), [Value::Ref(vm)]);
}

/// The answer of the environment browser about a hardware version.
async fn options(c: &Client, key: &str) -> Option<Object> {
    let args = call!(QueryConfigOption { key: key });
    let answer = c.invoke(&ids::environment_browser(), args).await.unwrap();
    answer.map(|option| Object::clone(option.as_object().unwrap()))
}

#[tokio::test]
async fn hardware_and_guests_are_offered_if_and_only_if_a_vm_can_have_them() {
    let c = simulated().await;
    let spec = |name: &str, version: &str, guest: &str| {
        let mut spec = small(name);
        spec.set(field!(VirtualMachineConfigSpec.version), version);
        spec.set(field!(VirtualMachineConfigSpec.guestId), guest);
        spec
    };
    let args = call!(QueryConfigOptionDescriptor {});
    let offered = c.invoke(&ids::environment_browser(), args).await.unwrap().unwrap();
    let key = |at: &Value| {
        let descriptor = at.as_object().unwrap();
        descriptor.get(field!(VirtualMachineConfigOptionDescriptor.key)).unwrap().to_owned()
    };
    let offered: Vec<String> = offered.items().iter().map(key).collect();
    for version in 1..30 {
        let version = format!("vmx-{version:02}");
        let made = c.create(spec(&version, &version, "otherGuest64")).await;
        let shown = options(&c, &version).await;
        assert_eq!((made.is_ok(), shown.is_some()), [offered.contains(&version); 2].into(), "{version}");
        let named = shown
            .and_then(|shown| shown.get(field!(VirtualMachineConfigOption.version)).map(ToOwned::to_owned));
        assert!(named.is_none_or(|named| named == version));
    }
    let newest = options(&c, "").await.unwrap();
    let guests = newest.get(field!(VirtualMachineConfigOption.guestOSDescriptor)).unwrap();
    let guests: Vec<&str> =
        guests.iter().filter_map(|guest| guest.get(field!(GuestOsDescriptor.id))).collect();
    let default = newest.get(field!(VirtualMachineConfigOption.guestOSDefaultIndex)).unwrap();
    assert_eq!(guests[usize::try_from(default).unwrap()], "otherGuest64");
    for guest in ["dosGuest", "windows2022srvNext_64Guest", "debian12_64Guest"] {
        assert!(guests.contains(&guest) && c.create(spec(guest, "", guest)).await.is_ok(), "{guest}");
    }
    assert!(!guests.contains(&"plan9Guest") && c.create(spec("plan9", "", "plan9Guest")).await.is_err());
}
