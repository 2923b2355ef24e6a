//! Faults of the vSphere API as errors of the automation API.

use vapi::{Error, ErrorKind};
use vim::{DataId, Fault, data_id};

/// Derived faults come before their bases.
const KINDS: &[(DataId, ErrorKind)] = &[
    (data_id!(NotAuthenticated), ErrorKind::Unauthenticated),
    (data_id!(InvalidLogin), ErrorKind::Unauthenticated),
    (data_id!(NoPermission), ErrorKind::Unauthorized),
    (data_id!(ManagedObjectNotFound), ErrorKind::NotFound),
    (data_id!(NotFound), ErrorKind::NotFound),
    (data_id!(DuplicateName), ErrorKind::AlreadyExists),
    (data_id!(AlreadyExists), ErrorKind::AlreadyExists),
    (data_id!(InvalidArgument), ErrorKind::InvalidArgument),
    (data_id!(InvalidName), ErrorKind::InvalidArgument),
    (data_id!(UserNotFound), ErrorKind::InvalidArgument),
    (data_id!(RemoveFailed), ErrorKind::ResourceInUse),
    (data_id!(ResourceInUse), ErrorKind::ResourceInUse),
    (data_id!(InvalidPowerState), ErrorKind::NotAllowedInCurrentState),
    (data_id!(TaskInProgress), ErrorKind::ResourceBusy),
    (data_id!(InvalidState), ErrorKind::NotAllowedInCurrentState),
    (data_id!(HostNotConnected), ErrorKind::ServiceUnavailable),
    (data_id!(OutOfBounds), ErrorKind::UnableToAllocateResource),
    (data_id!(NotSupported), ErrorKind::Unsupported),
];

/// The error that tells a client of the automation API of a fault. Its message's id is the fault's type.
pub(crate) fn to_error(fault: &Fault) -> Error {
    let kind = KINDS.iter().find(|(ty, _)| fault.is_a(*ty)).map_or(ErrorKind::Error, |(_, kind)| *kind);
    Error::new(kind, &format!("vim.fault.{}", fault.type_name()), fault.to_string())
}

#[cfg(test)]
mod tests {
    use vim::fault;

    use super::*;

    #[test]
    fn a_fault_has_the_kind_of_its_nearest_base() {
        let cases = [
            (fault!(InvalidLogin {}, "no"), ErrorKind::Unauthenticated),
            (fault!(NoPermission {}, "no"), ErrorKind::Unauthorized),
            (fault!(InvalidPowerState {}, "no"), ErrorKind::NotAllowedInCurrentState),
            (fault!(FileLocked {}, "no"), ErrorKind::Error),
        ];
        for (fault, kind) in cases {
            let error = to_error(&fault);
            assert_eq!(error.kind, kind, "{}", fault.type_name());
            assert_eq!(error.messages[0].text, "no");
        }
    }
}
