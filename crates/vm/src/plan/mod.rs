//! The change that a `VirtualMachineConfigSpec` makes to a VM, decided before anything is done: the new configuration
//! and the steps to it, or the fault that names the wrong property. Nothing here changes anything.

mod devices;
mod extra;
mod kept;
mod name;
mod settings;
mod strict;

use vim::{Fault, Object, fault, field};

use crate::config::VmConfig;
pub use crate::device::{Step, Surroundings};
use crate::faults::not_supported;
use devices::Applied;
pub use name::parse_name;
use strict::Made;
pub use strict::is_nothing;

/// The fields of a specification that change a template.
const OF_TEMPLATES: [u16; 3] = [
    field!(VirtualMachineConfigSpec.changeVersion).number(),
    field!(VirtualMachineConfigSpec.name).number(),
    field!(VirtualMachineConfigSpec.annotation).number(),
];

/// A decided change.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub config: VmConfig,
    pub steps: Vec<Step>,
}

/// Plans a new VM. Its name is as [`parse_name`] keeps it; whether it and its directory are free is not checked.
///
/// # Errors
/// `InvalidVmConfig` and those derived from it, `InvalidName`, `FileNotFound`.
pub fn create(spec: &Object, around: &Surroundings<'_>) -> Result<Plan, Fault> {
    let name = parse_name(spec.get(field!(VirtualMachineConfigSpec.name)).unwrap_or_default(), None)?;
    let mut config = VmConfig::new(&name, around.now);
    settings::apply(spec, &mut config, around, None)?;
    if let Some(created) = spec.get(field!(VirtualMachineConfigSpec.createDate)) {
        config.created = Some(created);
    }
    let Applied { steps, changed } = devices::apply(spec, &mut config, true, around)?;
    settings::apply_boot(spec, &mut config)?;
    strict::check(spec, &Made { config: &config, devices: &changed, new: true }, around)?;
    Ok(Plan { config, steps })
}

/// Plans a change of a VM.
///
/// # Errors
/// As [`create`]; `NotSupported` for a template, of which only name and annotation change; `ConcurrentAccess` if `changeVersion` is not the current one; `InvalidPowerState`,
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
    if current.template
        && !spec.fields().iter().all(|(number, value)| OF_TEMPLATES.contains(number) || is_nothing(value))
    {
        let message =
            "The hardware and settings of a template cannot be changed; make it a virtual machine first";
        return Err(not_supported(message));
    }
    let mut config = current.clone();
    if let Some(name) = spec.get(field!(VirtualMachineConfigSpec.name)) {
        config.name = parse_name(name, None)?;
    }
    let mut steps = settings::apply(spec, &mut config, around, Some(current))?;
    let applied = devices::apply(spec, &mut config, false, around)?;
    steps.extend(applied.steps);
    extra::leave(&mut config, current);
    settings::apply_boot(spec, &mut config)?;
    strict::check(spec, &Made { config: &config, devices: &applied.changed, new: false }, around)?;
    if config != *current {
        config.touch(around.now);
    }
    Ok(Plan { config, steps })
}
