//! Changes of devices, through `ReconfigVM_Task`: the same checks and privileges as for every client of the vSphere API.

use vapi::{Error, ErrorKind, Record, Value};
use vim::{DataId, MoRef, Object, call, data_id, field, managed_id, prop, vim};

use super::devices::{Kind, key};
use super::{config, me, vm};
use crate::inventory::{self, already, id_at, int, invalid, spec_at, state};
use crate::operation::{Ask, Reply};
use crate::pages::{flag, text};

/// The unit of a SCSI controller itself.
const SCSI_OWN_UNIT: i32 = 7;
/// The key of the first IDE controller, which a host gives every VM.
const FIRST_IDE: i32 = 200;
/// Buses of one kind of controller.
const MAX_BUSES: i32 = 4;

/// The devices of a VM with those that are to be added. New ones have keys below zero, in the place of which the host sets its own.
pub(super) struct Builder {
    devices: Vec<Object>,
    pub changes: Vec<Object>,
    next: i32,
}

/// A bus to which disks and drives are attached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bus {
    Scsi,
    Sata,
    Nvme,
    Ide,
}

impl Bus {
    fn of(word: &str) -> Self {
        match word {
            "SATA" => Self::Sata,
            "NVME" => Self::Nvme,
            "IDE" => Self::Ide,
            _ => Self::Scsi,
        }
    }

    fn ty(self) -> DataId {
        match self {
            Self::Scsi => data_id!(VirtualSCSIController),
            Self::Sata => data_id!(VirtualSATAController),
            Self::Nvme => data_id!(VirtualNVMEController),
            Self::Ide => data_id!(VirtualIDEController),
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Scsi => "scsi",
            Self::Sata => "sata",
            Self::Nvme => "nvme",
            Self::Ide => "ide",
        }
    }

    /// The number of units, with the controller's own.
    fn units(self) -> i32 {
        match self {
            Self::Scsi => 16,
            Self::Sata => 30,
            Self::Nvme => 15,
            Self::Ide => 2,
        }
    }
}

impl Builder {
    pub(super) fn new<'c>(devices: impl Iterator<Item = &'c Object>) -> Self {
        Self { devices: devices.cloned().collect(), changes: Vec::new(), next: -1 }
    }

    /// Adds a device, and returns its key.
    fn add(&mut self, mut device: Object, file: bool) -> i32 {
        let key = self.next;
        self.next -= 1;
        device.set(field!(VirtualDevice.key), key);
        let mut change: Object =
            vim!(VirtualDeviceConfigSpec { operation: "add", device: device.clone() }).into();
        if file {
            let create = vim::vim_enum!(VirtualDeviceConfigSpecFileOperation.create);
            change.set(field!(VirtualDeviceConfigSpec.fileOperation), create);
        }
        self.devices.push(device);
        self.changes.push(change);
        key
    }

    fn controllers(&self, bus: Bus) -> impl Iterator<Item = &Object> {
        self.devices.iter().filter(move |device| device.is_a(bus.ty()))
    }

    fn has_unit(&self, controller: i32, unit: i32) -> bool {
        self.devices.iter().any(|device| {
            device.get(field!(VirtualDevice.controllerKey)) == Some(controller)
                && device.get(field!(VirtualDevice.unitNumber)) == Some(unit)
        })
    }

    /// The number of a bus that is free, or the one that is asked for.
    fn bus_number(&self, bus: Bus, asked: Option<i32>) -> Result<i32, Error> {
        let taken = |number: i32| {
            self.controllers(bus).any(|one| one.get(field!(VirtualController.busNumber)) == Some(number))
        };
        let free = match asked {
            Some(number) => Some(number).filter(|number| (0..MAX_BUSES).contains(number) && !taken(*number)),
            None => (0..MAX_BUSES).find(|number| !taken(*number)),
        };
        free.ok_or_else(|| match asked {
            Some(number) => {
                let text = format!("The bus {number} is taken or does not exist");
                Error::new(ErrorKind::ResourceInUse, "esfera.bus", text)
            }
            None => full("The VM has the limit of such adapters"),
        })
    }

    fn add_controller(
        &mut self,
        bus: Bus,
        ty: &str,
        asked: Option<i32>,
        sharing: &str,
    ) -> Result<i32, Error> {
        let number = self.bus_number(bus, asked)?;
        let device: Object = match (bus, ty) {
            (Bus::Scsi, "LSILOGIC") => {
                vim!(VirtualLsiLogicController { key: 0, busNumber: number, sharedBus: "noSharing" }).into()
            }
            (Bus::Scsi, "LSILOGICSAS") => {
                vim!(VirtualLsiLogicSASController { key: 0, busNumber: number, sharedBus: "noSharing" })
                    .into()
            }
            (Bus::Scsi, "BUSLOGIC") => {
                vim!(VirtualBusLogicController { key: 0, busNumber: number, sharedBus: "noSharing" }).into()
            }
            (Bus::Scsi, _) => {
                vim!(ParaVirtualSCSIController { key: 0, busNumber: number, sharedBus: "noSharing" }).into()
            }
            (Bus::Sata, _) => vim!(VirtualAHCIController { key: 0, busNumber: number }).into(),
            (Bus::Nvme, _) => vim!(VirtualNVMEController { key: 0, busNumber: number }).into(),
            (Bus::Ide, _) => vim!(VirtualIDEController { key: 0, busNumber: number }).into(),
        };
        let mut device = device;
        if bus == Bus::Scsi && sharing != "NONE" {
            let shared = match sharing {
                "PHYSICAL" => vim::vim_enum!(VirtualSCSISharing.physicalSharing),
                _ => vim::vim_enum!(VirtualSCSISharing.virtualSharing),
            };
            device.set(field!(VirtualSCSIController.sharedBus), shared);
        }
        Ok(self.add(device, false))
    }

    /// The controller and the unit for a disk or drive: those that its specification names, or free ones.
    fn place(&mut self, bus: Bus, spec: &Record) -> Result<(i32, i32), Error> {
        let address = spec.get(bus.field()).and_then(Value::as_record);
        let (wanted_bus, wanted_unit) = match (address, bus) {
            (None, _) => (None, None),
            (Some(address), Bus::Ide) => {
                let primary = flag(Some(address), "primary").map(|primary| i32::from(!primary));
                (primary, flag(Some(address), "master").map(|master| i32::from(!master)))
            }
            (Some(address), _) => (int(address, "bus")?, int(address, "unit")?),
        };
        let mut at: Vec<i32> = self
            .controllers(bus)
            .filter(|one| {
                wanted_bus.is_none_or(|wanted| one.get(field!(VirtualController.busNumber)) == Some(wanted))
            })
            .map(key)
            .collect();
        if at.is_empty() {
            // A VM that is being made gets its IDE controllers from its host.
            let bus_number = wanted_bus.unwrap_or(0);
            let made = self.devices.iter().all(|device| key(device) < 0);
            at.push(match bus {
                Bus::Ide if made => FIRST_IDE + bus_number,
                _ => self.add_controller(bus, "", wanted_bus, "NONE")?,
            });
        }
        let units = || (0..bus.units()).filter(|unit| bus != Bus::Scsi || *unit != SCSI_OWN_UNIT);
        let free = |controller: i32| {
            units().find(|unit| {
                wanted_unit.is_none_or(|wanted| wanted == *unit) && !self.has_unit(controller, *unit)
            })
        };
        let found = at.iter().find_map(|controller| Some((*controller, free(*controller)?)));
        found.ok_or_else(|| match wanted_unit {
            Some(unit) => {
                let text = format!("The unit {unit} is taken or does not exist");
                Error::new(ErrorKind::ResourceInUse, "esfera.unit", text)
            }
            None => full("The adapters of the VM have no free unit"),
        })
    }

    pub(super) fn disk(&mut self, spec: &Record, datastore: Option<&str>) -> Result<(), Error> {
        let bus = Bus::of(text(spec, "type").unwrap_or("SCSI"));
        let existing = spec.get("backing").and_then(Value::as_record);
        let new = spec.get("new_vmdk").and_then(Value::as_record);
        let (file, bytes) = match (existing, new) {
            (Some(_), Some(_)) => {
                return Err(invalid("A disk has either the field backing or the field new_vmdk"));
            }
            (Some(existing), None) => {
                let file = text(existing, "vmdk_file");
                (file.ok_or_else(|| invalid("The field backing.vmdk_file is missing"))?.to_owned(), None)
            }
            (None, new) => {
                if new.is_some_and(|new| new.get("storage_policy").is_some()) {
                    return Err(invalid("Esfera does not have storage policies for a disk here"));
                }
                let bytes = match new.and_then(|new| new.get("capacity")) {
                    Some(Value::Long(bytes)) if *bytes > 0 => *bytes,
                    Some(_) => return Err(invalid("The capacity of a disk must be positive")),
                    None => 16 << 30,
                };
                let name = new.and_then(|new| text(new, "name"));
                let file = match (name, datastore) {
                    (Some(name), Some(directory)) => {
                        format!("{directory}/{}.vmdk", name.trim_end_matches(".vmdk"))
                    }
                    (Some(_), None) => {
                        return Err(invalid(
                            "A disk of a new VM is named by Esfera; leave new_vmdk.name out",
                        ));
                    }
                    (None, _) => String::new(),
                };
                (file, Some(bytes))
            }
        };
        let (controller, unit) = self.place(bus, spec)?;
        let backing = vim!(VirtualDiskFlatVer2BackingInfo {
            fileName: file,
            diskMode: "persistent",
            thinProvisioned: true
        });
        let mut device: Object = vim!(VirtualDisk {
            key: 0,
            controllerKey: controller,
            unitNumber: unit,
            backing: backing,
            capacityInKB: bytes.unwrap_or(0) / 1_024,
        })
        .into();
        if let Some(bytes) = bytes {
            device.set(field!(VirtualDisk.capacityInBytes), bytes);
        }
        self.add(device, bytes.is_some());
        Ok(())
    }

    pub(super) fn nic(&mut self, ask: &Ask<'_>, spec: &Record) -> Result<(), Error> {
        let mut device: Object = match text(spec, "type").unwrap_or("VMXNET3") {
            "E1000" => vim!(VirtualE1000 { key: 0 }).into(),
            "E1000E" => vim!(VirtualE1000e { key: 0 }).into(),
            "PCNET32" => vim!(VirtualPCNet32 { key: 0 }).into(),
            "VMXNET" => vim!(VirtualVmxnet { key: 0 }).into(),
            "VMXNET2" => vim!(VirtualVmxnet2 { key: 0 }).into(),
            _ => vim!(VirtualVmxnet3 { key: 0 }).into(),
        };
        let usual =
            vim!(VirtualDeviceConnectInfo { startConnected: true, allowGuestControl: true, connected: true });
        device.set(field!(VirtualDevice.connectable), usual);
        with_nic(ask, &mut device, spec)?;
        if device.get(field!(VirtualDevice.backing)).is_none() {
            return Err(invalid("A network adapter needs the field backing"));
        }
        self.add(device, false);
        Ok(())
    }

    pub(super) fn cdrom(&mut self, spec: &Record) -> Result<(), Error> {
        let (controller, unit) = self.place(Bus::of(text(spec, "type").unwrap_or("IDE")), spec)?;
        let connectable = vim!(VirtualDeviceConnectInfo {
            startConnected: false,
            allowGuestControl: true,
            connected: false
        });
        let mut device: Object = vim!(VirtualCdrom {
            key: 0,
            controllerKey: controller,
            unitNumber: unit,
            backing: VirtualCdromRemotePassthroughBackingInfo { deviceName: "", exclusive: false },
            connectable: connectable,
        })
        .into();
        with_cdrom(&mut device, spec)?;
        self.add(device, false);
        Ok(())
    }

    pub(super) fn scsi(&mut self, spec: &Record) -> Result<(), Error> {
        let (ty, sharing) = (text(spec, "type").unwrap_or("PVSCSI"), text(spec, "sharing").unwrap_or("NONE"));
        self.add_controller(Bus::Scsi, ty, int(spec, "bus")?, sharing).map(drop)
    }

    pub(super) fn sata(&mut self, spec: &Record) -> Result<(), Error> {
        self.add_controller(Bus::Sata, "AHCI", int(spec, "bus")?, "NONE").map(drop)
    }

    pub(super) fn nvme(&mut self, spec: &Record) -> Result<(), Error> {
        self.add_controller(Bus::Nvme, "", int(spec, "bus")?, "NONE").map(drop)
    }
}

fn full(text: &str) -> Error {
    Error::new(ErrorKind::UnableToAllocateResource, "esfera.full", text)
}

/// Sets whether a device is connected at power-on, and by its guest, where the specification says it.
fn with_connection(device: &mut Object, spec: &Record) {
    let (start, guest) = (flag(Some(spec), "start_connected"), flag(Some(spec), "allow_guest_control"));
    if start.is_none() && guest.is_none() {
        return;
    }
    let mut connectable = connectable(device);
    if let Some(start) = start {
        connectable.set(field!(VirtualDeviceConnectInfo.startConnected), start);
    }
    if let Some(guest) = guest {
        connectable.set(field!(VirtualDeviceConnectInfo.allowGuestControl), guest);
    }
    device.put(field!(VirtualDevice.connectable).number(), Some(connectable.into()));
}

fn connectable(device: &Object) -> Object {
    let known = device.get(field!(VirtualDevice.connectable)).map(|known| Object::clone(known));
    known.unwrap_or_else(|| {
        vim!(VirtualDeviceConnectInfo { startConnected: true, allowGuestControl: true, connected: false })
            .into()
    })
}

/// The backing by a network of the inventory.
fn network(ask: &Ask<'_>, spec: &Record) -> Result<Object, Error> {
    let id = text(spec, "network").ok_or_else(|| invalid("The field backing.network is missing"))?;
    let node = inventory::read(ask, &state(ask), managed_id!(Network), "network", id)?;
    if !node.me().is_a(managed_id!(DistributedVirtualPortgroup)) {
        let (name, me) = (inventory::name(&node), node.me());
        return Ok(vim!(VirtualEthernetCardNetworkBackingInfo { deviceName: name, network: me }).into());
    }
    let group = node.get(prop!(DistributedVirtualPortgroup.key)).unwrap_or_default();
    let config = node.get(prop!(DistributedVirtualPortgroup.config));
    let switch = config.and_then(|config| config.get(field!(DVPortgroupConfigInfo.distributedVirtualSwitch)));
    let switch = switch.and_then(|switch| state(ask).find(switch).cloned());
    let uuid = switch.as_ref().and_then(|switch| switch.get(prop!(DistributedVirtualSwitch.uuid)));
    let uuid = uuid.ok_or_else(|| invalid("The switch of the port group is not known"))?;
    let port = vim!(DistributedVirtualSwitchPortConnection {
        switchUuid: uuid,
        portgroupKey: group,
        portKey: text(spec, "distributed_port"),
    });
    Ok(vim!(VirtualEthernetCardDistributedVirtualPortBackingInfo { port: port }).into())
}

fn with_nic(ask: &Ask<'_>, device: &mut Object, spec: &Record) -> Result<(), Error> {
    if let Some(backing) = spec.get("backing").and_then(Value::as_record) {
        match text(backing, "type") {
            Some("STANDARD_PORTGROUP" | "DISTRIBUTED_PORTGROUP") => {
                let backing = network(ask, backing)?;
                device.put(field!(VirtualDevice.backing).number(), Some(backing.into()));
            }
            _ => return Err(invalid("A network adapter is backed by a port group here")),
        }
    }
    match (text(spec, "mac_type"), text(spec, "mac_address")) {
        (None, None) => {}
        (Some("MANUAL") | None, Some(address)) => {
            device.set(field!(VirtualEthernetCard.addressType), "manual");
            device.set(field!(VirtualEthernetCard.macAddress), address);
        }
        (Some("GENERATED" | "ASSIGNED"), None) => {
            let ty = if text(spec, "mac_type") == Some("GENERATED") { "generated" } else { "assigned" };
            device.set(field!(VirtualEthernetCard.addressType), ty);
            device.put(field!(VirtualEthernetCard.macAddress).number(), None);
        }
        _ => return Err(invalid("mac_address is given with the mac_type MANUAL, and with it only")),
    }
    if let Some(wake) = flag(Some(spec), "wake_on_lan_enabled") {
        device.set(field!(VirtualEthernetCard.wakeOnLanEnabled), wake);
    }
    with_connection(device, spec);
    Ok(())
}

fn with_cdrom(device: &mut Object, spec: &Record) -> Result<(), Error> {
    if let Some(backing) = spec.get("backing").and_then(Value::as_record) {
        let made: Object = match text(backing, "type") {
            Some("ISO_FILE") => {
                let file = text(backing, "iso_file");
                let file = file.ok_or_else(|| invalid("The field backing.iso_file is missing"))?;
                vim!(VirtualCdromIsoBackingInfo { fileName: file }).into()
            }
            Some("CLIENT_DEVICE") => {
                vim!(VirtualCdromRemotePassthroughBackingInfo { deviceName: "", exclusive: false }).into()
            }
            _ => {
                let name = text(backing, "host_device").unwrap_or_default();
                vim!(VirtualCdromAtapiBackingInfo { deviceName: name }).into()
            }
        };
        device.put(field!(VirtualDevice.backing).number(), Some(made.into()));
    }
    with_connection(device, spec);
    Ok(())
}

/// Makes the changes of devices.
async fn reconfigure(ask: &Ask<'_>, changes: Vec<Object>) -> Result<(), Error> {
    let spec = vim!(VirtualMachineConfigSpec { deviceChange: changes });
    inventory::task(ask, &me(ask), call!(ReconfigVM_Task { spec: spec })).await.map(drop)
}

/// Adds a device that `build` puts together, and returns the id that it got.
async fn add(
    ask: &Ask<'_>,
    kind: &Kind,
    build: impl FnOnce(&mut Builder, &Record, &Object) -> Result<(), Error>,
) -> Reply {
    let node = vm(ask)?;
    let spec = spec_at(ask, 1).ok_or_else(|| invalid("The specification is missing"))?;
    let before = config(&node)?;
    let mut builder = Builder::new(super::devices(before).map(|device| &**device));
    build(&mut builder, spec, before)?;
    let known: Vec<i32> = kind.of(before).map(|device| key(device)).collect();
    reconfigure(ask, builder.changes).await?;
    let node = vm(ask)?;
    let new = kind.of(config(&node)?).map(|device| key(device)).find(|key| !known.contains(key));
    let new =
        new.ok_or_else(|| Error::new(ErrorKind::Error, "esfera.gone", "The new device is gone already"))?;
    Ok(new.to_string().into())
}

/// Changes a device.
async fn change(
    ask: &Ask<'_>,
    kind: &Kind,
    edit: impl FnOnce(&mut Object, &Record) -> Result<(), Error>,
) -> Reply {
    let node = vm(ask)?;
    let mut device = Object::clone(kind.find(config(&node)?, id_at(ask, 1))?);
    let spec = spec_at(ask, 2).ok_or_else(|| invalid("The specification is missing"))?;
    edit(&mut device, spec)?;
    let change = vim!(VirtualDeviceConfigSpec { operation: "edit", device: device });
    reconfigure(ask, vec![change.into()]).await.map(|()| Value::Unset)
}

pub(super) async fn remove(ask: Ask<'_>, kind: &Kind) -> Reply {
    let node = vm(&ask)?;
    let device = Object::clone(kind.find(config(&node)?, id_at(&ask, 1))?);
    // The file of a disk stays.
    let change = vim!(VirtualDeviceConfigSpec { operation: "remove", device: device });
    reconfigure(&ask, vec![change.into()]).await.map(|()| Value::Unset)
}

pub(super) async fn add_disk(ask: Ask<'_>, kind: &Kind) -> Reply {
    add(&ask, kind, |builder, spec, config| {
        let files = config.get(field!(VirtualMachineConfigInfo.files));
        let path = files.and_then(|files| files.get(field!(VirtualMachineFileInfo.vmPathName)));
        let directory = path.and_then(|path| path.rsplit_once('/')).map(|(directory, _)| directory);
        builder.disk(spec, directory)
    })
    .await
}

pub(super) async fn change_disk(ask: Ask<'_>, kind: &Kind) -> Reply {
    change(&ask, kind, |device, spec| {
        if let Some(backing) = spec.get("backing").and_then(Value::as_record) {
            let file = text(backing, "vmdk_file");
            let file = file.ok_or_else(|| invalid("The field backing.vmdk_file is missing"))?;
            let backing = vim!(VirtualDiskFlatVer2BackingInfo { fileName: file, diskMode: "persistent" });
            device.set(field!(VirtualDevice.backing), backing);
        }
        Ok(())
    })
    .await
}

pub(super) async fn add_nic(ask: Ask<'_>, kind: &Kind) -> Reply {
    add(&ask, kind, |builder, spec, _| builder.nic(&ask, spec)).await
}

pub(super) async fn change_nic(ask: Ask<'_>, kind: &Kind) -> Reply {
    change(&ask, kind, |device, spec| with_nic(&ask, device, spec)).await
}

pub(super) async fn add_cdrom(ask: Ask<'_>, kind: &Kind) -> Reply {
    add(&ask, kind, |builder, spec, _| builder.cdrom(spec)).await
}

pub(super) async fn change_cdrom(ask: Ask<'_>, kind: &Kind) -> Reply {
    change(&ask, kind, with_cdrom).await
}

pub(super) async fn add_scsi(ask: Ask<'_>, kind: &Kind) -> Reply {
    add(&ask, kind, |builder, spec, _| builder.scsi(spec)).await
}

pub(super) async fn add_sata(ask: Ask<'_>, kind: &Kind) -> Reply {
    add(&ask, kind, |builder, spec, _| builder.sata(spec)).await
}

pub(super) async fn add_nvme(ask: Ask<'_>, kind: &Kind) -> Reply {
    add(&ask, kind, |builder, spec, _| builder.nvme(spec)).await
}

async fn switch(ask: &Ask<'_>, kind: &Kind, on: bool) -> Reply {
    let node = vm(ask)?;
    let mut device = Object::clone(kind.find(config(&node)?, id_at(ask, 1))?);
    if super::power_state(&node) != "POWERED_ON" {
        let text = format!("The VM {} is not powered on", inventory::name(&node));
        return Err(Error::new(ErrorKind::NotAllowedInCurrentState, "esfera.state", text));
    }
    let mut connectable = connectable(&device);
    if connectable.get(field!(VirtualDeviceConnectInfo.connected)) == Some(on) {
        return Err(already(&format!("The {} is in this state already", kind.what)));
    }
    connectable.set(field!(VirtualDeviceConnectInfo.connected), on);
    device.put(field!(VirtualDevice.connectable).number(), Some(connectable.into()));
    let change = vim!(VirtualDeviceConfigSpec { operation: "edit", device: device });
    reconfigure(ask, vec![change.into()]).await.map(|()| Value::Unset)
}

pub(super) async fn connect(ask: Ask<'_>, kind: &Kind) -> Reply {
    switch(&ask, kind, true).await
}

pub(super) async fn disconnect(ask: Ask<'_>, kind: &Kind) -> Reply {
    switch(&ask, kind, false).await
}

/// The changes that a new VM's specification asks for.
pub(super) fn of_new_vm(ask: &Ask<'_>, spec: &Record) -> Result<Vec<Object>, Error> {
    for (field, what) in [
        ("floppies", "floppy drives"),
        ("parallel_ports", "parallel ports"),
        ("serial_ports", "serial ports"),
        ("storage_policy", "storage policies"),
    ] {
        if matches!(spec.get(field), Some(Value::List(items)) if !items.is_empty())
            || matches!(spec.get(field), Some(Value::Record(_)))
        {
            return Err(invalid(format!("A new VM gets no {what} here; leave the field {field} out")));
        }
    }
    let each = |field: &str| match spec.get(field) {
        Some(Value::List(items)) => items.iter().filter_map(Value::as_record).collect(),
        _ => Vec::new(),
    };
    let mut builder = Builder::new(std::iter::empty());
    for adapter in each("scsi_adapters") {
        builder.scsi(adapter)?;
    }
    for adapter in each("sata_adapters") {
        builder.sata(adapter)?;
    }
    for adapter in each("nvme_adapters") {
        builder.nvme(adapter)?;
    }
    for disk in each("disks") {
        builder.disk(disk, None)?;
    }
    for nic in each("nics") {
        builder.nic(ask, nic)?;
    }
    for cdrom in each("cdroms") {
        builder.cdrom(cdrom)?;
    }
    Ok(builder.changes)
}

/// A reference by an optional field of a placement.
pub(super) fn placed(of: Option<&Record>, field: &str, ty: vim::ManagedId) -> Option<MoRef> {
    of.and_then(|of| text(of, field)).map(|id| MoRef::new(ty, id))
}
