//! The options for VMs, which are the same on every host.

use vim::{Kind, List, Object, Value, data_id, ty, vim};
use vm::config::{HARDWARE_VERSION, HARDWARE_VERSIONS, VmConfig, hardware_key, parse_hardware};
use vm::device::{self, NIC_TYPES, SCSI_TYPES};
use vm::limits::{MAX_CPUS, MAX_MEMORY_MIB, MIN_MEMORY_MIB};
use vm::show::{self, Names};
use vm::{Storage, guest_os};

use crate::ids;

/// The hardware versions that VMs can have.
pub(super) fn descriptors() -> Value {
    let descriptor = |version: u32| {
        let default = version == HARDWARE_VERSION;
        Value::from(vim!(VirtualMachineConfigOptionDescriptor {
            key: hardware_key(version),
            description: "Esfera virtual machine",
            host: [ids::host()],
            createSupported: true,
            defaultConfigOption: default,
            runSupported: true,
            upgradeSupported: false,
        }))
    };
    let all: Vec<Value> = HARDWARE_VERSIONS.into_iter().map(descriptor).collect();
    Value::List(List::new(Kind::Data(data_id!(VirtualMachineConfigOptionDescriptor)), all))
}

/// The options of the hardware version `key`, or of the newest; none for a version that VMs cannot have. `guests` narrows
/// the guest systems.
pub(super) fn config_option(storage: &dyn Storage, key: &str, guests: &[&str]) -> Option<Value> {
    let version = if key.is_empty() { HARDWARE_VERSION } else { parse_hardware(key)? };
    let offered: Vec<&str> = if guests.is_empty() {
        guest_os::all().to_vec()
    } else {
        guests.iter().copied().filter(|id| guest_os::is_known(id)).collect()
    };
    let config = VmConfig::new("default", vim::DateTime::now());
    let default = offered.iter().position(|id| *id == config.guest_id).unwrap_or_default();
    let names = Names { storage, vm: "" };
    let defaults: Vec<Object> =
        config.devices.values().map(|device| show::device(&config, device, &names)).collect();
    let option = vim!(VirtualMachineConfigOption {
        version: hardware_key(version),
        description: "Esfera virtual machine",
        guestOSDescriptor: offered.iter().map(|id| guest(id)).collect::<Vec<_>>(),
        guestOSDefaultIndex: i32::try_from(default).unwrap_or_default(),
        hardwareOptions: hardware(version),
        capabilities: show::machine::capability(),
        datastore: DatastoreOption {},
        defaultDevice: defaults,
        supportedMonitorType: ["release"],
    });
    Some(option.into())
}

fn int(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn range(min: i32, max: i32, default: i32) -> ty!(IntOption) {
    vim!(IntOption { valueIsReadonly: false, min: min, max: max, defaultValue: default })
}

fn fixed(number: i32) -> ty!(IntOption) {
    vim!(IntOption { valueIsReadonly: true, min: number, max: number, defaultValue: number })
}

fn guest(id: &str) -> ty!(GuestOsDescriptor) {
    let windows = guest_os::family(id) == "windowsGuest";
    let linux = guest_os::family(id) == "linuxGuest";
    let (memory, disk) = if windows { (4096, 48 * 1024) } else { (2048, 16 * 1024) };
    let mut controllers = vec!["VirtualIDEController"];
    controllers.extend(SCSI_TYPES);
    controllers.extend(["VirtualAHCIController", "VirtualNVMEController"]);
    vim!(GuestOsDescriptor {
        id: id,
        family: guest_os::family(id),
        fullName: guest_os::full_name(id),
        supportedMaxCPUs: int(u64::from(MAX_CPUS)),
        numSupportedPhysicalSockets: int(u64::from(MAX_CPUS)),
        numSupportedCoresPerSocket: int(u64::from(MAX_CPUS)),
        supportedMinMemMB: int(MIN_MEMORY_MIB),
        supportedMaxMemMB: int(MAX_MEMORY_MIB),
        recommendedMemMB: memory,
        recommendedColorDepth: 32,
        supportedDiskControllerList: controllers,
        recommendedSCSIController: if windows { "VirtualLsiLogicSASController" } else { SCSI_TYPES[0] },
        recommendedDiskController: if windows { "VirtualLsiLogicSASController" } else { SCSI_TYPES[0] },
        supportedNumDisks: 60,
        recommendedDiskSizeMB: disk,
        recommendedCdromController: "VirtualIDEController",
        supportedEthernetCard: NIC_TYPES.to_vec(),
        recommendedEthernetCard: if linux { NIC_TYPES[0] } else { NIC_TYPES[1] },
        supportsSlaveDisk: true,
        smcRequired: false,
        supportsWakeOnLan: false,
        supportsVMI: false,
        supportsMemoryHotAdd: true,
        supportsCpuHotAdd: false,
        supportsCpuHotRemove: false,
        supportedFirmware: ["bios", "efi"],
        recommendedFirmware: "bios",
        supportedUSBControllerList: ["VirtualUSBXHCIController"],
        supports3D: false,
        recommended3D: false,
        smcRecommended: false,
        ich7mRecommended: false,
        usbRecommended: false,
        supportLevel: "supported",
        supportedForCreate: true,
        vRAMSizeInKB: range(16 * 1024, 256 * 1024, 16 * 1024),
        numSupportedFloppyDevices: 0,
        supportsPvscsiControllerForBoot: true,
        diskUuidEnabled: false,
        supportsHotPlugPCI: true,
        supportsSecureBoot: true,
        defaultSecureBoot: false,
    })
}

fn hardware(version: u32) -> ty!(VirtualHardwareOption) {
    vim!(VirtualHardwareOption {
        hwVersion: int(u64::from(version)),
        virtualDeviceOption: device::options(),
        deviceListReadonly: false,
        numCPU: (1..=int(u64::from(MAX_CPUS))).collect::<Vec<i32>>(),
        numCoresPerSocket: range(1, int(u64::from(MAX_CPUS)), 1),
        numCpuReadonly: false,
        memoryMB: LongOption {
            valueIsReadonly: false,
            min: i64::try_from(MIN_MEMORY_MIB).unwrap_or(4),
            max: i64::try_from(MAX_MEMORY_MIB).unwrap_or(i64::MAX),
            defaultValue: 2048i64,
        },
        numPCIControllers: fixed(1),
        numIDEControllers: fixed(2),
        numUSBControllers: fixed(0),
        numUSBXHCIControllers: range(0, 1, 0),
        numSIOControllers: fixed(1),
        numPS2Controllers: fixed(1),
        resourceConfigOption: ResourceConfigOption {
            cpuAllocationOption: ResourceAllocationOption { sharesOption: shares() },
            memoryAllocationOption: ResourceAllocationOption { sharesOption: shares() },
        },
    })
}

fn shares() -> ty!(SharesOption) {
    vim!(SharesOption { sharesOption: range(0, 1_000_000, 1000), defaultLevel: "normal" })
}
