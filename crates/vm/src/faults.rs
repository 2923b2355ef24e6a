//! Faults about a configuration as a whole; those about one device are in [`crate::device`].

use vim::{Fault, fault};

/// `NotSupported` with the reason.
pub fn not_supported(message: &str) -> Fault {
    fault!(NotSupported {}, "{message}")
}

/// `InvalidVmConfig` for a property of a specification.
pub fn invalid_config(property: &str, message: &str) -> Fault {
    fault!(InvalidVmConfig { property: property }, "{message}")
}

/// `InvalidPowerState` for a change that needs the VM to be off.
pub(crate) fn powered_on(what: &str) -> Fault {
    fault!(
        InvalidPowerState { requestedState: "poweredOff", existingState: "poweredOn" },
        "{what} cannot be changed while the VM runs; power it off first"
    )
}
