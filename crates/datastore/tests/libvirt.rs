//! A parser of others accepts our files: libvirt's, through `virsh domxml-from-native` (Debian's
//! `libvirt-clients`). Its VMware driver opens without VMware if two programs that it queries answer.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use datastore::vmx::{
    AddressType, Backing, Bus, Cdrom, Controller, Disk, DiskMode, Firmware, Floppy, Nic, NicModel, ScsiModel,
    Serial, SerialBacking, Slot, VmxConfig, parse_uuid,
};

fn script(directory: &Path, name: &str, line: &str) {
    let path = directory.join(name);
    std::fs::write(&path, format!("#!/bin/sh\necho '{line}'\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// libvirt's understanding of a configuration, as its XML without line breaks.
fn understood(config: &VmxConfig) -> String {
    let directory = tempfile::tempdir().unwrap();
    script(directory.path(), "vmplayer", "VMware Player 16.2.4 build-20089737");
    script(directory.path(), "vmrun", "Total running VMs: 0");
    let file = directory.path().join("vm.vmx");
    std::fs::write(&file, config.to_dictionary().unwrap().to_text().unwrap()).unwrap();
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

fn nic(number: u8, model: NicModel, address_type: AddressType, mac: &str) -> Nic {
    Nic {
        number,
        model: Some(model),
        network: Some("VM Network".into()),
        dvs: None,
        address_type,
        mac: Some(mac.parse().unwrap()),
        connection_type: None,
        start_connected: true,
        other: vec![],
    }
}

#[test]
fn libvirt_understands_every_device_that_is_written() {
    let mut config = VmxConfig::new("web \"01\" | ü");
    config.memory_mib = 2048;
    config.cpus = 4;
    config.cores_per_socket = Some(2);
    config.guest_os = "debian12-64".into();
    config.bios_uuid = parse_uuid("56 4d 9b e5 8a 71 a1 c1-6a 0b 2e 3c 4d 5e 6f 70");
    config.instance_uuid = parse_uuid("50 1a 55 66 77 88 99 aa-bb cc dd ee ff 00 11 22");
    config.firmware = Firmware::Efi;
    config.annotation = "two\nlines # and a hash".into();
    config.nvram = Some("web.nvram".into());
    config.boot_order = vec!["cdrom".into(), "hdd".into()];
    for (number, model) in (0..).zip(ScsiModel::ALL) {
        config.controllers.push(Controller { bus: Bus::Scsi, number, model: Some(*model), other: vec![] });
        let slot = Slot { bus: Bus::Scsi, controller: number, unit: 0 };
        let file_name = format!("disk{number}.vmdk");
        config.disks.push(Disk { slot, file_name, mode: DiskMode::Persistent, other: vec![] });
    }
    config.controllers.push(Controller { bus: Bus::Sata, number: 0, model: None, other: vec![] });
    for (bus, unit) in [(Bus::Sata, 1), (Bus::Ide, 0)] {
        let slot = Slot { bus, controller: 0, unit };
        let file_name = format!("{}.vmdk", bus.prefix());
        config.disks.push(Disk { slot, file_name, mode: DiskMode::IndependentPersistent, other: vec![] });
    }
    for (bus, controller, unit, backing) in [
        (Bus::Sata, 0, 0, Backing::Image("debian.iso".into())),
        (Bus::Ide, 1, 0, Backing::Client),
        (Bus::Ide, 1, 1, Backing::Host("/dev/sr0".into())),
    ] {
        let slot = Slot { bus, controller, unit };
        config.cdroms.push(Cdrom { slot, backing, start_connected: false, other: vec![] });
    }
    config.nics = vec![
        nic(0, NicModel::Vmxnet3, AddressType::Vpx, "00:50:56:9a:3c:07"),
        nic(1, NicModel::E1000e, AddressType::Generated, "00:0c:29:00:00:01"),
        nic(2, NicModel::E1000, AddressType::Static, "00:50:56:00:00:01"),
        nic(3, NicModel::Vlance, AddressType::Static, "00:50:56:00:00:02"),
    ];
    for (number, backing) in [
        (0, SerialBacking::File("serial.log".into())),
        (1, SerialBacking::Network { uri: "telnet://0.0.0.0:2001".into(), server: true }),
    ] {
        config.serials.push(Serial {
            number,
            backing,
            start_connected: true,
            yield_on_poll: true,
            other: vec![],
        });
    }
    config.floppies.push(Floppy {
        number: 0,
        backing: Backing::Image("boot.flp".into()),
        start_connected: true,
        other: vec![],
    });
    config.set_extra("guestinfo.note", "50 % | \"x\"").unwrap();

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
        "<model type='vlance'/>",
        "serial.log",
        "<protocol type='telnet'/>",
    ] {
        assert!(xml.contains(expected), "{expected} is missing in {xml}");
    }

    // It shows the model of the first controller only.
    for (model, shown) in [
        (ScsiModel::LsiLogic, "lsilogic"),
        (ScsiModel::LsiSas1068, "lsisas1068"),
        (ScsiModel::ParaVirtual, "vmpvscsi"),
    ] {
        config.controllers[0].model = Some(model);
        assert!(
            understood(&config).contains(&format!("<controller type='scsi' index='0' model='{shown}'/>"))
        );
    }
}
