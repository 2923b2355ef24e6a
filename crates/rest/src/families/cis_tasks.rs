//! `com.vmware.cis.tasks`: the tasks of the vSphere API. The service and the operation of a task are those of the method that it carries out.

use api::Node;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Error, ErrorKind, Record, Value};
use vim::{MoRef, Object, call, field, managed_id, prop};

use crate::inventory::{self, Wanted, filter, id_at};
use crate::operation::{Ask, Family, Reply, Row};
use crate::pages::{not_found, text};

pub(crate) const FAMILY: Family = Family {
    service: "cis.tasks",
    operations: &[
        Row { name: "get", handler: get, open: false },
        Row { name: "list", handler: list, open: false },
        Row { name: "cancel", handler: cancel, open: false },
    ],
};

/// Tasks in one answer.
const MAX_LISTED: usize = 1_000;

fn info(node: &Node) -> Option<&Object> {
    node.get(prop!(Task.info)).map(|info| &**info)
}

fn status(info: &Object) -> &'static str {
    match info.get(field!(TaskInfo.state)).map(|state| state.name()) {
        Some("success") => "SUCCEEDED",
        Some("error") => "FAILED",
        Some("running") => "RUNNING",
        _ => "PENDING",
    }
}

/// The type and the name of a task's method: of `VirtualMachine.powerOn`.
fn names(info: &Object) -> (&str, &str) {
    let id = info.get(field!(TaskInfo.descriptionId)).unwrap_or_default();
    id.split_once('.').unwrap_or(("", id))
}

fn user(info: &Object) -> Option<&str> {
    let reason = info.get(field!(TaskInfo.reason))?;
    reason.is_a(vim::data_id!(TaskReasonUser)).then(|| reason.get(field!(TaskReasonUser.userName)))?
}

fn message(id: &str, words: &str) -> Value {
    Value::Record(Record::new(
        "vapi.std.localizable_message",
        [("id", id.into()), ("default_message", words.into()), ("args", Value::List(Vec::new()))],
    ))
}

fn shown(info: &Object) -> Value {
    let (service, operation) = names(info);
    let target = info.get(field!(TaskInfo.entity)).map_or(Value::Unset, |entity| {
        let fields = [("type", entity.type_name().into()), ("id", entity.id().into())];
        Value::Record(Record::new("vapi.std.dynamic_ID", fields))
    });
    let time = |time: Option<vim::DateTime>| time.map_or(Value::Unset, |time| time.to_string().into());
    let percent = info.get(field!(TaskInfo.progress));
    let percent = if status(info) == "SUCCEEDED" { 100 } else { percent.unwrap_or(0) };
    let progress = Value::Record(Record::new(
        "cis.task.progress",
        [
            ("total", Value::Long(100)),
            ("completed", Value::Long(percent.into())),
            ("message", message("esfera.progress", "")),
        ],
    ));
    // A task that has not begun has no progress.
    let progress = if status(info) == "PENDING" { Value::Unset } else { progress };
    let result = info.get(field!(TaskInfo.result)).and_then(vim::Value::as_ref);
    let error = info.get(field!(TaskInfo.error)).map_or(Value::Unset, |error| {
        let words = error.get(field!(LocalizedMethodFault.localizedMessage)).unwrap_or_default();
        let fault = vim::Fault::from_localized(error);
        let raised = fault.map_or_else(
            || Error::new(ErrorKind::Error, "esfera.task", words),
            |fault| crate::fault::to_error(&fault),
        );
        Value::Record(raised.record())
    });
    let cancelable = info.get(field!(TaskInfo.cancelable)).unwrap_or_default();
    Value::Record(Record::new(
        "cis.task.info",
        [
            ("progress", progress),
            ("result", result.map_or(Value::Unset, |me| Value::Opaque(me.id().into()))),
            ("description", message(info.get(field!(TaskInfo.descriptionId)).unwrap_or_default(), operation)),
            ("service", service.into()),
            ("operation", operation.into()),
            ("parent", info.get(field!(TaskInfo.parentTaskKey)).map_or(Value::Unset, Value::from)),
            ("target", target),
            ("status", status(info).into()),
            ("cancelable", Value::Boolean(cancelable)),
            ("error", error),
            ("start_time", time(info.get(field!(TaskInfo.startTime)))),
            ("end_time", time(info.get(field!(TaskInfo.completeTime)))),
            ("user", user(info).map_or(Value::Unset, Value::from)),
        ],
    ))
}

/// The task that the first parameter names.
fn named(ask: &Ask<'_>) -> Result<std::sync::Arc<Node>, Error> {
    // Clients of vCenter write its id behind the id of the task.
    let id = id_at(ask, 0).split(':').next().unwrap_or_default();
    inventory::read(ask, &inventory::state(ask), managed_id!(Task), "task", id)
}

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| {
        let node = named(ask)?;
        info(&node).map(shown).ok_or_else(|| not_found("task", id_at(ask, 0)))
    };
    async move { read(&ask) }.boxed()
}

/// The recent tasks that fit. A filter must name tasks, services or targets, as in vSphere.
fn list(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| {
        let of = |field| Wanted::of(filter(ask), field);
        let (ids, services, operations) = (of("tasks"), of("services"), of("operations"));
        let (statuses, users) = (of("status"), of("users"));
        let targets: Option<Vec<(&str, &str)>> = match filter(ask).and_then(|filter| filter.get("targets")) {
            Some(Value::List(items)) if !items.is_empty() => {
                let records = items.iter().filter_map(Value::as_record);
                let pairs = records.filter_map(|record| Some((text(record, "type")?, text(record, "id")?)));
                Some(pairs.collect())
            }
            _ => None,
        };
        let fits = |node: &Node, info: &Object| {
            let (service, operation) = names(info);
            let target = |at: &MoRef| {
                let one = (at.type_name(), at.id());
                targets.as_ref().is_none_or(|targets| targets.contains(&one))
            };
            ids.allows(node.me().id())
                && services.allows(service)
                && operations.allows(operation)
                && statuses.allows(status(info))
                && users.allows(user(info).unwrap_or_default())
                && info.get(field!(TaskInfo.entity)).map_or(targets.is_none(), target)
        };
        let (session, service) = (ask.session()?, ask.door.service());
        let state = inventory::state(ask);
        let found = state.iter().filter(|node| node.me().is_a(managed_id!(Task))).filter_map(|node| {
            let info = info(node).filter(|info| fits(node, info))?;
            service.check(session, node.me(), "System.Read", &state).ok()?;
            Some((Value::from(node.me().id()), shown(info)))
        });
        let found: Vec<(Value, Value)> = found.take(MAX_LISTED + 1).collect();
        if found.len() > MAX_LISTED {
            return Err(inventory::invalid(format!("Set a filter that leaves at most {MAX_LISTED} tasks")));
        }
        Ok(Value::Map(found))
    };
    async move { read(&ask) }.boxed()
}

fn cancel(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let node = named(&ask)?;
        inventory::call(&ask, node.me(), call!(CancelTask {})).await.map(|_| Value::Unset)
    }
    .boxed()
}
