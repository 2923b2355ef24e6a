//! The faults that clients see for errors of the engine. An error itself names its cause; the type tells clients what to do.

use vim::{Fault, MoRef, fault};
use vm::FileRef;

use super::Error;
use crate::datastores::Datastores;
use crate::ids;

/// The fault for an error of the QEMU process of a VM.
pub(crate) fn machine_fault(vm: &MoRef, error: &Error) -> Fault {
    match error {
        Error::NoSpace { path } => fault!(
            NoDiskSpace { file: path.display().to_string(), datastore: "" },
            "No space is left for {}; free space on the datastore",
            path.display()
        ),
        Error::AgentSilent { .. } | Error::Agent { .. } => fault!(ToolsUnavailable {}, "{error}"),
        Error::Image { path, reason, .. } => {
            let name = path.display().to_string();
            fault!(CannotAccessFile { file: &*name }, "{name}: {reason}")
        }
        Error::Closed | Error::NotRunning(_) => fault!(
            InvalidPowerState { existingState: "poweredOff", requestedState: "poweredOn" },
            "The virtual machine {} has ended: {error}",
            vm.id()
        ),
        _ => fault!(GenericVmConfigFault { reason: error.to_string() }, "{error}"),
    }
}

/// The fault for an error of a disk image.
pub(crate) fn image_fault(datastores: &Datastores, file: &FileRef, error: &Error) -> Fault {
    let name = datastores.show(file);
    match error {
        Error::NoSpace { .. } => {
            let datastore = datastores.by_uuid(file.datastore).map_or_else(String::new, |on| on.name);
            fault!(
                NoDiskSpace { file: &*name, datastore: datastore },
                "No space is left for {name}; free space on the datastore"
            )
        }
        Error::Image { reason, .. } => fault!(CannotAccessFile { file: &*name }, "{name}: {reason}"),
        other => machine_fault(&ids::host(), other),
    }
}
