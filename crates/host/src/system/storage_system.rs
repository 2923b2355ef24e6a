//! HostStorageSystem: the host's storage adapters and disks, to be read, and read again after a rescan. Nothing else can be changed by it.

use std::sync::{Arc, OnceLock};

use api::{Manager, Table};
use vim::{ManagedId, MoRef, Object, field, managed_id, method, props, ty, vim};

use super::System;
use super::disks::{Controller, Disk};
use crate::blocking::blocking;

const SYSTEM: ManagedId = managed_id!(HostStorageSystem);

/// The host's HostStorageSystem.
pub fn me() -> MoRef {
    MoRef::new(SYSTEM, "storageSystem")
}

pub(super) const ROW: Manager<Arc<System>> = Manager {
    me: |_| me(),
    named: Some(field!(HostConfigManager.storageSystem).number()),
    // The API requires file systems; those of this host are its datastores, which clients find there.
    properties: |system| {
        Ok(props!(HostStorageSystem {
            storageDeviceInfo: system.storage_info(),
            fileSystemVolumeInfo: HostFileSystemVolumeInfo {},
        }))
    },
    register,
};

fn register(table: &mut Table<'_, Arc<System>>) {
    for method in
        [method!(RescanAllHba), method!(RescanHba), method!(RescanVmfs), method!(RefreshStorageSystem)]
    {
        table.on(SYSTEM, method, |system, _| async move {
            // The kernel finds disks by itself; this reads what it has found. A simulated host always has the same ones.
            if system.engine.simulated {
                return Ok(None);
            }
            let disks = blocking(|| Ok(super::disks::detect())).await?;
            let info = Arc::new(info(&disks));
            system.core.tree.write(|w| {
                w.set(&me(), props!(HostStorageSystem { storageDeviceInfo: info.clone() }));
                system.show_storage(w, info);
            });
            Ok(None)
        });
    }
}

impl System {
    /// The `HostStorageDeviceInfo` of the start. All simulated hosts share one, since there may be thousands.
    pub(super) fn storage_info(&self) -> Arc<Object> {
        static SIMULATED: OnceLock<Arc<Object>> = OnceLock::new();
        let new = || Arc::new(info(&self.hardware.disks));
        if self.engine.simulated { SIMULATED.get_or_init(new).clone() } else { new() }
    }
}

/// The number of storage adapters.
pub(super) fn adapters(disks: &[Disk]) -> usize {
    controllers(disks).len()
}

/// The controllers of the disks, each once.
fn controllers(disks: &[Disk]) -> Vec<&Controller> {
    let mut all: Vec<&Controller> = Vec::new();
    for disk in disks {
        if !all.contains(&&disk.controller) {
            all.push(&disk.controller);
        }
    }
    all
}

/// A disk with the names that the API gives it.
struct Lun<'a> {
    disk: &'a Disk,
    /// The number of its adapter, and that of the disk behind it.
    adapter: usize,
    target: i32,
}

impl Lun<'_> {
    fn adapter(&self) -> String {
        adapter_key(self.adapter)
    }

    /// The name of the way to it: adapter, channel, target, LUN.
    fn path(&self) -> String {
        format!("vmhba{}:C0:T{}:L0", self.adapter, self.target)
    }

    /// A disk that tells no name of its own has that of the way to it.
    fn canonical(&self) -> String {
        if self.disk.wwid.is_empty() {
            return format!("mpx.{}", self.path());
        }
        self.disk.wwid.split_whitespace().collect::<Vec<_>>().join("_")
    }

    fn key(&self) -> String {
        format!("key-vim.host.ScsiDisk-{}", self.canonical())
    }
}

fn adapter_key(number: usize) -> String {
    format!("key-vim.host.BlockHba-vmhba{number}")
}

/// The `HostStorageDeviceInfo` of these disks.
fn info(disks: &[Disk]) -> Object {
    let controllers = controllers(disks);
    let mut behind = vec![0i32; controllers.len()];
    let luns: Vec<Lun<'_>> = disks
        .iter()
        .map(|disk| {
            let adapter = controllers.iter().position(|one| **one == disk.controller).unwrap_or_default();
            let target = behind[adapter];
            behind[adapter] += 1;
            Lun { disk, adapter, target }
        })
        .collect();
    let adapters: Vec<ty!(HostBlockHba)> =
        controllers.iter().enumerate().map(|(number, controller)| adapter(number, controller)).collect();
    let topology: Vec<ty!(HostScsiTopologyInterface)> = (0..controllers.len())
        .map(|number| {
            let targets: Vec<_> = luns.iter().filter(|lun| lun.adapter == number).map(target).collect();
            vim!(HostScsiTopologyInterface {
                key: format!("key-vim.host.ScsiTopology.Interface-vmhba{number}"),
                adapter: adapter_key(number),
                target: targets,
            })
        })
        .collect();
    vim!(HostStorageDeviceInfo {
        hostBusAdapter: adapters,
        scsiLun: luns.iter().map(scsi_disk).collect::<Vec<_>>(),
        scsiTopology: HostScsiTopology { adapter: topology },
        multipathInfo: HostMultipathInfo { lun: luns.iter().map(paths).collect::<Vec<_>>() },
        softwareInternetScsiEnabled: false,
    })
    .into()
}

fn adapter(number: usize, controller: &Controller) -> ty!(HostBlockHba) {
    let bus = controller.pci.split(':').nth(1).and_then(|bus| i32::from_str_radix(bus, 16).ok());
    let known = |text: &str| Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
    vim!(HostBlockHba {
        key: adapter_key(number),
        device: format!("vmhba{number}"),
        bus: bus.unwrap_or(0),
        status: "online",
        model: known(&controller.driver).unwrap_or_else(|| "unknown".into()),
        driver: known(&controller.driver),
        pci: known(&controller.pci),
    })
}

fn scsi_disk(lun: &Lun<'_>) -> ty!(HostScsiDisk) {
    let disk = lun.disk;
    let canonical = lun.canonical();
    let known = |text: &str| Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
    let place = if disk.local { "Local" } else { "Remote" };
    let device = format!("/dev/{}", disk.name);
    vim!(HostScsiDisk {
        deviceName: &device,
        deviceType: "disk",
        key: lun.key(),
        uuid: &canonical,
        canonicalName: &canonical,
        displayName: format!(
            "{place} {} ({canonical})",
            known(&disk.vendor).unwrap_or_else(|| "disk".into())
        ),
        lunType: "disk",
        vendor: known(&disk.vendor),
        model: known(&disk.model),
        revision: known(&disk.revision),
        serialNumber: known(&disk.serial),
        operationalState: ["ok"],
        capacity: HostDiskDimensionsLba {
            blockSize: i32::try_from(disk.block_bytes).unwrap_or(i32::MAX),
            block: i64::try_from(disk.blocks).unwrap_or(i64::MAX),
        },
        devicePath: &device,
        ssd: !disk.rotates,
        localDisk: disk.local,
    })
}

/// One path leads to each disk.
fn paths(lun: &Lun<'_>) -> ty!(HostMultipathInfoLogicalUnit) {
    let key = format!("key-vim.host.MultipathInfo.LogicalUnit-{}", lun.canonical());
    vim!(HostMultipathInfoLogicalUnit {
        key: &key,
        id: lun.canonical(),
        lun: lun.key(),
        path: [HostMultipathInfoPath {
            key: format!("key-vim.host.MultipathInfo.Path-{}", lun.path()),
            name: lun.path(),
            pathState: "active",
            state: "active",
            isWorkingPath: true,
            adapter: lun.adapter(),
            lun: &key,
            transport: HostBlockAdapterTargetTransport {},
        }],
        policy: HostMultipathInfoLogicalUnitPolicy { policy: "VMW_PSP_FIXED" },
    })
}

fn target(lun: &Lun<'_>) -> ty!(HostScsiTopologyTarget) {
    vim!(HostScsiTopologyTarget {
        key: format!("key-vim.host.ScsiTopology.Target-{}", lun.path()),
        target: lun.target,
        lun: [HostScsiTopologyLun {
            key: format!("key-vim.host.ScsiTopology.Lun-{}", lun.path()),
            lun: 0,
            scsiLun: lun.key(),
        }],
        transport: HostBlockAdapterTargetTransport {},
    })
}

#[cfg(test)]
mod tests {
    use super::super::disks::simulated;
    use super::*;

    #[test]
    fn disks_behind_one_controller_share_an_adapter_and_each_has_a_name() {
        let mut disks = simulated();
        let first = disks[0].clone();
        disks.push(Disk { name: "sdb".into(), wwid: String::new(), ..first.clone() });
        let other = Controller { pci: "0000:0a:00.0".into(), driver: "nvme".into() };
        disks.push(Disk { name: "nvme0n1".into(), wwid: "eui.00 01".into(), controller: other, ..first });
        assert_eq!(adapters(&disks), 2);
        let info = info(&disks);
        let luns = info.get(field!(HostStorageDeviceInfo.scsiLun)).into_iter().flatten();
        let names: Vec<_> =
            luns.map(|lun| lun.get(field!(ScsiLun.canonicalName)).unwrap_or_default().to_owned()).collect();
        assert_eq!(names, ["naa.600605b000000000", "mpx.vmhba0:C0:T1:L0", "eui.00_01"]);
        let adapters = info.get(field!(HostStorageDeviceInfo.hostBusAdapter)).into_iter().flatten();
        let buses: Vec<_> = adapters.map(|one| one.get(field!(HostHostBusAdapter.bus))).collect();
        assert_eq!(buses, [Some(3), Some(10)]);
    }
}
