//! Limits of VMs on their host: the settings of their cgroups, which come and go with the VMs.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{Client, Site, small};
use vim::{MoRef, Object, call, vim};

async fn reconfigure(c: &Client, vm: &MoRef, spec: impl Into<Object>) {
    let spec: Object = spec.into();
    c.task(vm, call!(ReconfigVM_Task { spec: spec })).await.unwrap();
}

/// The groups below a root.
fn groups(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

/// Plain files stand for those of the kernel, which not every machine has: what is written is what it would be told.
#[tokio::test]
async fn qemu_a_machines_share_is_set_at_power_on_changed_while_it_runs_and_set_again_by_another_daemon() {
    let mut site = Site::new();
    let kernel = site.root.path().join("cgroup");
    std::fs::create_dir(&kernel).unwrap();
    std::fs::write(kernel.join("cgroup.controllers"), "cpu memory\n").unwrap();
    let root = kernel.join("esfera");
    site.cgroup = Some(root.clone());
    let c = site.open().await;
    let vm = c.create(small("shared")).await.unwrap();
    let low = vim!(VirtualMachineConfigSpec {
        cpuAllocation: ResourceAllocationInfo { shares: SharesInfo { shares: 0, level: "low" } },
        memoryAllocation: ResourceAllocationInfo { reservation: 64i64 },
    });
    reconfigure(&c, &vm, low).await;
    assert_eq!(groups(&root), [""; 0].map(PathBuf::from), "none before it is on");
    c.power_on(&vm).await.unwrap();
    let [group] = groups(&root).try_into().unwrap();
    let read = |file: &str| std::fs::read_to_string(group.join(file)).unwrap();
    assert_eq!((read("cpu.weight"), read("cpu.max")), ("50".into(), "max 100000".into()));
    assert_eq!(read("memory.low"), ((64 + 384) << 20).to_string());
    assert_eq!(read("memory.high"), "max");

    let mhz = i64::from(c.host.hardware.cpu.mhz);
    let half = vim!(VirtualMachineConfigSpec {
        cpuAllocation: ResourceAllocationInfo {
            limit: mhz / 2,
            shares: SharesInfo { shares: 3000, level: "custom" },
        },
    });
    reconfigure(&c, &vm, half).await;
    let quota = mhz / 2 * 100_000 / mhz;
    assert_eq!((read("cpu.weight"), read("cpu.max")), ("300".into(), format!("{quota} 100000")));

    let pid = c.host.vm(&vm).unwrap().machine().unwrap().pid();
    c.close().await;
    std::fs::write(group.join("cpu.weight"), "1").unwrap();
    let c = site.open().await;
    assert_eq!((read("cpu.weight"), read("cgroup.procs")), ("300".into(), pid.to_string()));
    c.power_off(&vm).await.unwrap();
}

/// A group of the test's own in the kernel's hierarchy, with whichever controllers there are; it goes with the test.
struct Group(PathBuf);

impl Group {
    fn make() -> Option<Self> {
        let places = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let kernel = places.into_iter().find(|place| place.join("cgroup.controllers").exists())?;
        let group = kernel.join(format!("esf-test-{}", std::process::id()));
        std::fs::create_dir(&group).ok()?;
        Some(Self(group))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for group in groups(&self.0) {
            drop(std::fs::remove_dir(group));
        }
        drop(std::fs::remove_dir(&self.0));
    }
}

#[tokio::test]
async fn qemu_a_machine_runs_in_a_group_of_its_own_that_goes_when_it_ends() {
    let Some(root) = Group::make() else { return };
    let mut site = Site::new();
    site.cgroup = Some(root.0.clone());
    let c = site.open().await;
    let vm = c.create(small("grouped")).await.unwrap();
    c.power_on(&vm).await.unwrap();
    let [group] = groups(&root.0).try_into().unwrap();
    let pid = c.host.vm(&vm).unwrap().machine().unwrap().pid();
    let inside = || std::fs::read_to_string(group.join("cgroup.procs")).unwrap();
    assert_eq!(inside().trim(), pid.to_string());
    c.power_off(&vm).await.unwrap();
    assert!(!group.exists());

    // A daemon without cgroups has started it: the next one puts it into one.
    c.close().await;
    site.cgroup = None;
    let c = site.open().await;
    c.power_on(&vm).await.unwrap();
    let pid = c.host.vm(&vm).unwrap().machine().unwrap().pid();
    c.close().await;
    site.cgroup = Some(root.0.clone());
    let c = site.open().await;
    assert_eq!(inside().trim(), pid.to_string());
    c.destroy(&vm).await.unwrap_err();
    c.power_off(&vm).await.unwrap();
    c.destroy(&vm).await.unwrap();
    assert_eq!(groups(&root.0), [""; 0].map(PathBuf::from));
}
