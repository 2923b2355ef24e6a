//! The fields of a specification that plans read, by type. A field that is missing here is refused unless it asks for what
//! the VM shows anyway, so a new field of a plan begins with a word in this table.

use vim::{DataId, data_id, field, schema};

/// The use of a field that a client sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Plans read it.
    Read,
    /// Plans read it of a new VM or device, or choose it. One that exists keeps its own.
    New,
    /// The server writes it and clients send it back, or every VM is what it asks for.
    Moot,
}

struct Row {
    ty: DataId,
    fields: &'static [(u16, Rule)],
}

macro_rules! rows {
    ($($ty:ident { $($rule:ident: $($field:ident)+;)* })*) => {
        &[$(Row {
            ty: data_id!($ty),
            fields: &[$($((field!($ty.$field).number(), Rule::$rule)),+),*],
        }),*]
    };
}

const ROWS: &[Row] = rows! {
    VirtualMachineConfigSpec {
        Read: changeVersion name version uuid instanceUuid guestId alternateGuestName annotation files tools flags
            powerOpInfo numCPUs numCoresPerSocket memoryMB memoryHotAddEnabled cpuHotAddEnabled deviceChange
            cpuAllocation memoryAllocation latencySensitivity extraConfig bootOptions firmware maxMksConnections
            managedBy memoryReservationLockedToMax vmProfile;
        New: createDate;
        Moot: vAppConfigRemoved;
    }
    VirtualMachineFileInfo { New: vmPathName; }
    ToolsConfigInfo {
        Read: afterPowerOn afterResume beforeGuestStandby beforeGuestShutdown syncTimeWithHostAllowed syncTimeWithHost;
        Moot: toolsVersion toolsInstallType lastInstallInfo;
    }
    VirtualMachineFlagInfo { Read: enableLogging diskUuidEnabled; }
    VirtualMachineDefaultPowerOpInfo { Read: powerOffType suspendType resetType; }
    // The API's reference: VMs ignore whether a reservation is expandable.
    ResourceAllocationInfo { Read: reservation limit shares; Moot: expandableReservation; }
    SharesInfo { Read: shares level; }
    LatencySensitivity { Read: level; }
    OptionValue { Read: key value; }
    ManagedByInfo { Read: extensionKey type; }
    VirtualMachineBootOptions {
        Read: bootDelay enterBIOSSetup efiSecureBootEnabled bootRetryEnabled bootRetryDelay bootOrder;
    }
    VirtualMachineBootOptionsBootableDiskDevice { Read: deviceKey; }
    VirtualMachineBootOptionsBootableEthernetDevice { Read: deviceKey; }
    VirtualMachineBootOptionsBootableCdromDevice {}
    // Policies for storage that ask for nothing.
    VirtualMachineEmptyProfileSpec {}
    VirtualMachineDefaultProfileSpec {}

    VirtualDeviceConfigSpec { Read: operation fileOperation device profile; }
    VirtualDevice { Read: key; New: controllerKey unitNumber; Moot: deviceInfo slotInfo; }
    VirtualController { New: busNumber; Moot: device; }
    VirtualMachineVideoCard { Read: videoRamSizeInKB numDisplays useAutoDetect; }
    VirtualDisk { Read: backing capacityInKB capacityInBytes; Moot: diskObjectId; }
    VirtualCdrom { Read: backing connectable; }
    VirtualSerialPort { Read: backing connectable yieldOnPoll; }
    VirtualHdAudioCard { Read: backing connectable; }
    VirtualEthernetCard { Read: backing connectable addressType macAddress wakeOnLanEnabled; }
    VirtualDeviceConnectInfo { Read: startConnected allowGuestControl connected; Moot: status; }
    VirtualDeviceFileBackingInfo { Read: fileName datastore; }
    VirtualDeviceDeviceBackingInfo { Read: deviceName; }
    VirtualDeviceRemoteDeviceBackingInfo { Read: deviceName; }
    VirtualSoundCardDeviceBackingInfo { Read: useAutoDetect; }
    VirtualDevicePipeBackingInfo { Read: pipeName; }
    VirtualDiskFlatVer2BackingInfo { Read: diskMode; New: thinProvisioned eagerlyScrub uuid; }
    VirtualEthernetCardNetworkBackingInfo { Read: network; }
    VirtualSerialPortPipeBackingInfo { Read: endpoint noRxLoss; }
};

/// The use of field `number` of the type `ty`; `None` if nothing reads it.
pub(super) fn rule(ty: DataId, number: u16) -> Option<Rule> {
    let of = ROWS.iter().filter(|row| schema().data(row.ty).subtypes.contains(&ty.0));
    of.flat_map(|row| row.fields).find(|field| field.0 == number).map(|field| field.1)
}

/// Whether plans read objects of exactly this type.
pub(super) fn is_read(ty: DataId) -> bool {
    ROWS.iter().any(|row| row.ty == ty)
}
