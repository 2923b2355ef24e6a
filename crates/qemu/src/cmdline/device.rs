//! Devices and network backends as JSON, for the command line and for hot-plug alike.

use crate::spec::{
    Attachment, Cdrom, Controller, ControllerKind, Disk, MachineSpec, Nic, NicBackend, NicModel, ScsiModel,
};
use crate::{Error, Result};
use serde_json::{Map, Value, json};

/// Slots for memory added while running.
pub(crate) const MEMORY_SLOTS: u8 = 16;

/// Id of the IDE controller: a real PIIX4, since many kernels have a driver for it but not for SATA.
pub(super) const IDE: &str = "ide0";

/// Id of a root port, which is also the name of its bus.
#[must_use]
pub fn port_id(port: u8) -> String {
    format!("rp{port}")
}

/// A device at a fixed address of the root bus.
pub(super) fn on_root(driver: &str, slot: u8, options: Value) -> Value {
    let mut device = options;
    device["driver"] = driver.into();
    device["bus"] = "pcie.0".into();
    device["addr"] = format!("{slot:#x}").into();
    device
}

pub(super) fn controller(controller: Controller, sata_slot: u8, scsi_slot: u8) -> Value {
    let index = controller.index;
    match controller.kind {
        ControllerKind::Sata => on_root("ahci", sata_slot + index, json!({"id": format!("sata{index}")})),
        ControllerKind::Nvme => {
            let serial = format!("ESFERA-NVME-{index}");
            json!({"driver": "nvme", "id": format!("nvme{index}"), "serial": serial, "bus": "pcie.0",
                   "addr": format!("{:#x}.{index:#x}", scsi_slot + 4), "multifunction": true})
        }
        ControllerKind::Scsi(model) => {
            let driver = match model {
                ScsiModel::LsiLogic => "lsi53c895a",
                ScsiModel::LsiLogicSas => "mptsas1068",
                ScsiModel::Pvscsi => "pvscsi",
                ScsiModel::Virtio => "virtio-scsi-pci",
            };
            on_root(driver, scsi_slot + index, json!({"id": format!("scsi{index}")}))
        }
    }
}

/// The device of a disk whose block node is `node_name`. `port` is needed by virtio disks only.
///
/// A write or read that fails, above all for want of space, stops the guest instead of reaching it: nothing is lost
/// and the guest goes on once the datastore has room again. NVMe has no such policy in QEMU: there the guest sees
/// the error.
pub fn disk(spec: &MachineSpec, disk: &Disk, node_name: &str, port: Option<u8>) -> Result<Value> {
    let mut device = place(spec, &disk.id, disk.attach, "hd", port)?;
    device["id"] = disk.id.as_str().into();
    device["drive"] = node_name.into();
    if !matches!(disk.attach, Attachment::Nvme { .. }) {
        device["werror"] = "stop".into();
        device["rerror"] = "stop".into();
        if let Some(serial) = &disk.serial {
            device["serial"] = serial.as_str().into();
        }
    }
    boot_index(&mut device, disk.boot_index);
    Ok(device)
}

/// The device of a CD-ROM drive; its medium, if any, is the node that has the id of the drive.
pub(super) fn cdrom(spec: &MachineSpec, cdrom: &Cdrom) -> Result<Value> {
    let mut device = place(spec, &cdrom.id, cdrom.attach, "cd", None)?;
    device["id"] = cdrom.id.as_str().into();
    if cdrom.iso.is_some() {
        device["drive"] = cdrom.id.as_str().into();
    }
    boot_index(&mut device, cdrom.boot_index);
    Ok(device)
}

fn boot_index(device: &mut Value, index: Option<u32>) {
    if let Some(index) = index {
        device["bootindex"] = index.into();
    }
}

fn place(spec: &MachineSpec, id: &str, attach: Attachment, kind: &str, port: Option<u8>) -> Result<Value> {
    Ok(match attach {
        Attachment::Ide { port } => json!({"driver": format!("ide-{kind}"),
            "bus": format!("{IDE}.{}", port / 2), "unit": port % 2}),
        Attachment::Sata { controller, port } => {
            json!({"driver": format!("ide-{kind}"), "bus": format!("sata{controller}.{port}")})
        }
        Attachment::Scsi { controller, target } => {
            let model = spec
                .scsi_model(controller)
                .ok_or_else(|| Error::Spec(format!("{id}: the SCSI controller {controller} is missing")))?;
            let limit = match model {
                ScsiModel::LsiLogic => 16,
                ScsiModel::LsiLogicSas => 8,
                ScsiModel::Pvscsi | ScsiModel::Virtio => 64,
            };
            if target >= limit {
                return Err(Error::Spec(format!("{id}: this controller has {limit} targets")));
            }
            json!({"driver": format!("scsi-{kind}"), "bus": format!("scsi{controller}.0"),
                   "scsi-id": target, "lun": 0})
        }
        Attachment::Nvme { controller, namespace } => {
            json!({"driver": "nvme-ns", "bus": format!("nvme{controller}"), "nsid": namespace})
        }
        Attachment::VirtioBlk => {
            let port = port.ok_or_else(|| Error::NoFreePort { device: id.to_owned() })?;
            json!({"driver": "virtio-blk-pci", "bus": port_id(port)})
        }
    })
}

/// Id of the backend of a NIC.
pub(crate) fn netdev_id(nic_id: &str) -> String {
    format!("net-{nic_id}")
}

/// The device of a NIC.
pub(crate) fn nic(nic: &Nic, port: u8) -> Value {
    let driver = match nic.model {
        NicModel::E1000 => "e1000",
        NicModel::E1000e => "e1000e",
        NicModel::Vmxnet3 => "vmxnet3",
        NicModel::Virtio => "virtio-net-pci",
    };
    let mut device = json!({"driver": driver, "id": nic.id, "netdev": netdev_id(&nic.id),
                            "mac": nic.mac.to_ascii_lowercase(), "bus": port_id(port)});
    boot_index(&mut device, nic.boot_index);
    device
}

/// The backend of a NIC. `tap` names an open tap: a number on the command line, a name given by `getfd` in QMP.
pub(crate) fn netdev(nic: &Nic, port: u8, tap: Option<&str>) -> Result<Value> {
    let mut netdev = Map::new();
    netdev.insert("id".into(), netdev_id(&nic.id).into());
    let mut set = |key: &str, value: &str| netdev.insert(key.into(), value.into());
    match &nic.backend {
        NicBackend::Tap { ifname } => {
            let ok = (1..=15).contains(&ifname.len())
                && ifname.chars().all(|c| c.is_ascii_graphic() && c != '/' && c != '%');
            if !ok {
                return Err(Error::Spec(format!("{}: {ifname:?} is not an interface name", nic.id)));
            }
            set("type", "tap");
            match tap {
                Some(tap) => {
                    set("fd", tap);
                }
                None => {
                    set("ifname", ifname);
                    set("script", "no");
                    set("downscript", "no");
                }
            }
        }
        NicBackend::TapDescriptor => {
            let tap = tap.ok_or_else(|| Error::Spec(format!("{}: no tap was handed over", nic.id)))?;
            set("type", "tap");
            set("fd", tap);
        }
        NicBackend::User => {
            set("type", "user");
        }
        NicBackend::Unplugged => {
            set("type", "hubport");
            // A hub of its own with nothing else on it.
            netdev.insert("hubid".into(), port.into());
        }
    }
    Ok(netdev.into())
}
