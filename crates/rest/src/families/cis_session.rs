//! `com.vmware.cis.session`: logging in and out, and who is logged in. The sessions are those of the vSphere API.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Error, Record, Value};
use vim::call;

use crate::fault;
use crate::operation::{Ask, Family, Reply, Row, unauthenticated};

pub(crate) const FAMILY: Family = Family {
    service: "cis.session",
    operations: &[
        Row { name: "create", handler: create, open: true },
        Row { name: "get", handler: get, open: false },
        Row { name: "delete", handler: delete, open: false },
    ],
};

fn create(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let (user, password) = ask.credentials.as_ref().ok_or_else(unauthenticated)?;
        let login = call!(Login { userName: user, password: password });
        let done = ask.door.invoke(None, &ask.ids.session_manager, login).await;
        let begun = done.map_err(|error| fault::to_error(&error))?.begun;
        Ok(begun.ok_or_else(unauthenticated)?.key.as_str().into())
    }
    .boxed()
}

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let shown = |ask: &Ask<'_>| -> Result<Value, Error> {
        let session = ask.session()?;
        Ok(Value::Record(Record::new(
            "cis.session.info",
            [
                ("user", session.account.name.as_str().into()),
                ("created_time", session.login_time.to_string().into()),
                ("last_accessed_time", session.last_active().to_string().into()),
            ],
        )))
    };
    async move { shown(&ask) }.boxed()
}

fn delete(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let session = ask.session()?;
        let done = ask.door.invoke(Some(session), &ask.ids.session_manager, call!(Logout {})).await;
        done.map_err(|error| fault::to_error(&error))?;
        Ok(Value::Unset)
    }
    .boxed()
}
