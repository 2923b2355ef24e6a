//! Virtual devices as the API shows them.

use vim::{MoRef, Object, ty, vim};

use super::{Names, signed};
use crate::config::{Shares, VmConfig};
use crate::device::{
    Cdrom, Connect, Device, Disk, FileRef, Kind, Medium, Nic, NicModel, ScsiModel, Serial, SerialBacking, key,
};
use crate::ids;

/// Shares of a network adapter at the level `normal`.
const NIC_SHARES: i32 = 50;

/// The device as `VirtualDevice` of the right kind.
pub fn device(config: &VmConfig, device: &Device, names: &Names<'_>) -> Object {
    let info = description(config, device);
    let attached = || config.attached_to(device.key).map(|device| device.key).collect::<Vec<i32>>();
    macro_rules! plain {
        ($ty:ident { $($more:tt)* }) => {
            vim!($ty {
                key: device.key,
                deviceInfo: info,
                controllerKey: device.controller,
                unitNumber: device.unit,
                $($more)*
            }).into()
        };
    }
    match &device.kind {
        Kind::Pci => plain!(VirtualPCIController { busNumber: 0, device: attached() }),
        Kind::Ide { bus } => plain!(VirtualIDEController { busNumber: *bus, device: attached() }),
        Kind::Ps2 => plain!(VirtualPS2Controller { busNumber: 0, device: attached() }),
        Kind::Sio => plain!(VirtualSIOController { busNumber: 0, device: attached() }),
        Kind::Sata { bus } => plain!(VirtualAHCIController { busNumber: *bus, device: attached() }),
        Kind::Nvme { bus } => plain!(VirtualNVMEController { busNumber: *bus, device: attached() }),
        Kind::Xhci { bus } => plain!(VirtualUSBXHCIController { busNumber: *bus, autoConnectDevices: false }),
        Kind::Keyboard => plain!(VirtualKeyboard {}),
        Kind::Pointer => plain!(VirtualPointingDevice {
            backing: VirtualPointingDeviceDeviceBackingInfo {
                deviceName: "",
                useAutoDetect: false,
                hostPointingDevice: "autodetect",
            },
        }),
        Kind::Video(video) => plain!(VirtualMachineVideoCard {
            videoRamSizeInKB: video.memory_kib,
            numDisplays: video.displays,
            useAutoDetect: video.auto,
            enable3DSupport: false,
            use3dRenderer: "automatic",
        }),
        Kind::Vmci => plain!(VirtualMachineVMCIDevice { id: -1i64, allowUnrestrictedCommunication: false }),
        Kind::Scsi { bus, model } => {
            macro_rules! scsi {
                ($ty:ident) => {
                    plain!($ty {
                        busNumber: *bus,
                        device: attached(),
                        hotAddRemove: true,
                        sharedBus: "noSharing",
                        scsiCtlrUnitNumber: 7,
                    })
                };
            }
            match model {
                ScsiModel::BusLogic => scsi!(VirtualBusLogicController),
                ScsiModel::LsiLogic => scsi!(VirtualLsiLogicController),
                ScsiModel::LsiLogicSas => scsi!(VirtualLsiLogicSASController),
                ScsiModel::ParaVirtual => scsi!(ParaVirtualSCSIController),
            }
        }
        Kind::Disk(disk) => plain!(VirtualDisk {
            backing: disk_backing(disk, names),
            capacityInKB: signed(disk.capacity_bytes / 1024),
            capacityInBytes: signed(disk.capacity_bytes),
            shares: SharesInfo { shares: Shares::Normal.number(1000), level: "normal" },
            storageIOAllocation: StorageIOAllocationInfo {
                limit: -1i64,
                shares: SharesInfo { shares: 1000, level: "normal" },
                reservation: 0,
            },
            diskObjectId: format!("{}-{}", names.vm, device.key),
            nativeUnmanagedLinkedClone: false,
        }),
        Kind::Cdrom(cdrom) => plain!(VirtualCdrom {
            backing: cdrom_backing(cdrom, names),
            connectable: connectable(device.connect),
        }),
        Kind::Nic(nic) => {
            macro_rules! nic {
                ($ty:ident) => {
                    plain!($ty {
                        backing: nic_backing(nic),
                        connectable: connectable(device.connect),
                        addressType: nic.address.name(),
                        macAddress: &nic.mac,
                        wakeOnLanEnabled: nic.wake_on_lan,
                        resourceAllocation: VirtualEthernetCardResourceAllocation {
                            reservation: 0,
                            share: SharesInfo { shares: NIC_SHARES, level: "normal" },
                            limit: -1i64,
                        },
                    })
                };
            }
            match nic.model {
                NicModel::E1000 => nic!(VirtualE1000),
                NicModel::E1000e => nic!(VirtualE1000e),
                NicModel::Vmxnet3 => nic!(VirtualVmxnet3),
            }
        }
        Kind::Serial(serial) => plain!(VirtualSerialPort {
            backing: serial_backing(serial, names),
            connectable: connectable(device.connect),
            yieldOnPoll: serial.yield_on_poll,
        }),
    }
}

fn connectable(connect: Option<Connect>) -> Option<ty!(VirtualDeviceConnectInfo)> {
    connect.map(|connect| {
        vim!(VirtualDeviceConnectInfo {
            startConnected: connect.at_start,
            allowGuestControl: connect.guest_control,
            connected: connect.now,
            status: if connect.now { "ok" } else { "untried" },
            migrateConnect: "unset",
        })
    })
}

fn datastore(file: &FileRef) -> MoRef {
    ids::datastore(file.datastore)
}

/// The images of a disk, each with the one under it.
fn disk_backing(disk: &Disk, names: &Names<'_>) -> ty!(VirtualDiskFlatVer2BackingInfo) {
    let mode = if disk.independent { "independent_persistent" } else { "persistent" };
    let mut parent: Option<ty!(VirtualDiskFlatVer2BackingInfo)> = None;
    for file in disk.parents.iter().rev() {
        parent = Some(vim!(VirtualDiskFlatVer2BackingInfo {
            fileName: names.file(file),
            datastore: datastore(file),
            diskMode: mode,
            thinProvisioned: disk.thin,
            uuid: disk.uuid.to_string(),
            parent: parent,
        }));
    }
    vim!(VirtualDiskFlatVer2BackingInfo {
        fileName: names.file(&disk.file),
        datastore: datastore(&disk.file),
        diskMode: mode,
        split: false,
        writeThrough: false,
        thinProvisioned: disk.thin,
        eagerlyScrub: disk.eager_zero,
        uuid: disk.uuid.to_string(),
        parent: parent,
        digestEnabled: false,
        sharing: "sharingNone",
    })
}

fn cdrom_backing(cdrom: &Cdrom, names: &Names<'_>) -> Object {
    match &cdrom.medium {
        Medium::Iso(file) => {
            vim!(VirtualCdromIsoBackingInfo { fileName: names.file(file), datastore: datastore(file) }).into()
        }
        Medium::Client { device, atapi: true } => {
            vim!(VirtualCdromRemoteAtapiBackingInfo { deviceName: device, useAutoDetect: false }).into()
        }
        Medium::Client { device, atapi: false } => vim!(VirtualCdromRemotePassthroughBackingInfo {
            deviceName: device,
            useAutoDetect: false,
            exclusive: false,
        })
        .into(),
        Medium::HostDrive { device } => {
            vim!(VirtualCdromAtapiBackingInfo { deviceName: device, useAutoDetect: false }).into()
        }
    }
}

fn nic_backing(nic: &Nic) -> ty!(VirtualEthernetCardNetworkBackingInfo) {
    vim!(VirtualEthernetCardNetworkBackingInfo {
        deviceName: &nic.network,
        useAutoDetect: false,
        network: ids::network(&nic.network),
        inPassthroughMode: false,
    })
}

fn serial_backing(serial: &Serial, names: &Names<'_>) -> Object {
    match &serial.backing {
        SerialBacking::Pipe { name, endpoint, no_rx_loss } => vim!(VirtualSerialPortPipeBackingInfo {
            pipeName: name,
            endpoint: endpoint,
            noRxLoss: *no_rx_loss,
        })
        .into(),
        SerialBacking::File(file) => {
            vim!(VirtualSerialPortFileBackingInfo { fileName: names.file(file), datastore: datastore(file) })
                .into()
        }
    }
}

/// Label and summary for people, as vSphere words them.
fn description(config: &VmConfig, device: &Device) -> ty!(Description) {
    let number = |first: i32| device.key - first + 1;
    let nth = |is: fn(&Kind) -> bool| {
        config
            .devices
            .values()
            .filter(|other| is(&other.kind))
            .take_while(|other| other.key <= device.key)
            .count()
    };
    let (label, summary) = match &device.kind {
        Kind::Pci => ("PCI controller 0".into(), "PCI controller 0".into()),
        Kind::Ide { bus } => (format!("IDE {bus}"), format!("IDE {bus}")),
        Kind::Ps2 => ("PS2 controller 0".into(), "PS2 controller 0".into()),
        Kind::Sio => ("SIO controller 0".into(), "SIO controller 0".into()),
        Kind::Keyboard => ("Keyboard".into(), "Keyboard".into()),
        Kind::Pointer => ("Pointing device".into(), "Pointing device; Device".into()),
        Kind::Video(_) => ("Video card".into(), "Video card".into()),
        Kind::Vmci => {
            let summary = "Device on the virtual machine PCI bus that provides support for the virtual machine \
                           communication interface";
            ("VMCI device".into(), summary.into())
        }
        Kind::Scsi { bus, model } => {
            let model = match model {
                ScsiModel::BusLogic => "BusLogic",
                ScsiModel::LsiLogic => "LSI Logic",
                ScsiModel::LsiLogicSas => "LSI Logic SAS",
                ScsiModel::ParaVirtual => "VMware paravirtual SCSI",
            };
            (format!("SCSI controller {bus}"), model.to_owned())
        }
        Kind::Sata { bus } => (format!("SATA controller {bus}"), "AHCI".into()),
        Kind::Nvme { bus } => (format!("NVME controller {bus}"), "NVME".into()),
        Kind::Xhci { .. } => ("USB xHCI controller".into(), "USB xHCI controller".into()),
        Kind::Disk(disk) => {
            let kib = disk.capacity_bytes / 1024;
            (
                format!("Hard disk {}", nth(|kind| matches!(kind, Kind::Disk(_)))),
                format!("{} KB", grouped(kib)),
            )
        }
        Kind::Cdrom(cdrom) => {
            let summary = match &cdrom.medium {
                Medium::Iso(file) => format!("ISO {}", file.path.as_str()),
                Medium::Client { .. } => "Remote device".into(),
                Medium::HostDrive { device } => format!("ATAPI {device}"),
            };
            (format!("CD/DVD drive {}", nth(|kind| matches!(kind, Kind::Cdrom(_)))), summary)
        }
        Kind::Nic(nic) => (format!("Network adapter {}", number(key::NIC)), nic.network.clone()),
        Kind::Serial(_) => (format!("Serial port {}", number(key::SERIAL)), "Serial port".into()),
    };
    vim!(Description { label: label, summary: summary })
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits_are_grouped_by_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (16_777_216, "16,777,216")] {
            assert_eq!(super::grouped(number), text);
        }
    }
}
