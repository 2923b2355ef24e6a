//! `.vmx` texts in the form of products, invalid texts, and agreement between reading and writing.
#![allow(clippy::unwrap_used)]

use datastore::vmx::{format_uuid, parse, parse_uuid};
use datastore::{Dictionary, DictionaryError};
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

#[test]
fn a_desktops_text_keeps_its_program_line_and_comments() {
    let file = parse(&desktop()).unwrap();
    let text = file.to_text().unwrap();
    assert!(text.starts_with("#!/usr/bin/vmware\n.encoding = \"UTF-8\"\n# by hand\n\n"), "{text}");
    assert!(text.contains("DISPLAYNAME = \"Büro XP\"\n"));
    assert_eq!(parse(text.as_bytes()).unwrap(), file);
}

#[test]
fn a_text_is_written_back_as_it_was() {
    assert_eq!(parse(SERVER.as_bytes()).unwrap().to_text().unwrap(), SERVER.replace("|25", "%"));
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

proptest! {
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
        }
    }
}
