//! Specs and the arguments that come of them.

use super::*;
use crate::spec::{
    Cdrom, Controller, ControllerKind, DirectBoot, Disk, ImageFormat, Nic, NicBackend, NicModel, ScsiModel,
    SerialPort, Sound,
};

const UUID: &str = "0e5fe7a0-0000-4000-8000-000000000001";

fn spec() -> MachineSpec {
    MachineSpec::new("vm", UUID, 512)
}

fn channels() -> Channels {
    Channels {
        qmp: 7,
        agent: Some(8),
        serial: Some(9),
        vnc: Some("/run/v,1/vnc".into()),
        ..Channels::default()
    }
}

fn disk(id: &str, attach: Attachment) -> Disk {
    let path = format!("/ds/{id}.vmdk").into();
    let format = ImageFormat::Qcow2;
    Disk { id: id.into(), path, format, attach, read_only: false, boot_index: None, serial: None }
}

fn nic(id: &str, backend: NicBackend) -> Nic {
    let mac = "00:50:56:AA:bb:01".into();
    Nic { id: id.into(), model: NicModel::Vmxnet3, mac, backend, link_up: true, boot_index: None, port: None }
}

/// Values of every occurrence of an option.
fn values(args: &[String], option: &str) -> Vec<String> {
    args.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1].clone()).collect()
}

/// The device whose JSON has this id.
fn device_named(args: &[String], id: &str) -> Value {
    let devices = values(args, "-device").into_iter();
    let mut parsed = devices.map(|d| serde_json::from_str::<Value>(&d).expect("devices are JSON"));
    parsed.find(|d| d["id"] == id).unwrap_or_else(|| panic!("no device {id} in {args:?}"))
}

#[test]
fn each_part_of_a_spec_becomes_its_option() {
    type Change = fn(&mut MachineSpec);
    let table: [(Change, &str, &str); 26] = [
        (|_| {}, "-machine", "pc-q35-10.0,dump-guest-core=off,vmport=off,hpet=off"),
        (|_| {}, "-accel", "tcg,tb-size=32"),
        (|s| s.memory_mib = 2048, "-accel", "tcg,tb-size=64"),
        (|s| s.cpu.max_count = Some(2), "-accel", "tcg,thread=single,tb-size=32"),
        (|s| s.accel = Accel::Kvm, "-accel", "kvm"),
        (|s| s.accel = Accel::Kvm, "-cpu", "host"),
        (|_| {}, "-cpu", "max"),
        (|s| s.cpu.model = Some("Skylake-Server,-avx".into()), "-cpu", "Skylake-Server,-avx"),
        (
            |s| {
                s.cpu.count = 8;
                s.cpu.cores_per_socket = 4
            },
            "-smp",
            "cpus=8,sockets=2,cores=4,threads=1",
        ),
        (
            |s| {
                s.cpu.count = 2;
                s.cpu.cores_per_socket = 2;
                s.cpu.max_count = Some(8)
            },
            "-smp",
            "cpus=2,maxcpus=8,sockets=4,cores=2,threads=1",
        ),
        (|_| {}, "-m", "size=512M"),
        (|s| s.max_memory_mib = Some(512), "-m", "size=512M"),
        (|s| s.max_memory_mib = Some(4096), "-m", "size=512M,slots=16,maxmem=4096M"),
        (|s| s.name = "a,b=c".into(), "-name", "guest=a,,b=c,debug-threads=on"),
        (|_| {}, "-uuid", UUID),
        (|_| {}, "-chardev", "socket,id=qmp,fd=7,server=on,wait=off"),
        (|s| s.guest_agent = true, "-chardev", "socket,id=agent,fd=8,server=on,wait=off"),
        (
            |s| s.serial = Some(SerialPort { log: Some("/l,g".into()) }),
            "-chardev",
            "socket,id=serial0,fd=9,server=on,wait=off,logfile=/l,,g,logappend=on",
        ),
        (|s| s.vnc = true, "-vnc", "unix:/run/v,,1/vnc"),
        (
            |s| s.sound = Some(Sound { connected: false }),
            "-device",
            r#"{"addr":"0x1d","bus":"pcie.0","driver":"ich9-intel-hda","id":"sound"}"#,
        ),
        (
            |s| s.sound = Some(Sound { connected: true }),
            "-device",
            r#"{"audiodev":"speaker","bus":"sound.0","driver":"hda-output"}"#,
        ),
        (|s| s.rng = true, "-object", r#"{"filename":"/dev/urandom","id":"rng0","qom-type":"rng-random"}"#),
        (
            |s| {
                s.direct_boot = Some(DirectBoot {
                    kernel: "/k".into(),
                    initrd: Some("/i".into()),
                    cmdline: "a=b,c".into(),
                })
            },
            "-append",
            "a=b,c",
        ),
        (
            |s| s.firmware = Firmware::Efi { code: "/c".into(), vars: "/v".into(), secure_boot: true },
            "-machine",
            "pc-q35-10.0,dump-guest-core=off,vmport=off,hpet=off,pflash0=fw-code,pflash1=fw-vars,smm=on",
        ),
        (
            |s| s.nics = vec![nic("m", NicBackend::Tap { ifname: "tap0".into() })],
            "-netdev",
            r#"{"downscript":"no","id":"net-m","ifname":"tap0","script":"no","type":"tap"}"#,
        ),
        (
            |s| s.nics = vec![nic("n", NicBackend::TapDescriptor)],
            "-netdev",
            r#"{"fd":"11","id":"net-n","type":"tap"}"#,
        ),
    ];
    for (change, option, wanted) in table {
        let mut spec = spec();
        change(&mut spec);
        let mut channels = channels();
        channels.taps.insert("n".into(), 11);
        let found = values(&argv(&spec, &channels).expect(wanted), option);
        assert!(found.iter().any(|value| value == wanted), "{option} {wanted} not in {found:?}");
    }
}

#[test]
fn every_machine_is_confined_stopped_and_without_defaults() {
    let args = argv(&spec(), &channels()).unwrap();
    for flag in ["-S", "-nodefaults", "-no-user-config"] {
        assert!(args.iter().any(|arg| arg == flag));
    }
    let sandbox = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
    assert_eq!(values(&args, "-sandbox"), [sandbox]);
    assert_eq!(values(&args, "-display"), ["none"]);
    assert!(!args.iter().any(|arg| arg == "-incoming"));
    let waiting = argv(&spec(), &Channels { incoming: true, ..channels() }).unwrap();
    assert_eq!(values(&waiting, "-incoming"), ["defer"]);
}

#[test]
fn drives_sit_where_their_attachment_says() {
    let mut spec = spec();
    spec.controllers = vec![
        Controller { index: 1, kind: ControllerKind::Scsi(ScsiModel::Pvscsi) },
        Controller { index: 0, kind: ControllerKind::Sata },
        Controller { index: 2, kind: ControllerKind::Nvme },
    ];
    let table = [
        ("ide", Attachment::Ide { port: 3 }, "ide-hd", "ide0.1"),
        ("ahci", Attachment::Sata { controller: 0, port: 4 }, "ide-hd", "sata0.4"),
        ("para", Attachment::Scsi { controller: 1, target: 5 }, "scsi-hd", "scsi1.0"),
        ("flash", Attachment::Nvme { controller: 2, namespace: 1 }, "nvme-ns", "nvme2"),
        ("virt", Attachment::VirtioBlk, "virtio-blk-pci", "rp0"),
    ];
    spec.disks = table.iter().map(|(id, attach, ..)| disk(id, *attach)).collect();
    spec.cdroms =
        vec![Cdrom { id: "cd".into(), attach: Attachment::Ide { port: 0 }, iso: None, boot_index: Some(3) }];
    // `ide` alone is not reserved, `ide0` is.
    let args = argv(&spec, &channels()).unwrap();
    for (id, attach, driver, bus) in table {
        let device = device_named(&args, id);
        assert_eq!((device["driver"].as_str(), device["bus"].as_str()), (Some(driver), Some(bus)));
        assert_eq!(device["drive"], id);
        let policy = if matches!(attach, Attachment::Nvme { .. }) { Value::Null } else { "stop".into() };
        assert_eq!((&device["werror"], &device["rerror"]), (&policy, &policy));
    }
    assert_eq!(device_named(&args, "para")["scsi-id"], 5);
    let cd = device_named(&args, "cd");
    assert_eq!((cd["driver"].as_str(), cd["bootindex"].as_u64()), (Some("ide-cd"), Some(3)));
    assert!(cd["drive"].is_null());
    assert_eq!(values(&args, "-blockdev").len(), 5);
    assert_eq!(device_named(&args, "scsi1")["addr"], "0xb");
}

#[test]
fn names_with_commas_and_quotes_stay_names() {
    let mut spec = spec();
    let mut odd = disk("d", Attachment::VirtioBlk);
    odd.path = r#"/ds/a,readonly=on,"b"\.vmdk"#.into();
    odd.serial = Some("x,y=\"z\"".into());
    spec.disks = vec![odd.clone()];
    let args = argv(&spec, &channels()).unwrap();
    let node: Value = serde_json::from_str(&values(&args, "-blockdev")[0]).unwrap();
    assert_eq!(node["file"]["filename"].as_str(), odd.path.to_str());
    assert_eq!(device_named(&args, "d")["serial"].as_str(), odd.serial.as_deref());
}

#[test]
fn ports_are_kept_by_those_that_ask_and_filled_by_the_others() {
    let mut spec = spec();
    spec.spare_ports = 2;
    spec.disks = vec![disk("v", Attachment::VirtioBlk)];
    spec.nics = vec![nic("a", NicBackend::Unplugged), nic("b", NicBackend::Unplugged)];
    spec.nics[1].port = Some(0);
    let args = argv(&spec, &channels()).unwrap();
    let bus = |id: &str| device_named(&args, id)["bus"].as_str().map(ToOwned::to_owned);
    assert_eq!((bus("b"), bus("v"), bus("a")), (Some("rp0".into()), Some("rp1".into()), Some("rp2".into())));
    let ports = values(&args, "-device").iter().filter(|d| d.contains("pcie-root-port")).count();
    assert_eq!(ports, 5);
    assert_eq!(device_named(&args, "rp0")["multifunction"], true);
    assert_eq!(device_named(&args, "rp0")["addr"], "0x10.0x0");
    assert_eq!(device_named(&args, "rp4")["addr"], "0x10.0x4");
    assert_eq!(device_named(&args, "a")["mac"], "00:50:56:aa:bb:01");
}

#[test]
fn specs_that_cannot_be_built_are_refused() {
    type Break = fn(&mut MachineSpec);
    let table: [(Break, &str); 19] = [
        (|s| s.name = "a\nb".into(), "control"),
        (|s| s.name.clear(), "empty"),
        (|s| s.uuid = "1234".into(), "UUID"),
        (|s| s.memory_mib = 0, "memory"),
        (|s| s.max_memory_mib = Some(1), "memory"),
        (|s| s.cpu.count = 0, "processors"),
        (
            |s| {
                s.cpu.count = 6;
                s.cpu.cores_per_socket = 4
            },
            "processors",
        ),
        (|s| s.cpu.model = Some("max\",x".into()), "CPU model"),
        (|s| s.disks = vec![disk("a b", Attachment::VirtioBlk)], "device id"),
        (|s| s.disks = vec![disk("rp0", Attachment::VirtioBlk)], "device id"),
        (
            |s| s.disks = vec![disk("d", Attachment::VirtioBlk), disk("d", Attachment::VirtioBlk)],
            "two devices",
        ),
        (|s| s.disks = vec![disk("d", Attachment::Scsi { controller: 0, target: 0 })], "no such place"),
        (|s| s.disks = vec![disk("d", Attachment::Ide { port: 4 })], "no such place"),
        (
            |s| {
                s.disks = vec![disk("d", Attachment::Ide { port: 1 }), disk("e", Attachment::Ide { port: 1 })]
            },
            "already taken",
        ),
        (
            |s| {
                s.cdroms =
                    vec![Cdrom { id: "c".into(), attach: Attachment::VirtioBlk, iso: None, boot_index: None }]
            },
            "CD-ROM",
        ),
        (
            |s| {
                s.nics = vec![nic("n", NicBackend::Unplugged)];
                s.nics[0].mac = "00:50:56:00:00".into();
            },
            "MAC",
        ),
        (|s| s.nics = vec![nic("n", NicBackend::Tap { ifname: "tap0,script=/x".into() })], "interface name"),
        (|s| s.nics = vec![nic("n", NicBackend::TapDescriptor)], "no tap"),
        (|s| s.spare_ports = 200, "root ports"),
    ];
    for (spoil, words) in table {
        let mut spec = spec();
        spoil(&mut spec);
        let error = argv(&spec, &channels()).expect_err(words).to_string();
        assert!(error.contains(words), "{error} lacks {words}");
    }
}

proptest::proptest! {
    /// Any text is the content of one argument and never another option.
    #[test]
    fn no_name_becomes_an_option(name in "[^\\p{C}]{1,40}", file in "/[^\\p{C}]{1,40}") {
        let mut spec = spec();
        spec.name = name;
        let plain = argv(&MachineSpec { name: "x".into(), ..spec.clone() }, &channels())?.len();
        let mut odd = disk("d", Attachment::VirtioBlk);
        odd.path = file.clone().into();
        let args = argv(&spec, &channels())?;
        proptest::prop_assert_eq!(args.len(), plain);
        spec.disks = vec![odd];
        let args = argv(&spec, &channels())?;
        let node: Value = serde_json::from_str(&values(&args, "-blockdev")[0])?;
        proptest::prop_assert_eq!(node["file"]["filename"].as_str(), Some(file.as_str()));
    }
}
