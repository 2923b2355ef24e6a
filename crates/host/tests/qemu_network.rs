//! A guest on the virtual switch: the test runs itself again in a network namespace of its own, where a server that gives out
//! addresses is at the other end of the uplink.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

use common::{Client, Site, guest_image};
use host::network::{NetworkOptions, Switched};
use vim::{call, field, prop, vim};

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "ip {arguments:?}");
}

/// A network namespace with a cable, whose end `up0` is the host's, and dnsmasq at the other.
struct Room {
    name: String,
    server: Child,
}

impl Room {
    fn new() -> Self {
        let name = format!("esf-t{}", std::process::id());
        ip(&["netns", "add", &name]);
        let inside = |arguments: &[&str]| ip(&[&["-n", &name], arguments].concat());
        inside(&["link", "set", "lo", "up"]);
        inside(&["link", "add", "wire", "type", "veth", "peer", "name", "up0"]);
        inside(&["addr", "add", "10.91.0.1/24", "dev", "wire"]);
        inside(&["link", "set", "wire", "up"]);
        let server = Command::new("ip")
            .args(["netns", "exec", &name, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null"])
            .args(["--interface=wire", "--bind-interfaces", "--port=0", "--leasefile-ro", "--pid-file="])
            .arg("--dhcp-range=10.91.0.50,10.91.0.60,1h")
            .spawn()
            .unwrap();
        Self { name, server }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
        ip(&["netns", "delete", &self.name]);
    }
}

#[test]
fn qemu_a_guest_on_a_tap_gets_an_address_and_its_tap_goes_with_it() {
    if guest_image().is_none() {
        return;
    }
    let room = Room::new();
    let done = Command::new("ip")
        .args(["netns", "exec", &room.name])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "inside_the_namespace", "--ignored", "--nocapture"])
        .status()
        .unwrap();
    assert!(done.success());
}

fn taps() -> usize {
    let entries = std::fs::read_dir("/sys/class/net").unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("tst")).count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test above, in a network namespace"]
async fn inside_the_namespace() {
    let image = guest_image().unwrap();
    let site = Site::new();
    // Left by a daemon that died.
    ip(&["tuntap", "add", "dev", "tst9n0", "mode", "tap"]);
    // The BPF file system is mounted in the mount namespace that `ip netns exec` has made, and ends with it.
    let pins = Path::new("/sys/fs/bpf");
    let fabric = Arc::new(Switched::start(pins.into(), "tst", vec!["up0".into()], "host1").await.unwrap());
    let network = || NetworkOptions {
        fabric: fabric.clone(),
        prefix: "tst".into(),
        uplinks: vec!["up0".into()],
        networks: vec![host::DEFAULT_NETWORK.into()],
        management: None,
    };
    let c = Client::of(site.open_host_with(network).await);
    assert_eq!(taps(), 0, "the tap of nobody is gone");
    std::fs::create_dir(site.datastore().join("net")).unwrap();
    std::fs::copy(image, site.datastore().join("net/guest.vmdk")).unwrap();
    let spec = vim!(VirtualMachineConfigSpec {
        name: "net",
        memoryMB: 192i64,
        files: VirtualMachineFileInfo { vmPathName: "[ds] net/net.vmx" },
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
                    capacityInKB: 0i64,
                    backing: VirtualDiskFlatVer2BackingInfo {
                        fileName: "[ds] net/guest.vmdk",
                        diskMode: "persistent",
                    },
                },
            },
            VirtualDeviceConfigSpec {
                operation: "add",
                device: VirtualVmxnet3 {
                    key: -3,
                    backing: VirtualEthernetCardNetworkBackingInfo { deviceName: "VM Network" },
                },
            },
        ],
    });
    let vm = c.create(spec).await.unwrap();
    c.power_on(&vm).await.unwrap();
    assert_eq!(taps(), 1);
    c.until(|c| {
        let guest = c.get(&vm, prop!(VirtualMachine.guest)).unwrap();
        guest.get(field!(GuestInfo.ipAddress)).is_some_and(|address| address.starts_with("10.91.0."))
    })
    .await;
    let guest = c.get(&vm, prop!(VirtualMachine.guest)).unwrap();
    let nic = guest.get(field!(GuestInfo.net)).unwrap().iter().next().unwrap();
    assert_eq!(nic.get(field!(GuestNicInfo.deviceConfigId)), Some(4000));
    assert_eq!(nic.get(field!(GuestNicInfo.network)), Some("VM Network"));
    let add = vim!(VirtualMachineConfigSpec {
        deviceChange: [VirtualDeviceConfigSpec {
            operation: "add",
            device: VirtualVmxnet3 {
                key: -1,
                backing: VirtualEthernetCardNetworkBackingInfo { deviceName: "VM Network" },
            },
        }],
    });
    c.task(&vm, call!(ReconfigVM_Task { spec: add })).await.unwrap();
    assert_eq!(taps(), 2);
    c.power_off(&vm).await.unwrap();
    assert_eq!(taps(), 0);
    c.destroy(&vm).await.unwrap();
}
