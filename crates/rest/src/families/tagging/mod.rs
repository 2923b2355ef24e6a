//! `com.vmware.cis.tagging`: categories, tags, and the objects that tags are attached to.
//!
//! Tags lie above the inventory, as global permissions do: whoever has a privilege for tags on the root folder has it for all of them.
//! Everybody sees the tags of the objects that he may read.

mod association;
mod category;
mod tag;

use std::collections::BTreeSet;

use tags::{Object, TagError};
use vapi::{Error, ErrorKind, Record, Value};
use vim::{MoRef, vim};

pub(crate) use association::FAMILY as ASSOCIATION;
pub(crate) use category::FAMILY as CATEGORY;
pub(crate) use tag::FAMILY as TAG;

use crate::fault;
use crate::operation::Ask;

/// Objects of a tag that are looked at to find one that a user may read who may not read all tags.
const MAX_ASKED: usize = 1_000;

fn to_error(error: &TagError) -> Error {
    let kind = match error {
        TagError::NoCategory(_) | TagError::NoTag(_) | TagError::NoObject(_) => ErrorKind::NotFound,
        TagError::Exists(_) => ErrorKind::AlreadyExists,
        TagError::Invalid(_) | TagError::Full(_) => ErrorKind::InvalidArgument,
        TagError::Store(_) | TagError::Internal => ErrorKind::InternalServerError,
    };
    Error::new(kind, "esfera.tagging", error.to_string())
}

/// Whether the caller has this privilege for tags.
fn may(ask: &Ask<'_>, privilege: &str) -> Result<(), Error> {
    may_on(ask, &ask.ids.root_folder, privilege)
}

fn may_on(ask: &Ask<'_>, object: &MoRef, privilege: &str) -> Result<(), Error> {
    let (session, service) = (ask.session()?, ask.door.service());
    let checked = service.check(session, object, privilege, &service.core.tree.snapshot());
    checked.map_err(|denied| fault::to_error(&denied))
}

/// Whether the caller sees the tag: as one of all tags, or on an object that he may read.
fn sees(ask: &Ask<'_>, tag: &str) -> bool {
    may(ask, "System.Read").is_ok()
        || ask.tags.is_on_any(tag, MAX_ASKED, |object| {
            reference(object).is_some_and(|object| may_on(ask, &object, "System.Read").is_ok())
        })
}

/// The reference to an object of the inventory.
fn reference(object: &Object) -> Option<MoRef> {
    Some(MoRef::new(vim::schema().find_managed(object.ty())?, object.id()))
}

/// The types of an object, its own and those that it is derived from; none if it is not in the inventory.
fn kinds(object: &Object, state: &api::Snapshot) -> Option<Vec<&'static str>> {
    let node = state.find(&reference(object)?)?;
    if !node.me().is_a(vim::managed_id!(ManagedEntity)) || node.me().type_name() != object.ty() {
        return None;
    }
    let mut names = Vec::new();
    let mut at = Some(node.me().ty());
    while let Some(ty) = at {
        let row = vim::schema().managed(ty);
        names.push(row.name);
        at = row.base;
    }
    Some(names)
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::List(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn list(texts: impl IntoIterator<Item = String>) -> Value {
    Value::List(texts.into_iter().map(Value::from).collect())
}

/// The ids, as far as the caller may list all of them; otherwise none.
fn listed(ask: &Ask<'_>, ids: impl IntoIterator<Item = String>) -> Value {
    match may(ask, "System.Read") {
        Ok(()) => list(ids),
        Err(_) => Value::List(Vec::new()),
    }
}

fn set(texts: &BTreeSet<String>) -> Value {
    list(texts.iter().cloned())
}

/// An object as clients write it.
fn object(of: &Record) -> Object {
    let field = |name| of.get(name).and_then(Value::as_str).unwrap_or_default();
    Object::new(field("type"), field("id"))
}

fn object_value(object: &Object) -> Value {
    let fields = [("type", object.ty().into()), ("id", object.id().into())];
    Value::Record(Record::new("vapi.std.dynamic_ID", fields))
}

/// Tells the event that a change of tags is.
async fn tell(ask: &Ask<'_>, what: &str, message: String, on: Option<&Object>) {
    let user = ask.session.as_ref().map_or("", |session| session.account.name.as_str());
    tracing::info!(user, "{message}");
    let event = vim!(EventEx {
        userName: user,
        eventTypeId: format!("com.vmware.cis.{what}"),
        severity: "info",
        message: message,
        objectId: on.map(Object::id),
        objectType: on.map(Object::ty),
    });
    ask.door.service().core.events.post(event).await;
}
