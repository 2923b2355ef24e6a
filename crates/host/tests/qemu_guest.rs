//! A guest that boots, looked at from inside.

#![allow(clippy::unwrap_used)]

mod common;

use common::serial::Serial;
use common::{Client, Site, guest_image};
use vim::{MoRef, Object, call, field, prop, vim};

/// A machine with the test guest's disk, a second one of 64 MiB, an adapter and a serial port.
fn spec(name: &str) -> Object {
    vim!(VirtualMachineConfigSpec {
        name: name,
        guestId: "debian12_64Guest",
        memoryMB: 256i64,
        numCPUs: 2,
        files: VirtualMachineFileInfo { vmPathName: format!("[ds] {name}/{name}.vmx") },
        deviceChange: [
            VirtualDeviceConfigSpec {
                operation: "add",
                device: ParaVirtualSCSIController { key: -1, busNumber: 0, sharedBus: "noSharing" },
            },
            VirtualDeviceConfigSpec {
                operation: "add",
                device: VirtualDisk {
                    key: -2,
                    controllerKey: -1,
                    unitNumber: 0,
                    capacityInKB: 0i64,
                    backing: VirtualDiskFlatVer2BackingInfo {
                        fileName: format!("[ds] {name}/guest.vmdk"),
                        diskMode: "persistent",
                    },
                },
            },
            VirtualDeviceConfigSpec {
                operation: "add",
                fileOperation: "create",
                device: VirtualDisk {
                    key: -3,
                    controllerKey: -1,
                    unitNumber: 1,
                    capacityInKB: 65536i64,
                    backing: VirtualDiskFlatVer2BackingInfo { fileName: "[ds]", diskMode: "persistent" },
                },
            },
            VirtualDeviceConfigSpec {
                operation: "add",
                device: VirtualVmxnet3 {
                    key: -4,
                    addressType: "manual",
                    macAddress: "00:50:56:12:34:56",
                    backing: VirtualEthernetCardNetworkBackingInfo { deviceName: "VM Network" },
                },
            },
            VirtualDeviceConfigSpec {
                operation: "add",
                device: VirtualSerialPort {
                    key: -5,
                    yieldOnPoll: true,
                    backing: VirtualSerialPortPipeBackingInfo { pipeName: "console", endpoint: "server" },
                },
            },
        ],
    })
    .into()
}

/// Makes the machine with a copy of the guest's disk.
async fn with_guest(site: &Site, c: &Client, name: &str, image: &std::path::Path) -> MoRef {
    let directory = site.datastore().join(name);
    std::fs::create_dir(&directory).unwrap();
    std::fs::copy(image, directory.join("guest.vmdk")).unwrap();
    c.create(spec(name)).await.unwrap()
}

async fn login(c: &Client, vm: &MoRef) -> Serial {
    let machine = c.host.vm(vm).unwrap().machine().unwrap();
    Serial::login(&machine.serial().unwrap()).await
}

fn tools_run(c: &Client, vm: &MoRef) -> bool {
    let guest = c.get(vm, prop!(VirtualMachine.guest)).unwrap();
    guest.get(field!(GuestInfo.toolsRunningStatus)) == Some("guestToolsRunning")
}

#[tokio::test(flavor = "multi_thread")]
async fn qemu_a_guest_sees_what_its_machine_was_given_and_outlives_its_daemon() {
    let Some(image) = guest_image() else { return };
    let site = Site::new();
    let c = site.open().await;
    let vm = with_guest(&site, &c, "seen", &image).await;
    c.power_on(&vm).await.unwrap();
    let mut serial = login(&c, &vm).await;
    assert_eq!(serial.run("grep -c ^processor /proc/cpuinfo").await, "2");
    let kib: u64 = serial.run("awk '/MemTotal/{print $2}' /proc/meminfo").await.parse().unwrap();
    assert!((180_000..262_144).contains(&kib), "{kib} KiB");
    assert_eq!(serial.run("cat /sys/class/net/eth0/address").await, "00:50:56:12:34:56");
    let smallest = serial.run("cat /sys/block/sd*/size | sort -n | head -n 1").await;
    assert_eq!(smallest, (64 * 2048).to_string());
    c.until(|c| tools_run(c, &vm)).await;
    let guest = c.get(&vm, prop!(VirtualMachine.guest)).unwrap();
    assert!(guest.get(field!(GuestInfo.hostName)).is_some());
    let grown = vim!(VirtualMachineConfigSpec {
        deviceChange: [VirtualDeviceConfigSpec {
            operation: "edit",
            device: VirtualDisk { key: 2001, capacityInKB: 131_072i64 },
        }],
    });
    c.task(&vm, call!(ReconfigVM_Task { spec: grown })).await.unwrap();
    let ticket = c.invoke(&vm, call!(AcquireTicket { ticketType: "webmks" })).await.unwrap().unwrap();
    assert!(ticket.as_object().unwrap().get(field!(VirtualMachineTicket.ticket)).is_some());
    let shot = c.task(&vm, call!(CreateScreenshot_Task {})).await.unwrap().unwrap();
    assert_eq!(shot.as_str(), Some("[ds] seen/seen-1.png"));
    assert!(std::fs::read(site.datastore().join("seen/seen-1.png")).unwrap().starts_with(b"\x89PNG"));

    // Another daemon finds the machine running, and the guest has noticed nothing.
    serial.run("echo kept > /tmp/mark").await;
    drop(serial);
    let pid = c.host.vm(&vm).unwrap().machine().unwrap().pid();
    c.close().await;
    let c = site.open().await;
    assert_eq!(c.power(&vm), "poweredOn");
    assert_eq!(c.host.vm(&vm).unwrap().machine().unwrap().pid(), pid);
    let mut serial = login(&c, &vm).await;
    assert_eq!(serial.run("cat /tmp/mark").await, "kept");
    c.invoke(&vm, call!(ShutdownGuest {})).await.unwrap();
    c.until(|c| c.power(&vm) == "poweredOff").await;
    assert!(c.events().await.contains(&"VmGuestShutdownEvent"));
    c.destroy(&vm).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn qemu_data_from_before_a_snapshot_is_back_after_a_revert_and_a_suspended_guest_goes_on() {
    let Some(image) = guest_image() else { return };
    let site = Site::new();
    let c = site.open().await;
    let vm = with_guest(&site, &c, "back", &image).await;
    c.power_on(&vm).await.unwrap();
    let mut serial = login(&c, &vm).await;
    serial.run("echo before > /data/mark; sync").await;
    c.until(|c| tools_run(c, &vm)).await;
    let args = call!(CreateSnapshot_Task { name: "live", memory: false, quiesce: true });
    c.task(&vm, args).await.unwrap();
    let info = c.get(&vm, prop!(VirtualMachine.snapshot)).unwrap();
    let root = info.get(field!(VirtualMachineSnapshotInfo.rootSnapshotList)).unwrap().iter().next().unwrap();
    assert_eq!(root.get(field!(VirtualMachineSnapshotTree.quiesced)), Some(true));
    serial.run("echo after > /data/mark; sync; echo running > /tmp/state").await;

    c.task(&vm, call!(SuspendVM_Task {})).await.unwrap();
    assert_eq!(c.power(&vm), "suspended");
    c.close().await;
    let c = site.open().await;
    assert_eq!(c.power(&vm), "suspended", "also for another daemon");
    c.power_on(&vm).await.unwrap();
    let mut serial = login(&c, &vm).await;
    assert_eq!(serial.run("cat /tmp/state /data/mark").await, "running\nafter");

    c.task(&vm, call!(RevertToCurrentSnapshot_Task {})).await.unwrap();
    assert_eq!(c.power(&vm), "poweredOff");
    c.power_on(&vm).await.unwrap();
    let mut serial = login(&c, &vm).await;
    assert_eq!(serial.run("cat /data/mark").await, "before");
    // Merged while the guest runs.
    serial.run("echo merged > /data/mark; sync").await;
    c.task(&vm, call!(RemoveAllSnapshots_Task {})).await.unwrap();
    assert_eq!(serial.run("cat /data/mark").await, "merged");
    c.power_off(&vm).await.unwrap();
    let mut names: Vec<String> = std::fs::read_dir(site.datastore().join("back"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".vmdk") || name.ends_with(".vmsn") || name.ends_with(".vmss"))
        .collect();
    names.sort();
    assert_eq!(names, ["back.vmdk", "guest.vmdk"]);
    c.power_on(&vm).await.unwrap();
    let mut serial = login(&c, &vm).await;
    assert_eq!(serial.run("cat /data/mark").await, "merged");
    c.power_off(&vm).await.unwrap();
    c.destroy(&vm).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn qemu_a_guest_gets_processors_and_memory_while_it_runs() {
    let Some(image) = guest_image() else { return };
    let site = Site::new();
    let c = site.open().await;
    let vm = with_guest(&site, &c, "grows", &image).await;
    let enable = vim!(VirtualMachineConfigSpec { cpuHotAddEnabled: true, memoryHotAddEnabled: true });
    c.task(&vm, call!(ReconfigVM_Task { spec: enable })).await.unwrap();
    c.power_on(&vm).await.unwrap();
    let mut serial = login(&c, &vm).await;
    let memory = "awk '/MemTotal/{print $2}' /proc/meminfo";
    let before: u64 = serial.run(memory).await.parse().unwrap();
    assert_eq!(serial.run("grep -c ^processor /proc/cpuinfo").await, "2");
    let more = vim!(VirtualMachineConfigSpec { numCPUs: 4, memoryMB: 384i64 });
    c.task(&vm, call!(ReconfigVM_Task { spec: more })).await.unwrap();
    // The guest finds them in its own time; what its kernel leaves out is switched on as a person would.
    let switch_on = "for f in /sys/devices/system/cpu/cpu*/online; do grep -q 1 $f || echo 1 > $f; done; \
        for f in /sys/devices/system/memory/memory*/state; do grep -q online $f || echo online > $f; done";
    let mut seen = (String::new(), 0);
    for _ in 0..60 {
        serial.run(switch_on).await;
        let kib: u64 = serial.run(memory).await.parse().unwrap();
        seen = (serial.run("grep -c ^processor /proc/cpuinfo").await, kib);
        if seen.0 == "4" && seen.1 > before {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    assert_eq!((seen.0.as_str(), seen.1 - before), ("4", 128 << 10), "{seen:?}");
    let none = vim!(VirtualMachineConfigSpec { numCPUs: 9 });
    let fault = c.task(&vm, call!(ReconfigVM_Task { spec: none })).await.unwrap_err();
    assert!(fault.to_string().contains("room for 4"), "{fault}");

    // Another daemon knows of them, and after a restart it has them from the start.
    drop(serial);
    c.close().await;
    let c = site.open().await;
    assert_eq!(c.host.vm(&vm).unwrap().config().cpus, 4);
    c.power_off(&vm).await.unwrap();
    c.power_on(&vm).await.unwrap();
    let mut serial = login(&c, &vm).await;
    assert_eq!(serial.run("grep -c ^processor /proc/cpuinfo").await, "4");
    c.power_off(&vm).await.unwrap();
    c.destroy(&vm).await.unwrap();
}
