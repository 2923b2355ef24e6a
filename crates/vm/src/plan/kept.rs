//! The settings that a VM only keeps, as a specification asks for them.

use vim::{Fault, Object, field};

use crate::config::VmConfig;
use crate::faults::invalid_config;
use crate::kept::{Flag, PowerOp, set_consoles, set_latency};

macro_rules! spec {
    ($field:ident) => {
        field!(VirtualMachineConfigSpec.$field)
    };
}

/// Applies them.
pub(super) fn apply(spec: &Object, config: &mut VmConfig) -> Result<(), Fault> {
    let flags =
        spec.get(spec!(flags)).and_then(|flags| flags.get(field!(VirtualMachineFlagInfo.enableLogging)));
    let sync =
        spec.get(spec!(tools)).and_then(|tools| tools.get(field!(ToolsConfigInfo.syncTimeWithHostAllowed)));
    let locked = spec.get(spec!(memoryReservationLockedToMax));
    for (flag, wanted) in [(Flag::Logging, flags), (Flag::TimeSync, sync), (Flag::MemoryLocked, locked)] {
        if let Some(on) = wanted {
            flag.set(config, on);
        }
    }
    if let Some(wanted) = spec.get(spec!(latencySensitivity)) {
        let level = wanted.get(field!(LatencySensitivity.level)).map(vim::EnumValue::from);
        let level = level.map_or("", vim::EnumValue::name);
        if !set_latency(config, level) {
            let message =
                format!("The latency sensitivity {level} is not supported; use low, normal, medium or high");
            return Err(invalid_config("latencySensitivity.level", &message));
        }
    }
    if let Some(number) = spec.get(spec!(maxMksConnections))
        && !set_consoles(config, number)
    {
        let message = format!("{number} consoles are out of range; use 0 to 40, or -1 for any number");
        return Err(invalid_config("maxMksConnections", &message));
    }
    power(spec, config)
}

fn power(spec: &Object, config: &mut VmConfig) -> Result<(), Fault> {
    let Some(wanted) = spec.get(spec!(powerOpInfo)) else { return Ok(()) };
    macro_rules! op {
        ($field:ident) => {
            (wanted.get(field!(VirtualMachineDefaultPowerOpInfo.$field)), stringify!($field))
        };
    }
    for (op, (word, name)) in [
        (PowerOp::Off, op!(powerOffType)),
        (PowerOp::Suspend, op!(suspendType)),
        (PowerOp::Reset, op!(resetType)),
    ] {
        if let Some(word) = word.filter(|word| !word.is_empty())
            && !op.set(config, word)
        {
            let message = format!("\"{word}\" is unknown; use soft, hard or preset");
            return Err(invalid_config(&format!("powerOpInfo.{name}"), &message));
        }
    }
    Ok(())
}

/// Reserves all memory of a VM whose reservation follows its memory.
pub(super) fn lock_memory(config: &mut VmConfig) -> Result<(), Fault> {
    if !Flag::MemoryLocked.of(config) {
        return Ok(());
    }
    let all = i64::try_from(config.memory_mib).unwrap_or(i64::MAX);
    if config.memory.limit >= 0 && config.memory.limit < all {
        let message = "All memory is reserved, but the limit is below it";
        return Err(invalid_config("memoryAllocation.limit", message));
    }
    config.memory.reservation = all;
    Ok(())
}
