//! `com.vmware.vcenter.authorization.privilege_checks`: which privileges principals used last, so that roles can be narrowed.
//!
//! A marker is the time of a use and its number: `2026-01-31T12:00:00Z/42`. So a page says until when it reaches.

use std::time::Duration;

use api::accounts::{Noted, Window};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Error, ErrorKind, Record, Value};

use crate::fault;
use crate::operation::{Ask, Family, Reply, Row};
use crate::pages::{self, text};

pub(crate) const FAMILY: Family = Family {
    service: "vcenter.authorization.privilege_checks",
    operations: &[Row { name: "list", handler: list, open: false }],
};

pub(crate) const LATEST: Family = Family {
    service: "vcenter.authorization.privilege_checks.latest",
    operations: &[Row { name: "get", handler: latest, open: false }],
};

fn may(ask: &Ask<'_>) -> Result<(), Error> {
    let (session, service) = (ask.session()?, ask.door.service());
    let state = service.core.tree.snapshot();
    let checked = service.check(session, &ask.ids.root_folder, "Sessions.CollectPrivilegeChecks", &state);
    checked.map_err(|denied| fault::to_error(&denied))
}

fn marker(noted: &Noted) -> String {
    format!("{}/{}", noted.at, noted.number)
}

/// The longest time to wait for a use.
const MAX_WAIT: Duration = Duration::from_secs(10 * 60);
/// The marker before the first use.
const BEGINNING: &str = "/0";

/// The number in a marker, if the field is set.
fn number(iteration: Option<&Record>, field: &str) -> Result<Option<u64>, Error> {
    let Some(text) = iteration.and_then(|iteration| text(iteration, field)) else { return Ok(None) };
    let number = text.rsplit_once('/').and_then(|(_, number)| number.parse().ok());
    let number = number.ok_or_else(|| {
        let text = format!("{field} {text:?} is not a marker that this service gave");
        Error::new(ErrorKind::InvalidArgument, "esfera.invalid_argument", text)
    })?;
    Ok(Some(number))
}

/// Domain and plain name.
fn split(account: &str) -> (&str, &str) {
    account.split_once('\\').unwrap_or(("", account))
}

fn fits(filter: Option<&Record>, noted: &Noted) -> bool {
    let is_object = |asked: &Value| {
        asked.as_record().is_some_and(|asked| {
            text(asked, "id") == Some(noted.object.id())
                && text(asked, "type") == Some(noted.object.type_name())
        })
    };
    let is_principal = |asked: &Value| {
        let (domain, name) = split(&noted.account);
        let same = |asked: &Record, field, known: &str| {
            text(asked, field).is_some_and(|asked| asked.eq_ignore_ascii_case(known))
        };
        asked.as_record().is_some_and(|asked| same(asked, "name", name) && same(asked, "domain", domain))
    };
    pages::passes(filter, "objects", is_object)
        && pages::passes(filter, "principals", is_principal)
        && pages::passes(filter, "privileges", |asked| asked.as_str() == Some(noted.privilege))
        && pages::passes(filter, "sessions", |asked| asked.as_str() == Some(&noted.session))
        && pages::passes(filter, "op_ids", |asked| asked.as_str() == noted.operation.as_deref())
}

fn shown(noted: &Noted) -> Value {
    let (domain, name) = split(&noted.account);
    let fields = [("type", noted.object.type_name().into()), ("id", noted.object.id().into())];
    let object = Record::new("vapi.std.dynamic_ID", fields);
    let fields = [("name", name.into()), ("domain", domain.into())];
    let principal = Record::new("vcenter.authorization.privilege_checks.principal", fields);
    Value::Record(Record::new(
        "vcenter.authorization.privilege_checks.info",
        [
            ("object", Value::Record(object)),
            ("principal", Value::Record(principal)),
            ("privilege", noted.privilege.into()),
        ],
    ))
}

/// The time to wait for a use, where the iteration names a marker after which there may be none yet.
fn wait(iteration: Option<&Record>) -> Result<Duration, Error> {
    let asked = iteration.and_then(|iteration| iteration.get("timeout_ms"));
    let asked = match asked {
        Some(Value::Long(asked)) => *asked,
        _ => 0,
    };
    match u64::try_from(asked).map(Duration::from_millis) {
        Ok(time) if time <= MAX_WAIT => Ok(if has_marker(iteration) { time } else { Duration::ZERO }),
        _ => {
            let text = format!("timeout_ms is between 0 and {}", MAX_WAIT.as_millis());
            Err(Error::new(ErrorKind::InvalidArgument, "esfera.invalid_argument", text))
        }
    }
}

fn has_marker(iteration: Option<&Record>) -> bool {
    iteration.and_then(|iteration| text(iteration, "marker")).is_some_and(|marker| !marker.is_empty())
}

fn list(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        may(&ask)?;
        let iteration = ask.input.first().and_then(Value::as_record);
        let filter = ask.input.get(1).and_then(Value::as_record);
        let window = Window {
            after: number(iteration, "marker")?,
            until: number(iteration, "end_marker")?,
            limit: pages::size(iteration, "size")?,
        };
        // A client that waits may lose the privilege, or the session, meanwhile.
        let page = match wait(iteration)? {
            Duration::ZERO => ask.accounts.uses(&window, |noted| fits(filter, noted)),
            time => ask.accounts.wait_for_uses(&window, time, |noted| fits(filter, noted)).await,
        };
        may(&ask)?;
        let given = iteration.and_then(|iteration| text(iteration, "marker")).unwrap_or(BEGINNING);
        let last = page.uses.last().map_or_else(|| given.to_owned(), |noted| marker(noted));
        Ok(Value::Record(Record::new(
            "vcenter.authorization.privilege_checks.list_result",
            [
                ("items", Value::List(page.uses.iter().map(|noted| shown(noted)).collect())),
                ("marker", last.into()),
                ("truncated", Value::Boolean(page.truncated)),
            ],
        )))
    }
    .boxed()
}

fn latest(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        may(&ask)?;
        Ok(ask.accounts.last_use().map_or_else(|| BEGINNING.to_owned(), |noted| marker(&noted)).into())
    }
    .boxed()
}
