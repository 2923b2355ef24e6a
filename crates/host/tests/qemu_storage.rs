//! A daemon that starts while the storage of its VMs is gone, or their configurations are cut: it takes nothing from a VM that
//! runs, makes nothing in the place of what is gone, and takes everything up when it is back.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{Client, Site, added, disk_on_scsi, small, small_with};
use hostnet::{NetworkOptions, NoFabric};
use vim::{MoRef, call, field, prop, vim};

/// The marker of a datastore.
const MARKER: &str = ".esfera-datastore";

fn adapter() -> vim::Object {
    let adapter = vim!(VirtualVmxnet3 {
        key: -3,
        backing: VirtualEthernetCardNetworkBackingInfo { deviceName: "VM Network" },
    });
    added(adapter)
}

/// A VM with an adapter and a disk that is on, and one that is off, whose daemon has died.
async fn left(site: &Site) -> (MoRef, MoRef) {
    let c = site.open().await;
    let backing = vim!(VirtualDiskFlatVer2BackingInfo { fileName: "", diskMode: "persistent" });
    let devices = [vec![adapter()], disk_on_scsi(8192, backing)].concat();
    let on = c.create(small_with("on", devices)).await.unwrap();
    let off = c.create(small_with("off", vec![adapter()])).await.unwrap();
    c.power_on(&on).await.unwrap();
    c.close().await;
    (on, off)
}

/// Opens a host, and gives the fabric that its network is declared to.
async fn open(site: &Site) -> (Client, Arc<NoFabric>) {
    let fabric = Arc::new(NoFabric::new(2));
    let network = || NetworkOptions {
        fabric: fabric.clone(),
        ..NetworkOptions::simulated(vec![host::DEFAULT_NETWORK.into()], None)
    };
    (Client::of(site.open_host_with(network).await), fabric)
}

fn ports(fabric: &NoFabric) -> Vec<String> {
    fabric.declared().ports.into_iter().map(|port| port.interface).collect()
}

/// Power state and connection state.
fn state(c: &Client, vm: &MoRef) -> (&'static str, &'static str) {
    let runtime = c.get(vm, prop!(VirtualMachine.runtime)).unwrap();
    let connection = runtime.get(field!(VirtualMachineRuntimeInfo.connectionState)).unwrap();
    (c.power(vm), vim::EnumValue::from(connection).name())
}

fn adapters(c: &Client, vm: &MoRef) -> usize {
    let config = c.get(vm, prop!(VirtualMachine.config)).unwrap();
    let hardware = config.get(field!(VirtualMachineConfigInfo.hardware)).unwrap();
    let devices = hardware.get(field!(VirtualHardware.device)).unwrap();
    devices.iter().filter(|device| device.is_a(vim::data_id!(VirtualEthernetCard))).count()
}

fn capacity_kib(c: &Client, vm: &MoRef) -> i64 {
    let config = c.get(vm, prop!(VirtualMachine.config)).unwrap();
    let hardware = config.get(field!(VirtualMachineConfigInfo.hardware)).unwrap();
    let devices = hardware.get(field!(VirtualHardware.device)).unwrap();
    let mut disks = devices.iter().filter(|device| device.is_a(vim::data_id!(VirtualDisk)));
    disks.find_map(|device| device.get(field!(VirtualDisk.capacityInKB))).unwrap()
}

fn accessible(c: &Client, datastore: &MoRef) -> Option<bool> {
    c.get(datastore, prop!(Datastore.summary))?.get(field!(DatastoreSummary.accessible))
}

async fn refresh(c: &Client, datastore: &MoRef) {
    c.invoke(datastore, call!(RefreshDatastore {})).await.unwrap();
}

/// The storage of a site's datastore while it is not mounted.
struct Unmounted {
    at: PathBuf,
    away: PathBuf,
}

impl Unmounted {
    fn take(site: &Site) -> Self {
        let (at, away) = (site.datastore(), site.root.path().join("away"));
        std::fs::rename(&at, &away).unwrap();
        Self { at, away }
    }

    fn back(self) {
        drop(std::fs::remove_dir(&self.at));
        std::fs::rename(&self.away, &self.at).unwrap();
    }
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

async fn warnings(c: &Client, vm: &MoRef) -> Vec<String> {
    let manager = MoRef::new(vim::managed_id!(EventManager), "ha-eventmgr");
    let args = call!(QueryEvents { filter: vim!(EventFilterSpec {}) });
    let found = c.invoke(&manager, args).await.unwrap().unwrap();
    let events = found.items().iter().filter_map(|event| event.as_object().cloned());
    let about = events.filter(|event| event.get(field!(EventEx.objectId)) == Some(vm.id()));
    about.filter_map(|event| event.get(field!(Event.fullFormattedMessage)).map(str::to_owned)).collect()
}

#[tokio::test]
async fn qemu_a_vm_whose_vmx_is_cut_goes_on_with_its_port_and_its_vmx_is_mended() {
    let site = Site::new();
    let (vm, _) = left(&site).await;
    let at = site.datastore().join("on/on.vmx");
    let whole = std::fs::read(&at).unwrap();
    let without = String::from_utf8(whole.clone()).unwrap();
    let without: String =
        without.split_inclusive('\n').filter(|line| !line.starts_with("ethernet0")).collect();
    for damaged in
        [Vec::new(), without.into_bytes(), whole[..whole.len() / 2].to_vec(), b"\0 = \x01".to_vec()]
    {
        std::fs::write(&at, &damaged).unwrap();
        let (c, fabric) = open(&site).await;
        assert_eq!(state(&c, &vm), ("poweredOn", "connected"));
        assert_eq!(ports(&fabric), [format!("vm{}n0", vm.id())]);
        assert_eq!(adapters(&c, &vm), 1);
        let text = String::from_utf8_lossy(&damaged).into_owned();
        assert_eq!(std::fs::read(&at).unwrap(), whole, "mended from {text:?}");
        assert!(warnings(&c, &vm).await.last().unwrap().contains("written anew"), "{text:?}");
        c.close().await;
    }
    std::fs::remove_file(&at).unwrap();
    let (c, fabric) = open(&site).await;
    assert_eq!((state(&c, &vm).1, ports(&fabric).len()), ("connected", 1));
    assert_eq!(std::fs::read(&at).unwrap(), whole);
    c.power_off(&vm).await.unwrap();
    assert!(ports(&fabric).is_empty());
    c.destroy(&vm).await.unwrap();
}

#[tokio::test]
async fn qemu_a_vm_whose_datastore_is_gone_stays_on_with_its_port_and_is_taken_up_when_it_is_back() {
    let site = Site::new();
    let (on, off) = left(&site).await;
    let gone = Unmounted::take(&site);
    for empty in [true, false] {
        if empty {
            std::fs::create_dir(site.datastore()).unwrap();
        }
        let (c, fabric) = open(&site).await;
        let me = c.host.datastores.by_name("ds").unwrap().me();
        assert_eq!(accessible(&c, &me), Some(false));
        assert_eq!(state(&c, &on), ("poweredOn", "inaccessible"));
        assert_eq!(state(&c, &off), ("poweredOff", "inaccessible"));
        assert_eq!(ports(&fabric), [format!("vm{}n0", on.id())], "the port stays");
        assert!(c.host.vm(&on).unwrap().machine().is_some(), "the daemon has hold of it");
        assert!(warnings(&c, &me).await.last().unwrap().contains("not accessible"));
        let fault = c.create(small("new")).await.unwrap_err();
        assert_eq!(fault.type_name(), "InaccessibleDatastore", "{fault}");
        refresh(&c, &me).await;
        assert_eq!(accessible(&c, &me), Some(false), "nothing has changed");
        c.close().await;
        if empty {
            assert!(is_empty(&site.datastore()), "nothing is made in its place");
            std::fs::remove_dir(site.datastore()).unwrap();
        }
    }
    let (c, fabric) = open(&site).await;
    let me = c.host.datastores.by_name("ds").unwrap().me();
    gone.back();
    refresh(&c, &me).await;
    assert_eq!(accessible(&c, &me), Some(true));
    assert_eq!((state(&c, &on), state(&c, &off)), (("poweredOn", "connected"), ("poweredOff", "connected")));
    assert_eq!((adapters(&c, &on), adapters(&c, &off)), (1, 1));
    assert_eq!(capacity_kib(&c, &on), 8192);
    assert_eq!(ports(&fabric), [format!("vm{}n0", on.id())]);
    assert!(warnings(&c, &me).await.last().unwrap().contains("accessible again"));
    assert!(site.datastore().join("on/on.vmx.lck").exists(), "its lock is taken");
    c.power_on(&off).await.unwrap();
    for vm in [&on, &off] {
        c.power_off(vm).await.unwrap();
        c.destroy(vm).await.unwrap();
    }
}

#[tokio::test]
async fn qemu_storage_that_goes_and_comes_while_the_daemon_runs_takes_no_vm_away() {
    let site = Site::new();
    let (on, off) = left(&site).await;
    let (c, fabric) = open(&site).await;
    let me = c.host.datastores.by_name("ds").unwrap().me();
    let gone = Unmounted::take(&site);
    // Another datastore is mounted there.
    std::fs::create_dir(site.datastore()).unwrap();
    let other = datastore::Datastore::mount(site.datastore()).unwrap().uuid();
    refresh(&c, &me).await;
    assert_eq!(accessible(&c, &me), Some(false));
    assert_eq!(state(&c, &on), ("poweredOn", "inaccessible"));
    assert_eq!(state(&c, &off), ("poweredOff", "inaccessible"));
    assert!(warnings(&c, &me).await.last().unwrap().contains(&other.to_string()));
    assert_eq!(ports(&fabric).len(), 1);
    std::fs::remove_file(site.datastore().join(MARKER)).unwrap();
    std::fs::remove_dir_all(site.datastore().join(".esfera-tmp")).unwrap();
    gone.back();
    refresh(&c, &me).await;
    assert_eq!((state(&c, &on), state(&c, &off)), (("poweredOn", "connected"), ("poweredOff", "connected")));
    // It can be ended without its datastore too.
    let gone = Unmounted::take(&site);
    refresh(&c, &me).await;
    c.power_off(&on).await.unwrap();
    assert!(ports(&fabric).is_empty());
    assert_eq!(state(&c, &on), ("poweredOff", "inaccessible"));
    gone.back();
    refresh(&c, &me).await;
    assert_eq!((state(&c, &on), adapters(&c, &on)), (("poweredOff", "connected"), 1));
    c.power_on(&on).await.unwrap();
    c.power_off(&on).await.unwrap();
}

#[tokio::test]
async fn qemu_a_vm_whose_configuration_is_nowhere_gets_its_port_back_with_its_datastore() {
    let site = Site::new();
    let (on, _) = left(&site).await;
    std::fs::remove_file(site.root.path().join("run").join(on.id()).join("configuration")).unwrap();
    let gone = Unmounted::take(&site);
    let (c, fabric) = open(&site).await;
    let me = c.host.datastores.by_name("ds").unwrap().me();
    assert_eq!(state(&c, &on), ("poweredOn", "inaccessible"));
    gone.back();
    refresh(&c, &me).await;
    assert_eq!(state(&c, &on), ("poweredOn", "connected"));
    assert_eq!((ports(&fabric), adapters(&c, &on)), (vec![format!("vm{}n0", on.id())], 1));
    c.power_off(&on).await.unwrap();
    c.destroy(&on).await.unwrap();
}
