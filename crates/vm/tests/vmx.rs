//! `.vmx` texts as products write them, and as they are written back.
#![allow(clippy::unwrap_used)]

mod common;

use common::{ISO, file, home, now, read, written};
use datastore::vmx::parse;
use datastore::{Dictionary, DictionaryError};
use vm::config::{BootDevice, Firmware, VmConfig};
use vm::device::{AddressType, Kind, Medium, Nic, NicModel, Scsi, ScsiModel, SerialBacking, key};
use vm::vmx::ReadError;

/// As a host writes it for a Linux server.
const SERVER: &[u8] = include_bytes!("../../datastore/tests/vmx/server.vmx");

/// As desktop products write it: other names, no quotes in places, carriage returns, a program line, and a name with a byte of
/// windows-1252.
const DESKTOP: &[u8] = include_bytes!("../../datastore/tests/vmx/desktop.vmx");

#[test]
fn a_servers_configuration_is_understood() {
    let config = read(&parse(SERVER).unwrap()).unwrap();
    assert_eq!((config.name.as_str(), config.guest_id.as_str()), ("web01", "debian12_64Guest"));
    assert_eq!((config.memory_mib, config.cpus, config.cores_per_socket), (4096, 4, 2));
    assert_eq!((config.firmware, config.hardware_version), (Firmware::Efi { secure_boot: true }, 19));
    assert_eq!(config.annotation, "First line\nsecond \"quoted\" line, 100% of 1|2");
    assert_eq!(config.bios_uuid.to_string(), "421a6b7c-8d9e-afb0-c1d2-e3f405162738");
    assert_eq!(config.instance_uuid.to_string(), "501a5566-7788-99aa-bbcc-ddeeff001122");
    // Disks are in the order of `bios.hddOrder`, which names none.
    assert_eq!(config.boot.order, [BootDevice::Cdrom, BootDevice::Nic(key::NIC)]);
    assert_eq!(config.nvram.as_deref(), Some("web01.nvram"));
    let scsi = Kind::Scsi(Scsi { bus: 0, model: ScsiModel::ParaVirtual });
    assert_eq!(config.devices[&key::SCSI].kind, scsi);
    assert!(matches!(config.devices[&key::SATA].kind, Kind::Sata(_)));
    let disks: Vec<_> = config.disks().collect();
    assert_eq!((disks.len(), disks[1].0, disks[1].1.independent), (2, key::DISK_SCSI + 1, true));
    assert_eq!(disks[1].1.file, file(ISO, "web01/data.vmdk"));
    assert_eq!(config.extra.get("scsi0:0.redo").map(String::as_str), Some(""));
    let Kind::Cdrom(cdrom) = &config.devices[&key::DISK_SATA].kind else { panic!("no CD-ROM drive") };
    assert_eq!(cdrom.medium, Medium::Iso(file(ISO, "debian-12.iso")));
    let nics: Vec<_> = config.nics().map(|(_, nic)| nic).collect();
    assert_eq!((nics[0].mac.as_str(), nics[0].address), ("00:50:56:9a:3c:07", AddressType::Assigned));
    assert_eq!((nics[0].model, nics[0].network.as_str()), (NicModel::Vmxnet3, "VM Network"));
    assert_eq!(config.extra["ethernet0.uptCompatibility"], "TRUE");
    assert_eq!((nics[1].mac.as_str(), nics[1].address), ("00:50:56:00:00:01", AddressType::Manual));
    assert!(!config.devices[&(key::NIC + 1)].connect.unwrap().at_start);
    assert_eq!(config.extra["guestinfo.metadata"], "aW5zdGFuY2UtaWQ6IHdlYjAx");
    assert_eq!(config.extra["floppy0.present"], "FALSE");
    assert_eq!(config.extra.get("displayName"), None);
}

#[test]
fn a_desktops_configuration_is_understood() {
    let text = parse(DESKTOP).unwrap();
    let config = read(&text).unwrap();
    assert_eq!((config.name.as_str(), config.memory_mib), ("Büro XP", 512));
    assert!(config.devices[&key::DISK_IDE].disk().is_some());
    let Kind::Cdrom(cdrom) = &config.devices[&(key::DISK_IDE + 2)].kind else { panic!("no CD-ROM drive") };
    assert_eq!(cdrom.medium, Medium::HostDrive { device: "auto detect".into() });
    assert!(config.kept.contains(&("floppy0.fileName".into(), "boot.flp".into())), "{:?}", config.kept);
    let backing =
        SerialBacking::Pipe { name: r"\\.\pipe\com1".into(), endpoint: "server".into(), no_rx_loss: false };
    assert_eq!(config.serial().unwrap().1.backing, backing);
    let Nic { connection_type, model, .. } = config.nics().next().unwrap().1;
    assert_eq!((connection_type.as_deref(), *model), (Some("nat"), NicModel::E1000));
    // Its floppy drive and the connection of its adapter are only kept.
    let again = written(&config, &text);
    assert_eq!(again.get("floppy0.fileName"), Some("boot.flp"));
    assert_eq!(again.get("ethernet0.connectionType"), Some("nat"));
    let text = again.to_text().unwrap();
    assert!(text.starts_with("#!/usr/bin/vmware\n.encoding = \"UTF-8\"\n# by hand\n\n"), "{text}");
}

#[test]
fn a_change_leaves_order_comments_and_unknown_keys_alone() {
    let text = "# head\nguestinfo.a = \"1\"\nmemsize = \"64\"\n\nscsi0.present = \"TRUE\"\n\
                scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a.vmdk\"\nscsi0:0.redo = \"\"\n# tail\n\
                numvcpus = \"1\"\nDisplayName = \"old\"\n";
    let before = parse(text.as_bytes()).unwrap();
    let mut config = read(&before).unwrap();
    config.name = "new".into();
    config.devices.remove(&key::DISK_SCSI);
    config.nvram = Some("new.nvram".into());
    let text = written(&config, &before).to_text().unwrap();
    let kept = ".encoding = \"UTF-8\"\n# head\nguestinfo.a = \"1\"\nmemsize = \"64\"\n\n\
                scsi0.present = \"TRUE\"\n# tail\nnumvcpus = \"1\"\nDisplayName = \"new\"\nconfig.version = \"8\"\n\
                virtualHW.version = \"4\"\nguestOS = \"other\"\nnvram = \"new.nvram\"\n";
    assert!(text.starts_with(kept), "{text}");
    assert!(!text.contains("scsi0:0"), "{text}");
}

/// Lines in no particular order, with keys in lower case.
fn lines(text: &str) -> Vec<String> {
    let line = |line: &str| match line.split_once(" = ") {
        Some((key, value)) => format!("{} = {value}", key.to_ascii_lowercase()),
        None => line.to_owned(),
    };
    let mut lines: Vec<String> = text.lines().map(line).collect();
    lines.sort_unstable();
    lines
}

/// The text of a VM with everything that a `.vmx` can have, and the text that earlier versions of the host wrote of it.
#[test]
fn the_format_stays_the_same() {
    let before = parse(include_bytes!("vmx/all.vmx")).unwrap();
    let config = read(&before).unwrap();
    let text = vm::vmx::write(&config, &home(), Some("web01.vmss"), &before).unwrap().to_text().unwrap();
    assert_eq!(lines(&text), lines(include_str!("vmx/all-written.vmx")));
    let again = read(&parse(text.as_bytes()).unwrap()).unwrap();
    assert_eq!(again.devices, config.devices);
    assert_eq!(vm::vmx::suspend_file(&before).as_deref(), Some("web01.vmss"));
}

#[test]
fn extra_configuration_sets_no_key_that_a_field_stands_for() {
    let mut config = VmConfig::new("vm", now());
    let before = parse(b"a = \"b\"\n").unwrap();
    config.extra.insert("memSize".into(), "1".into());
    config.extra.insert("svga.vramSize".into(), "1".into());
    config.extra.insert("guestinfo.x".into(), "1".into());
    let text = written(&config, &before);
    assert_eq!((text.get("memsize"), text.get("guestinfo.x")), (Some("128"), Some("1")));
    assert_eq!(text.get("svga.vramSize"), Some("16777216"));
    let server = read(&parse(SERVER).unwrap()).unwrap();
    config.devices.extend(server.devices);
    config.extra.insert("Ethernet0.Present".into(), "FALSE".into());
    let refused = vm::vmx::write(&config, &home(), None, &Dictionary::new());
    assert!(matches!(refused, Err(DictionaryError::Value { .. })));
}

#[test]
fn values_that_make_no_sense_are_refused_by_key() {
    for (text, key) in [
        ("memsize = \"lots\"", "memsize"),
        ("memsize = \"0\"", "memsize"),
        ("numvcpus = \"-1\"", "numvcpus"),
        ("uuid.bios = \"56 4d\"", "uuid.bios"),
        ("firmware = \"coreboot\"", "firmware"),
        ("scsi0.present = \"maybe\"", "scsi0.present"),
        ("scsi0.present = \"TRUE\"\nscsi0.virtualDev = \"x\"", "scsi0.virtualDev"),
        ("scsi0:0.present = \"TRUE\"", "scsi0:0.fileName"),
        ("scsi0:0.present = \"TRUE\"\nscsi0:0.deviceType = \"scsi-passthru\"", "scsi0:0.deviceType"),
        ("scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a\"\nscsi0:0.mode = \"x\"", "scsi0:0.mode"),
        ("ethernet0.present = \"TRUE\"\nethernet0.generatedAddress = \"1:2\"", "ethernet0.generatedAddress"),
        ("serial0.present = \"TRUE\"\nserial0.fileType = \"x\"", "serial0.fileType"),
    ] {
        match read(&parse(text.as_bytes()).unwrap()) {
            Err(ReadError::Text(DictionaryError::Value { key: found, .. })) => assert_eq!(found, key),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn devices_that_this_host_cannot_run_are_refused_with_their_key() {
    let disk = "scsi0.present = \"TRUE\"\nscsi0:0.present = \"TRUE\"\nscsi0:0.fileName = ";
    for (text, words) in [
        (format!("{disk}\"a.vmdk\"\nscsi0:0.mode = \"append\""), "append"),
        (format!("{disk}\"/vmfs/volumes/gone/a.vmdk\""), "cannot be found"),
        ("scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a\"".into(), "scsi0:0 is not a place"),
        (format!("{disk}\"a\"\nscsi0:7.present = \"TRUE\"\nscsi0:7.fileName = \"b\""), "scsi0:7"),
        ("ethernet0.present = \"TRUE\"\nethernet0.virtualDev = \"vlance\"".into(), "vlance"),
    ] {
        match read(&parse(text.as_bytes()).unwrap()) {
            Err(ReadError::Fault(fault)) => {
                assert_eq!(fault.type_name(), "InvalidVmConfig");
                assert!(fault.message().contains(words), "{} lacks {words}", fault.message());
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}
