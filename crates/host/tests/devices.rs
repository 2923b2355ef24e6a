//! Devices and settings of machines, through the API of a simulated host.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, added, disk_on_scsi, simulated, simulated_with, small, small_with};
use datastore::FilePath;
use vim::{MoRef, Object, Value, call, data_id, field, prop, vim};

/// A machine with a disk on a SCSI controller, an adapter and a CD-ROM drive.
fn equipped(name: &str, disk_kib: i64) -> Object {
    let thin = disk_kib < 1 << 20;
    let mut devices = disk_on_scsi(
        disk_kib,
        vim!(VirtualDiskFlatVer2BackingInfo { fileName: "", diskMode: "persistent", thinProvisioned: thin }),
    );
    devices.push(added(vim!(VirtualVmxnet3 {
        key: -3,
        backing: VirtualEthernetCardNetworkBackingInfo { deviceName: "VM Network" },
    })));
    devices.push(added(vim!(VirtualCdrom {
        key: -4,
        controllerKey: 201,
        backing: VirtualCdromRemotePassthroughBackingInfo { deviceName: "", exclusive: false },
    })));
    small_with(name, devices)
}

fn devices(c: &Client, vm: &MoRef) -> Vec<(i32, &'static str, Option<i32>, Option<i32>)> {
    let config = c.get(vm, prop!(VirtualMachine.config)).unwrap();
    let hardware = config.get(field!(VirtualMachineConfigInfo.hardware)).unwrap();
    let list = hardware.get(field!(VirtualHardware.device)).unwrap();
    list.iter()
        .map(|device| {
            (
                device.get(field!(VirtualDevice.key)).unwrap(),
                device.type_name(),
                device.get(field!(VirtualDevice.controllerKey)),
                device.get(field!(VirtualDevice.unitNumber)),
            )
        })
        .collect()
}

fn disk(c: &Client, vm: &MoRef) -> Object {
    let config = c.get(vm, prop!(VirtualMachine.config)).unwrap();
    let hardware = config.get(field!(VirtualMachineConfigInfo.hardware)).unwrap();
    let list = hardware.get(field!(VirtualHardware.device)).unwrap();
    let found = list.iter().find(|device| device.is_a(data_id!(VirtualDisk)));
    Object::clone(found.unwrap())
}

fn disk_file(disk: &Object) -> String {
    let backing = disk.get(field!(VirtualDevice.backing)).unwrap();
    backing.get(field!(VirtualDeviceFileBackingInfo.fileName)).unwrap().to_owned()
}

async fn reconfigure(c: &Client, vm: &MoRef, spec: impl Into<Object>) -> Result<(), vim::Fault> {
    let spec: Object = spec.into();
    c.task(vm, call!(ReconfigVM_Task { spec: spec })).await.map(drop)
}

#[tokio::test]
async fn devices_get_the_keys_and_places_that_vsphere_gives_them() {
    let c = simulated().await;
    let vm = c.create(equipped("keys", 8192)).await.unwrap();
    assert_eq!(
        devices(&c, &vm),
        [
            (100, "VirtualPCIController", None, None),
            (200, "VirtualIDEController", None, None),
            (201, "VirtualIDEController", None, None),
            (300, "VirtualPS2Controller", None, None),
            (400, "VirtualSIOController", None, None),
            (500, "VirtualMachineVideoCard", Some(100), Some(0)),
            (600, "VirtualKeyboard", Some(300), Some(0)),
            (700, "VirtualPointingDevice", Some(300), Some(1)),
            (1000, "ParaVirtualSCSIController", Some(100), Some(3)),
            (2000, "VirtualDisk", Some(1000), Some(0)),
            (3002, "VirtualCdrom", Some(201), Some(0)),
            (4000, "VirtualVmxnet3", Some(100), Some(7)),
            (12000, "VirtualMachineVMCIDevice", Some(100), Some(17)),
        ]
    );
    assert_eq!(disk_file(&disk(&c, &vm)), "[ds] keys/keys.vmdk");
    let on = c.host.datastores.by_name("ds").unwrap();
    let text = on.store.read(&FilePath::parse("keys/keys.vmx").unwrap(), 1 << 20).unwrap();
    let text = String::from_utf8(text).unwrap();
    for line in [
        "scsi0.virtualDev = \"pvscsi\"",
        "scsi0:0.fileName = \"keys.vmdk\"",
        "ethernet0.virtualDev = \"vmxnet3\"",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_machine_registered_from_its_files_is_the_one_that_was_made() {
    let c = simulated().await;
    let vm = c.create(equipped("again", 8192)).await.unwrap();
    let before = c.get(&vm, prop!(VirtualMachine.config)).unwrap();
    c.invoke(&vm, call!(UnregisterVM {})).await.unwrap();
    assert!(c.host.core.tree.snapshot().find(&vm).is_none());
    let args = call!(RegisterVM_Task {
        path: "[ds] again/again.vmx",
        asTemplate: false,
        pool: host::ids::root_pool(),
    });
    let made = c.task(&host::ids::vm_folder(), args).await.unwrap();
    let again = made.and_then(|value| value.as_ref().cloned()).unwrap();
    assert_ne!(again, vm, "ids are never used again");
    let mut after = Object::clone(&c.get(&again, prop!(VirtualMachine.config)).unwrap());
    let mut before = Object::clone(&before);
    for config in [&mut before, &mut after] {
        // The object id of a disk names its machine: the devices are compared below.
        config.put(field!(VirtualMachineConfigInfo.hardware).number(), None);
    }
    assert_eq!(before, after);
    assert_eq!(devices(&c, &again).len(), 13);
}

#[tokio::test]
async fn settings_change_and_a_stale_change_version_is_refused() {
    let c = simulated().await;
    let vm = c.create(equipped("set", 8192)).await.unwrap();
    let config = c.get(&vm, prop!(VirtualMachine.config)).unwrap();
    let version = config.get(field!(VirtualMachineConfigInfo.changeVersion)).unwrap().to_owned();
    let spec = vim!(VirtualMachineConfigSpec {
        changeVersion: &*version,
        name: "set2",
        numCPUs: 4,
        numCoresPerSocket: 2,
        memoryMB: 512i64,
        annotation: "two\nlines",
        guestId: "debian12_64Guest",
        extraConfig: [OptionValue { key: "a.b", value: "1" }, OptionValue { key: "c", value: "" }],
    });
    reconfigure(&c, &vm, spec.clone()).await.unwrap();
    let config = c.get(&vm, prop!(VirtualMachine.config)).unwrap();
    assert_eq!(config.get(field!(VirtualMachineConfigInfo.name)), Some("set2"));
    assert_eq!(config.get(field!(VirtualMachineConfigInfo.annotation)), Some("two\nlines"));
    assert_eq!(c.get(&vm, prop!(VirtualMachine.name)).as_deref(), Some("set2"));
    let hardware = config.get(field!(VirtualMachineConfigInfo.hardware)).unwrap();
    assert_eq!(hardware.get(field!(VirtualHardware.numCPU)), Some(4));
    assert_eq!(hardware.get(field!(VirtualHardware.memoryMB)), Some(512));
    let extra: Vec<_> =
        config.get(field!(VirtualMachineConfigInfo.extraConfig)).unwrap().into_iter().collect();
    assert_eq!(extra.len(), 1);
    assert_eq!(extra[0].get(field!(OptionValue.value)), Some(&Value::from("1")));
    assert_eq!(reconfigure(&c, &vm, spec).await.unwrap_err().type_name(), "ConcurrentAccess");
}

#[tokio::test]
async fn a_disk_grows_and_never_shrinks_and_goes_with_its_file_when_asked() {
    let c = simulated().await;
    let vm = c.create(equipped("grow", 8192)).await.unwrap();
    let on = c.host.datastores.by_name("ds").unwrap();
    let file = FilePath::parse("grow/grow.vmdk").unwrap();
    // As clients do that know only one of the two fields of the size.
    let edit = |kib: i64| {
        let mut disk = disk(&c, &vm);
        disk.set(field!(VirtualDisk.capacityInKB), kib);
        vim!(VirtualMachineConfigSpec {
            deviceChange: [VirtualDeviceConfigSpec { operation: "edit", device: disk }]
        })
    };
    reconfigure(&c, &vm, edit(16384)).await.unwrap();
    assert_eq!(on.store.entry(&file).unwrap().size_bytes, 16 << 20);
    let fault = reconfigure(&c, &vm, edit(4096)).await.unwrap_err();
    assert_eq!(fault.type_name(), "InvalidDeviceSpec");
    let property = fault.object().get(field!(InvalidVmConfig.property));
    assert_eq!(property, Some("deviceChange[0].device.capacityInKB"));
    let remove = vim!(VirtualMachineConfigSpec {
        deviceChange: [VirtualDeviceConfigSpec {
            operation: "remove",
            fileOperation: "destroy",
            device: VirtualDisk { key: 2000, capacityInKB: 0i64 },
        }],
    });
    reconfigure(&c, &vm, remove).await.unwrap();
    assert!(!on.store.exists(&file).unwrap());
    assert!(!devices(&c, &vm).iter().any(|device| device.1 == "VirtualDisk"));
}

#[tokio::test]
async fn a_full_datastore_is_a_clear_fault_and_nothing_is_left() {
    let c = simulated_with(1 << 20).await;
    let fault = c.create(equipped("full", 8 << 20)).await.unwrap_err();
    assert_eq!(fault.type_name(), "NoDiskSpace");
    let on = c.host.datastores.by_name("ds").unwrap();
    assert_eq!(on.store.list(&FilePath::root()).unwrap(), []);
    assert!(c.host.all_vms().is_empty());
    c.create(small("fits")).await.unwrap();
}

#[tokio::test]
async fn what_is_not_possible_is_a_typed_fault_that_names_the_device() {
    let c = simulated().await;
    let vm = c.create(equipped("bad", 8192)).await.unwrap();
    let add = |device: Object| {
        vim!(VirtualMachineConfigSpec {
            deviceChange: [VirtualDeviceConfigSpec { operation: "add", device: device }]
        })
    };
    let cases: Vec<(Object, &str, &str)> = vec![
        (vim!(VirtualFloppy { key: -1 }).into(), "DeviceUnsupportedForVmVersion", "deviceChange[0].device"),
        (vim!(VirtualPCNet32 { key: -1 }).into(), "DeviceUnsupportedForVmVersion", "deviceChange[0].device"),
        (
            vim!(VirtualE1000 {
                key: -1,
                backing: VirtualEthernetCardNetworkBackingInfo { deviceName: "nowhere" },
            })
            .into(),
            "InvalidDeviceBacking",
            "deviceChange[0].device.backing.deviceName",
        ),
        (
            vim!(VirtualE1000 {
                key: -1,
                addressType: "manual",
                macAddress: "01:00:00:00:00:01",
                backing: VirtualEthernetCardNetworkBackingInfo { deviceName: "VM Network" },
            })
            .into(),
            "InvalidDeviceSpec",
            "deviceChange[0].device.macAddress",
        ),
        (
            vim!(VirtualDisk { key: -1, controllerKey: 1000, unitNumber: 7, capacityInKB: 4i64 }).into(),
            "InvalidDeviceSpec",
            "deviceChange[0].device.unitNumber",
        ),
        (
            vim!(VirtualDisk { key: -1, controllerKey: 77, capacityInKB: 4i64 }).into(),
            "InvalidController",
            "deviceChange[0].device.controllerKey",
        ),
        (
            vim!(ParaVirtualSCSIController { key: -1, busNumber: 0, sharedBus: "noSharing" }).into(),
            "InvalidDeviceSpec",
            "deviceChange[0].device.busNumber",
        ),
    ];
    for (device, ty, property) in cases {
        let what = device.type_name();
        let fault = reconfigure(&c, &vm, add(device)).await.unwrap_err();
        let named = fault.object().get(field!(InvalidVmConfig.property));
        assert_eq!((fault.type_name(), named), (ty, Some(property)), "{what}: {fault}");
    }
    let escape = vim!(VirtualDisk {
        key: -1,
        controllerKey: 1000,
        capacityInKB: 4i64,
        backing: VirtualDiskFlatVer2BackingInfo { fileName: "[ds] ../../etc/passwd", diskMode: "persistent" },
    });
    assert_eq!(
        reconfigure(&c, &vm, add(escape.into())).await.unwrap_err().type_name(),
        "InvalidDatastorePath"
    );
}

#[tokio::test]
async fn a_disk_and_an_adapter_come_and_go_while_the_machine_runs() {
    let c = simulated().await;
    let vm = c.create(equipped("hot", 8192)).await.unwrap();
    c.power_on(&vm).await.unwrap();
    let add = vim!(VirtualMachineConfigSpec {
        deviceChange: [
            VirtualDeviceConfigSpec {
                operation: "add",
                fileOperation: "create",
                device: VirtualDisk {
                    key: -1,
                    controllerKey: 1000,
                    capacityInKB: 1024i64,
                    backing: VirtualDiskFlatVer2BackingInfo { fileName: "[ds]", diskMode: "persistent" },
                },
            },
            VirtualDeviceConfigSpec {
                operation: "add",
                device: VirtualE1000e {
                    key: -2,
                    backing: VirtualEthernetCardNetworkBackingInfo { deviceName: "VM Network" },
                },
            },
        ],
    });
    reconfigure(&c, &vm, add).await.unwrap();
    let keys: Vec<i32> = devices(&c, &vm).iter().map(|device| device.0).collect();
    assert!(keys.contains(&2001) && keys.contains(&4001));
    let cpus = vim!(VirtualMachineConfigSpec { numCPUs: 2 });
    assert_eq!(reconfigure(&c, &vm, cpus).await.unwrap_err().type_name(), "CpuHotPlugNotSupported");
    let remove = vim!(VirtualMachineConfigSpec {
        deviceChange: [
            VirtualDeviceConfigSpec {
                operation: "remove",
                fileOperation: "destroy",
                device: VirtualDisk { key: 2001, capacityInKB: 0i64 },
            },
            VirtualDeviceConfigSpec { operation: "remove", device: VirtualE1000e { key: 4001 } },
        ],
    });
    reconfigure(&c, &vm, remove).await.unwrap();
    let on = c.host.datastores.by_name("ds").unwrap();
    assert!(!on.store.exists(&FilePath::parse("hot/hot_1.vmdk").unwrap()).unwrap());
}

#[tokio::test]
async fn snapshots_form_a_tree_and_merge_when_they_go() {
    let c = simulated().await;
    let vm = c.create(equipped("snap", 8192)).await.unwrap();
    let take = async |name: &str| {
        let args = call!(CreateSnapshot_Task { name: name, memory: false, quiesce: false });
        c.task(&vm, args).await.unwrap().and_then(|me| me.as_ref().cloned()).unwrap()
    };
    let one = take("one").await;
    assert_eq!(disk_file(&disk(&c, &vm)), "[ds] snap/snap-000001.vmdk");
    reconfigure(&c, &vm, vim!(VirtualMachineConfigSpec { memoryMB: 256i64 })).await.unwrap();
    let two = take("two").await;
    let info = c.get(&vm, prop!(VirtualMachine.snapshot)).unwrap();
    assert_eq!(info.get(field!(VirtualMachineSnapshotInfo.currentSnapshot)), Some(&two));
    c.task(&one, call!(RevertToSnapshot_Task {})).await.unwrap();
    let config = c.get(&vm, prop!(VirtualMachine.config)).unwrap();
    let hardware = config.get(field!(VirtualMachineConfigInfo.hardware)).unwrap();
    assert_eq!(hardware.get(field!(VirtualHardware.memoryMB)), Some(128), "the configuration went back");
    c.invoke(&two, call!(RenameSnapshot { name: "zwei" })).await.unwrap();
    c.task(&vm, call!(RemoveAllSnapshots_Task {})).await.unwrap();
    assert!(c.get(&vm, prop!(VirtualMachine.snapshot)).is_none());
    assert!(c.host.core.tree.snapshot().find(&one).is_none());
    assert_eq!(disk_file(&disk(&c, &vm)), "[ds] snap/snap.vmdk");
    let on = c.host.datastores.by_name("ds").unwrap();
    let left = on.store.list(&FilePath::parse("snap").unwrap()).unwrap();
    let names: Vec<&str> = left.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["snap.vmdk", "snap.vmsd", "snap.vmx"]);
    let memory = call!(CreateSnapshot_Task { name: "m", memory: true, quiesce: false });
    c.power_on(&vm).await.unwrap();
    assert_eq!(c.task(&vm, memory).await.unwrap_err().type_name(), "NotSupported");
}

#[tokio::test]
async fn a_serial_port_writes_into_no_file_of_a_machine_and_none_that_is_open() {
    let c = simulated().await;
    let (vm, other) = (c.create(small("talks")).await.unwrap(), c.create(small("other")).await.unwrap());
    let on = c.host.datastores.by_name("ds").unwrap();
    on.store.write(&FilePath::parse("other/vmware.log").unwrap(), b"log").unwrap();
    c.power_on(&other).await.unwrap();
    let port = |file: &str| {
        vim!(VirtualMachineConfigSpec {
            deviceChange: [VirtualDeviceConfigSpec {
                operation: "add",
                device: VirtualSerialPort {
                    key: -1,
                    yieldOnPoll: true,
                    backing: VirtualSerialPortFileBackingInfo { fileName: file },
                },
            }],
        })
    };
    for file in ["[ds] other/other.vmx", "[ds] other/other.nvram", "[ds] talks/x.vmdk", "[ds] other"] {
        let fault = reconfigure(&c, &vm, port(file)).await.unwrap_err();
        assert_eq!(fault.type_name(), "InvalidDeviceBacking", "{file}: {fault}");
    }
    let fault = reconfigure(&c, &vm, port("[ds] other/vmware.log")).await.unwrap_err();
    assert_eq!(fault.type_name(), "FileLocked", "{fault}");
    reconfigure(&c, &vm, port("[ds] talks/serial.txt")).await.unwrap();
    c.power_on(&vm).await.unwrap();
}

#[tokio::test]
async fn a_machine_that_runs_is_given_processors_and_memory_if_it_was_made_for_it() {
    let c = simulated().await;
    let vm = c.create(small("grows")).await.unwrap();
    let enable = vim!(VirtualMachineConfigSpec {
        cpuHotAddEnabled: true,
        memoryHotAddEnabled: true,
        numCPUs: 2,
        numCoresPerSocket: 2,
    });
    reconfigure(&c, &vm, enable).await.unwrap();
    c.power_on(&vm).await.unwrap();
    let more = vim!(VirtualMachineConfigSpec { numCPUs: 4, memoryMB: 256i64 });
    reconfigure(&c, &vm, more).await.unwrap();
    let config = c.host.vm(&vm).unwrap().config();
    assert_eq!((config.cpus, config.cores_per_socket, config.memory_mib), (4, 2, 256));
    for (spec, fault) in [
        (vim!(VirtualMachineConfigSpec { numCPUs: 2 }), "CpuHotPlugNotSupported"),
        (vim!(VirtualMachineConfigSpec { numCPUs: 5 }), "CpuHotPlugNotSupported"),
        (vim!(VirtualMachineConfigSpec { numCoresPerSocket: 1 }), "CpuHotPlugNotSupported"),
        (vim!(VirtualMachineConfigSpec { memoryMB: 128i64 }), "MemoryHotPlugNotSupported"),
        (vim!(VirtualMachineConfigSpec { memoryMB: 260i64 }), "MemoryHotPlugNotSupported"),
        (vim!(VirtualMachineConfigSpec { cpuHotAddEnabled: false }), "InvalidPowerState"),
        (vim!(VirtualMachineConfigSpec { memoryHotAddEnabled: false }), "InvalidPowerState"),
    ] {
        assert_eq!(reconfigure(&c, &vm, spec).await.unwrap_err().type_name(), fault);
    }
    assert_eq!(c.host.vm(&vm).unwrap().config(), config, "nothing has changed");
    // It could not go on in a machine that is made with all of it from the start.
    assert_eq!(c.task(&vm, call!(SuspendVM_Task {})).await.unwrap_err().type_name(), "NotSupported");
    c.power_off(&vm).await.unwrap();
    c.power_on(&vm).await.unwrap();
    c.task(&vm, call!(SuspendVM_Task {})).await.unwrap();
}

fn shown_uuid(c: &Client, vm: &MoRef) -> String {
    let disk = disk(c, vm);
    let backing = disk.get(field!(VirtualDevice.backing)).unwrap();
    backing.named("uuid").and_then(|uuid| uuid.as_str()).unwrap().to_owned()
}

async fn known_uuid(c: &Client, file: &str) -> String {
    let args = call!(QueryVirtualDiskUuid { name: file });
    let uuid = c.invoke(&host::managers::virtual_disk_manager(), args).await.unwrap().unwrap();
    let digits: String = uuid.as_str().unwrap().chars().filter(char::is_ascii_hexdigit).collect();
    uuid::Uuid::parse_str(&digits).unwrap().to_string()
}

#[tokio::test]
async fn a_disk_has_one_uuid_whoever_asks_and_whatever_layer_it_is_in() {
    let c = simulated().await;
    let vm = c.create(equipped("web", 8192)).await.unwrap();
    let uuid = shown_uuid(&c, &vm);
    assert_eq!(known_uuid(&c, "[ds] web/web.vmdk").await, uuid);
    let snapshot = || call!(CreateSnapshot_Task { name: "one", memory: false, quiesce: false });
    c.task(&vm, snapshot()).await.unwrap();
    assert_eq!(disk_file(&disk(&c, &vm)), "[ds] web/web-000001.vmdk");
    assert_eq!(
        (shown_uuid(&c, &vm), known_uuid(&c, "[ds] web/web-000001.vmdk").await),
        (uuid.clone(), uuid.clone())
    );
    c.task(&vm, call!(RevertToCurrentSnapshot_Task {})).await.unwrap();
    assert_eq!(
        (shown_uuid(&c, &vm), known_uuid(&c, &disk_file(&disk(&c, &vm))).await),
        (uuid.clone(), uuid.clone())
    );
    c.task(&vm, call!(RemoveAllSnapshots_Task {})).await.unwrap();
    // Attached elsewhere it is the same disk, and a new identity is everybody's at once.
    let file = disk_file(&disk(&c, &vm));
    let other = c.create(equipped("db", 8192)).await.unwrap();
    assert_ne!(shown_uuid(&c, &other), uuid);
    let detach = vim!(VirtualDeviceConfigSpec { operation: "remove", device: VirtualDisk { key: 2000 } });
    reconfigure(&c, &other, vim!(VirtualMachineConfigSpec { deviceChange: [detach] })).await.unwrap();
    let backing = vim!(VirtualDiskFlatVer2BackingInfo { fileName: &*file, diskMode: "persistent" });
    let attach = vim!(VirtualDeviceConfigSpec {
        operation: "add",
        device: VirtualDisk { key: -1, controllerKey: 1000, unitNumber: 0, backing: backing },
    });
    reconfigure(&c, &other, vim!(VirtualMachineConfigSpec { deviceChange: [attach] })).await.unwrap();
    assert_eq!(shown_uuid(&c, &other), uuid);
    let new = "11111111-2222-3333-4444-555555555555";
    let args = call!(SetVirtualDiskUuid { name: &*file, uuid: new });
    c.invoke(&host::managers::virtual_disk_manager(), args).await.unwrap();
    assert_eq!((shown_uuid(&c, &vm), shown_uuid(&c, &other)), (new.to_owned(), new.to_owned()));
}

#[tokio::test]
async fn vms_that_say_nothing_of_themselves_have_disks_of_their_own() {
    let c = simulated().await;
    let on = c.host.datastores.by_name("ds").unwrap();
    let text = "memSize = \"64\"\nscsi0.present = \"TRUE\"\nscsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a.vmdk\"\n";
    let mut uuids = Vec::new();
    for name in ["one", "two"] {
        let path = |file: &str| FilePath::parse(&format!("{name}/{file}")).unwrap();
        on.store.make_directory(&FilePath::parse(name).unwrap(), false).unwrap();
        on.store.create_sparse(&path("a.vmdk"), 8 << 20).unwrap();
        on.store.write(&path("vm.vmx"), format!("displayName = \"{name}\"\n{text}").as_bytes()).unwrap();
        let args = call!(RegisterVM_Task {
            path: format!("[ds] {name}/vm.vmx"),
            asTemplate: false,
            pool: host::ids::root_pool()
        });
        let vm = c.task(&host::ids::vm_folder(), args).await.unwrap().unwrap();
        uuids.push(shown_uuid(&c, vm.as_ref().unwrap()));
        assert_eq!(known_uuid(&c, &format!("[ds] {name}/a.vmdk")).await, uuids[uuids.len() - 1]);
    }
    assert_ne!(uuids[0], uuids[1]);
}

#[tokio::test]
async fn a_vm_with_a_device_that_cannot_be_had_is_registered_and_does_not_run_until_it_is_removed() {
    let c = simulated().await;
    let on = c.host.datastores.by_name("ds").unwrap();
    let path = FilePath::parse("old/old.vmx").unwrap();
    on.store.make_directory(&path.parent().unwrap(), false).unwrap();
    let text = "displayName = \"old\"\nmemSize = \"64\"\nscsi0.present = \"TRUE\"\nscsi0:0.present = \"TRUE\"\n\
                scsi0:0.fileName = \"/vmfs/volumes/gone/a.vmdk\"\nide1:0.present = \"TRUE\"\n\
                ide1:0.deviceType = \"cdrom-image\"\nide1:0.fileName = \"/vmfs/volumes/gone/a.iso\"\n";
    on.store.write(&path, text.as_bytes()).unwrap();
    let pool = host::ids::root_pool();
    let args = call!(RegisterVM_Task { path: "[ds] old/old.vmx", asTemplate: false, pool: pool });
    let vm = c.task(&host::ids::vm_folder(), args).await.unwrap().unwrap();
    let vm = vm.as_ref().unwrap();
    let info = Object::clone(disk(&c, vm).get(field!(VirtualDevice.deviceInfo)).unwrap());
    assert_eq!(info.get(field!(Description.label)), Some("Hard disk scsi0:0"));
    assert_eq!(disk_file(&disk(&c, vm)), "/vmfs/volumes/gone/a.vmdk");
    let fault = c.power_on(vm).await.unwrap_err();
    assert_eq!(fault.type_name(), "GenericVmConfigFault");
    assert!(fault.message().contains("Hard disk scsi0:0"), "{fault}");
    let written = on.store.read_vmx(&path).unwrap();
    assert_eq!(written.get("scsi0:0.fileName"), Some("/vmfs/volumes/gone/a.vmdk"));
    assert_eq!(written.get("ide1:0.fileName"), Some("/vmfs/volumes/gone/a.iso"));
    // Nobody was asked for privileges on that datastore.
    for prefix in ["scsi0:0", "ide1:0"] {
        assert_eq!(written.get(&format!("{prefix}.esfera.unchecked")), Some("TRUE"));
    }
    let gone = vim!(VirtualDeviceConfigSpec { operation: "remove", device: VirtualDisk { key: 2000 } });
    reconfigure(&c, vm, vim!(VirtualMachineConfigSpec { deviceChange: [gone] })).await.unwrap();
    c.power_on(vm).await.unwrap();
}
