//! The change that a `VirtualMachineConfigSpec` makes to a VM, decided before anything is done: the new configuration
//! and the steps to it, or the fault that names the wrong property. Nothing here changes anything.

mod devices;
mod extra;
mod settings;

use vim::{Fault, Object, fault, field};

use crate::config::VmConfig;
pub use crate::device::{Step, Surroundings};

/// A decided change.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub config: VmConfig,
    pub steps: Vec<Step>,
}

/// Plans a new VM. The name is checked; whether its directory is free is not.
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

/// Plans a change of a VM.
///
/// # Errors
/// As [`create`]; `ConcurrentAccess` if `changeVersion` is not the current one; `InvalidPowerState`,
/// `CpuHotPlugNotSupported` and `MemoryHotPlugNotSupported` for a change that a running VM cannot follow.
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
    extra::leave(&mut config, current);
    settings::apply_boot(spec, &mut config)?;
    if config != *current {
        config.touch(around.now);
    }
    Ok(Plan { config, steps })
}

/// Refuses a text that cannot be the name of a VM.
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
