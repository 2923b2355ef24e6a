//! A guest on the virtual switch: the test runs itself again in a network namespace of its own, where a server that gives out
//! addresses is at the other end of the uplink.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::serial::Serial;
use common::{Client, Site, guest_image};
use hostnet::{NetworkOptions, Switched};
use vim::{MoRef, Object, Value, call, field, prop, vim};

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
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("esf-t{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // Left by a process that was killed and had this number before.
        let _ = Command::new("ip").args(["netns", "delete", &name]).output();
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

/// Runs one of the tests below in a room.
fn inside(test: &str) {
    let room = Room::new();
    let done = Command::new("ip")
        .args(["netns", "exec", &room.name])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .status()
        .unwrap();
    assert!(done.success());
}

#[test]
fn qemu_a_guest_on_a_tap_gets_an_address_and_its_tap_goes_with_it() {
    if guest_image().is_some() {
        inside("inside_a_guest_gets_an_address");
    }
}

#[test]
fn qemu_a_guest_that_sets_its_mac_is_reached_by_it_unless_the_policy_forbids() {
    if guest_image().is_some() {
        inside("inside_a_guest_sets_its_mac");
    }
}

#[test]
fn the_hint_of_a_card_names_the_neighbour_and_the_networks_at_the_other_end() {
    inside("inside_a_neighbour_speaks");
}

fn taps() -> usize {
    let entries = std::fs::read_dir("/sys/class/net").unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("tst")).count()
}

/// The switch with the uplink `up0`. The BPF file system is mounted in the mount namespace that `ip netns exec` has made, and
/// ends with it.
async fn fabric() -> Arc<Switched> {
    let pins = Path::new("/sys/fs/bpf");
    Arc::new(Switched::start(pins.into(), "tst", "host1", "/nonexistent/resolv.conf".into()).await.unwrap())
}

fn options(fabric: Arc<Switched>) -> NetworkOptions {
    NetworkOptions {
        fabric,
        prefix: "tst".into(),
        uplinks: vec!["up0".into()],
        nics: Vec::new(),
        networks: vec![host::DEFAULT_NETWORK.into()],
        management: false,
    }
}

/// A machine with the test guest's disk, an adapter and a serial port.
fn spec() -> Object {
    vim!(VirtualMachineConfigSpec {
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
            VirtualDeviceConfigSpec {
                operation: "add",
                device: VirtualSerialPort {
                    key: -4,
                    yieldOnPoll: true,
                    backing: VirtualSerialPortPipeBackingInfo { pipeName: "console", endpoint: "server" },
                },
            },
        ],
    })
    .into()
}

/// The guest's address, once it has one.
async fn address(c: &Client, vm: &MoRef) -> String {
    let of = |c: &Client| {
        let guest = c.get(vm, prop!(VirtualMachine.guest)).unwrap();
        let address = guest.get(field!(GuestInfo.ipAddress)).map(str::to_owned);
        address.filter(|address| address.starts_with("10.91.0."))
    };
    c.until(|c| of(c).is_some()).await;
    of(c).unwrap()
}

/// Whether the address answers one of a few pings; who has it is asked anew.
fn answers(address: &str) -> bool {
    let _ = Command::new("ip").args(["neigh", "flush", "dev", "wire"]).status();
    let ping = Command::new("ping").args(["-c", "3", "-i", "0.3", "-W", "1", address]).output().unwrap();
    ping.status.success()
}

async fn until_it(answers_now: bool, address: &str) {
    for _ in 0..60 {
        if answers(address) == answers_now {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    panic!("{address} answers: {}", !answers_now);
}

async fn allow_mac_changes(c: &Client, allowed: bool) {
    let spec = vim!(HostVirtualSwitchSpec {
        numPorts: 128,
        bridge: HostVirtualSwitchBondBridge { nicDevice: ["vmnic0"] },
        policy: HostNetworkPolicy { security: HostNetworkSecurityPolicy { macChanges: allowed } },
    });
    let args = call!(UpdateVirtualSwitch { vswitchName: "vSwitch0", spec: spec });
    c.invoke(&host::managers::network_system(), args).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by a test above, in a network namespace"]
async fn inside_a_guest_sets_its_mac() {
    let site = Site::new();
    let fabric = fabric().await;
    let network = || options(fabric.clone());
    let c = Client::of(site.open_host_with(network).await);
    std::fs::create_dir(site.datastore().join("net")).unwrap();
    std::fs::copy(guest_image().unwrap(), site.datastore().join("net/guest.vmdk")).unwrap();
    let vm = c.create(spec()).await.unwrap();
    c.power_on(&vm).await.unwrap();
    let address = address(&c, &vm).await;
    until_it(true, &address).await;
    let socket = c.host.vm(&vm).unwrap().machine().unwrap().serial().unwrap();
    let mut serial = Serial::login(&socket).await;
    let own = serial.run("cat /sys/class/net/eth0/address").await;
    serial.run("ip link set eth0 address 02:0e:5f:00:00:01").await;
    assert_eq!(serial.run("cat /sys/class/net/eth0/address").await, "02:0e:5f:00:00:01");
    until_it(true, &address).await;
    let neighbours = Command::new("ip").args(["neigh", "show", "dev", "wire"]).output().unwrap();
    let neighbours = String::from_utf8_lossy(&neighbours.stdout).into_owned();
    assert!(neighbours.contains("02:0e:5f:00:00:01"), "{neighbours}");

    // A daemon that starts asks before it declares.
    c.close().await;
    let c = Client::of(site.open_host_with(network).await);
    until_it(true, &address).await;

    allow_mac_changes(&c, false).await;
    assert!(!answers(&address), "it may not");
    serial.run(&format!("ip link set eth0 address {own}")).await;
    until_it(true, &address).await;
    serial.run("ip link set eth0 address 02:0e:5f:00:00:02").await;
    until_it(false, &address).await;
    allow_mac_changes(&c, true).await;
    until_it(true, &address).await;
    drop(serial);
    c.power_off(&vm).await.unwrap();
    c.destroy(&vm).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by a test above, in a network namespace"]
async fn inside_a_neighbour_speaks() {
    let site = Site::new();
    let fabric = fabric().await;
    let c = Client::of(site.open_host_with(|| options(fabric.clone())).await);
    let bridge = |operation: &str| {
        vim!(HostVirtualSwitchBondBridge {
            nicDevice: ["vmnic0"],
            linkDiscoveryProtocolConfig: LinkDiscoveryProtocolConfig {
                protocol: "lldp",
                operation: operation
            },
        })
    };
    let spec = vim!(HostVirtualSwitchSpec { numPorts: 128, bridge: bridge("both") });
    let args = call!(UpdateVirtualSwitch { vswitchName: "vSwitch0", spec: spec });
    c.invoke(&host::managers::network_system(), args).await.unwrap();
    let socket = site.root.path().join("lldpd.socket");
    let mut lldpd = Command::new("lldpd")
        .args(["-d", "-I", "wire", "-S", "neighbour", "-O", "/dev/null", "-u"])
        .arg(&socket)
        .spawn()
        .unwrap();
    // A host that asks for a neighbour by ARP shows which network it believes in.
    let mut asks = Command::new("ping").args(["-q", "-I", "wire", "10.91.0.77"]).spawn().unwrap();
    let (mut shown, mut subnets) = (None, Vec::new());
    for _ in 0..240 {
        let hints =
            c.invoke(&host::managers::network_system(), call!(QueryNetworkHint {})).await.unwrap().unwrap();
        let hint = hints.items().first().and_then(Value::as_object).unwrap().clone();
        assert_eq!(hint.get(field!(PhysicalNicHintInfo.device)), Some("vmnic0"));
        assert!(hint.get(field!(PhysicalNicHintInfo.connectedSwitchPort)).is_none());
        shown = hint.get(field!(PhysicalNicHintInfo.lldpInfo)).cloned();
        let observed = hint.get(field!(PhysicalNicHintInfo.subnet)).into_iter().flatten();
        let range = |it: &Object| it.get(field!(PhysicalNicIpHint.ipSubnet)).map(str::to_owned);
        subnets = observed.map(|it| (it.get(field!(PhysicalNicIpHint.vlanId)), range(it))).collect();
        if shown.is_some() && !subnets.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    // It is told the name of the card, not of its interface.
    let mut told = String::new();
    for _ in 0..240 {
        let mut cli = Command::new("lldpcli");
        cli.arg("-u").arg(&socket).args(["-f", "keyvalue", "show", "neighbors"]);
        let output = cli.output().unwrap();
        told = String::from_utf8_lossy(&output.stdout).into_owned();
        if told.contains("port.ifname=") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    let neighbour = rustix::process::Pid::from_raw(lldpd.id().cast_signed()).unwrap();
    rustix::process::kill_process(neighbour, rustix::process::Signal::TERM).unwrap();
    lldpd.wait().unwrap();
    asks.kill().unwrap();
    asks.wait().unwrap();
    assert_eq!(subnets, [(Some(0), Some("10.91.0.1-10.91.0.127".to_owned()))]);
    let shown = shown.expect("the neighbour is heard");
    assert!(told.contains("lldp.wire.port.ifname=vmnic0\n"), "{told}");
    assert_eq!(shown.get(field!(LinkLayerDiscoveryProtocolInfo.timeToLive)), Some(120));
    let said = shown.get(field!(LinkLayerDiscoveryProtocolInfo.parameter)).unwrap();
    let said = |key: &str| {
        let found = said.iter().find(|it| it.get(field!(KeyAnyValue.key)) == Some(key))?;
        found.get(field!(KeyAnyValue.value)).and_then(Value::as_str).map(str::to_owned)
    };
    assert_eq!(said("System Description").as_deref(), Some("neighbour"));
    assert_eq!(said("Port Description").as_deref(), Some("wire"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by a test above, in a network namespace"]
async fn inside_a_guest_gets_an_address() {
    let image = guest_image().unwrap();
    let site = Site::new();
    // Left by a daemon that died.
    ip(&["tuntap", "add", "dev", "tst9n0", "mode", "tap"]);
    let fabric = fabric().await;
    let network = || options(fabric.clone());
    let c = Client::of(site.open_host_with(network).await);
    assert_eq!(taps(), 0, "the tap of nobody is gone");
    std::fs::create_dir(site.datastore().join("net")).unwrap();
    std::fs::copy(image, site.datastore().join("net/guest.vmdk")).unwrap();
    let vm = c.create(spec()).await.unwrap();
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
