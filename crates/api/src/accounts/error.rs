//! Why accounts, roles and permissions could not be changed.

use vim::{Fault, fault};

#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("the store of accounts failed: {0}")]
    Store(#[from] store::Error),
    #[error("there is no user or group {0:?}")]
    UnknownUser(String),
    #[error("there is an account {0:?} already")]
    UserExists(String),
    #[error("{0:?} is no name of an account: use 1 to 128 letters, digits and -._ in the realm's own domain")]
    BadName(String),
    #[error("a password must have 1 to 1024 bytes")]
    BadPassword,
    #[error("there is no role {0}")]
    UnknownRole(i32),
    #[error("there is a role {0:?} already")]
    RoleExists(String),
    #[error("{0:?} is no name of a role: use 1 to 80 characters")]
    BadRoleName(String),
    #[error("there is no privilege {0}")]
    UnknownPrivilege(String),
    #[error("role {0} belongs to the system and cannot be changed")]
    SystemRole(i32),
    #[error("role {0} is in use; remove the permissions with it first")]
    RoleInUse(i32),
    #[error("there is no such permission")]
    UnknownPermission,
    #[error(
        "nobody would be an administrator any more; give another account the role Admin on the root folder first"
    )]
    LastAdministrator,
    #[error("there are {limit} {what} already; remove some")]
    TooMany { what: &'static str, limit: usize },
    /// A fault of ours.
    #[error("{0} failed by an internal error")]
    Internal(&'static str),
}

impl AccountError {
    /// As clients are told.
    pub fn to_fault(&self) -> Fault {
        match self {
            Self::UnknownUser(name) => {
                fault!(UserNotFound { principal: name, unresolved: false }, "{self}")
            }
            Self::UserExists(name) | Self::RoleExists(name) => fault!(AlreadyExists { name: name }, "{self}"),
            Self::BadName(name) | Self::BadRoleName(name) => fault!(InvalidName { name: name }, "{self}"),
            Self::BadPassword => fault!(InvalidArgument { invalidProperty: "password" }, "{self}"),
            Self::UnknownRole(_) | Self::UnknownPermission => fault!(NotFound {}, "{self}"),
            Self::UnknownPrivilege(_) => fault!(InvalidArgument { invalidProperty: "privIds" }, "{self}"),
            Self::SystemRole(_) => fault!(InvalidArgument { invalidProperty: "roleId" }, "{self}"),
            Self::RoleInUse(_) => fault!(RemoveFailed {}, "{self}"),
            Self::LastAdministrator => fault!(AuthMinimumAdminPermission {}, "{self}"),
            Self::TooMany { what, .. } => fault!(OutOfBounds { argumentName: *what }, "{self}"),
            Self::Store(_) | Self::Internal(_) => {
                tracing::error!(error = %self, "a change of accounts failed");
                fault!(
                    SystemError { reason: "accounts" },
                    "The accounts cannot be read or changed at the moment"
                )
            }
        }
    }
}

impl From<AccountError> for Fault {
    fn from(error: AccountError) -> Self {
        error.to_fault()
    }
}
