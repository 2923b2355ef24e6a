//! A device that is shown and asked for again is the same device.
#![allow(clippy::unwrap_used)]

mod common;

use common::{DS, ISO, World, file, planned, read, written};
use datastore::Dictionary;
use proptest::prelude::*;
use uuid::Uuid;
use vim::{Object, Value, data_id, field, schema, vim};
use vm::config::VmConfig;
use vm::device::{
    AddressType, Cdrom, Connect, Device, Disk, Kind, Medium, Nic, NicModel, Nvme, Sata, Scsi, ScsiModel,
    Serial, SerialBacking, Sound, Xhci, drive_key, key,
};
use vm::show::{self, Names};

fn at(key: i32, place: (i32, i32), connect: Option<Connect>, kind: impl Into<Kind>) -> Device {
    Device { key, controller: Some(place.0), unit: Some(place.1), connect, kind: kind.into() }
}

/// Whether a device that was off is connected at power-on.
fn off(at_start: bool) -> Option<Connect> {
    Some(Connect { at_start, now: false, guest_control: at_start })
}

fn scsi(model: ScsiModel) -> Device {
    at(key::SCSI, (key::PCI, 3), None, Scsi { bus: 0, model })
}

fn disk(unit: i32, independent: bool, thin: bool, path: &str) -> Device {
    let key = drive_key(vm::device::Bus::Scsi, 0, unit);
    let disk = Disk {
        file: file(DS, path),
        parents: Vec::new(),
        capacity_bytes: 1 << 30,
        independent,
        thin,
        eager_zero: !thin,
        uuid: Uuid::from_u128(7),
    };
    at(key, (key::SCSI, unit), None, disk)
}

fn nic(number: i32, model: NicModel, address: AddressType, mac: [u8; 5], network: &str, on: bool) -> Device {
    let [a, b, c, d, e] = mac;
    let nic = Nic {
        model,
        mac: format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}"),
        address,
        network: network.to_owned(),
        wake_on_lan: on,
        kept: Vec::new(),
    };
    at(key::NIC + number, (key::PCI, 7 + number), off(on), nic)
}

fn config(devices: Vec<Device>) -> VmConfig {
    let mut config = VmConfig::new("web01", common::now());
    config.nvram = Some("web01.nvram".into());
    config.devices.extend(devices.into_iter().map(|device| (device.key, device)));
    config
}

/// The devices of `config` as another VM gets them that is made of what this one shows.
fn made_of_what_is_shown(config: &VmConfig) -> VmConfig {
    let names = Names { storage: &World, vm: "1" };
    let changes: Vec<_> = config
        .devices
        .values()
        .map(|device| {
            let shown = show::device(config, device, &names);
            vim!(VirtualDeviceConfigSpec { operation: "add", device: shown })
        })
        .collect();
    let spec = Object::from(vim!(VirtualMachineConfigSpec { name: "web01", deviceChange: changes }));
    let mut made = planned(false, |around| vm::plan::create(&spec, around)).unwrap().config;
    // A disk gets an identity of its own in each VM.
    for device in made.devices.values_mut() {
        let known = config.devices.get(&device.key).and_then(Device::disk).map(|disk| disk.uuid);
        if let (Some(disk), Some(uuid)) = (device.disk_mut(), known) {
            disk.uuid = uuid;
        }
    }
    made
}

fn model() -> impl Strategy<Value = ScsiModel> {
    prop::sample::select(vec![ScsiModel::LsiLogic, ScsiModel::LsiLogicSas, ScsiModel::ParaVirtual])
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äß][a-zA-Z0-9 äß|\"#%-]{0,10}[a-z]"
}

fn medium() -> impl Strategy<Value = Medium> {
    prop_oneof![
        Just(Medium::Iso(file(ISO, "linux/debian 12.iso"))),
        Just(Medium::Client { device: String::new(), atapi: false }),
        name().prop_map(|device| Medium::HostDrive { device }),
    ]
}

fn backing() -> impl Strategy<Value = SerialBacking> {
    prop_oneof![
        (name(), prop::sample::select(vec!["server", "client"]), any::<bool>()).prop_map(
            |(name, end, no_rx_loss)| SerialBacking::Pipe { name, endpoint: end.to_owned(), no_rx_loss }
        ),
        Just(SerialBacking::File(file(DS, "web01/serial.txt"))),
    ]
}

prop_compose! {
    fn devices()(
        model in model(),
        disks in prop::collection::btree_map(0..7i32, any::<(bool, bool)>(), 0..4),
        nics in prop::collection::vec(
            (
                prop::sample::select(vec![NicModel::E1000, NicModel::E1000e, NicModel::Vmxnet3]),
                prop::sample::select(vec![AddressType::Manual, AddressType::Generated, AddressType::Assigned]),
                name(),
                any::<bool>(),
            ),
            0..4,
        ),
        drives in prop::collection::btree_map(0..4i32, (medium(), any::<bool>()), 0..3),
        serial in prop::option::of((backing(), any::<(bool, bool)>())),
        sound in prop::option::of(any::<bool>()),
        others in any::<(bool, bool, bool)>(),
    ) -> Vec<Device> {
        let mut all = vec![scsi(model)];
        for (unit, (independent, thin)) in disks {
            all.push(disk(unit, independent, thin, &format!("web01/disk{unit}.vmdk")));
        }
        for (number, (model, address, network, on)) in (0..).zip(nics) {
            let last = u8::try_from(number).unwrap();
            all.push(nic(number, model, address, [0, 1, 2, 3, last], &network, on));
        }
        for (place, (medium, on)) in drives {
            let (bus, unit) = (place / 2, place % 2);
            let connect = off(on);
            all.push(at(key::DISK_IDE + place, (key::IDE + bus, unit), connect, Cdrom { medium }));
        }
        if let Some((backing, (yield_on_poll, on))) = serial {
            let port = Serial { backing, yield_on_poll };
            all.push(at(key::SERIAL, (key::SIO, 0), off(on), port));
        }
        if let Some(on) = sound {
            all.push(at(key::SOUND, (key::PCI, 18), off(on), Sound));
        }
        if others.0 {
            all.push(at(key::SATA + 1, (key::PCI, 25), None, Sata { bus: 1 }));
        }
        if others.1 {
            all.push(at(key::NVME, (key::PCI, 30), None, Nvme { bus: 0 }));
        }
        if others.2 {
            all.push(at(key::XHCI, (key::PCI, 23), None, Xhci));
        }
        all
    }
}

/// A device as a `.vmx` can say it: without the guest's say in its connection.
fn as_text_says(config: &VmConfig) -> VmConfig {
    let mut config = config.clone();
    for device in config.devices.values_mut() {
        if let Some(connect) = &mut device.connect {
            connect.guest_control = true;
        }
    }
    config
}

proptest! {
    #[test]
    fn what_is_shown_of_a_device_asks_for_the_same_device(devices in devices()) {
        let config = config(devices);
        prop_assert_eq!(made_of_what_is_shown(&config).devices, config.devices);
    }

    #[test]
    fn devices_are_read_as_they_were_written(devices in devices(), before in devices()) {
        let (config, before) = (as_text_says(&config(devices)), config(before));
        let file = written(&config, &written(&before, &Dictionary::new()));
        let text = file.to_text().unwrap();
        let found = read(&datastore::vmx::parse(text.as_bytes()).unwrap()).unwrap();
        prop_assert_eq!(found, config);
    }
}

#[test]
fn every_device_that_can_be_added_is_offered_and_shown_with_its_own_type() {
    let offered: Vec<String> = vm::device::options()
        .iter()
        .map(|option| option.get(field!(VirtualDeviceOption.type)).unwrap_or_default().to_owned())
        .collect();
    for ty in
        ["ParaVirtualSCSIController", "VirtualDisk", "VirtualCdrom", "VirtualVmxnet3", "VirtualSerialPort"]
    {
        assert!(offered.iter().any(|known| known == ty), "{ty} is not in {offered:?}");
    }
    let config = config(vec![scsi(ScsiModel::ParaVirtual)]);
    let names = Names { storage: &World, vm: "1" };
    let shown = show::device(&config, &config.devices[&key::SCSI], &names);
    assert!(shown.is_a(data_id!(ParaVirtualSCSIController)));
}

/// A specification that asks for all that a VM shows, as clients send back what they read.
fn all_that_is_shown(config: &VmConfig) -> Object {
    let names = Names { storage: &World, vm: "1" };
    let info = show::config::info(config, &common::home(), &names);
    let mut spec = Object::new(data_id!(VirtualMachineConfigSpec));
    let hardware = info.get(field!(VirtualMachineConfigInfo.hardware)).unwrap();
    for (number, member) in (0..).zip(&schema().data(spec.ty()).fields) {
        let name = match member.name {
            "powerOpInfo" => "defaultPowerOps",
            "numCPUs" => "numCPU",
            name => name,
        };
        let value = info.named(name).or_else(|| hardware.named(name)).cloned();
        let whole = matches!(value, Some(Value::Object(_) | Value::List(_)));
        spec.put(number, if whole { value } else { value.and_then(|value| value.converted(member.kind)) });
    }
    let changes: Vec<_> = config
        .devices
        .values()
        .map(|device| {
            let shown = show::device(config, device, &names);
            vim!(VirtualDeviceConfigSpec { operation: "edit", device: shown })
        })
        .collect();
    spec.set(field!(VirtualMachineConfigSpec.deviceChange), changes);
    spec
}

proptest! {
    #[test]
    fn a_specification_of_all_that_is_shown_changes_nothing(devices in devices(), running in any::<bool>()) {
        let config = config(devices);
        let (planned, steps) = common::reconfigured(&config, running, &all_that_is_shown(&config)).unwrap();
        prop_assert_eq!(planned, config);
        prop_assert_eq!(steps, []);
    }
}
