//! `com.vmware.cis.tagging.tag_association`.
//!
//! Attaching and detaching takes `AttachTag` for tags, and `ObjectAttachable` on the object, which the caller must also be able to read.
//! A request in bulk does as much as it can and may, and its answer tells of the rest.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tags::{Object, TagError};
use vapi::{Error, ErrorKind, Record, Value};

use super::{kinds, list, may, may_on, object, object_value, reference, sees, tell};
use super::{texts, to_error};
use crate::inventory::{id_at, spec_at};
use crate::operation::{Ask, Family, Reply, Row};

pub(crate) const FAMILY: Family = Family {
    service: "cis.tagging.tag_association",
    operations: &[
        Row { name: "attach", handler: attach, open: false },
        Row { name: "attach_multiple_tags_to_object", handler: attach_tags, open: false },
        Row { name: "attach_tag_to_multiple_objects", handler: attach_to_objects, open: false },
        Row { name: "detach", handler: detach, open: false },
        Row { name: "detach_multiple_tags_from_object", handler: detach_tags, open: false },
        Row { name: "detach_tag_from_multiple_objects", handler: detach_from_objects, open: false },
        Row { name: "list_attached_objects", handler: objects_of, open: false },
        Row { name: "list_attached_objects_on_tags", handler: objects_of_tags, open: false },
        Row { name: "list_attached_tags", handler: tags_of, open: false },
        Row { name: "list_attached_tags_on_objects", handler: tags_of_objects, open: false },
        Row { name: "list_attachable_tags", handler: attachable, open: false },
    ],
};

/// Failures that an answer tells of.
const MAX_TOLD: usize = 1_000;

fn object_at(ask: &Ask<'_>, at: usize) -> Object {
    spec_at(ask, at).map_or_else(|| Object::new("", ""), object)
}

fn objects_at(ask: &Ask<'_>, at: usize) -> Vec<Object> {
    match ask.input.get(at) {
        Some(Value::List(items)) => items.iter().filter_map(Value::as_record).map(object).collect(),
        _ => Vec::new(),
    }
}

fn no_object(object: &Object) -> Error {
    to_error(&TagError::NoObject(object.to_string()))
}

/// Checks that the caller may read an object of the inventory, and has the privilege on it if one is named.
fn check(ask: &Ask<'_>, object: &Object, privilege: Option<&str>) -> Result<(), Error> {
    let state = ask.door.service().core.tree.snapshot();
    let me = reference(object).filter(|_| kinds(object, &state).is_some());
    let me = me.ok_or_else(|| no_object(object))?;
    may_on(ask, &me, "System.Read")?;
    privilege.map_or(Ok(()), |privilege| may_on(ask, &me, privilege))
}

/// The outcome of a request in bulk.
fn batch(errors: &[Error]) -> Value {
    let messages = errors.iter().take(MAX_TOLD).flat_map(|error| &error.messages).map(|message| {
        Value::Record(Record::new(
            "vapi.std.localizable_message",
            [
                ("id", message.id.as_str().into()),
                ("default_message", message.text.as_str().into()),
                ("args", Value::List(Vec::new())),
            ],
        ))
    });
    Value::Record(Record::new(
        "cis.tagging.tag_association.batch_result",
        [("success", Value::Boolean(errors.is_empty())), ("error_messages", Value::List(messages.collect()))],
    ))
}

/// Attaches or detaches each of the tags, as far as the caller may, and tells the event.
async fn change(ask: &Ask<'_>, tags: &[String], objects: &[Object], on: bool) -> Result<Vec<Error>, Error> {
    may(ask, "InventoryService.Tagging.AttachTag")?;
    let (mut allowed, mut errors) = (Vec::new(), Vec::new());
    for object in objects {
        match check(ask, object, Some("InventoryService.Tagging.ObjectAttachable")) {
            Ok(()) => allowed.push(object.clone()),
            Err(error) => errors.push(error),
        }
    }
    let service = ask.door.service();
    let done = if on {
        let of = |object: &Object| kinds(object, &service.core.tree.snapshot());
        ask.tags.attach(tags, &allowed, &of).await
    } else {
        ask.tags.detach(tags, &allowed).await
    };
    let failures = done.map_err(|error| to_error(&error))?;
    let refused = failures.len();
    errors.extend(failures.iter().map(|failure| to_error(&failure.0)));
    if refused < tags.len() * allowed.len() {
        let (what, verb, link) =
            if on { ("AttachTag", "Attached", "to") } else { ("DetachTag", "Detached", "from") };
        let tags = match tags {
            [tag] => ask.tags.tag(tag).map_or_else(|_| tag.clone(), |tag| format!("the tag {}", tag.name)),
            tags => format!("{} tags", tags.len()),
        };
        let (objects, one) = match allowed.as_slice() {
            [object] => (object.to_string(), Some(object)),
            objects => (format!("{} objects", objects.len()), None),
        };
        tell(ask, what, format!("{verb} {tags} {link} {objects}"), one).await;
    }
    Ok(errors)
}

/// One tag and one object: what cannot be done is an error.
async fn single(ask: Ask<'_>, on: bool) -> Reply {
    let tag = id_at(&ask, 0).to_owned();
    let errors = change(&ask, &[tag], &[object_at(&ask, 1)], on).await?;
    errors.into_iter().next().map_or(Ok(Value::Unset), Err)
}

fn attach(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    single(ask, true).boxed()
}

fn detach(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    single(ask, false).boxed()
}

/// Many tags and one object, which must be there.
async fn many_tags(ask: Ask<'_>, on: bool) -> Reply {
    let object = object_at(&ask, 0);
    check(&ask, &object, None).or_else(|error| match error.kind {
        // The table names no error for an object that does not exist: it is a failure like those of tags.
        ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    let tags = texts(ask.input.get(1));
    change(&ask, &tags, &[object], on).await.map(|errors| batch(&errors))
}

fn attach_tags(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    many_tags(ask, true).boxed()
}

fn detach_tags(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    many_tags(ask, false).boxed()
}

/// One tag, which must be there, and many objects.
async fn many_objects(ask: Ask<'_>, on: bool) -> Reply {
    may(&ask, "InventoryService.Tagging.AttachTag")?;
    let tag = id_at(&ask, 0).to_owned();
    ask.tags.tag(&tag).map_err(|error| to_error(&error))?;
    let objects = objects_at(&ask, 1);
    change(&ask, &[tag], &objects, on).await.map(|errors| batch(&errors))
}

fn attach_to_objects(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    many_objects(ask, true).boxed()
}

fn detach_from_objects(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    many_objects(ask, false).boxed()
}

/// The objects of a tag that the caller may read.
fn readable(ask: &Ask<'_>, tag: &str) -> Result<Value, Error> {
    let objects = ask.tags.objects(tag).map_err(|error| to_error(&error))?;
    let (session, service) = (ask.session()?, ask.door.service());
    let state = service.core.tree.snapshot();
    let may = |object: &Object| {
        let me = reference(object);
        me.is_some_and(|me| service.check(session, &me, "System.Read", &state).is_ok())
    };
    Ok(Value::List(objects.iter().filter(|object| may(object)).map(object_value).collect()))
}

fn objects_of(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| {
        let tag = id_at(ask, 0);
        if !sees(ask, tag) {
            may(ask, "System.Read")?;
        }
        readable(ask, tag)
    };
    async move { read(&ask) }.boxed()
}

fn objects_of_tags(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| {
        let mut found = Vec::new();
        // Tags that are not there, or that the caller does not see, are left out.
        let asked: BTreeSet<String> = texts(ask.input.first()).into_iter().collect();
        for tag in asked {
            if let (true, Ok(objects)) = (sees(ask, &tag), readable(ask, &tag)) {
                let fields = [("tag_id", tag.into()), ("object_ids", objects)];
                found.push(Value::Record(Record::new("cis.tagging.tag_association.tag_to_objects", fields)));
            }
        }
        Ok(Value::List(found))
    };
    async move { read(&ask) }.boxed()
}

fn tags_of(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| {
        let object = object_at(ask, 0);
        check(ask, &object, None).map_err(denied)?;
        Ok(list(ask.tags.on(&object)))
    };
    async move { read(&ask) }.boxed()
}

fn tags_of_objects(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| {
        let mut found = Vec::new();
        let asked: BTreeSet<Object> = objects_at(ask, 0).into_iter().collect();
        for object in asked {
            let tags = match check(ask, &object, None) {
                Ok(()) => ask.tags.on(&object),
                Err(_) => continue,
            };
            if !tags.is_empty() {
                let fields = [("object_id", object_value(&object)), ("tag_ids", list(tags))];
                found.push(Value::Record(Record::new("cis.tagging.tag_association.object_to_tags", fields)));
            }
        }
        Ok(Value::List(found))
    };
    async move { read(&ask) }.boxed()
}

fn attachable(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| {
        let object = object_at(ask, 0);
        check(ask, &object, None).map_err(denied)?;
        if may(ask, "System.Read").is_err() {
            return Ok(Value::List(Vec::new()));
        }
        let types = kinds(&object, &ask.door.service().core.tree.snapshot()).unwrap_or_default();
        Ok(list(ask.tags.attachable(&object, &types)))
    };
    async move { read(&ask) }.boxed()
}

/// The table names no error for an object that does not exist: it is told as one that the caller may not see.
fn denied(error: Error) -> Error {
    match error.kind {
        ErrorKind::NotFound => Error { kind: ErrorKind::Unauthorized, ..error },
        _ => error,
    }
}
