//! Operations of the table, and what does them.

use std::collections::HashMap;
use std::sync::Arc;

use api::Session;
use api::accounts::Accounts;
use api::managers::Singletons;
use api::server::Door;
use futures_util::future::BoxFuture;
use tags::Tags;
use vapi::{Error, ErrorKind, OperationId, Value, schema};

/// A request for an operation, before its parameters are read.
pub(crate) struct Asker<'a> {
    pub(crate) door: &'a Door,
    /// The managers of the vSphere API.
    pub(crate) ids: &'a Singletons,
    /// Roles and permissions.
    pub(crate) accounts: &'a Arc<Accounts>,
    pub(crate) tags: &'a Arc<Tags>,
    /// None before login.
    pub(crate) session: Option<Arc<Session>>,
    /// User and password, where the request brings them.
    pub(crate) credentials: Option<(String, String)>,
}

/// One call of an operation.
pub(crate) struct Ask<'a> {
    pub(crate) door: &'a Door,
    /// The managers of the vSphere API.
    pub(crate) ids: &'a Singletons,
    /// Roles and permissions.
    pub(crate) accounts: &'a Arc<Accounts>,
    pub(crate) tags: &'a Arc<Tags>,
    /// The parameters, in the order of the table. Families take them by their numbers.
    pub(crate) input: Vec<Value>,
    /// None before login.
    pub(crate) session: Option<Arc<Session>>,
    /// User and password, where the request brings them.
    pub(crate) credentials: Option<(String, String)>,
}

impl Ask<'_> {
    /// The session.
    ///
    /// # Errors
    /// `unauthenticated` without one.
    pub(crate) fn session(&self) -> Result<&Arc<Session>, Error> {
        self.session.as_ref().ok_or_else(unauthenticated)
    }
}

/// The error on which every client logs in again.
pub(crate) fn unauthenticated() -> Error {
    Error::new(
        ErrorKind::Unauthenticated,
        "com.vmware.vapi.endpoint.method.authentication.required",
        "Authentication required.",
    )
}

/// The name of an operation behind that of its service: `cis.session.get`.
pub(crate) fn full_name(id: OperationId) -> String {
    let service = schema().services.iter().find(|service| service.operations.contains(&id.0));
    format!("{}.{}", service.map_or("", |service| service.name), schema().at(id).name)
}

/// The answer of an operation.
pub(crate) type Reply = Result<Value, Error>;

/// Does an operation.
pub(crate) type Handler = for<'a> fn(Ask<'a>) -> BoxFuture<'a, Reply>;

/// A service whose operations are done here: one row for each family.
pub(crate) struct Family {
    /// The service's name, without `com.vmware.`.
    pub(crate) service: &'static str,
    pub(crate) operations: &'static [Row],
}

/// An operation of a family.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) handler: Handler,
    /// Whether it is done without a session.
    pub(crate) open: bool,
}

/// The handlers of all operations that are done here.
pub(crate) struct Operations {
    rows: HashMap<OperationId, &'static Row>,
}

impl Operations {
    /// Finds the families' operations in the table.
    ///
    /// # Panics
    /// If a family names an operation that the table does not have.
    pub(crate) fn new(parts: &[&[&'static Family]]) -> Self {
        let mut rows = HashMap::new();
        for family in parts.iter().copied().flatten() {
            for row in family.operations {
                let id = schema().operation(family.service, row.name);
                let id = id.unwrap_or_else(|| panic!("{}.{} is not in the table", family.service, row.name));
                rows.insert(id, row);
            }
        }
        Self { rows }
    }

    /// The operations that are done here.
    pub(crate) fn served(&self) -> impl Iterator<Item = OperationId> {
        self.rows.keys().copied()
    }

    /// Does the operation. `input` reads the parameters, in the order of the table, once the client is admitted: a client without
    /// a session learns nothing of what its parameters lack, and costs no memory for them.
    ///
    /// # Errors
    /// Those of the operation and of `input`; `unauthenticated` without a session; `unsupported` if no family does it.
    pub(crate) async fn answer(
        &self,
        id: OperationId,
        asker: Asker<'_>,
        input: impl FnOnce() -> Result<Vec<Value>, Error>,
    ) -> Reply {
        let row = self.admit(id, asker.session.is_some())?;
        let Asker { door, ids, accounts, tags, session, credentials } = asker;
        // The session counts as in use until the answer is there.
        let _active = session.as_ref().map(Session::begin);
        let ask = Ask { door, ids, accounts, tags, input: input()?, session: session.clone(), credentials };
        (row.handler)(ask).await
    }

    /// The row of an operation that a client with or without a session may call.
    fn admit(&self, id: OperationId, session: bool) -> Result<&'static Row, Error> {
        let row = self.rows.get(&id).copied();
        if !session && !row.is_some_and(|row| row.open) {
            return Err(unauthenticated());
        }
        row.ok_or_else(|| {
            let text = format!("Esfera does not support the operation {}", full_name(id));
            Error::new(ErrorKind::Unsupported, "esfera.unsupported", text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families;

    #[test]
    fn a_client_without_a_session_is_admitted_only_to_what_is_done_without_one() {
        let operations = Operations::new(families::PARTS);
        let admitted = |service: &str, name: &str, session| {
            let id = schema().operation(service, name).unwrap();
            operations.admit(id, session).map(|row| row.name).map_err(|error| error.kind)
        };
        assert_eq!(admitted("cis.session", "create", false), Ok("create"));
        assert_eq!(admitted("cis.session", "get", false), Err(ErrorKind::Unauthenticated));
        assert_eq!(admitted("cis.session", "get", true), Ok("get"));
        assert_eq!(admitted("appliance.access.ssh", "get", false), Err(ErrorKind::Unauthenticated));
        assert_eq!(admitted("appliance.access.ssh", "get", true), Err(ErrorKind::Unsupported));
    }
}
