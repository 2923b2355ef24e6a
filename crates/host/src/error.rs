//! What can go wrong when a host is opened, and the faults that errors of the mechanisms below become.

use vim::{DataId, Fault, MoRef, Object, fault, field};

/// Result with [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a host could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The durable state cannot be read or written.
    #[error("the host's state: {0}")]
    Store(#[from] store::Error),
    /// A datastore cannot be mounted.
    #[error("the datastore {name}: {source}")]
    Datastore {
        name: String,
        #[source]
        source: datastore::Error,
    },
    /// The network cannot be begun.
    #[error("the network: {0}")]
    Network(#[from] hostnet::Error),
    /// QEMU processes that run already cannot be looked through.
    #[error("the machines that run already: {0}")]
    Qemu(#[from] qemu::Error),
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
    /// A fault of the API in a place where there is no client.
    #[error("{0}")]
    Fault(#[from] Fault),
}

/// A fault of type `ty` (`FileFault` or derived from it) that names the file.
pub(crate) fn about_file(ty: DataId, file: &str, message: String) -> Fault {
    let mut object = Object::new(ty);
    object.set(field!(FileFault.file), file);
    Fault::new(object, message)
}

/// The fault for an error of the machinery that runs a virtual machine.
pub(crate) fn machine_fault(vm: &MoRef, error: &qemu::Error) -> Fault {
    use qemu::Error as E;
    match error {
        E::NoSpace { path } => fault!(
            NoDiskSpace { file: path.display().to_string(), datastore: "" },
            "No space is left for {}; free space on the datastore",
            path.display()
        ),
        E::AgentSilent { .. } | E::Agent { .. } => fault!(ToolsUnavailable {}, "{error}"),
        E::Image { path, reason, .. } => {
            let name = path.display().to_string();
            fault!(CannotAccessFile { file: &*name }, "{name}: {reason}")
        }
        E::NoFreePort { .. } | E::Spec(_) | E::NoSuchDevice(_) => {
            fault!(GenericVmConfigFault { reason: error.to_string() }, "{error}")
        }
        E::Closed | E::NotRunning(_) => fault!(
            InvalidPowerState { existingState: "poweredOff", requestedState: "poweredOn" },
            "The virtual machine {} has ended: {error}",
            vm.id()
        ),
        _ => fault!(GenericVmConfigFault { reason: error.to_string() }, "{error}"),
    }
}

/// The fault for an error of the host's durable state. The operation was not acknowledged.
pub(crate) fn store_fault(error: &store::Error) -> Fault {
    match error {
        store::Error::Full => fault!(
            NoDiskSpace { file: "state", datastore: "" },
            "The disk that holds the host's own state is full; free space and try again"
        ),
        _ => {
            tracing::error!(%error, "the host's state could not be read or written");
            fault!(
                SystemError { reason: "the host's state could not be read or written" },
                "The host's state could not be read or written: {error}"
            )
        }
    }
}

/// `SystemError` for an error that should not happen; the log gets the reason.
pub(crate) fn internal(what: &str, error: &dyn std::fmt::Display) -> Fault {
    tracing::error!(what, %error, "internal error");
    fault!(SystemError { reason: what }, "{what}: {error}")
}

/// `NotSupported` with the reason.
pub(crate) fn not_supported(message: &str) -> Fault {
    fault!(NotSupported {}, "{message}")
}

/// `InvalidVmConfig` for a property of a specification.
pub(crate) fn invalid_config(property: &str, message: &str) -> Fault {
    fault!(InvalidVmConfig { property: property }, "{message}")
}
