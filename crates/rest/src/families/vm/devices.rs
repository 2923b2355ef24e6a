//! Devices of a VM: `com.vmware.vcenter.vm.hardware.{disk,ethernet,cdrom,floppy,serial,parallel,adapter.*}`. A device's id is its key.

use std::sync::Arc;

use futures_util::FutureExt;
use vapi::{Error, Record, Value};
use vim::{DataId, Object, data_id, field};

use super::edit;
use super::{config, vm};
use crate::inventory::id_at;
use crate::operation::{Ask, Family, Reply, Row};
use crate::pages::not_found;

/// A kind of device.
pub(super) struct Kind {
    pub ty: DataId,
    /// Its name for people.
    pub what: &'static str,
    /// The structure of a list, and its field with the id.
    summary: (&'static str, &'static str),
    info: fn(&Object, &Object) -> Value,
}

pub(super) const DISKS: Kind = Kind {
    ty: data_id!(VirtualDisk),
    what: "disk",
    summary: ("vcenter.vm.hardware.disk.summary", "disk"),
    info: disk,
};
pub(super) const NICS: Kind = Kind {
    ty: data_id!(VirtualEthernetCard),
    what: "network adapter",
    summary: ("vcenter.vm.hardware.ethernet.summary", "nic"),
    info: nic,
};
pub(super) const CDROMS: Kind = Kind {
    ty: data_id!(VirtualCdrom),
    what: "CD drive",
    summary: ("vcenter.vm.hardware.cdrom.summary", "cdrom"),
    info: cdrom,
};
pub(super) const FLOPPIES: Kind = Kind {
    ty: data_id!(VirtualFloppy),
    what: "floppy drive",
    summary: ("vcenter.vm.hardware.floppy.summary", "floppy"),
    info: floppy,
};
pub(super) const SERIAL_PORTS: Kind = Kind {
    ty: data_id!(VirtualSerialPort),
    what: "serial port",
    summary: ("vcenter.vm.hardware.serial.summary", "port"),
    info: serial,
};
pub(super) const PARALLEL_PORTS: Kind = Kind {
    ty: data_id!(VirtualParallelPort),
    what: "parallel port",
    summary: ("vcenter.vm.hardware.parallel.summary", "port"),
    info: parallel,
};
pub(super) const SATA_ADAPTERS: Kind = Kind {
    ty: data_id!(VirtualSATAController),
    what: "SATA adapter",
    summary: ("vcenter.vm.hardware.adapter.sata.summary", "adapter"),
    info: sata,
};
pub(super) const SCSI_ADAPTERS: Kind = Kind {
    ty: data_id!(VirtualSCSIController),
    what: "SCSI adapter",
    summary: ("vcenter.vm.hardware.adapter.scsi.summary", "adapter"),
    info: scsi,
};
pub(super) const NVME_ADAPTERS: Kind = Kind {
    ty: data_id!(VirtualNVMEController),
    what: "NVMe adapter",
    summary: ("vcenter.vm.hardware.adapter.nvme.summary", "adapter"),
    info: nvme,
};

/// A family with the operations of a kind of device. The operations behind the semicolon are those that change one.
macro_rules! families {
    ($($family:ident $service:literal $kind:ident; $($name:literal => $change:path),*;)*) => {
        $(pub(crate) const $family: Family = Family {
            service: $service,
            operations: &[
                Row { name: "list", handler: |ask| list(ask, &$kind).boxed(), open: false },
                Row { name: "get", handler: |ask| get(ask, &$kind).boxed(), open: false },
                Row { name: "delete", handler: |ask| edit::remove(ask, &$kind).boxed(), open: false },
                $(Row { name: $name, handler: |ask| $change(ask, &$kind).boxed(), open: false },)*
            ],
        };)*
    };
}

families! {
    DISK "vcenter.vm.hardware.disk" DISKS; "create" => edit::add_disk, "update" => edit::change_disk;
    ETHERNET "vcenter.vm.hardware.ethernet" NICS;
        "create" => edit::add_nic, "update" => edit::change_nic, "connect" => edit::connect,
        "disconnect" => edit::disconnect;
    CDROM "vcenter.vm.hardware.cdrom" CDROMS;
        "create" => edit::add_cdrom, "update" => edit::change_cdrom, "connect" => edit::connect,
        "disconnect" => edit::disconnect;
    FLOPPY "vcenter.vm.hardware.floppy" FLOPPIES; "connect" => edit::connect, "disconnect" => edit::disconnect;
    SERIAL "vcenter.vm.hardware.serial" SERIAL_PORTS; "connect" => edit::connect, "disconnect" => edit::disconnect;
    PARALLEL "vcenter.vm.hardware.parallel" PARALLEL_PORTS;
        "connect" => edit::connect, "disconnect" => edit::disconnect;
    SATA "vcenter.vm.hardware.adapter.sata" SATA_ADAPTERS; "create" => edit::add_sata;
    SCSI "vcenter.vm.hardware.adapter.scsi" SCSI_ADAPTERS; "create" => edit::add_scsi;
    NVME "vcenter.vm.hardware.adapter.nvme" NVME_ADAPTERS; "create" => edit::add_nvme;
}

impl Kind {
    pub(super) fn of<'c>(&self, config: &'c Object) -> impl Iterator<Item = &'c Arc<Object>> {
        let ty = self.ty;
        super::devices(config).filter(move |device| device.is_a(ty))
    }

    /// All devices of the kind by their ids.
    pub(super) fn map(&self, config: &Object) -> Value {
        Value::Map(self.of(config).map(|device| (id(device), (self.info)(device, config))).collect())
    }

    /// The device with this id.
    pub(super) fn find<'c>(&self, config: &'c Object, wanted: &str) -> Result<&'c Arc<Object>, Error> {
        let found = self.of(config).find(|device| key(device).to_string() == wanted);
        found.ok_or_else(|| not_found(self.what, wanted))
    }
}

pub(super) fn key(device: &Object) -> i32 {
    device.get(field!(VirtualDevice.key)).unwrap_or_default()
}

fn id(device: &Object) -> Value {
    key(device).to_string().into()
}

async fn list(ask: Ask<'_>, kind: &Kind) -> Reply {
    let node = vm(&ask)?;
    let (structure, field) = kind.summary;
    let shown = |device: &Arc<Object>| Value::Record(Record::new(structure, [(field, id(device))]));
    Ok(Value::List(kind.of(config(&node)?).map(shown).collect()))
}

async fn get(ask: Ask<'_>, kind: &Kind) -> Reply {
    let node = vm(&ask)?;
    let config = config(&node)?;
    let device = kind.find(config, id_at(&ask, 1))?;
    Ok((kind.info)(device, config))
}

fn label(device: &Object) -> Value {
    let info = device.get(field!(VirtualDevice.deviceInfo));
    info.and_then(|info| info.get(field!(Description.label))).unwrap_or_default().into()
}

fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Unset, Value::from)
}

fn slot(device: &Object) -> Value {
    let slot = device
        .get(field!(VirtualDevice.slotInfo))
        .filter(|slot| slot.is_a(data_id!(VirtualDevicePciBusSlotInfo)));
    let number = slot.and_then(|slot| slot.get(field!(VirtualDevicePciBusSlotInfo.pciSlotNumber)));
    number.map_or(Value::Unset, |number| Value::Long(number.into()))
}

/// The controller that a device is attached to.
fn controller<'c>(device: &Object, config: &'c Object) -> Option<&'c Arc<Object>> {
    let key_of = device.get(field!(VirtualDevice.controllerKey))?;
    super::devices(config).find(|other| key(other) == key_of)
}

fn bus(controller: &Object) -> i64 {
    controller.get(field!(VirtualController.busNumber)).unwrap_or_default().into()
}

/// The kind of bus that a device is attached to, the field of its address, and the address.
fn address(device: &Object, config: &Object) -> (&'static str, &'static str, Value) {
    let unit = i64::from(device.get(field!(VirtualDevice.unitNumber)).unwrap_or_default());
    let at = controller(device, config);
    let number = at.map_or(0, |at| bus(at));
    let is = |ty: DataId| at.is_some_and(|at| at.is_a(ty));
    let plain = |name: &'static str| {
        Value::Record(Record::new(name, [("bus", Value::Long(number)), ("unit", Value::Long(unit))]))
    };
    if is(data_id!(VirtualSATAController)) {
        ("SATA", "sata", plain("vcenter.vm.hardware.sata_address_info"))
    } else if is(data_id!(VirtualNVMEController)) {
        ("NVME", "nvme", plain("vcenter.vm.hardware.nvme_address_info"))
    } else if is(data_id!(VirtualIDEController)) {
        let fields = [("primary", Value::Boolean(number == 0)), ("master", Value::Boolean(unit == 0))];
        ("IDE", "ide", Value::Record(Record::new("vcenter.vm.hardware.ide_address_info", fields)))
    } else {
        ("SCSI", "scsi", plain("vcenter.vm.hardware.scsi_address_info"))
    }
}

fn disk(device: &Object, config: &Object) -> Value {
    let backing = device.get(field!(VirtualDevice.backing));
    let backing = backing.filter(|backing| backing.is_a(data_id!(VirtualDeviceFileBackingInfo)));
    let file = backing.and_then(|backing| backing.get(field!(VirtualDeviceFileBackingInfo.fileName)));
    let fields = [("type", "VMDK_FILE".into()), ("vmdk_file", file.unwrap_or_default().into())];
    let backing = Record::new("vcenter.vm.hardware.disk.backing_info", fields);
    let bytes = device.get(field!(VirtualDisk.capacityInBytes));
    let bytes = bytes.or_else(|| device.get(field!(VirtualDisk.capacityInKB)).map(|kib| kib * 1_024));
    let (ty, field, address) = address(device, config);
    Value::Record(Record::new(
        "vcenter.vm.hardware.disk.info",
        [
            ("label", label(device)),
            ("type", ty.into()),
            (field, address),
            ("backing", Value::Record(backing)),
            ("capacity", bytes.map_or(Value::Unset, Value::Long)),
        ],
    ))
}

/// Whether a device is connected, is to be when its VM starts, and may be by its guest.
fn connection(device: &Object) -> [(&'static str, Value); 3] {
    let connectable = device.get(field!(VirtualDevice.connectable));
    let flag = |flag: Option<bool>| flag.unwrap_or_default();
    let connected = connectable.and_then(|one| one.get(field!(VirtualDeviceConnectInfo.connected)));
    let start = connectable.and_then(|one| one.get(field!(VirtualDeviceConnectInfo.startConnected)));
    let guest = connectable.and_then(|one| one.get(field!(VirtualDeviceConnectInfo.allowGuestControl)));
    [
        ("state", if flag(connected) { "CONNECTED" } else { "NOT_CONNECTED" }.into()),
        ("start_connected", Value::Boolean(flag(start))),
        ("allow_guest_control", Value::Boolean(flag(guest))),
    ]
}

fn nic(device: &Object, _: &Object) -> Value {
    let ty = if device.is_a(data_id!(VirtualVmxnet3)) {
        "VMXNET3"
    } else if device.is_a(data_id!(VirtualE1000e)) {
        "E1000E"
    } else if device.is_a(data_id!(VirtualE1000)) {
        "E1000"
    } else if device.is_a(data_id!(VirtualVmxnet2)) {
        "VMXNET2"
    } else if device.is_a(data_id!(VirtualVmxnet)) {
        "VMXNET"
    } else {
        "PCNET32"
    };
    let mac_type = match device.get(field!(VirtualEthernetCard.addressType)) {
        Some("manual" | "Manual") => "MANUAL",
        Some("assigned" | "Assigned") => "ASSIGNED",
        _ => "GENERATED",
    };
    let wake = device.get(field!(VirtualEthernetCard.wakeOnLanEnabled)).unwrap_or_default();
    let upt = device.get(field!(VirtualEthernetCard.uptCompatibilityEnabled)).unwrap_or_default();
    let upt = if ty == "VMXNET3" { Value::Boolean(upt) } else { Value::Unset };
    let fields = [
        ("label", label(device)),
        ("type", ty.into()),
        ("mac_type", mac_type.into()),
        ("mac_address", text(device.get(field!(VirtualEthernetCard.macAddress)))),
        ("pci_slot_number", slot(device)),
        ("wake_on_lan_enabled", Value::Boolean(wake)),
        ("upt_compatibility_enabled", upt),
        ("backing", network(device)),
    ];
    Value::Record(Record::new(
        "vcenter.vm.hardware.ethernet.info",
        fields.into_iter().chain(connection(device)),
    ))
}

fn network(device: &Object) -> Value {
    let backing = device.get(field!(VirtualDevice.backing));
    let is = |ty: DataId| backing.filter(|backing| backing.is_a(ty));
    let name = "vcenter.vm.hardware.ethernet.backing_info";
    let distributed = data_id!(VirtualEthernetCardDistributedVirtualPortBackingInfo);
    let port = is(distributed)
        .and_then(|backing| backing.get(field!(VirtualEthernetCardDistributedVirtualPortBackingInfo.port)));
    if let Some(port) = port {
        let cookie = port.get(field!(DistributedVirtualSwitchPortConnection.connectionCookie));
        return Value::Record(Record::new(
            name,
            [
                ("type", "DISTRIBUTED_PORTGROUP".into()),
                ("network", text(port.get(field!(DistributedVirtualSwitchPortConnection.portgroupKey)))),
                (
                    "distributed_switch_uuid",
                    text(port.get(field!(DistributedVirtualSwitchPortConnection.switchUuid))),
                ),
                ("distributed_port", text(port.get(field!(DistributedVirtualSwitchPortConnection.portKey)))),
                ("connection_cookie", cookie.map_or(Value::Unset, |cookie| Value::Long(cookie.into()))),
            ],
        ));
    }
    let plain = is(data_id!(VirtualEthernetCardNetworkBackingInfo));
    let network =
        plain.and_then(|backing| backing.get(field!(VirtualEthernetCardNetworkBackingInfo.network)));
    let device = is(data_id!(VirtualDeviceDeviceBackingInfo));
    let network_name =
        device.and_then(|backing| backing.get(field!(VirtualDeviceDeviceBackingInfo.deviceName)));
    Value::Record(Record::new(
        name,
        [
            ("type", "STANDARD_PORTGROUP".into()),
            ("network", network.map_or(Value::Unset, |network| network.id().into())),
            ("network_name", network_name.unwrap_or_default().into()),
        ],
    ))
}

/// The backing of a drive or port: a file, the client's device, or the host's.
fn file_or_device(device: &Object, structure: &'static str, file: (&'static str, &'static str)) -> Value {
    let backing = device.get(field!(VirtualDevice.backing));
    let is = |ty: DataId| backing.filter(|backing| backing.is_a(ty));
    let (word, field) = file;
    if let Some(backing) = is(data_id!(VirtualDeviceFileBackingInfo)) {
        let name = backing.get(field!(VirtualDeviceFileBackingInfo.fileName));
        let fields = [("type", word.into()), (field, name.unwrap_or_default().into())];
        return Value::Record(Record::new(structure, fields));
    }
    if let Some(backing) = is(data_id!(VirtualDeviceDeviceBackingInfo)) {
        let name = backing.get(field!(VirtualDeviceDeviceBackingInfo.deviceName));
        let auto = backing.get(field!(VirtualDeviceDeviceBackingInfo.useAutoDetect)).unwrap_or_default();
        return Value::Record(Record::new(
            structure,
            [
                ("type", "HOST_DEVICE".into()),
                ("host_device", text(name)),
                ("auto_detect", Value::Boolean(auto)),
            ],
        ));
    }
    match word {
        // A port is never the client's.
        "FILE" => Value::Record(Record::new(structure, [("type", word.into()), (field, "".into())])),
        _ => Value::Record(Record::new(structure, [("type", "CLIENT_DEVICE".into())])),
    }
}

fn cdrom(device: &Object, config: &Object) -> Value {
    let mut backing =
        file_or_device(device, "vcenter.vm.hardware.cdrom.backing_info", ("ISO_FILE", "iso_file"));
    // The way in which the guest uses a drive without a file.
    if let Value::Record(record) = &mut backing
        && record.get("iso_file").is_none()
    {
        let emulated = device
            .get(field!(VirtualDevice.backing))
            .is_some_and(|backing| backing.is_a(data_id!(VirtualCdromAtapiBackingInfo)));
        let how = if emulated { "EMULATION" } else { "PASSTHRU" };
        let at = record.fields.len() - 1;
        record.fields[at] = how.into();
    }
    let (ty, field, address) = address(device, config);
    let fields = [("label", label(device)), ("type", ty.into()), (field, address), ("backing", backing)];
    Value::Record(Record::new("vcenter.vm.hardware.cdrom.info", fields.into_iter().chain(connection(device))))
}

fn floppy(device: &Object, _: &Object) -> Value {
    let backing =
        file_or_device(device, "vcenter.vm.hardware.floppy.backing_info", ("IMAGE_FILE", "image_file"));
    let fields = [("label", label(device)), ("backing", backing)];
    Value::Record(Record::new(
        "vcenter.vm.hardware.floppy.info",
        fields.into_iter().chain(connection(device)),
    ))
}

fn serial(device: &Object, _: &Object) -> Value {
    let backing = device.get(field!(VirtualDevice.backing));
    let structure = "vcenter.vm.hardware.serial.backing_info";
    let uri = backing.filter(|backing| backing.is_a(data_id!(VirtualDeviceURIBackingInfo)));
    let pipe = backing.filter(|backing| backing.is_a(data_id!(VirtualDevicePipeBackingInfo)));
    let backing = if let Some(uri) = uri {
        let server = uri.get(field!(VirtualDeviceURIBackingInfo.direction)) == Some("server");
        let ty = if server { "NETWORK_SERVER" } else { "NETWORK_CLIENT" };
        let location = uri.get(field!(VirtualDeviceURIBackingInfo.serviceURI));
        Value::Record(Record::new(
            structure,
            [("type", ty.into()), ("network_location", location.unwrap_or_default().into())],
        ))
    } else if let Some(pipe) = pipe {
        let name = pipe.get(field!(VirtualDevicePipeBackingInfo.pipeName));
        let fields = [
            ("type", "PIPE_SERVER".into()),
            ("pipe", name.unwrap_or_default().into()),
            ("no_rx_loss", Value::Boolean(false)),
        ];
        Value::Record(Record::new(structure, fields))
    } else {
        file_or_device(device, structure, ("FILE", "file"))
    };
    let yields = device.get(field!(VirtualSerialPort.yieldOnPoll)).unwrap_or_default();
    let fields = [("label", label(device)), ("yield_on_poll", Value::Boolean(yields)), ("backing", backing)];
    Value::Record(Record::new(
        "vcenter.vm.hardware.serial.info",
        fields.into_iter().chain(connection(device)),
    ))
}

fn parallel(device: &Object, _: &Object) -> Value {
    let backing = file_or_device(device, "vcenter.vm.hardware.parallel.backing_info", ("FILE", "file"));
    let fields = [("label", label(device)), ("backing", backing)];
    Value::Record(Record::new(
        "vcenter.vm.hardware.parallel.info",
        fields.into_iter().chain(connection(device)),
    ))
}

fn sata(device: &Object, _: &Object) -> Value {
    let bus = Value::Long(bus(device));
    let fields =
        [("label", label(device)), ("type", "AHCI".into()), ("bus", bus), ("pci_slot_number", slot(device))];
    Value::Record(Record::new("vcenter.vm.hardware.adapter.sata.info", fields))
}

fn scsi(device: &Object, _: &Object) -> Value {
    let ty = if device.is_a(data_id!(ParaVirtualSCSIController)) {
        "PVSCSI"
    } else if device.is_a(data_id!(VirtualLsiLogicSASController)) {
        "LSILOGICSAS"
    } else if device.is_a(data_id!(VirtualBusLogicController)) {
        "BUSLOGIC"
    } else {
        "LSILOGIC"
    };
    let sharing = match device.get(field!(VirtualSCSIController.sharedBus)).map(|at| at.name()) {
        Some("physicalSharing") => "PHYSICAL",
        Some("virtualSharing") => "VIRTUAL",
        _ => "NONE",
    };
    let unit = device.get(field!(VirtualSCSIController.scsiCtlrUnitNumber)).unwrap_or(7);
    let fields = [("bus", Value::Long(bus(device))), ("unit", Value::Long(unit.into()))];
    let address = Record::new("vcenter.vm.hardware.scsi_address_info", fields);
    Value::Record(Record::new(
        "vcenter.vm.hardware.adapter.scsi.info",
        [
            ("label", label(device)),
            ("type", ty.into()),
            ("scsi", Value::Record(address)),
            ("pci_slot_number", slot(device)),
            ("sharing", sharing.into()),
        ],
    ))
}

fn nvme(device: &Object, _: &Object) -> Value {
    let bus = Value::Long(bus(device));
    let fields = [("label", label(device)), ("bus", bus), ("pci_slot_number", slot(device))];
    Value::Record(Record::new("vcenter.vm.hardware.adapter.nvme.info", fields))
}
