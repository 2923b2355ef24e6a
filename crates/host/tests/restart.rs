//! Objects after a restart of the daemon.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Site, added, disk_on_scsi, small_with};
use host::{DEFAULT_NETWORK, ids};
use vim::{MoRef, Object, call, prop, vim};

fn vms_of(c: &Client, network: &str) -> Vec<MoRef> {
    let state = c.host.core.tree.snapshot();
    let listed = state.find(&ids::network(network)).unwrap().get(prop!(Network.vm));
    listed.into_iter().flatten().cloned().collect()
}

#[tokio::test]
async fn a_network_lists_its_vms_that_are_off_again() {
    let site = Site::new();
    let c = site.open().await;
    let backing = vim!(VirtualEthernetCardNetworkBackingInfo { deviceName: DEFAULT_NETWORK });
    let nic = added(vim!(VirtualVmxnet3 { key: -1, backing: backing }));
    let vm = c.create(small_with("web", vec![nic])).await.unwrap();
    assert_eq!(vms_of(&c, DEFAULT_NETWORK), std::slice::from_ref(&vm));
    c.close().await;
    let c = site.open().await;
    assert_eq!(vms_of(&c, DEFAULT_NETWORK), [vm]);
}

#[tokio::test]
async fn extra_configuration_attaches_nothing_after_a_restart() {
    let site = Site::new();
    let c = site.open().await;
    let backing = || vim!(VirtualDiskFlatVer2BackingInfo { fileName: "", diskMode: "persistent" });
    let mut made = Vec::new();
    for name in ["victim", "eve"] {
        made.push(c.create(small_with(name, disk_on_scsi(8192, backing()))).await.unwrap());
    }
    let extra = [
        ("scsi0:1.present", "TRUE"),
        ("scsi0:1.deviceType", "scsi-hardDisk"),
        ("scsi0:1.fileName", "[ds] victim/victim.vmdk"),
        ("ethernet1.present", "TRUE"),
        ("ethernet1.networkName", DEFAULT_NETWORK),
        ("guestinfo.mine", "1"),
    ];
    let options: Vec<_> =
        extra.into_iter().map(|(key, value)| vim!(OptionValue { key: key, value: value })).collect();
    let spec = Object::from(vim!(VirtualMachineConfigSpec { extraConfig: options }));
    c.task(&made[1], call!(ReconfigVM_Task { spec: spec })).await.unwrap();
    let before = c.host.vm(&made[1]).unwrap().config();
    c.close().await;
    let c = site.open().await;
    let after = c.host.vm(&made[1]).unwrap().config();
    assert_eq!(after.devices, before.devices);
    assert_eq!(after.extra, before.extra);
    assert_eq!(after.extra.keys().collect::<Vec<_>>(), ["guestinfo.mine"]);
    c.destroy(&made[1]).await.unwrap();
    assert!(site.datastore().join("victim/victim.vmdk").exists());
}

#[tokio::test]
async fn no_file_below_a_disk_goes_while_the_disk_cannot_be_used() {
    let site = Site::new();
    let c = site.open().await;
    let backing = vim!(VirtualDiskFlatVer2BackingInfo { fileName: "", diskMode: "persistent" });
    let vm = c.create(small_with("one", disk_on_scsi(8192, backing))).await.unwrap();
    let snapshot = call!(CreateSnapshot_Task { name: "one", memory: false, quiesce: false });
    c.task(&vm, snapshot).await.unwrap();
    c.close().await;
    let vmx = site.datastore().join("one/one.vmx");
    let text = std::fs::read_to_string(&vmx).unwrap();
    assert!(text.contains("one-000001.vmdk"), "{text}");
    std::fs::write(&vmx, text.replace("one-000001.vmdk", "/vmfs/volumes/gone/one-000001.vmdk")).unwrap();
    let c = site.open().await;
    for refused in [call!(RemoveAllSnapshots_Task {}), call!(ConsolidateVMDisks_Task {})] {
        assert_eq!(c.task(&vm, refused).await.unwrap_err().type_name(), "InvalidState");
    }
    for file in ["one/one.vmdk", "one/one-000001.vmdk"] {
        assert!(site.datastore().join(file).exists(), "{file}");
    }
    c.close().await;
    std::fs::write(&vmx, text).unwrap();
    let c = site.open().await;
    c.task(&vm, call!(RemoveAllSnapshots_Task {})).await.unwrap();
    assert!(!site.datastore().join("one/one-000001.vmdk").exists());
}

#[tokio::test]
async fn a_disk_stays_the_same_over_a_restart_and_in_another_vm() {
    let site = Site::new();
    let c = site.open().await;
    let backing = vim!(VirtualDiskFlatVer2BackingInfo { fileName: "", diskMode: "persistent" });
    let vm = c.create(small_with("one", disk_on_scsi(8192, backing))).await.unwrap();
    let uuid = |c: &Client, vm: &MoRef| c.host.vm(vm).unwrap().config().disks().next().unwrap().1.uuid;
    let first = uuid(&c, &vm);
    c.close().await;
    // The `.vmx` does not say it.
    let vmx = site.datastore().join("one/one.vmx");
    let text = std::fs::read_to_string(&vmx).unwrap();
    let text: Vec<&str> = text.lines().filter(|line| !line.contains("esfera.uuid")).collect();
    std::fs::write(&vmx, text.join("\n")).unwrap();
    let c = site.open().await;
    assert_eq!(uuid(&c, &vm), first);
    let args = call!(QueryVirtualDiskUuid { name: "[ds] one/one.vmdk" });
    let asked = c.invoke(&host::managers::virtual_disk_manager(), args).await.unwrap().unwrap();
    let digits: String = asked.as_str().unwrap().chars().filter(char::is_ascii_hexdigit).collect();
    assert_eq!(digits, first.simple().to_string());
}
