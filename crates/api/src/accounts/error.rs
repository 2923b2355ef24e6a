//! The errors of changes to accounts, roles and permissions.

use vim::{Fault, MoRef, fault, vim};

#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("the store of accounts failed: {0}")]
    Store(#[from] store::Error),
    #[error("the user or group {0:?} does not exist")]
    UnknownUser(String),
    #[error("the account {0:?} exists already")]
    UserExists(String),
    #[error("the group {0:?} exists already")]
    GroupExists(String),
    #[error("the group {0:?} belongs to the system and cannot be removed")]
    BuiltInGroup(String),
    #[error("the group {0:?} has this member already")]
    MemberExists(String),
    #[error("the group {inner:?} contains {outer:?} already, so it cannot belong to it")]
    CircleOfGroups { inner: String, outer: String },
    #[error("the user has a token {0:?} already")]
    TokenExists(String),
    #[error("the token {0:?} does not exist")]
    UnknownToken(String),
    #[error("the {0} is not valid")]
    BadText(&'static str),
    #[error("the password is not good enough: {0}")]
    WeakPassword(String),
    #[error(
        "{0:?} is not a valid name for an account: use 1 to 128 letters, digits and -._ in the realm's own domain"
    )]
    BadName(String),
    #[error("a password must have 1 to 1024 bytes")]
    BadPassword,
    #[error("the role {0} does not exist")]
    UnknownRole(i32),
    #[error("the role {0:?} exists already")]
    RoleExists(String),
    #[error("{0:?} is not a valid name for a role: use 1 to 80 characters")]
    BadRoleName(String),
    #[error("the privilege {0} does not exist")]
    UnknownPrivilege(String),
    #[error("role {0} belongs to the system and cannot be changed")]
    SystemRole(i32),
    #[error("role {0} is in use; remove the permissions with it first")]
    RoleInUse(i32),
    /// Nobody gives or takes away what he does not hold himself.
    #[error(
        "{user} may not change who has {} on {object}, because {user} does not have it there",
        shortened(privileges)
    )]
    NotHeld { user: String, object: MoRef, privileges: Vec<String> },
    /// The entity always has the permissions of its parent.
    #[error("{0} always has the permissions of its parent; set them there")]
    TakesNone(MoRef),
    #[error("the permission does not exist")]
    UnknownPermission,
    #[error(
        "the last administrator would be lost; give another account the role Admin on the root folder first"
    )]
    LastAdministrator,
    #[error("the limit of {limit} {what} is reached; remove some")]
    TooMany { what: &'static str, limit: usize },
    #[error("the identity source {0:?} does not exist")]
    UnknownSource(String),
    #[error("the domain {0:?} has an identity source already")]
    SourceExists(String),
    /// An identity source cannot be used, or gives no answer.
    #[error("{0}")]
    Source(String),
    /// A programming error.
    #[error("{0} failed because of an internal error")]
    Internal(&'static str),
}

impl AccountError {
    /// The fault for the client.
    pub fn to_fault(&self) -> Fault {
        match self {
            Self::UnknownUser(name) => {
                fault!(UserNotFound { principal: name, unresolved: false }, "{self}")
            }
            Self::UserExists(name)
            | Self::RoleExists(name)
            | Self::GroupExists(name)
            | Self::MemberExists(name)
            | Self::SourceExists(name)
            | Self::TokenExists(name) => fault!(AlreadyExists { name: name }, "{self}"),
            Self::BadName(name) | Self::BadRoleName(name) => fault!(InvalidName { name: name }, "{self}"),
            Self::CircleOfGroups { .. } => fault!(InvalidArgument { invalidProperty: "user" }, "{self}"),
            Self::BuiltInGroup(_) => fault!(InvalidArgument { invalidProperty: "groupName" }, "{self}"),
            Self::BadText(what) => fault!(InvalidArgument { invalidProperty: *what }, "{self}"),
            Self::UnknownToken(_) | Self::UnknownSource(_) => fault!(NotFound {}, "{self}"),
            Self::BadPassword | Self::WeakPassword(_) => {
                fault!(InvalidArgument { invalidProperty: "password" }, "{self}")
            }
            Self::UnknownRole(_) | Self::UnknownPermission => fault!(NotFound {}, "{self}"),
            Self::UnknownPrivilege(_) => fault!(InvalidArgument { invalidProperty: "privIds" }, "{self}"),
            Self::SystemRole(_) => fault!(InvalidArgument { invalidProperty: "roleId" }, "{self}"),
            Self::NotHeld { object, privileges, .. } => no_permission(object, privileges, self.to_string()),
            Self::TakesNone(_) => fault!(InvalidArgument { invalidProperty: "entity" }, "{self}"),
            Self::RoleInUse(_) => fault!(RemoveFailed {}, "{self}"),
            Self::LastAdministrator => fault!(AuthMinimumAdminPermission {}, "{self}"),
            Self::TooMany { what, .. } => fault!(OutOfBounds { argumentName: *what }, "{self}"),
            Self::Source(_) => fault!(SystemError { reason: "identity source" }, "{self}"),
            Self::Store(_) | Self::Internal(_) => {
                tracing::error!(error = %self, "a change of accounts failed");
                fault!(
                    SystemError { reason: "accounts" },
                    "The accounts cannot be read or changed at the moment; the server's log says why"
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

/// `NoPermission` for several privileges on one object.
fn no_permission(object: &MoRef, privileges: &[String], message: String) -> Fault {
    let missing = vim!(NoPermissionEntityPrivileges { entity: object, privilegeIds: privileges.to_vec() });
    fault!(
        NoPermission {
            object: object,
            privilegeId: privileges.first().cloned(),
            missingPrivileges: [missing]
        },
        "{message}"
    )
}

/// The first of several privileges.
fn shortened(privileges: &[String]) -> String {
    match privileges {
        [first, others @ ..] if !others.is_empty() => format!("{first} and {} more", others.len()),
        _ => privileges.concat(),
    }
}
