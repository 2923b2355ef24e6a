//! Why a host could not be opened, and faults that several slices need.

use vim::{DataId, Fault, Object, fault, field};

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
    /// The network cannot be opened.
    #[error("the network: {0}")]
    Network(#[from] hostnet::Error),
    /// The QEMU processes that run already cannot be found.
    #[error("the QEMU processes that run already: {0}")]
    Qemu(#[from] qemu::Error),
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
    /// A fault of the API where no client is concerned.
    #[error("{0}")]
    Fault(#[from] Fault),
}

/// A fault of type `ty` (`FileFault` or derived from it) that names the file.
pub(crate) fn about_file(ty: DataId, file: &str, message: String) -> Fault {
    let mut object = Object::new(ty);
    object.set(field!(FileFault.file), file);
    Fault::new(object, message)
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
