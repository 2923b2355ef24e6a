//! `.vmx` texts as products write them, and as they are written back.
#![allow(clippy::unwrap_used)]

mod common;

use common::{ISO, World, file, home, now, read, reconfigured, written};
use datastore::vmx::parse;
use datastore::{Dictionary, DictionaryError};
use uuid::Uuid;
use vim::{List, Object, Value, data_id, field, vim};
use vm::config::{BootDevice, Firmware, VmConfig};
use vm::device::{AddressType, Kind, Medium, Nic, NicModel, Scsi, ScsiModel, SerialBacking, key};
use vm::show::{self, Names};
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
    assert!(config.kept.contains(&("floppy0.present".into(), "FALSE".into())), "{:?}", config.kept);
    assert_eq!(config.extra.get("displayName"), None);
    assert_eq!(
        nics[1].kept[1..3],
        [("dvs.portId", "12".into()), ("dvs.portgroupId", "dvportgroup-42".into())]
    );
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
    let Nic { kept, model, .. } = config.nics().next().unwrap().1;
    assert_eq!((&kept[..], *model), (&[("connectionType", "nat".to_owned())][..], NicModel::E1000));
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
    let gone =
        vim!(VirtualDeviceConfigSpec { operation: "remove", device: VirtualDisk { key: key::DISK_SCSI } });
    let spec = vim!(VirtualMachineConfigSpec { name: "new", deviceChange: [gone] });
    let (mut config, _) = reconfigured(&read(&before).unwrap(), false, &spec.into()).unwrap();
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
    let config = read(&parse(SERVER).unwrap()).unwrap();
    let asked = [
        ("memSize", "1"),
        ("svga.vramSize", "1"),
        ("SCSI0:2.present", "TRUE"),
        ("scsi0:2.deviceType", "scsi-hardDisk"),
        ("scsi0:2.fileName", "/vmfs/volumes/ds/other/other.vmdk"),
        ("ethernet2.Present", "TRUE"),
        ("Ethernet0.Present", "FALSE"),
        ("serial0.present", "TRUE"),
        ("floppy0.present", "TRUE"),
        ("sched.mem.max", "1"),
        ("bios.hddOrder", "scsi0:1"),
        ("guestinfo.x", "1"),
        ("ethernet0.filter1.name", "f"),
    ];
    let options: Vec<_> =
        asked.map(|(key, value)| vim!(OptionValue { key: key, value: value })).into_iter().collect();
    let spec = vim!(VirtualMachineConfigSpec { extraConfig: options });
    let (mut changed, _) = reconfigured(&config, false, &spec.into()).unwrap();
    let restarted = read(&written(&changed, &parse(SERVER).unwrap())).unwrap();
    assert_eq!(restarted.devices, config.devices);
    for (key, value) in [("guestinfo.x", "1"), ("ethernet0.filter1.name", "f")] {
        assert_eq!(changed.extra.remove(key).as_deref(), Some(value));
        assert_eq!(restarted.extra[key], value);
    }
    assert_eq!(changed.extra, config.extra);
    assert_eq!((restarted.memory_mib, restarted.memory), (config.memory_mib, config.memory));
    let host = vim!(OptionValue { key: "esfera.template", value: "TRUE" });
    let spec = vim!(VirtualMachineConfigSpec { extraConfig: [host] });
    assert_eq!(reconfigured(&config, false, &spec.into()).unwrap_err().type_name(), "InvalidVmConfig");
}

#[test]
fn disks_show_their_uuid_as_a_flag_or_an_extra_key_says() {
    let config = VmConfig::new("vm", now());
    let by_key = |value: &str| {
        let option = vim!(OptionValue { key: "disk.enableUUID", value: value });
        vim!(VirtualMachineConfigSpec { extraConfig: [option] })
    };
    let by_flag =
        |value| vim!(VirtualMachineConfigSpec { flags: VirtualMachineFlagInfo { diskUuidEnabled: value } });
    let mut config = config;
    for (spec, enabled) in
        [(by_key("TRUE"), true), (by_flag(false), false), (by_flag(true), true), (by_key("false"), false)]
    {
        (config, _) = reconfigured(&config, false, &spec.into()).unwrap();
        let again = read(&written(&config, &Dictionary::new())).unwrap();
        assert_eq!((config.disk_uuid, again.disk_uuid), (enabled, enabled));
        let names = Names { storage: &World, vm: "1" };
        let shown = show::config::info(&config, &home(), &names);
        let flags = shown.get(field!(VirtualMachineConfigInfo.flags)).unwrap();
        assert_eq!(flags.get(field!(VirtualMachineFlagInfo.diskUuidEnabled)), Some(enabled));
        let extra = shown.get(field!(VirtualMachineConfigInfo.extraConfig)).into_iter().flatten();
        let keys: Vec<_> = extra.filter_map(|option| option.get(field!(OptionValue.key))).collect();
        assert_eq!(keys.contains(&"disk.EnableUUID"), enabled);
    }
}

#[test]
fn words_that_nothing_here_understands_survive_until_their_setting_changes() {
    let text = "guestOS = \"beos-5\"\nbios.bootOrder = \"floppy,cdrom, zip\"\nsata0:0.present = \"FALSE\"\n\
                sata0:0.fileName = \"old.vmdk\"\nguestinfo.empty = \"\"\nesfera.later = \"1\"\n";
    let before = parse(text.as_bytes()).unwrap();
    let config = read(&before).unwrap();
    let again = written(&config, &before);
    for (key, value) in before.iter() {
        assert_eq!(again.get(key), Some(value), "{key}");
    }
    assert_eq!((config.guest_id.as_str(), &config.boot.order[..]), ("otherGuest", &[BootDevice::Cdrom][..]));
    let mut spec: Object = vim!(VirtualMachineConfigSpec { guestId: "debian12_64Guest" }).into();
    let nothing =
        List::new(vim::Kind::Data(data_id!(VirtualMachineBootOptionsBootableDevice)), Vec::<Value>::new());
    let mut options = Object::new(data_id!(VirtualMachineBootOptions));
    options.set(field!(VirtualMachineBootOptions.bootOrder), nothing);
    spec.set(field!(VirtualMachineConfigSpec.bootOptions), options);
    let (config, _) = reconfigured(&config, false, &spec).unwrap();
    let again = written(&config, &before);
    assert_eq!((again.get("guestOS"), again.get("bios.bootOrder")), (Some("debian12-64"), None));
}

#[test]
fn a_disk_has_the_uuid_of_its_image_or_else_one_that_stays() {
    let text = |file: &str| {
        format!("scsi0.present = \"TRUE\"\nscsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"{file}\"\n")
    };
    let uuid = |text: String| {
        let config = read(&parse(text.as_bytes()).unwrap()).unwrap();
        config.disks().next().unwrap().1.uuid
    };
    assert_eq!(uuid(text("[iso] a.vmdk")), Uuid::from_u128(0x150));
    let own = "scsi0:0.esfera.uuid = \"11111111-2222-3333-4444-555555555555\"";
    assert_eq!(uuid(text("[iso] a.vmdk") + own), Uuid::from_u128(0x150));
    assert_eq!(uuid(text("a.vmdk") + own).to_string(), "11111111-2222-3333-4444-555555555555");
    let (one, other) = (uuid(text("a.vmdk")), uuid(text("b.vmdk")));
    assert_ne!(one, other);
    assert_eq!(one, uuid(text("a.vmdk")));
    // Attached to another VM it is the same disk.
    let controller = vim!(ParaVirtualSCSIController { key: -1, busNumber: 0, sharedBus: "noSharing" });
    let backing =
        vim!(VirtualDiskFlatVer2BackingInfo { fileName: "[ds] web01/a.vmdk", diskMode: "persistent" });
    let disk = vim!(VirtualDisk { key: -2, controllerKey: -1, unitNumber: 3, backing: backing });
    let spec = vim!(VirtualMachineConfigSpec {
        deviceChange: [
            VirtualDeviceConfigSpec { operation: "add", device: controller },
            VirtualDeviceConfigSpec { operation: "add", device: disk },
        ],
    });
    let (config, _) = reconfigured(&VmConfig::new("vm", now()), false, &spec.into()).unwrap();
    assert_eq!(config.disks().next().unwrap().1.uuid, one);
}

#[test]
fn settings_that_make_no_sense_are_refused_by_key() {
    for (text, key) in [
        ("memsize = \"lots\"", "memsize"),
        ("memsize = \"0\"", "memsize"),
        ("numvcpus = \"-1\"", "numvcpus"),
        ("uuid.bios = \"56 4d\"", "uuid.bios"),
        ("firmware = \"coreboot\"", "firmware"),
    ] {
        match read(&parse(text.as_bytes()).unwrap()) {
            Err(ReadError::Text(DictionaryError::Value { key: found, .. })) => assert_eq!(found, key),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn devices_that_cannot_be_had_are_shown_with_the_reason_and_keep_their_keys() {
    let scsi = "scsi0.present = \"TRUE\"\n";
    let disk = "scsi0.present = \"TRUE\"\nscsi0:0.present = \"TRUE\"\nscsi0:0.fileName = ";
    let nic = "ethernet0.present = \"TRUE\"\nethernet0.odd = \"1\"\n";
    let port = "serial0.present = \"TRUE\"\nserial0.fileType = ";
    for (text, name, words) in [
        (format!("{scsi}scsi0.virtualDev = \"x\""), "SCSI controller scsi0", "scsi0.virtualDev"),
        (format!("{scsi}scsi0:0.present = \"TRUE\""), "Hard disk scsi0:0", "scsi0:0.fileName"),
        (
            format!("{disk}\"a\"\nscsi0:0.deviceType = \"scsi-passthru\""),
            "Hard disk scsi0:0",
            "scsi-passthru",
        ),
        (format!("{disk}\"a\"\nscsi0:0.mode = \"x\""), "Hard disk scsi0:0", "scsi0:0.mode"),
        (format!("{disk}\"a.vmdk\"\nscsi0:0.mode = \"append\""), "Hard disk scsi0:0", "append"),
        (format!("{disk}\"/vmfs/volumes/gone/a.vmdk\""), "Hard disk scsi0:0", "cannot be found"),
        (format!("{disk}\"../../etc/passwd\""), "Hard disk scsi0:0", "cannot be found"),
        ("scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a\"".into(), "Hard disk scsi0:0", "not a place"),
        (
            format!("{scsi}scsi0:7.present = \"TRUE\"\nscsi0:7.fileName = \"b\""),
            "Hard disk scsi0:7",
            "not a place",
        ),
        (format!("{nic}ethernet0.virtualDev = \"vlance\""), "Network adapter ethernet0", "vlance"),
        (format!("{nic}ethernet0.generatedAddress = \"1:2\""), "Network adapter ethernet0", "1:2"),
        (format!("{port}\"x\""), "Serial port serial0", "serial0.fileType"),
        (
            format!(
                "{port}\"network\"\nserial0.fileName = \"telnet://:2001\"\nserial0.network.endPoint = \"server\"\n\
                 serial0.vspc = \"telnet://proxy:13370\""
            ),
            "Serial port serial0",
            "network",
        ),
        (format!("{port}\"device\"\nserial0.fileName = \"/dev/ttyS0\""), "Serial port serial0", "device"),
        ("serial0.present = \"TRUE\"\nserial0.fileName = \"COM1\"".into(), "Serial port serial0", "device"),
        (format!("{port}\"thinprint\""), "Serial port serial0", "thinprint"),
        (
            format!("{port}\"pipe\"\nserial3.present = \"TRUE\"\nserial3.fileType = \"pipe\""),
            "Serial port serial3",
            "one serial port",
        ),
    ] {
        let before = parse(text.as_bytes()).unwrap();
        let config = read(&before).unwrap();
        let found: Vec<_> = config
            .devices
            .values()
            .filter_map(|device| match &device.kind {
                Kind::Unusable(unusable) => Some((device, unusable)),
                _ => None,
            })
            .collect();
        let [(device, unusable)] = found[..] else { panic!("{text}: {found:?}") };
        assert_eq!(unusable.name(), name, "{text}");
        let names = Names { storage: &World, vm: "1" };
        let shown = show::device(&config, device, &names);
        let info = shown.get(field!(VirtualDevice.deviceInfo)).unwrap();
        let summary = info.get(field!(Description.summary)).unwrap();
        assert!(summary.contains(words), "{summary} lacks {words}");
        let again = written(&config, &before);
        for (key, value) in before.iter() {
            assert_eq!(again.get(key), Some(value), "{text}: {key}");
        }
        assert_eq!(read(&again).unwrap().devices, config.devices, "{text}");
        // It goes when somebody removes it.
        let gone =
            vim!(VirtualDeviceConfigSpec { operation: "remove", device: VirtualDevice { key: device.key } });
        let spec = vim!(VirtualMachineConfigSpec { deviceChange: [gone] });
        let (config, _) = reconfigured(&config, false, &spec.into()).unwrap();
        let prefix = format!("{}.", unusable.prefix);
        assert!(!written(&config, &before).iter().any(|(key, _)| key.starts_with(&prefix)), "{text}");
    }
}

#[test]
fn a_serial_port_that_cannot_be_had_is_shown_as_what_it_is() {
    for (keys, backing, place) in [
        (
            "serial0.fileType = \"network\"\nserial0.fileName = \"telnet://:2001\"\n\
             serial0.network.endPoint = \"client\"\n",
            "VirtualSerialPortURIBackingInfo",
            "telnet://:2001",
        ),
        (
            "serial0.fileType = \"device\"\nserial0.fileName = \"/dev/ttyS0\"\n",
            "VirtualSerialPortDeviceBackingInfo",
            "/dev/ttyS0",
        ),
        ("serial0.fileType = \"thinprint\"\n", "VirtualSerialPortThinPrintBackingInfo", ""),
    ] {
        let before = parse(format!("serial0.present = \"TRUE\"\n{keys}").as_bytes()).unwrap();
        let config = read(&before).unwrap();
        let device = config.devices.values().find(|device| matches!(device.kind, Kind::Unusable(_))).unwrap();
        let shown = show::device(&config, device, &Names { storage: &World, vm: "1" });
        assert_eq!(shown.type_name(), "VirtualSerialPort");
        let found = shown.get(field!(VirtualDevice.backing)).unwrap();
        assert_eq!(found.type_name(), backing);
        let uri = found.get(field!(VirtualDeviceURIBackingInfo.serviceURI));
        let name = found.get(field!(VirtualDeviceDeviceBackingInfo.deviceName));
        assert_eq!(uri.or(name).unwrap_or_default(), place);
        let direction = found.get(field!(VirtualDeviceURIBackingInfo.direction));
        assert!(direction.is_none_or(|direction| direction == "client"));
    }
}

#[test]
fn a_device_is_present_only_if_its_key_says_so_clearly() {
    let before = parse(b"scsi0.present = \"maybe\"\nethernet0.present = \"\"\n").unwrap();
    let config = read(&before).unwrap();
    assert_eq!(config.devices, VmConfig::new("vm", now()).devices);
    assert_eq!(written(&config, &before).get("scsi0.present"), Some("maybe"));
}

#[test]
fn an_image_on_a_datastore_that_is_not_mounted_stays_in_its_drive() {
    let text = "ide1:0.present = \"TRUE\"\nide1:0.deviceType = \"cdrom-image\"\n\
                ide1:0.fileName = \"/vmfs/volumes/gone/a.iso\"\n";
    let before = parse(text.as_bytes()).unwrap();
    let config = read(&before).unwrap();
    let again = written(&config, &before);
    assert_eq!(again.get("ide1:0.fileName"), Some("/vmfs/volumes/gone/a.iso"));
    assert_eq!(again.get("ide1:0.deviceType"), Some("cdrom-image"));
    // A client that changes something else sends it back as it was shown.
    let names = Names { storage: &World, vm: "1" };
    let shown = show::device(&config, &config.devices[&(key::DISK_IDE + 2)], &names);
    let edit = vim!(VirtualDeviceConfigSpec { operation: "edit", device: shown });
    let spec = vim!(VirtualMachineConfigSpec { deviceChange: [edit] });
    assert_eq!(reconfigured(&config, false, &spec.into()).unwrap().0.devices, config.devices);
}

#[test]
fn nothing_of_a_device_is_left_for_the_next_one_at_its_place() {
    let text = "ethernet1.present = \"FALSE\"\nethernet1.dvs.portId = \"7\"\nethernet0.present = \"TRUE\"\n\
                ethernet0.virtualDev = \"vmxnet3\"\nethernet0.filter0.name = \"f\"\n";
    let before = parse(text.as_bytes()).unwrap();
    let config = read(&before).unwrap();
    let gone =
        vim!(VirtualDeviceConfigSpec { operation: "remove", device: VirtualVmxnet3 { key: key::NIC } });
    let backing = || vim!(VirtualEthernetCardNetworkBackingInfo { deviceName: "VM Network" });
    let nic = |key: i32| vim!(VirtualVmxnet3 { key: key, backing: backing() });
    let new = vim!(VirtualDeviceConfigSpec { operation: "add", device: nic(-1) });
    let second = vim!(VirtualDeviceConfigSpec { operation: "add", device: nic(-2) });
    let (config, _) =
        reconfigured(&config, false, &vim!(VirtualMachineConfigSpec { deviceChange: [gone] }).into())
            .unwrap();
    let spec = vim!(VirtualMachineConfigSpec { deviceChange: [new, second] });
    let (config, _) = reconfigured(&config, false, &spec.into()).unwrap();
    assert_eq!(config.nics().count(), 2);
    let text = written(&config, &before);
    assert_eq!((text.get("ethernet0.filter0.name"), text.get("ethernet1.dvs.portId")), (None, None));
}

#[test]
fn a_device_that_was_registered_unchecked_is_not_used_once_it_could_be() {
    let text = "scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"[iso] a.vmdk\"\nide1:0.present = \"TRUE\"\n\
                ide1:0.deviceType = \"cdrom-image\"\nide1:0.fileName = \"[gone] a.iso\"\nserial0.present = \"TRUE\"\n\
                serial0.fileType = \"file\"\nserial0.fileName = \"[gone] out.txt\"\n";
    let before = parse(text.as_bytes()).unwrap();
    let usable = |config: &VmConfig| {
        let kinds = config.devices.values().map(|device| &device.kind);
        let used = |kind: &&Kind| match kind {
            Kind::Disk(_) | Kind::Serial(_) => true,
            Kind::Cdrom(cdrom) => matches!(cdrom.medium, Medium::Iso(_)),
            _ => false,
        };
        kinds.filter(used).count()
    };
    let mut config = read(&before).unwrap();
    assert_eq!(usable(&config), 0);
    for (distrusted, used) in [(false, 3), (true, 0)] {
        if distrusted {
            vm::device::distrust(&mut config.devices);
        }
        let text = written(&config, &before).to_text().unwrap();
        // A controller was added, and the datastore mounted.
        let later = format!("{text}scsi0.present = \"TRUE\"\n").replace("[gone]", "[iso]");
        let later = parse(later.as_bytes()).unwrap();
        let config = read(&later).unwrap();
        assert_eq!(usable(&config), used, "{distrusted}");
        assert_eq!(usable(&read(&written(&config, &later)).unwrap()), used);
    }
}
