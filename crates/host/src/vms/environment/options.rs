//! The options for VMs, which are the same on every host.

use vim::{Kind, List, Object, Value, data_id, ty, vim};
use vm::config::{HARDWARE_VERSION, VmConfig};
use vm::device::{self, NIC_TYPES, SCSI_TYPES};
use vm::limits::{MAX_CPUS, MAX_MEMORY_MIB, MIN_MEMORY_MIB};
use vm::show::{self, HARDWARE_KEY, Names};
use vm::{Storage, guest_os};

use crate::ids;

/// The guest systems that are offered; others are accepted as well.
const OFFERED: [&str; 30] = [
    "otherGuest64",
    "otherGuest",
    "otherLinux64Guest",
    "otherLinuxGuest",
    "other3xLinux64Guest",
    "other4xLinux64Guest",
    "other5xLinux64Guest",
    "other6xLinux64Guest",
    "debian10_64Guest",
    "debian11_64Guest",
    "debian12_64Guest",
    "debian13_64Guest",
    "ubuntu64Guest",
    "rhel7_64Guest",
    "rhel8_64Guest",
    "rhel9_64Guest",
    "centos7_64Guest",
    "centos8_64Guest",
    "centos9_64Guest",
    "almalinux_64Guest",
    "rockylinux_64Guest",
    "oracleLinux9_64Guest",
    "sles15_64Guest",
    "fedora64Guest",
    "freebsd14_64Guest",
    "windows9_64Guest",
    "windows11_64Guest",
    "windows9Server64Guest",
    "windows2019srv_64Guest",
    "windows2019srvNext_64Guest",
];
/// The hardware versions that VMs can have.
pub(super) fn descriptors() -> Value {
    let descriptor = vim!(VirtualMachineConfigOptionDescriptor {
        key: HARDWARE_KEY,
        description: "Esfera virtual machine",
        host: [ids::host()],
        createSupported: true,
        defaultConfigOption: true,
        runSupported: true,
        upgradeSupported: false,
    });
    Value::List(List::new(
        Kind::Data(data_id!(VirtualMachineConfigOptionDescriptor)),
        vec![descriptor.into()],
    ))
}

/// The options of the hardware version `key`; none for hardware that hosts do not make. `guests` narrows the guest systems.
pub(super) fn config_option(storage: &dyn Storage, key: &str, guests: &[&str]) -> Option<Value> {
    if !key.is_empty() && key != HARDWARE_KEY {
        return None;
    }
    let offered: Vec<&str> = if guests.is_empty() {
        OFFERED.to_vec()
    } else {
        guests.iter().copied().filter(|id| guest_os::is_known(id)).collect()
    };
    let config = VmConfig::new("default", vim::DateTime::now());
    let names = Names { storage, vm: "" };
    let defaults: Vec<Object> =
        config.devices.values().map(|device| show::device(&config, device, &names)).collect();
    let option = vim!(VirtualMachineConfigOption {
        version: HARDWARE_KEY,
        description: "Esfera virtual machine",
        guestOSDescriptor: offered.iter().map(|id| guest(id)).collect::<Vec<_>>(),
        guestOSDefaultIndex: 0,
        hardwareOptions: hardware(),
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

fn hardware() -> ty!(VirtualHardwareOption) {
    vim!(VirtualHardwareOption {
        hwVersion: int(u64::from(HARDWARE_VERSION)),
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
