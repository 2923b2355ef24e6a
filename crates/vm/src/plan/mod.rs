//! What a `VirtualMachineConfigSpec` makes of a machine, decided before anything is done: the new configuration and
//! the steps to it, or the fault that names the property that is wrong. Nothing here changes anything.

mod device_faults;
mod devices;
mod drives;
mod nics;
mod settings;

use std::collections::BTreeMap;

use vim::{DateTime, Fault, MoRef, Object, fault, field};

use crate::config::VmConfig;
use crate::device::FileRef;
use crate::storage::Storage;

/// What planning needs to know of the world.
pub struct Surroundings<'a> {
    pub storage: &'a dyn Storage,
    /// The machine's `.vmx`.
    pub home: FileRef,
    /// The machine runs.
    pub running: bool,
    /// It has snapshots.
    pub has_snapshots: bool,
    /// The network with this name or reference, by its name.
    pub network: &'a dyn Fn(Option<&MoRef>, &str) -> Option<String>,
    /// Size that a guest sees of a disk image, bytes.
    pub capacity_bytes: &'a dyn Fn(&FileRef) -> Result<u64, Fault>,
    /// The images under a disk image.
    pub parents: &'a dyn Fn(&FileRef) -> Result<Vec<FileRef>, Fault>,
    /// Whether the file exists.
    pub exists: &'a dyn Fn(&FileRef) -> Result<bool, Fault>,
    /// Why a file cannot take the output of a serial port, as a sentence about the file; `None` if it can.
    pub unfit_for_output: &'a dyn Fn(&FileRef) -> Result<Option<String>, Fault>,
    /// A MAC address that nothing on this host has.
    pub new_mac: &'a dyn Fn() -> String,
    /// Whether another adapter of this host has the address.
    pub mac_taken: &'a dyn Fn(&str) -> bool,
    pub now: DateTime,
}

/// A step from one configuration to the next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make an empty disk, which the device with this key then has.
    CreateDisk { key: i32, file: FileRef, bytes: u64, thin: bool, eager: bool },
    /// Grow the disk with this key.
    GrowDisk { key: i32, file: FileRef, bytes: u64 },
    /// Remove the files of a disk that is no longer the machine's.
    DestroyDisk { files: Vec<FileRef> },
    /// Add the device with this key to the running machine.
    Plug(i32),
    /// Take the device with this key out of the running machine.
    Unplug(i32),
    /// Put what the drive with this key now has into it.
    ChangeMedium(i32),
    /// Plug the cable of the adapter with this key in or out.
    SetLink { key: i32, up: bool },
    /// Move the running adapter with this key to its new network.
    Reconnect(i32),
    /// Add memory to the running machine.
    AddMemory { mib: u64 },
    /// Add processors to the running machine.
    AddProcessors { count: u32 },
}

/// A decided change.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub config: VmConfig,
    pub steps: Vec<Step>,
}

/// A new machine. Its name is checked; that its directory is free is not.
///
/// # Errors
/// `InvalidVmConfig` and those derived from it, `InvalidName`, `FileNotFound`.
pub fn create(spec: &Object, around: &Surroundings<'_>) -> Result<Plan, Fault> {
    let name = spec.get(field!(VirtualMachineConfigSpec.name)).unwrap_or_default();
    check_name(name)?;
    let mut config = VmConfig::new(name, around.now);
    settings::apply(spec, &mut config, around, None)?;
    if let Some(created) = spec.get(field!(VirtualMachineConfigSpec.createDate)) {
        config.created = Some(created);
    }
    let steps = devices::apply(spec, &mut config, around)?;
    settings::apply_boot(spec, &mut config)?;
    Ok(Plan { config, steps })
}

/// A change of a machine.
///
/// # Errors
/// As [`create`]; `ConcurrentAccess` if `changeVersion` is not the current one; `InvalidPowerState`,
/// `CpuHotPlugNotSupported` and `MemoryHotPlugNotSupported` for what cannot change while the machine runs.
pub fn reconfigure(spec: &Object, current: &VmConfig, around: &Surroundings<'_>) -> Result<Plan, Fault> {
    if let Some(seen) = spec.get(field!(VirtualMachineConfigSpec.changeVersion))
        && !seen.is_empty()
        && seen != current.change_version
    {
        return Err(fault!(
            ConcurrentAccess {},
            "The configuration has changed since version {seen}; read it again and repeat the change"
        ));
    }
    let mut config = current.clone();
    if let Some(name) = spec.get(field!(VirtualMachineConfigSpec.name)) {
        check_name(name)?;
        name.clone_into(&mut config.name);
    }
    let mut steps = settings::apply(spec, &mut config, around, Some(current))?;
    steps.extend(devices::apply(spec, &mut config, around)?);
    settings::apply_boot(spec, &mut config)?;
    if config != *current {
        config.touch(around.now);
    }
    Ok(Plan { config, steps })
}

/// Refuses what cannot be the name of a virtual machine.
///
/// # Errors
/// `InvalidName`.
pub fn check_name(name: &str) -> Result<(), Fault> {
    let bad = name.trim().is_empty()
        || name.chars().count() > crate::limits::MAX_NAME
        || name.chars().any(char::is_control);
    if bad {
        return Err(fault!(
            InvalidName { name: name },
            "\"{name}\" cannot be a name: use 1 to {} characters, none of them a control character",
            crate::limits::MAX_NAME
        ));
    }
    Ok(())
}

/// Merges `extraConfig`: an empty value removes a key.
pub(crate) fn merge_extra(extra: &mut BTreeMap<String, String>, key: &str, value: &str) {
    let known = extra.keys().find(|known| known.eq_ignore_ascii_case(key)).cloned();
    if value.is_empty() {
        extra.remove(known.as_deref().unwrap_or(key));
    } else {
        extra.insert(known.unwrap_or_else(|| key.to_owned()), value.to_owned());
    }
}
