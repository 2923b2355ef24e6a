//! A parser that is not ours accepts what is written: libvirt's, through `virsh domxml-from-native` (Debian's
//! `libvirt-clients`). Its VMware driver opens without VMware when two programs that it asks answer.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use datastore::Dictionary;
use datastore::vmx::parse_uuid;
use uuid::Uuid;
use vm::config::{BootDevice, Firmware, VmConfig};
use vm::device::{
    AddressType, Bus, Cdrom, Connect, Device, Disk, Kind, Medium, Nic, NicModel, Sata, Scsi, ScsiModel,
    Serial, SerialBacking, drive_key, key,
};

mod common;

fn script(directory: &Path, name: &str, line: &str) {
    let path = directory.join(name);
    std::fs::write(&path, format!("#!/bin/sh\necho '{line}'\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The XML that libvirt makes of a configuration, without line breaks.
fn understood(config: &VmConfig) -> String {
    let directory = tempfile::tempdir().unwrap();
    script(directory.path(), "vmplayer", "VMware Player 16.2.4 build-20089737");
    script(directory.path(), "vmrun", "Total running VMs: 0");
    let file = directory.path().join("vm.vmx");
    std::fs::write(&file, common::written(config, &Dictionary::new()).to_text().unwrap()).unwrap();
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new("virsh")
        .args(["-c", "vmwareplayer:///session", "domxml-from-native", "vmware-vmx"])
        .arg(&file)
        .env("PATH", path)
        .env("XDG_CACHE_HOME", directory.path())
        .output()
        .expect("virsh comes with the package libvirt-clients");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().split('\n').map(str::trim).collect()
}

fn insert(config: &mut VmConfig, key: i32, place: (i32, i32), kind: impl Into<Kind>) {
    let connect = Some(Connect { at_start: true, ..Connect::default() });
    let device = Device { key, controller: Some(place.0), unit: Some(place.1), connect, kind: kind.into() };
    config.devices.insert(key, device);
}

fn disk(config: &mut VmConfig, bus: Bus, controller: (i32, i32), unit: i32, name: &str, independent: bool) {
    let disk = Disk {
        file: common::file(common::DS, &format!("web01/{name}.vmdk")),
        parents: Vec::new(),
        capacity_bytes: 1 << 30,
        independent,
        thin: true,
        eager_zero: false,
        uuid: Uuid::nil(),
    };
    insert(config, drive_key(bus, controller.1, unit), (controller.0, unit), disk);
}

fn nic(config: &mut VmConfig, number: i32, model: NicModel, address: AddressType, mac: &str) {
    let nic = Nic {
        model,
        mac: mac.to_owned(),
        address,
        network: "VM Network".into(),
        wake_on_lan: true,
        kept: Vec::new(),
    };
    insert(config, key::NIC + number, (key::PCI, 7 + number), nic);
}

fn floppy(config: &mut VmConfig) {
    let keys =
        [("present", "TRUE"), ("fileType", "file"), ("fileName", "boot.flp"), ("startConnected", "TRUE")];
    config.kept = keys.map(|(key, value)| (format!("floppy0.{key}"), value.to_owned())).to_vec();
}

#[test]
fn libvirt_understands_every_device_that_is_written() {
    let mut config = VmConfig::new("web \"01\" | ü", common::now());
    config.memory_mib = 2048;
    config.cpus = 4;
    config.cores_per_socket = 2;
    config.guest_id = "debian12_64Guest".into();
    config.bios_uuid = parse_uuid("56 4d 9b e5 8a 71 a1 c1-6a 0b 2e 3c 4d 5e 6f 70").unwrap();
    config.instance_uuid = parse_uuid("50 1a 55 66 77 88 99 aa-bb cc dd ee ff 00 11 22").unwrap();
    config.firmware = Firmware::Efi { secure_boot: false };
    config.annotation = "two\nlines # and a hash".into();
    config.nvram = Some("web.nvram".into());
    let models = [ScsiModel::BusLogic, ScsiModel::LsiLogic, ScsiModel::LsiLogicSas, ScsiModel::ParaVirtual];
    for (bus, model) in (0..).zip(models) {
        insert(&mut config, key::SCSI + bus, (key::PCI, 3 + bus), Scsi { bus, model });
        disk(&mut config, Bus::Scsi, (key::SCSI + bus, bus), 0, &format!("disk{bus}"), false);
    }
    insert(&mut config, key::SATA, (key::PCI, 24), Sata { bus: 0 });
    disk(&mut config, Bus::Sata, (key::SATA, 0), 1, "sata", true);
    disk(&mut config, Bus::Ide, (key::IDE, 0), 0, "ide", true);
    config.boot.order = vec![BootDevice::Cdrom, BootDevice::Disk(key::DISK_SCSI)];
    for (key, place, medium) in [
        (key::DISK_SATA, (key::SATA, 0), Medium::Iso(common::file(common::DS, "web01/debian.iso"))),
        (key::DISK_IDE + 2, (key::IDE + 1, 0), Medium::Client { device: String::new(), atapi: false }),
        (key::DISK_IDE + 3, (key::IDE + 1, 1), Medium::HostDrive { device: "/dev/sr0".into() }),
    ] {
        insert(&mut config, key, place, Cdrom { medium });
    }
    nic(&mut config, 0, NicModel::Vmxnet3, AddressType::Assigned, "00:50:56:9a:3c:07");
    nic(&mut config, 1, NicModel::E1000e, AddressType::Generated, "00:0c:29:00:00:01");
    nic(&mut config, 2, NicModel::E1000, AddressType::Manual, "00:50:56:00:00:01");
    let backing = SerialBacking::File(common::file(common::DS, "web01/serial.log"));
    insert(&mut config, key::SERIAL, (key::SIO, 0), Serial { backing, yield_on_poll: true });
    floppy(&mut config);
    config.extra.insert("guestinfo.note".into(), "50 % | \"x\"".into());

    let xml = understood(&config);
    for expected in [
        "<name>web &quot;01&quot; | ü</name>",
        "<uuid>564d9be5-8a71-a1c1-6a0b-2e3c4d5e6f70</uuid>",
        "<description>two",
        "lines # and a hash</description>",
        "<memory unit='KiB'>2097152</memory>",
        "<vcpu placement='static'>4</vcpu>",
        "cores='2'",
        "firmware='efi'",
        "<target dev='sda' bus='scsi'/>",
        "<controller type='scsi' index='0' model='buslogic'/>",
        "disk3.vmdk",
        "sata.vmdk",
        "ide.vmdk",
        "debian.iso",
        "boot.flp",
        "<mac address='00:50:56:9a:3c:07'",
        "<mac address='00:0c:29:00:00:01'",
        "<mac address='00:50:56:00:00:01'",
        "<model type='vmxnet3'/>",
        "<model type='e1000e'/>",
        "serial.log",
    ] {
        assert!(xml.contains(expected), "{expected} is missing in {xml}");
    }

    // It shows the model of the first controller only.
    for (model, shown) in [
        (ScsiModel::LsiLogic, "lsilogic"),
        (ScsiModel::LsiLogicSas, "lsisas1068"),
        (ScsiModel::ParaVirtual, "vmpvscsi"),
    ] {
        config.devices.get_mut(&key::SCSI).unwrap().kind = Scsi { bus: 0, model }.into();
        assert!(
            understood(&config).contains(&format!("<controller type='scsi' index='0' model='{shown}'/>"))
        );
    }
}
