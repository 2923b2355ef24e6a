//! A field that nothing consumes is refused with the fault that names it, and those that a VM keeps are shown.
#![allow(clippy::unwrap_used)]

mod common;

use common::{World, home, now, planned, read, reconfigured, written};
use datastore::Dictionary;
use vim::{Fault, Object, Value, vim};
use vm::config::VmConfig;
use vm::show::{self, Names};
use vm::{device::key, plan};

/// A VM with an adapter, a disk on a SCSI controller, a CD-ROM drive and a serial port.
fn vm() -> VmConfig {
    let spec = Object::from(vim!(VirtualMachineConfigSpec {
        name: "web01",
        deviceChange: [
            add(vim!(ParaVirtualSCSIController { key: -1, busNumber: 0, sharedBus: "noSharing" }).into()),
            create(disk(
                vim!(VirtualDiskFlatVer2BackingInfo { fileName: "", diskMode: "persistent" }).into()
            )),
            add(vim!(VirtualVmxnet3 { key: -3, backing: network() }).into()),
            add(vim!(VirtualCdrom { key: -4, controllerKey: 200 }).into()),
            add(vim!(VirtualSerialPort { key: -5, yieldOnPoll: true, backing: pipe() }).into()),
        ],
    }));
    planned(false, |around| plan::create(&spec, around)).unwrap().config
}

#[test]
fn a_template_keeps_its_hardware_and_settings() {
    let template = VmConfig { template: true, ..vm() };
    let change = |spec: Object| planned(false, |around| plan::reconfigure(&spec, &template, around));
    let described =
        change(vim!(VirtualMachineConfigSpec { name: "golden", annotation: "Debian" }).into()).unwrap();
    assert_eq!((described.config.name.as_str(), described.config.annotation.as_str()), ("golden", "Debian"));
    for spec in [
        Object::from(vim!(VirtualMachineConfigSpec { numCPUs: 2 })),
        vim!(VirtualMachineConfigSpec { annotation: "x", memoryMB: 512i64 }).into(),
        adding(vim!(VirtualCdrom { key: -1, controllerKey: 200 })),
    ] {
        assert_eq!(change(spec).unwrap_err().type_name(), "NotSupported");
    }
}

fn add(device: Object) -> Object {
    vim!(VirtualDeviceConfigSpec { operation: "add", device: device }).into()
}

fn edit(device: impl Into<Object>) -> Object {
    let device: Object = device.into();
    vim!(VirtualMachineConfigSpec {
        deviceChange: [vim!(VirtualDeviceConfigSpec { operation: "edit", device: device })],
    })
    .into()
}

fn adding(device: impl Into<Object>) -> Object {
    vim!(VirtualMachineConfigSpec { deviceChange: [add(device.into())] }).into()
}

fn create(device: Object) -> Object {
    vim!(VirtualDeviceConfigSpec { operation: "add", fileOperation: "create", device: device }).into()
}

fn disk(backing: Object) -> Object {
    vim!(VirtualDisk { key: -2, controllerKey: -1, capacityInKB: 8192i64, backing: backing }).into()
}

fn network() -> Object {
    vim!(VirtualEthernetCardNetworkBackingInfo { deviceName: "VM Network" }).into()
}

fn pipe() -> Object {
    vim!(VirtualSerialPortPipeBackingInfo { pipeName: "console", endpoint: "server", noRxLoss: true }).into()
}

fn refused(config: &VmConfig, spec: &Object) -> (&'static str, String) {
    let fault = reconfigured(config, false, spec).expect_err("the specification is refused");
    (fault.type_name(), property(&fault))
}

fn property(fault: &Fault) -> String {
    fault.object().named("property").and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[test]
fn a_setting_that_nothing_consumes_is_refused_by_its_name() {
    let vm = vm();
    for (spec, property) in [
        (vim!(VirtualMachineConfigSpec { swapPlacement: "hostLocal" }), "swapPlacement"),
        (vim!(VirtualMachineConfigSpec { guestAutoLockEnabled: true }), "guestAutoLockEnabled"),
        (vim!(VirtualMachineConfigSpec { nestedHVEnabled: true }), "nestedHVEnabled"),
        (vim!(VirtualMachineConfigSpec { cpuHotRemoveEnabled: true }), "cpuHotRemoveEnabled"),
        (vim!(VirtualMachineConfigSpec { virtualSMCPresent: true }), "virtualSMCPresent"),
        (vim!(VirtualMachineConfigSpec { rebootPowerOff: true }), "rebootPowerOff"),
        (vim!(VirtualMachineConfigSpec { locationId: "1234" }), "locationId"),
        (
            vim!(VirtualMachineConfigSpec {
                cpuFeatureMask: [VirtualMachineCpuIdInfoSpec {
                    operation: "add",
                    info: HostCpuIdInfo { level: 1, ecx: "----" }
                },]
            }),
            "cpuFeatureMask",
        ),
        (
            vim!(VirtualMachineConfigSpec { cpuAffinity: VirtualMachineAffinityInfo { affinitySet: [1] } }),
            "cpuAffinity",
        ),
        (
            vim!(VirtualMachineConfigSpec { flags: VirtualMachineFlagInfo { snapshotDisabled: true } }),
            "flags.snapshotDisabled",
        ),
        (
            vim!(VirtualMachineConfigSpec {
                tools: ToolsConfigInfo { toolsUpgradePolicy: "upgradeAtPowerCycle" }
            }),
            "tools.toolsUpgradePolicy",
        ),
        (
            vim!(VirtualMachineConfigSpec {
                bootOptions: VirtualMachineBootOptions { networkBootProtocol: "ipv6" }
            }),
            "bootOptions.networkBootProtocol",
        ),
        (
            vim!(VirtualMachineConfigSpec {
                memoryAllocation: ResourceAllocationInfo { overheadLimit: 9i64 }
            }),
            "memoryAllocation.overheadLimit",
        ),
        (
            vim!(VirtualMachineConfigSpec { files: VirtualMachineFileInfo { logDirectory: "[iso] logs/" } }),
            "files.logDirectory",
        ),
        (
            vim!(VirtualMachineConfigSpec {
                powerOpInfo: VirtualMachineDefaultPowerOpInfo { standbyAction: "no" }
            }),
            "powerOpInfo.standbyAction",
        ),
        (
            vim!(VirtualMachineConfigSpec {
                vmProfile: [VirtualMachineDefinedProfileSpec { profileId: "gold" }]
            }),
            "vmProfile[0]",
        ),
        (vim!(VirtualMachineConfigSpec { maxMksConnections: 41 }), "maxMksConnections"),
    ] {
        assert_eq!(refused(&vm, &spec.into()), ("InvalidVmConfig", property.to_owned()));
    }
}

#[test]
fn what_asks_for_nothing_is_not_refused() {
    let vm = vm();
    let spec = vim!(VirtualMachineConfigSpec {
        cpuHotRemoveEnabled: false,
        rebootPowerOff: false,
        swapPlacement: "inherit",
        vAppConfigRemoved: true,
        cpuAffinity: VirtualMachineAffinityInfo { affinitySet: Vec::<i32>::new() },
        flags: VirtualMachineFlagInfo { virtualExecUsage: "hvAuto", virtualMmuUsage: "automatic" },
        tools: ToolsConfigInfo { beforeGuestReboot: false },
        cpuAllocation: ResourceAllocationInfo { expandableReservation: true },
        vmProfile: [VirtualMachineEmptyProfileSpec {}],
    });
    assert_eq!(reconfigured(&vm, false, &spec.into()).unwrap().0, vm);
}

#[test]
fn a_device_is_what_was_asked_for_or_is_refused() {
    let vm = vm();
    let invalid = ("InvalidDeviceSpec", "deviceChange[0].device");
    let backing = ("InvalidDeviceBacking", "deviceChange[0].device.backing");
    let unsupported = ("DeviceUnsupportedForVmVersion", "deviceChange[0].device");
    let too_many = ("TooManyDevices", "deviceChange[0].device");
    let share = |shares: i32, level: &'static str| match level {
        "high" => Object::from(vim!(SharesInfo { shares: shares, level: "high" })),
        _ => Object::from(vim!(SharesInfo { shares: shares, level: "normal" })),
    };
    let parent =
        vim!(VirtualDiskFlatVer2BackingInfo { fileName: "[ds] base/base.vmdk", diskMode: "persistent" });
    let linked =
        vim!(VirtualDiskFlatVer2BackingInfo { fileName: "", diskMode: "persistent", parent: parent });
    let linked = Object::from(vim!(VirtualDisk {
        key: -2,
        controllerKey: 1000,
        capacityInKB: 8192i64,
        backing: linked,
    }));
    let uri = vim!(VirtualSerialPortURIBackingInfo { serviceURI: "telnet://:7000", direction: "server" });
    for (spec, (fault, at), member) in [
        (adding(vim!(VirtualVmxnet3Vrdma { key: -1, backing: network() })), unsupported, ""),
        (adding(vim!(VirtualIDEController { key: -1, busNumber: 0 })), too_many, ""),
        (adding(vim!(VirtualIDEController { key: -1, busNumber: 2 })), invalid, ".busNumber"),
        (adding(vim!(VirtualMachineVideoCard { key: -1 })), too_many, ""),
        (adding(vim!(VirtualKeyboard { key: -1 })), too_many, ""),
        (
            edit(vim!(VirtualMachineVideoCard { key: key::VIDEO, enable3DSupport: true })),
            invalid,
            ".enable3DSupport",
        ),
        (edit(vim!(VirtualSerialPort { key: key::SERIAL, yieldOnPoll: true, backing: uri })), backing, ""),
        (edit(vim!(VirtualDisk { key: key::DISK_SCSI, iofilter: ["replicator"] })), invalid, ".iofilter"),
        (
            edit(vim!(VirtualDisk {
                key: key::DISK_SCSI,
                storageIOAllocation: StorageIOAllocationInfo { limit: 500i64 },
            })),
            invalid,
            ".storageIOAllocation.limit",
        ),
        (
            edit(vim!(VirtualDisk {
                key: key::DISK_SCSI,
                backing: VirtualDiskFlatVer2BackingInfo {
                    diskMode: "persistent",
                    sharing: "sharingMultiWriter"
                },
            })),
            backing,
            ".sharing",
        ),
        (
            edit(vim!(VirtualVmxnet3 {
                key: key::NIC,
                resourceAllocation: VirtualEthernetCardResourceAllocation { share: share(100, "high") },
            })),
            invalid,
            ".resourceAllocation.share.shares",
        ),
        (
            edit(vim!(VirtualVmxnet3 { key: key::NIC, uptCompatibilityEnabled: true })),
            invalid,
            ".uptCompatibilityEnabled",
        ),
        (edit(vim!(VirtualVmxnet3 { key: key::NIC, unitNumber: 9 })), invalid, ".unitNumber"),
        (edit(vim!(VirtualLsiLogicController { key: key::SCSI, busNumber: 0 })), unsupported, ""),
        (vim!(VirtualMachineConfigSpec { deviceChange: [create(linked)] }).into(), backing, ".parent"),
    ] {
        assert_eq!(refused(&vm, &spec), (fault, format!("{at}{member}")));
    }
}

#[test]
fn shares_at_a_named_level_need_no_number() {
    let vm = vm();
    let allocation = vim!(VirtualEthernetCardResourceAllocation {
        reservation: 0,
        limit: -1i64,
        share: SharesInfo { shares: 0, level: "normal" },
    });
    let spec = edit(vim!(VirtualVmxnet3 { key: key::NIC, resourceAllocation: allocation }));
    assert_eq!(reconfigured(&vm, false, &spec).unwrap().0, vm);
}

#[test]
fn a_new_vm_names_each_device_that_every_vm_has_once() {
    let ide = |bus: i32| add(vim!(VirtualIDEController { key: -200 - bus, busNumber: bus }).into());
    let made = |changes: Vec<Object>| {
        let spec = Object::from(vim!(VirtualMachineConfigSpec { name: "web01", deviceChange: changes }));
        planned(false, |around| plan::create(&spec, around))
    };
    assert!(made(vec![ide(0), ide(1)]).is_ok());
    assert_eq!(made(vec![ide(0), ide(0)]).unwrap_err().type_name(), "TooManyDevices");
}

#[test]
fn two_new_devices_have_two_keys() {
    let nic = |key: i32| add(vim!(VirtualVmxnet3 { key: key, backing: network() }).into());
    for (first, second, expected) in [
        (-1, -1, Some("deviceChange[1].device.key")),
        (4001, 4001, Some("deviceChange[1].device.key")),
        (4001, 4002, None),
        (0, 0, None),
    ] {
        let spec = vim!(VirtualMachineConfigSpec { deviceChange: [nic(first), nic(second)] }).into();
        let fault = reconfigured(&vm(), false, &spec).err();
        assert_eq!(fault.map(|fault| property(&fault)).as_deref(), expected, "{first} {second}");
    }
}

#[test]
fn the_plug_of_a_serial_port_follows_an_edit() {
    let connect =
        vim!(VirtualDeviceConnectInfo { startConnected: false, allowGuestControl: true, connected: false });
    let spec = edit(vim!(VirtualSerialPort { key: key::SERIAL, yieldOnPoll: true, connectable: connect }));
    let (changed, _) = reconfigured(&vm(), false, &spec).unwrap();
    assert!(!changed.devices[&key::SERIAL].connect.unwrap().at_start);
}

/// A VM shows these values of the settings that it only keeps.
fn kept(config: &VmConfig) -> [String; 6] {
    let info = show::config::info(config, &home(), &Names { storage: &World, vm: "1" });
    let at = |path: &[&str]| {
        let mut value = info.named(path[0]).unwrap().clone();
        for name in &path[1..] {
            value = value.as_object().unwrap().named(name).unwrap().clone();
        }
        value.converted(vim::Kind::String).unwrap().as_str().unwrap().to_owned()
    };
    [
        at(&["latencySensitivity", "level"]),
        at(&["maxMksConnections"]),
        at(&["flags", "enableLogging"]),
        at(&["tools", "syncTimeWithHostAllowed"]),
        at(&["defaultPowerOps", "powerOffType"]),
        at(&["memoryReservationLockedToMax"]),
    ]
}

#[test]
fn settings_that_are_only_kept_are_shown_and_written() {
    let defaults = ["normal", "-1", "true", "true", "soft", "false"];
    let vm = VmConfig::new("web01", now());
    assert_eq!(kept(&vm), defaults);
    let spec = vim!(VirtualMachineConfigSpec {
        latencySensitivity: LatencySensitivity { level: "high" },
        maxMksConnections: 1,
        flags: VirtualMachineFlagInfo { enableLogging: false },
        tools: ToolsConfigInfo { syncTimeWithHostAllowed: false },
        powerOpInfo: VirtualMachineDefaultPowerOpInfo { powerOffType: "preset" },
        memoryReservationLockedToMax: true,
    });
    let (changed, _) = reconfigured(&vm, false, &spec.into()).unwrap();
    let wanted = ["high", "1", "false", "false", "preset", "true"];
    assert_eq!(kept(&changed), wanted);
    let again = read(&written(&changed, &Dictionary::new())).unwrap();
    assert_eq!(kept(&again), wanted);
    let spec = vim!(VirtualMachineConfigSpec {
        latencySensitivity: LatencySensitivity { level: "normal" },
        maxMksConnections: -1,
        flags: VirtualMachineFlagInfo { enableLogging: true },
        tools: ToolsConfigInfo { syncTimeWithHostAllowed: true },
        powerOpInfo: VirtualMachineDefaultPowerOpInfo { powerOffType: "soft" },
        memoryReservationLockedToMax: false,
    });
    let (back, _) = reconfigured(&changed, false, &spec.into()).unwrap();
    assert_eq!(kept(&back), defaults);
    assert_eq!(back.extra, vm.extra);
}

#[test]
fn a_locked_reservation_follows_the_memory() {
    let vm = VmConfig::new("web01", now());
    let spec = vim!(VirtualMachineConfigSpec { memoryMB: 512i64, memoryReservationLockedToMax: true });
    let (locked, _) = reconfigured(&vm, false, &spec.into()).unwrap();
    assert_eq!(locked.memory.reservation, 512);
    let spec = vim!(VirtualMachineConfigSpec { memoryMB: 1024i64 });
    let (grown, _) = reconfigured(&locked, false, &spec.into()).unwrap();
    assert_eq!(grown.memory.reservation, 1024);
    let limit = vim!(VirtualMachineConfigSpec { memoryAllocation: ResourceAllocationInfo { limit: 512i64 } });
    assert_eq!(refused(&grown, &limit.into()), ("InvalidVmConfig", "memoryAllocation.limit".to_owned()));
}

#[test]
fn the_key_and_the_field_of_a_kept_setting_are_one() {
    let vm = VmConfig::new("web01", now());
    let spec = vim!(VirtualMachineConfigSpec {
        extraConfig: [OptionValue { key: "sched.cpu.latencysensitivity", value: "High" }],
    });
    let (changed, _) = reconfigured(&vm, false, &spec.into()).unwrap();
    assert_eq!(kept(&changed)[0], "high");
}

#[test]
fn a_number_out_of_range_is_refused_and_not_taken_for_an_unset_one() {
    let vm = VmConfig::new("web01", now());
    let boot = |options| Object::from(vim!(VirtualMachineConfigSpec { bootOptions: options }));
    let cases: [(&str, Object); 4] = [
        ("numCPUs", vim!(VirtualMachineConfigSpec { numCPUs: 0 }).into()),
        ("memoryMB", vim!(VirtualMachineConfigSpec { memoryMB: 0i64 }).into()),
        ("bootOptions.bootDelay", boot(vim!(VirtualMachineBootOptions { bootDelay: -1i64 }))),
        ("bootOptions.bootRetryDelay", boot(vim!(VirtualMachineBootOptions { bootRetryDelay: -1i64 }))),
    ];
    for (field, spec) in cases {
        assert_eq!(refused(&vm, &spec), ("InvalidVmConfig", field.to_owned()));
    }
}
