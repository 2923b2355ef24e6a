//! `.vmx` texts in the form of products, invalid texts, and agreement between reading and writing.
#![allow(clippy::unwrap_used)]

use datastore::vmx::{
    AddressType, Backing, Bus, Cdrom, Controller, Dictionary, DictionaryError, Disk, DiskMode, DvsPort,
    Firmware, Floppy, MacAddress, Nic, NicModel, ScsiModel, Serial, SerialBacking, Slot, VmxConfig,
    format_uuid, parse, parse_uuid,
};
use proptest::prelude::*;

/// As a host writes it for a Linux server.
const SERVER: &str = r#".encoding = "UTF-8"
config.version = "8"
virtualHW.version = "19"
nvram = "web01.nvram"
svga.present = "TRUE"
pciBridge0.present = "TRUE"
vmci0.present = "TRUE"
hpet0.present = "TRUE"
floppy0.present = "FALSE"
memSize = "4096"
tools.upgrade.policy = "manual"
sched.cpu.units = "mhz"
sched.cpu.affinity = "all"
sched.cpu.shares = "normal"
numvcpus = "4"
cpuid.coresPerSocket = "2"
scsi0.virtualDev = "pvscsi"
scsi0.present = "TRUE"
sata0.present = "TRUE"
scsi0:0.deviceType = "scsi-hardDisk"
scsi0:0.fileName = "web01.vmdk"
sched.scsi0:0.shares = "normal"
sched.scsi0:0.throughputCap = "off"
scsi0:0.present = "TRUE"
scsi0:0.redo = ""
scsi0:1.deviceType = "scsi-hardDisk"
scsi0:1.fileName = "/vmfs/volumes/5f1c2d3e-0a1b2c3d-4e5f-001122334455/web01/data.vmdk"
scsi0:1.mode = "independent-persistent"
scsi0:1.present = "TRUE"
ethernet0.virtualDev = "vmxnet3"
ethernet0.networkName = "VM Network"
ethernet0.addressType = "vpx"
ethernet0.generatedAddress = "00:50:56:9a:3c:07"
ethernet0.uptCompatibility = "TRUE"
ethernet0.present = "TRUE"
ethernet1.virtualDev = "vmxnet3"
ethernet1.dvs.switchId = "50 1a 02 b4 5e 6f 70 81-92 a3 b4 c5 d6 e7 f8 09"
ethernet1.dvs.portId = "12"
ethernet1.dvs.portgroupId = "dvportgroup-42"
ethernet1.dvs.connectionId = "1903775211"
ethernet1.addressType = "static"
ethernet1.address = "00:50:56:00:00:01"
ethernet1.startConnected = "FALSE"
ethernet1.present = "TRUE"
sata0:0.deviceType = "cdrom-image"
sata0:0.fileName = "/vmfs/volumes/iso/debian-12.iso"
sata0:0.present = "TRUE"
displayName = "web01"
annotation = "First line|0Asecond |22quoted|22 line, 100|25 of 1|7C2"
guestOS = "debian12-64"
toolScripts.afterPowerOn = "TRUE"
uuid.bios = "42 1a 6b 7c 8d 9e af b0-c1 d2 e3 f4 05 16 27 38"
uuid.location = "56 4d 11 22 33 44 55 66-77 88 99 aa bb cc dd ee"
vc.uuid = "50 1a 55 66 77 88 99 aa-bb cc dd ee ff 00 11 22"
firmware = "efi"
uefi.secureBoot.enabled = "TRUE"
guestinfo.metadata = "aW5zdGFuY2UtaWQ6IHdlYjAx"
bios.bootOrder = "cdrom, hdd,ethernet0"
"#;

/// As desktop products write it: other names, no quotes in places, carriage returns, a program line.
const DESKTOP: &str = "#!/usr/bin/vmware\r\n.encoding = \"windows-1252\"\r\n# by hand\r\n\r\nconfig.version = 8\r\n\
virtualHW.version = \"8\"\r\nDISPLAYNAME=\"B\u{fffd}ro XP\"\r\nguestos = winxppro\r\nmemsize = \"512\"  # megabytes\r\n\
ide0:0.present = \"true\"\r\nide0:0.fileName = \"xp.vmdk\"\r\nide1:0.present = \"TRUE\"\r\n\
ide1:0.deviceType = \"cdrom-raw\"\r\nide1:0.fileName = \"auto detect\"\r\nide1:0.startConnected = \"FALSE\"\r\n\
ethernet0.present = \"TRUE\"\r\nethernet0.connectionType = \"nat\"\r\nethernet0.virtualDev = \"e1000\"\r\n\
ethernet0.addressType = \"generated\"\r\nfloppy0.present = \"TRUE\"\r\nfloppy0.fileType = \"file\"\r\n\
floppy0.fileName = \"boot.flp\"\r\nserial0.present = \"TRUE\"\r\nserial0.fileType = \"pipe\"\r\n\
serial0.fileName = \"\\\\.\\pipe\\com1\"\r\nserial0.pipe.endPoint = \"server\"\r\nusb.present = \"TRUE\"";

fn desktop() -> Vec<u8> {
    // The name has one byte of windows-1252.
    let (before, after) = DESKTOP.split_once('\u{fffd}').unwrap();
    [before.as_bytes(), b"\xfc", after.as_bytes()].concat()
}

fn slot(text: &str) -> Slot {
    text.parse().unwrap()
}

#[test]
fn a_servers_configuration_is_understood() {
    let config = VmxConfig::read(&parse(SERVER.as_bytes()).unwrap()).unwrap();
    assert_eq!((config.name.as_str(), config.guest_os.as_str()), ("web01", "debian12-64"));
    assert_eq!((config.memory_mib, config.cpus, config.cores_per_socket), (4096, 4, Some(2)));
    assert_eq!((config.firmware, config.secure_boot, config.hardware_version), (Firmware::Efi, true, 19));
    assert_eq!(config.annotation, "First line\nsecond \"quoted\" line, 100% of 1|2");
    assert_eq!(config.bios_uuid.unwrap().to_string(), "421a6b7c-8d9e-afb0-c1d2-e3f405162738");
    assert_eq!(config.instance_uuid.unwrap().to_string(), "501a5566-7788-99aa-bbcc-ddeeff001122");
    assert_eq!(config.boot_order, ["cdrom", "hdd", "ethernet0"]);
    assert_eq!(config.nvram.as_deref(), Some("web01.nvram"));
    assert_eq!(
        config.controllers,
        [
            Controller { bus: Bus::Scsi, number: 0, model: Some(ScsiModel::ParaVirtual), other: vec![] },
            Controller { bus: Bus::Sata, number: 0, model: None, other: vec![] },
        ]
    );
    assert_eq!(config.disks.len(), 2);
    assert_eq!(config.disks[0].other, [("redo".to_owned(), String::new())]);
    assert_eq!(
        (config.disks[1].slot, config.disks[1].mode),
        (slot("scsi0:1"), DiskMode::IndependentPersistent)
    );
    assert_eq!(config.cdroms[0].backing, Backing::Image("/vmfs/volumes/iso/debian-12.iso".into()));
    assert_eq!(config.nics[0].mac.unwrap().to_string(), "00:50:56:9a:3c:07");
    assert_eq!((config.nics[0].address_type, config.nics[0].dvs.as_ref()), (AddressType::Vpx, None));
    assert_eq!(config.nics[0].other, [("uptCompatibility".to_owned(), "TRUE".to_owned())]);
    let dvs = config.nics[1].dvs.as_ref().unwrap();
    assert_eq!((dvs.portgroup_id.as_str(), dvs.port_id.as_str()), ("dvportgroup-42", "12"));
    assert_eq!((config.nics[1].address_type, config.nics[1].start_connected), (AddressType::Static, false));
    assert!(config.floppies.is_empty());
    assert_eq!(config.extra_value("GUESTINFO.metadata"), Some("aW5zdGFuY2UtaWQ6IHdlYjAx"));
    assert_eq!(config.extra_value("floppy0.present"), Some("FALSE"));
    assert_eq!(config.extra_value("displayName"), None);
}

#[test]
fn a_desktops_configuration_is_understood() {
    let file = parse(&desktop()).unwrap();
    let config = VmxConfig::read(&file).unwrap();
    assert_eq!(
        (config.name.as_str(), config.guest_os.as_str(), config.memory_mib),
        ("Büro XP", "winxppro", 512)
    );
    assert_eq!(config.disks[0].slot, slot("ide0:0"));
    assert_eq!(config.cdroms[0].backing, Backing::Host("auto detect".into()));
    assert_eq!(config.floppies[0].backing, Backing::Image("boot.flp".into()));
    assert_eq!(config.serials[0].backing, SerialBacking::Pipe(r"\\.\pipe\com1".into()));
    assert_eq!(config.serials[0].other, [("pipe.endPoint".to_owned(), "server".to_owned())]);
    assert_eq!(config.nics[0].connection_type.as_deref(), Some("nat"));

    let text = file.to_text().unwrap();
    assert!(text.starts_with("#!/usr/bin/vmware\n.encoding = \"UTF-8\"\n# by hand\n\n"), "{text}");
    assert!(text.contains("DISPLAYNAME = \"Büro XP\"\n"));
    assert_eq!(VmxConfig::read(&parse(text.as_bytes()).unwrap()).unwrap(), config);
}

#[test]
fn a_text_is_written_back_as_it_was() {
    assert_eq!(parse(SERVER.as_bytes()).unwrap().to_text().unwrap(), SERVER.replace("|25", "%"));
}

#[test]
fn a_change_leaves_order_comments_and_unknown_keys_alone() {
    let text = "# head\nguestinfo.a = \"1\"\nmemsize = \"64\"\n\nscsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a.vmdk\"\n\
                scsi0:0.redo = \"\"\n# tail\nnumvcpus = \"1\"\ndisplayName = \"old\"\n";
    let mut file = parse(text.as_bytes()).unwrap();
    let mut config = VmxConfig::read(&file).unwrap();
    config.name = "new".into();
    config.disks.clear();
    config.nvram = Some("new.nvram".into());
    config.write_into(&mut file).unwrap();
    assert_eq!(
        file.to_text().unwrap(),
        ".encoding = \"UTF-8\"\n# head\nguestinfo.a = \"1\"\nmemsize = \"64\"\n\n# tail\nnumvcpus = \"1\"\ndisplayName = \"new\"\nconfig.version = \"8\"\n\
         virtualHW.version = \"4\"\nguestOS = \"other\"\nnvram = \"new.nvram\"\n"
    );
}

#[test]
fn extra_keys_go_to_their_device_and_fields_are_refused() {
    let mut config = VmxConfig::new("vm");
    config.nics.push(nic(0));
    config.set_extra("guestinfo.x", "1").unwrap();
    config.set_extra("Ethernet0.filter1", "y").unwrap();
    assert_eq!(config.nics[0].other, [("filter1".to_owned(), "y".to_owned())]);
    assert_eq!(config.extra_value("ethernet0.FILTER1"), Some("y"));
    config.set_extra("GUESTINFO.X", "").unwrap();
    assert!(config.extra.is_empty());
    assert!(matches!(config.set_extra("memSize", "1"), Err(DictionaryError::Value { .. })));
    // A field of a device is noticed when it is written, and nothing changes.
    config.set_extra("ethernet0.present", "FALSE").unwrap();
    let mut file = parse(b"a = \"b\"\n").unwrap();
    assert!(matches!(config.write_into(&mut file), Err(DictionaryError::Value { .. })));
    assert_eq!(file.get("a"), Some("b"));
}

fn nic(number: u8) -> Nic {
    Nic {
        number,
        model: Some(NicModel::E1000e),
        network: Some("VM Network".into()),
        dvs: None,
        address_type: AddressType::Generated,
        mac: None,
        connection_type: None,
        start_connected: true,
        other: vec![],
    }
}

#[test]
fn what_is_no_dictionary_is_refused_with_its_line() {
    let many = "\n".repeat(datastore::limits::MAX_DICTIONARY_LINES + 2);
    let big = format!("a = \"{}\"", "x".repeat(datastore::limits::MAX_DICTIONARY_BYTES));
    let value = format!("a = \"{}\"", "x".repeat(datastore::limits::MAX_DICTIONARY_VALUE + 1));
    for text in [many, big, value] {
        assert!(matches!(parse(text.as_bytes()), Err(DictionaryError::TooLarge { .. })));
    }
    for (text, line) in [
        (&b"a = \"1\"\nno equals"[..], 2),
        (b"a = \"open", 1),
        (b"a = \"x\" y", 1),
        (b"a = x\"y", 1),
        (b" = \"x\"", 1),
        (b"\n\na b = \"x\"", 3),
        (b"a = \"|00\"", 1),
        (b"\xff = \"x\"", 1),
    ] {
        match parse(text) {
            Err(DictionaryError::Syntax { line: found, .. }) => assert_eq!(found, line, "{text:?}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
    assert!(matches!(parse(b"a = \"1\"\nA = \"2\""), Err(DictionaryError::Duplicate { line: 2, .. })));
    assert!(matches!(parse(b"a = \"\xff\""), Err(DictionaryError::NotEncoded { line: 1, .. })));
    assert!(
        matches!(parse(b".encoding = \"GBK\"\na = \"\xff\""), Err(DictionaryError::Encoding(e)) if e == "GBK")
    );
    assert_eq!(parse(b".encoding = \"GBK\"\na = \"b\"").unwrap().get("A"), Some("b"));
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
        match VmxConfig::read(&parse(text.as_bytes()).unwrap()) {
            Err(DictionaryError::Value { key: found, .. }) => assert_eq!(found, key),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn uuids_are_spelt_as_vmware_does() {
    let text = "56 4d 9b e5 8a 71 a1 c1-6a 0b 2e 3c 4d 5e 6f 70";
    let uuid = parse_uuid(text).unwrap();
    assert_eq!(uuid.to_string(), "564d9be5-8a71-a1c1-6a0b-2e3c4d5e6f70");
    assert_eq!(format_uuid(uuid), text);
    assert_eq!(parse_uuid("564d9be5-8a71-a1c1-6a0b-2e3c4d5e6f70"), Some(uuid));
    for bad in ["", "56 4d", "5g4d9be5-8a71-a1c1-6a0b-2e3c4d5e6f70", "564d9be5-8a71-a1c1-6a0b-2e3c4d5e6f7"] {
        assert_eq!(parse_uuid(bad), None, "{bad}");
    }
}

#[test]
fn places_that_do_not_exist_are_none() {
    assert_eq!(slot("scsi3:63").to_string(), "scsi3:63");
    for bad in
        ["ide2:0", "ide0:2", "scsi4:0", "scsi0:64", "scsi0", "scsi0:", "scsi00:1", "scsi0:+1", "usb0:1", ""]
    {
        assert!(bad.parse::<Slot>().is_err(), "{bad}");
    }
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äß/][a-zA-Z0-9 ._äß|\"#/%\n-]{0,10}[a-z]"
}

fn others() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::btree_map("x[a-z]{1,4}", prop_oneof![Just(String::new()), word()], 0..3)
        .prop_map(|map| map.into_iter().collect())
}

fn backing() -> impl Strategy<Value = Backing> {
    prop_oneof![word().prop_map(Backing::Image), word().prop_map(Backing::Host), Just(Backing::Client)]
}

fn drives() -> impl Strategy<Value = (Vec<Disk>, Vec<Cdrom>)> {
    let place = (prop::sample::select(&Bus::ALL[..]), any::<u8>(), any::<u8>())
        .prop_map(|(bus, c, u)| Slot::new(bus, c % bus.controllers(), u % bus.units()).unwrap());
    let content = prop_oneof![
        (word(), prop::sample::select(DiskMode::ALL)).prop_map(Ok),
        (backing(), any::<bool>()).prop_map(Err),
    ];
    prop::collection::btree_map(place, (content, others()), 0..4).prop_map(|drives| {
        let (mut disks, mut cdroms) = (Vec::new(), Vec::new());
        for (slot, (content, other)) in drives {
            match content {
                Ok((file_name, mode)) => disks.push(Disk { slot, file_name, mode, other }),
                Err((backing, start_connected)) => {
                    cdroms.push(Cdrom { slot, backing, start_connected, other })
                }
            }
        }
        (disks, cdroms)
    })
}

type NicParts = (
    u8,
    (
        Option<NicModel>,
        Option<String>,
        Option<(String, String)>,
        AddressType,
        Option<[u8; 6]>,
        bool,
        Vec<(String, String)>,
    ),
);

fn nics() -> impl Strategy<Value = Vec<Nic>> {
    let one = (
        prop::option::of(prop::sample::select(NicModel::ALL)),
        prop::option::of(word()),
        prop::option::of((word(), word())),
        prop::sample::select(AddressType::ALL),
        prop::option::of(any::<[u8; 6]>()),
        any::<bool>(),
        others(),
    );
    prop::collection::btree_map(0u8..10, one, 0..4).prop_map(|nics| {
        let nic =
            |(number, (model, network, dvs, address_type, mac, start_connected, other)): NicParts| Nic {
                number,
                model,
                connection_type: None,
                network,
                dvs: dvs.map(|(switch_id, port_id)| DvsPort {
                    switch_id,
                    port_id: port_id.clone(),
                    portgroup_id: port_id,
                    connection_id: "7".into(),
                }),
                address_type,
                mac: mac.map(MacAddress),
                start_connected,
                other,
            };
        nics.into_iter().map(nic).collect()
    })
}

fn ports() -> impl Strategy<Value = (Vec<Serial>, Vec<Floppy>)> {
    let serial = prop_oneof![
        word().prop_map(SerialBacking::File),
        word().prop_map(SerialBacking::Pipe),
        word().prop_map(SerialBacking::Device),
        (word(), any::<bool>()).prop_map(|(uri, server)| SerialBacking::Network { uri, server }),
        Just(SerialBacking::ThinPrint),
    ];
    let serials = prop::collection::btree_map(0u8..32, (serial, any::<(bool, bool)>(), others()), 0..3);
    let floppies = prop::collection::btree_map(0u8..2, (backing(), any::<bool>(), others()), 0..2);
    (serials, floppies).prop_map(|(serials, floppies)| {
        let serial = |(number, (backing, (start_connected, yield_on_poll), other))| Serial {
            number,
            backing,
            start_connected,
            yield_on_poll,
            other,
        };
        let floppy =
            |(number, (backing, start_connected, other))| Floppy { number, backing, start_connected, other };
        (serials.into_iter().map(serial).collect(), floppies.into_iter().map(floppy).collect())
    })
}

fn config() -> impl Strategy<Value = VmxConfig> {
    let machine = (
        (word(), word(), word()),
        (1u32..100_000, 1u32..=768, prop::option::of(1u32..=64), 4u32..30),
        (prop::option::of(any::<u128>()), prop::option::of(any::<u128>())),
        any::<(bool, bool, bool, bool)>(),
        (prop::option::of(word()), prop::option::of(word())),
        prop::collection::vec("(cdrom|hdd|floppy|ethernet[0-9])", 0..3),
    );
    let controllers = prop::collection::btree_map((0u8..4, 0u8..2), (any::<u8>(), others()), 0..4);
    (machine, controllers, drives(), nics(), ports(), others()).prop_map(
        |(machine, controllers, (disks, cdroms), nics, (serials, floppies), extra)| {
            let ((name, guest_os, annotation), numbers, uuids, flags, files, boot_order) = machine;
            let controller = |((bus, number), (model, other)): ((u8, u8), (u8, _))| {
                let bus = Bus::ALL[usize::from(bus)];
                let model = ScsiModel::ALL.get(usize::from(model % 5)).copied().filter(|_| bus == Bus::Scsi);
                Controller { bus, number, model, other }
            };
            VmxConfig {
                name,
                guest_os,
                annotation,
                memory_mib: numbers.0,
                cpus: numbers.1,
                cores_per_socket: numbers.2,
                hardware_version: numbers.3,
                bios_uuid: uuids.0.map(uuid::Uuid::from_u128),
                instance_uuid: uuids.1.map(uuid::Uuid::from_u128),
                cpu_hot_add: flags.0,
                memory_hot_add: flags.1,
                secure_boot: flags.2,
                firmware: if flags.3 { Firmware::Efi } else { Firmware::Bios },
                nvram: files.0,
                suspend_file: files.1,
                boot_order,
                controllers: controllers.into_iter().map(controller).collect(),
                disks,
                cdroms,
                nics,
                serials,
                floppies,
                extra,
            }
        },
    )
}

proptest! {
    #[test]
    fn any_configuration_is_read_as_it_was_written(config in config(), before in config()) {
        let mut file = before.to_dictionary().unwrap();
        config.write_into(&mut file).unwrap();
        let text = file.to_text().unwrap();
        prop_assert_eq!(text.lines().next(), Some(".encoding = \"UTF-8\""));
        let mut found = VmxConfig::read(&parse(text.as_bytes()).unwrap()).unwrap();
        let mut expected = config;
        // Keys without a field keep their places, which come from the file that was there before.
        sort_others(&mut found);
        sort_others(&mut expected);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_entries_are_read_as_they_were_written(
        entries in prop::collection::btree_map("[a-zA-Z][a-zA-Z0-9._:-]{0,8}", "[^\0]{0,12}", 0..12)
    ) {
        let mut file = Dictionary::new();
        for (key, value) in &entries {
            file.set(key, value.as_str()).unwrap();
        }
        file.set(".encoding", "UTF-8").unwrap();
        let text = file.to_text().unwrap();
        prop_assert_eq!(parse(text.as_bytes()).unwrap(), file);
    }

    #[test]
    fn any_bytes_are_parsed_without_panic_and_written_so_that_they_can_be_read(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            prop::collection::vec(prop::sample::select(&b"a.=\"|# \n\r\t0F\xc3\xa4"[..]), 0..60),
        ]
    ) {
        if let Ok(file) = parse(&bytes) {
            let text = file.to_text().unwrap();
            let again = parse(text.as_bytes()).unwrap();
            prop_assert!(file.iter().all(|(key, value)| again.get(key) == Some(value)));
            prop_assert_eq!(again.to_text().unwrap(), text);
            let _ = VmxConfig::read(&file);
        }
    }
}

fn sort_others(config: &mut VmxConfig) {
    let disks = config.disks.iter_mut().map(|d| &mut d.other);
    let cdroms = config.cdroms.iter_mut().map(|d| &mut d.other);
    let nics = config.nics.iter_mut().map(|d| &mut d.other);
    let controllers = config.controllers.iter_mut().map(|d| &mut d.other);
    let serials = config.serials.iter_mut().map(|d| &mut d.other);
    let floppies = config.floppies.iter_mut().map(|d| &mut d.other);
    let all = disks.chain(cdroms).chain(nics).chain(controllers).chain(serials).chain(floppies);
    all.chain([&mut config.extra]).for_each(|other| other.sort());
    // Controllers are found bus by bus.
    config.controllers.sort_by_key(|controller| (controller.bus, controller.number));
}
