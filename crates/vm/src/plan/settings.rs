//! The part of a specification that is not about devices.

use uuid::Uuid;
use vim::{Fault, Object, data_id, fault, field};

use super::extra::merge;
use super::kept;
use crate::config::{
    Allocation, BootDevice, Firmware, HARDWARE_VERSIONS, ManagedBy, Shares, VmConfig, hardware_key,
    parse_hardware,
};
use crate::device::{Step, Surroundings};
use crate::faults::{invalid_config, not_supported, powered_on};
use crate::guest_os;
use crate::limits::{MAX_ANNOTATION, MAX_CPUS, MAX_EXTRA, MAX_MEMORY_MIB, MIN_MEMORY_MIB};
use crate::vmx;

macro_rules! spec {
    ($field:ident) => {
        field!(VirtualMachineConfigSpec.$field)
    };
}

/// Applies everything but devices and boot options. `current` is the configuration before, if the VM exists.
pub(super) fn apply(
    spec: &Object,
    config: &mut VmConfig,
    around: &Surroundings<'_>,
    current: Option<&VmConfig>,
) -> Result<Vec<Step>, Fault> {
    identity(spec, config)?;
    let mut steps = Vec::new();
    processors(spec, config, around, &mut steps)?;
    memory(spec, config, around, current, &mut steps)?;
    firmware(spec, config, around)?;
    if let Some(annotation) = spec.get(spec!(annotation)) {
        if annotation.len() > MAX_ANNOTATION {
            return Err(invalid_config("annotation", &format!("Notes have at most {MAX_ANNOTATION} bytes")));
        }
        annotation.clone_into(&mut config.annotation);
    }
    extra(spec, config)?;
    kept::apply(spec, config)?;
    if config.extra.len() > MAX_EXTRA {
        return Err(invalid_config("extraConfig", &format!("A VM has at most {MAX_EXTRA} extra keys")));
    }
    if let Some(wanted) = spec.get(spec!(cpuAllocation)) {
        allocation(&mut config.cpu, wanted, "cpuAllocation")?;
    }
    if let Some(wanted) = spec.get(spec!(memoryAllocation)) {
        allocation(&mut config.memory, wanted, "memoryAllocation")?;
    }
    kept::lock_memory(config)?;
    if let Some(tools) = spec.get(spec!(tools)) {
        let set = |to: &mut bool, value: Option<bool>| *to = value.unwrap_or(*to);
        set(&mut config.tools.after_power_on, tools.get(field!(ToolsConfigInfo.afterPowerOn)));
        set(&mut config.tools.after_resume, tools.get(field!(ToolsConfigInfo.afterResume)));
        set(&mut config.tools.before_standby, tools.get(field!(ToolsConfigInfo.beforeGuestStandby)));
        set(&mut config.tools.before_shutdown, tools.get(field!(ToolsConfigInfo.beforeGuestShutdown)));
        set(&mut config.tools.sync_time, tools.get(field!(ToolsConfigInfo.syncTimeWithHost)));
    }
    if let Some(flags) = spec.get(spec!(flags)) {
        if let Some(shown) = flags.get(field!(VirtualMachineFlagInfo.diskUuidEnabled)) {
            config.disk_uuid = shown;
        }
        if flags.get(field!(VirtualMachineFlagInfo.vbsEnabled)) == Some(true)
            || flags.get(field!(VirtualMachineFlagInfo.vvtdEnabled)) == Some(true)
        {
            return Err(invalid_config(
                "flags",
                "Virtualization-based security needs an IOMMU, which VMs of this host do not have",
            ));
        }
    }
    if let Some(manager) = spec.get(spec!(managedBy)) {
        let extension = manager.get(field!(ManagedByInfo.extensionKey)).unwrap_or_default();
        let ty = manager.get(field!(ManagedByInfo.type)).unwrap_or_default();
        config.managed_by =
            (!extension.is_empty()).then(|| ManagedBy { extension: extension.to_owned(), ty: ty.to_owned() });
    }
    Ok(steps)
}

fn identity(spec: &Object, config: &mut VmConfig) -> Result<(), Fault> {
    let uuid = |name: &str, text: Option<&str>| match text {
        None => Ok(None),
        // The API's reference: an empty text asks for a new one.
        Some("") => Ok(Some(Uuid::new_v4())),
        Some(text) => Uuid::parse_str(text)
            .map(Some)
            .map_err(|_| invalid_config(name, &format!("\"{text}\" is not a UUID"))),
    };
    if let Some(uuid) = uuid("uuid", spec.get(spec!(uuid)))? {
        config.bios_uuid = uuid;
    }
    if let Some(uuid) = uuid("instanceUuid", spec.get(spec!(instanceUuid)))? {
        config.instance_uuid = uuid;
    }
    if let Some(guest) = spec.get(spec!(guestId)).filter(|guest| !guest.is_empty()) {
        if !guest_os::is_known(guest) {
            let message = format!("The guest system {guest} is unknown");
            return Err(fault!(
                UnsupportedGuest { property: "guestId", unsupportedGuestOS: guest },
                "{message}"
            ));
        }
        guest.clone_into(&mut config.guest_id);
    }
    if let Some(name) = spec.get(spec!(alternateGuestName)) {
        name.clone_into(&mut config.alternate_guest_name);
    }
    if let Some(version) = spec.get(spec!(version)).filter(|version| !version.is_empty()) {
        config.hardware_version = parse_hardware(version).ok_or_else(|| {
            let known = HARDWARE_VERSIONS.map(hardware_key).join(", ");
            invalid_config(
                "version",
                &format!("The virtual hardware {version} is not supported; use {known}"),
            )
        })?;
    }
    Ok(())
}

fn processors(
    spec: &Object,
    config: &mut VmConfig,
    around: &Surroundings<'_>,
    steps: &mut Vec<Step>,
) -> Result<(), Fault> {
    if let Some(enabled) = spec.get(spec!(cpuHotAddEnabled)) {
        if around.running && enabled != config.cpu_hot_add {
            return Err(powered_on("cpuHotAddEnabled"));
        }
        config.cpu_hot_add = enabled;
    }
    let count = spec.get(spec!(numCPUs));
    // As many cores as the host finds best: the reference's meaning of 0.
    let cores = spec.get(spec!(numCoresPerSocket)).filter(|cores| *cores != 0);
    if count.is_none() && cores.is_none() {
        return Ok(());
    }
    let before = (config.cpus, config.cores_per_socket);
    if let Some(count) = count {
        config.cpus =
            u32::try_from(count).ok().filter(|count| (1..=MAX_CPUS).contains(count)).ok_or_else(|| {
                invalid_config("numCPUs", &format!("{count} processors are out of range (1–{MAX_CPUS})"))
            })?;
        if cores.is_none() && !config.cpus.is_multiple_of(config.cores_per_socket) {
            config.cores_per_socket = 1;
        }
    }
    if let Some(cores) = cores {
        config.cores_per_socket = u32::try_from(cores)
            .ok()
            .filter(|cores| config.cpus.is_multiple_of(*cores))
            .ok_or_else(|| {
                let message = format!("{} processors cannot be sockets of {cores} cores", config.cpus);
                invalid_config("numCoresPerSocket", &message)
            })?;
    }
    if around.running && before != (config.cpus, config.cores_per_socket) {
        let more = config.cpus.checked_sub(before.0).filter(|more| *more > 0);
        match more {
            Some(count) if config.cpu_hot_add && before.1 == config.cores_per_socket => {
                steps.push(Step::AddProcessors { count });
            }
            _ => {
                return Err(fault!(
                    CpuHotPlugNotSupported {},
                    "Processors can only be added while the VM runs, in whole sockets, and only if \
                     cpuHotAddEnabled was set before it was powered on"
                ));
            }
        }
    }
    Ok(())
}

fn memory(
    spec: &Object,
    config: &mut VmConfig,
    around: &Surroundings<'_>,
    current: Option<&VmConfig>,
    steps: &mut Vec<Step>,
) -> Result<(), Fault> {
    if let Some(enabled) = spec.get(spec!(memoryHotAddEnabled)) {
        if around.running && enabled != config.memory_hot_add {
            return Err(powered_on("memoryHotAddEnabled"));
        }
        config.memory_hot_add = enabled;
    }
    let Some(mib) = spec.get(spec!(memoryMB)) else { return Ok(()) };
    let bounds = MIN_MEMORY_MIB..=MAX_MEMORY_MIB;
    let wanted = u64::try_from(mib).ok().filter(|mib| bounds.contains(mib) && mib.is_multiple_of(4));
    config.memory_mib = wanted.ok_or_else(|| {
        let message = format!(
            "{mib} MB of memory is out of range (multiples of 4 in {MIN_MEMORY_MIB}–{MAX_MEMORY_MIB})"
        );
        invalid_config("memoryMB", &message)
    })?;
    if let Some(current) = current.filter(|_| around.running) {
        let more = config.memory_mib.checked_sub(current.memory_mib);
        match more {
            Some(0) => {}
            Some(mib) if current.memory_hot_add && mib.is_multiple_of(128) => {
                steps.push(Step::AddMemory { mib })
            }
            _ => {
                return Err(fault!(
                    MemoryHotPlugNotSupported {},
                    "Memory can only grow by multiples of 128 MB while the VM runs, and only if \
                     memoryHotAddEnabled was set before it was powered on"
                ));
            }
        }
    }
    Ok(())
}

fn firmware(spec: &Object, config: &mut VmConfig, around: &Surroundings<'_>) -> Result<(), Fault> {
    let before = config.firmware;
    if let Some(firmware) = spec.get(spec!(firmware)).filter(|firmware| !firmware.is_empty()) {
        config.firmware = match (firmware, config.firmware) {
            ("bios", _) => Firmware::Bios,
            ("efi", Firmware::Efi { secure_boot }) => Firmware::Efi { secure_boot },
            ("efi", Firmware::Bios) => Firmware::Efi { secure_boot: false },
            _ => {
                return Err(invalid_config(
                    "firmware",
                    &format!("The firmware {firmware} is unknown; use bios or efi"),
                ));
            }
        };
    }
    let secure = spec
        .get(spec!(bootOptions))
        .and_then(|boot| boot.get(field!(VirtualMachineBootOptions.efiSecureBootEnabled)));
    match (&mut config.firmware, secure) {
        (Firmware::Efi { secure_boot }, Some(secure)) => *secure_boot = secure,
        (Firmware::Bios, Some(true)) => {
            return Err(invalid_config(
                "bootOptions.efiSecureBootEnabled",
                "Secure boot needs the firmware efi",
            ));
        }
        _ => {}
    }
    if around.running && before != config.firmware {
        return Err(powered_on("firmware"));
    }
    Ok(())
}

fn extra(spec: &Object, config: &mut VmConfig) -> Result<(), Fault> {
    for option in spec.get(spec!(extraConfig)).into_iter().flatten() {
        let key = option.get(field!(OptionValue.key)).unwrap_or_default();
        let value = option.get(field!(OptionValue.value)).map_or_else(String::new, |value| match value {
            vim::Value::String(text) => text.to_string(),
            vim::Value::Boolean(flag) => if *flag { "TRUE" } else { "FALSE" }.into(),
            other => other
                .converted(vim::Kind::String)
                .and_then(|text| text.as_str().map(ToOwned::to_owned))
                .unwrap_or_default(),
        });
        if key.trim().is_empty() || vmx::is_hosts(key) {
            return Err(invalid_config("extraConfig", &format!("The key \"{key}\" cannot be set")));
        }
        if key.eq_ignore_ascii_case(vmx::DISK_UUID) {
            config.disk_uuid = ["true", "1", "yes", "on"].iter().any(|yes| value.eq_ignore_ascii_case(yes));
        } else if vmx::is_field(key) {
            // As vSphere does (API reference, `VirtualMachineConfigSpec.extraConfig`): another field of the specification
            // stands for the key, and has a privilege of its own.
            tracing::info!(vm = config.name, key, "a key that a field stands for is not extra configuration");
        } else {
            merge(&mut config.extra, key, &value);
        }
    }
    Ok(())
}

fn allocation(to: &mut Allocation, wanted: &Object, name: &str) -> Result<(), Fault> {
    if let Some(reservation) = wanted.get(field!(ResourceAllocationInfo.reservation)) {
        if reservation < 0 {
            return Err(invalid_config(&format!("{name}.reservation"), "A reservation is not negative"));
        }
        to.reservation = reservation;
    }
    if let Some(limit) = wanted.get(field!(ResourceAllocationInfo.limit)) {
        to.limit = limit.max(-1);
    }
    if let Some(shares) = wanted.get(field!(ResourceAllocationInfo.shares)) {
        let number = shares.get(field!(SharesInfo.shares)).unwrap_or(0);
        to.shares =
            match shares.get(field!(SharesInfo.level)).map(vim::EnumValue::from).map(|level| level.name()) {
                Some("low") => Shares::Low,
                Some("high") => Shares::High,
                Some("custom") => Shares::Custom(number.max(0)),
                _ => Shares::Normal,
            };
    }
    if to.limit >= 0 && to.limit < to.reservation {
        return Err(invalid_config(&format!("{name}.limit"), "The limit is below the reservation"));
    }
    Ok(())
}

/// Boot options, after the devices that they may name.
pub(super) fn apply_boot(spec: &Object, config: &mut VmConfig) -> Result<(), Fault> {
    config.boot.order.retain(|device| match device {
        BootDevice::Disk(key) | BootDevice::Nic(key) => config.devices.contains_key(key),
        BootDevice::Cdrom => true,
    });
    let Some(boot) = spec.get(spec!(bootOptions)) else { return Ok(()) };
    macro_rules! take {
        ($to:expr, $field:ident) => {
            if let Some(value) = boot.get(field!(VirtualMachineBootOptions.$field)) {
                $to = value;
            }
        };
    }
    for (name, delay) in [
        ("bootOptions.bootDelay", boot.get(field!(VirtualMachineBootOptions.bootDelay))),
        ("bootOptions.bootRetryDelay", boot.get(field!(VirtualMachineBootOptions.bootRetryDelay))),
    ] {
        if delay.is_some_and(|delay| delay < 0) {
            return Err(invalid_config(name, "A delay is not negative"));
        }
    }
    take!(config.boot.delay_ms, bootDelay);
    take!(config.boot.setup, enterBIOSSetup);
    take!(config.boot.retry, bootRetryEnabled);
    take!(config.boot.retry_delay_ms, bootRetryDelay);
    let Some(order) = boot.get(field!(VirtualMachineBootOptions.bootOrder)) else { return Ok(()) };
    config.boot.order.clear();
    for device in order {
        let disk = device.is_a(data_id!(VirtualMachineBootOptionsBootableDiskDevice));
        let nic = device.is_a(data_id!(VirtualMachineBootOptionsBootableEthernetDevice));
        let entry = if disk {
            let key =
                device.get(field!(VirtualMachineBootOptionsBootableDiskDevice.deviceKey)).unwrap_or_default();
            config.devices.get(&key).and_then(|device| device.disk()).map(|_| BootDevice::Disk(key))
        } else if nic {
            let key = device
                .get(field!(VirtualMachineBootOptionsBootableEthernetDevice.deviceKey))
                .unwrap_or_default();
            config.devices.get(&key).and_then(|device| device.nic()).map(|_| BootDevice::Nic(key))
        } else if device.is_a(data_id!(VirtualMachineBootOptionsBootableCdromDevice)) {
            Some(BootDevice::Cdrom)
        } else {
            return Err(not_supported(&format!("A VM cannot boot from a {}", device.type_name())));
        };
        let message = "The boot order names a device that the VM does not have";
        let entry = entry.ok_or_else(|| invalid_config("bootOptions.bootOrder", message))?;
        if !config.boot.order.contains(&entry) {
            config.boot.order.push(entry);
        }
    }
    Ok(())
}
