//! The inventory, as families read it: objects by their ids, lists with filters, and tasks that an operation waits for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use api::{Node, Snapshot};
use vapi::{Error, ErrorKind, Record, Value};
use vim::{Args, Fault, ManagedId, MoRef, field, managed_id, prop};

use crate::fault;
use crate::operation::{Ask, Reply};
use crate::pages::not_found;

/// How long an operation waits for its task. The task goes on, and `cis/tasks` tells of it.
const MAX_TASK_TIME: Duration = Duration::from_secs(3_600);

/// The values that a field of a filter lets pass. One that is not set, or that is empty, lets all pass.
pub(crate) struct Wanted<'a>(Option<HashSet<&'a str>>);

impl<'a> Wanted<'a> {
    pub(crate) fn of(filter: Option<&'a Record>, field: &str) -> Self {
        match filter.and_then(|filter| filter.get(field)) {
            Some(Value::List(items)) if !items.is_empty() => {
                Self(Some(items.iter().filter_map(Value::as_str).collect()))
            }
            _ => Self(None),
        }
    }

    pub(crate) fn allows(&self, value: &str) -> bool {
        self.0.as_ref().is_none_or(|wanted| wanted.contains(value))
    }

    /// The same for a value that takes time to find.
    pub(crate) fn allows_any<I: AsRef<str>>(&self, values: impl FnOnce() -> Vec<I>) -> bool {
        let Some(wanted) = &self.0 else { return true };
        values().iter().any(|value| wanted.contains(value.as_ref()))
    }
}

/// The filter of a list.
pub(crate) fn filter<'a>(ask: &'a Ask<'_>) -> Option<&'a Record> {
    ask.input.first().and_then(Value::as_record)
}

/// An id that is a parameter.
pub(crate) fn id_at<'a>(ask: &'a Ask<'_>, at: usize) -> &'a str {
    ask.input.get(at).and_then(Value::as_str).unwrap_or_default()
}

/// A structure that is a parameter.
pub(crate) fn spec_at<'a>(ask: &'a Ask<'_>, at: usize) -> Option<&'a Record> {
    ask.input.get(at).and_then(Value::as_record)
}

pub(crate) fn state(ask: &Ask<'_>) -> Arc<Snapshot> {
    ask.door.service().core.tree.snapshot()
}

/// An object that the caller may read.
///
/// # Errors
/// `not_found` if there is none of this type, `unauthorized`.
pub(crate) fn read(
    ask: &Ask<'_>,
    state: &Snapshot,
    ty: ManagedId,
    what: &str,
    id: &str,
) -> Result<Arc<Node>, Error> {
    let node = state.find(&MoRef::new(ty, id)).ok_or_else(|| not_found(what, id))?;
    let checked = ask.door.service().check(ask.session()?, node.me(), "System.Read", state);
    checked.map_err(|denied| fault::to_error(&denied))?;
    Ok(node.clone())
}

/// The objects of a type that fit and that the caller may read, in the order of their ids.
///
/// # Errors
/// `unable_to_allocate_resource` if more than `most` match.
pub(crate) fn list(
    ask: &Ask<'_>,
    ty: ManagedId,
    most: usize,
    fits: impl Fn(&Node, &Snapshot) -> bool,
    shown: impl Fn(&Node) -> Value,
) -> Reply {
    let (session, service) = (ask.session()?, ask.door.service());
    let state = service.core.tree.snapshot();
    let mut found: Vec<&Arc<Node>> = state
        .iter()
        .filter(|node| node.me().is_a(ty) && fits(node, &state))
        .filter(|node| service.check(session, node.me(), "System.Read", &state).is_ok())
        .collect();
    if found.len() > most {
        let text = format!("{} objects match; set a filter that leaves at most {most}", found.len());
        return Err(Error::new(ErrorKind::UnableToAllocateResource, "esfera.too_many", text));
    }
    found.sort_by_key(|node| (node.me().id().len(), node.me().clone()));
    Ok(Value::List(found.into_iter().map(|node| shown(node)).collect()))
}

/// The name of an entity.
pub(crate) fn name(node: &Node) -> &str {
    node.get(prop!(ManagedEntity.name)).unwrap_or_default()
}

/// The entities above one, the nearest first.
pub(crate) fn above(node: &Node, state: &Snapshot) -> Vec<MoRef> {
    let parent = |node: &Node| {
        let vapp =
            node.me().is_a(managed_id!(VirtualMachine)).then(|| node.get(prop!(VirtualMachine.parentVApp)));
        node.get(prop!(ManagedEntity.parent)).or(vapp.flatten()).cloned()
    };
    let mut all = Vec::new();
    let mut next = parent(node);
    // The depth of an inventory is bounded; a circle would be an error of the center.
    while let Some(at) = next.filter(|_| all.len() < 100) {
        next = state.find(&at).and_then(|node| parent(node));
        all.push(at);
    }
    all
}

/// The ids of the entities of a type above one.
pub(crate) fn above_of(node: &Node, state: &Snapshot, ty: ManagedId) -> Vec<String> {
    above(node, state).iter().filter(|at| at.is_a(ty)).map(|at| at.id().to_owned()).collect()
}

/// The id of the nearest folder above an entity.
pub(crate) fn folder_of(node: &Node, state: &Snapshot) -> Vec<String> {
    above_of(node, state, managed_id!(Folder)).into_iter().take(1).collect()
}

/// Calls a method in the caller's name.
///
/// # Errors
/// The method's fault.
pub(crate) async fn call(ask: &Ask<'_>, this: &MoRef, args: Args) -> Result<Option<vim::Value>, Error> {
    let done = ask.door.invoke(Some(ask.session()?), this, args).await;
    let done = done.map_err(|fault| fault::to_error(&fault))?;
    Ok(done.result.map(|answer| vim::encode::made(&*answer)))
}

/// Calls a method that begins a task, and waits for its result.
///
/// # Errors
/// The fault of the method or the task.
pub(crate) async fn task(ask: &Ask<'_>, this: &MoRef, args: Args) -> Result<Option<vim::Value>, Error> {
    let begun = call(ask, this, args).await?;
    let Some(task) = begun.as_ref().and_then(vim::Value::as_ref).cloned() else { return Ok(begun) };
    match tokio::time::timeout(MAX_TASK_TIME, ended(ask, &task)).await {
        Ok(result) => result,
        Err(_) => {
            let text = format!("The task {} has not ended yet and goes on", task.id());
            Err(Error::new(ErrorKind::ServiceUnavailable, "esfera.still_running", text))
        }
    }
}

async fn ended(ask: &Ask<'_>, task: &MoRef) -> Result<Option<vim::Value>, Error> {
    let gone = || Error::new(ErrorKind::ServiceUnavailable, "esfera.task_gone", "The task's end is unknown");
    let tree = &ask.door.service().core.tree;
    let mut versions = tree.versions();
    loop {
        versions.mark_unchanged();
        let info = tree.snapshot().find(task).and_then(|node| node.get(prop!(Task.info)).cloned());
        let info = info.ok_or_else(gone)?;
        match info.get(field!(TaskInfo.state)).map(|state| state.name()) {
            Some("success") => return Ok(info.get(field!(TaskInfo.result)).cloned()),
            Some("error") => {
                let fault = info.get(field!(TaskInfo.error)).and_then(|error| Fault::from_localized(error));
                return Err(fault.map_or_else(gone, |fault| fault::to_error(&fault)));
            }
            _ => versions.changed().await.map_err(|_| gone())?,
        }
    }
}

/// The reference that a method or a task has answered.
///
/// # Errors
/// `error` if there is none.
pub(crate) fn made(value: Option<&vim::Value>) -> Result<Value, Error> {
    let me = value.and_then(vim::Value::as_ref).map(|me| Value::from(me.id()));
    me.ok_or_else(|| Error::new(ErrorKind::Error, "esfera.unnamed", "The new object was not named"))
}

/// `already_in_desired_state`.
pub(crate) fn already(text: &str) -> Error {
    Error::new(ErrorKind::AlreadyInDesiredState, "esfera.already_in_desired_state", text)
}

/// `invalid_argument`.
pub(crate) fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, "esfera.invalid_argument", text)
}

/// A whole number of the vSphere API's width.
///
/// # Errors
/// `invalid_argument` if it does not fit.
pub(crate) fn int(of: &Record, field: &str) -> Result<Option<i32>, Error> {
    match of.get(field) {
        Some(Value::Long(number)) => {
            let number = i32::try_from(*number);
            number.map(Some).map_err(|_| invalid(format!("{field} is out of range")))
        }
        _ => Ok(None),
    }
}
