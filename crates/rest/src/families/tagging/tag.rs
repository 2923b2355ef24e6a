//! `com.vmware.cis.tagging.tag`.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tags::{Tag, TagSpec, TagUpdate};
use vapi::{Record, Value};

use super::{list, listed, may, sees, set, tell, to_error};
use crate::inventory::{id_at, spec_at};
use crate::operation::{Ask, Family, Reply, Row};
use crate::pages::text;

pub(crate) const FAMILY: Family = Family {
    service: "cis.tagging.tag",
    operations: &[
        Row { name: "create", handler: create, open: false },
        Row { name: "get", handler: get, open: false },
        Row { name: "update", handler: update, open: false },
        Row { name: "delete", handler: delete, open: false },
        Row { name: "list", handler: all, open: false },
        Row { name: "list_used_tags", handler: used, open: false },
        Row { name: "list_tags_for_category", handler: of_category, open: false },
        Row { name: "add_to_used_by", handler: add_user, open: false },
        Row { name: "remove_from_used_by", handler: remove_user, open: false },
    ],
};

fn shown(tag: &Tag) -> Value {
    Value::Record(Record::new(
        "cis.tagging.tag_model",
        [
            ("id", tag.id.as_str().into()),
            ("category_id", tag.category.as_str().into()),
            ("name", tag.name.as_str().into()),
            ("description", tag.description.as_str().into()),
            ("used_by", set(&tag.used_by)),
        ],
    ))
}

fn create(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        may(&ask, "InventoryService.Tagging.CreateTag")?;
        let spec = spec_at(&ask, 0);
        let field = |name| spec.and_then(|spec| text(spec, name));
        let made = TagSpec {
            id: field("tag_id").map(str::to_owned),
            category: field("category_id").unwrap_or_default().to_owned(),
            name: field("name").unwrap_or_default().to_owned(),
            description: field("description").unwrap_or_default().to_owned(),
        };
        let name = made.name.clone();
        let id = ask.tags.add_tag(made).await.map_err(|error| to_error(&error))?;
        tell(&ask, "CreateTag", format!("Created the tag {name}"), None).await;
        Ok(id.into())
    }
    .boxed()
}

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| -> Reply {
        let id = id_at(ask, 0);
        if !sees(ask, id) {
            may(ask, "System.Read")?;
        }
        ask.tags.tag(id).map(|tag| shown(&tag)).map_err(|error| to_error(&error))
    };
    async move { read(&ask) }.boxed()
}

fn update(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        may(&ask, "InventoryService.Tagging.EditTag")?;
        let (id, spec) = (id_at(&ask, 0), spec_at(&ask, 1));
        let field = |name| spec.and_then(|spec| text(spec, name)).map(str::to_owned);
        let changes = TagUpdate { name: field("name"), description: field("description") };
        ask.tags.update_tag(id, changes).await.map_err(|error| to_error(&error))?;
        let name = ask.tags.tag(id).map_or_else(|_| id.to_owned(), |tag| tag.name);
        tell(&ask, "UpdateTag", format!("Changed the tag {name}"), None).await;
        Ok(Value::Unset)
    }
    .boxed()
}

fn delete(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        may(&ask, "InventoryService.Tagging.DeleteTag")?;
        let id = id_at(&ask, 0);
        let name = ask.tags.tag(id).map_err(|error| to_error(&error))?.name;
        ask.tags.drop_tag(id).await.map_err(|error| to_error(&error))?;
        tell(&ask, "DeleteTag", format!("Removed the tag {name}"), None).await;
        Ok(Value::Unset)
    }
    .boxed()
}

fn ids(ask: &Ask<'_>, fits: impl Fn(&Tag) -> bool) -> Reply {
    Ok(listed(ask, ask.tags.tags().into_iter().filter(fits).map(|tag| tag.id)))
}

fn all(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { ids(&ask, |_| true) }.boxed()
}

fn used(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { ids(&ask, |tag| tag.used_by.contains(id_at(&ask, 0))) }.boxed()
}

fn of_category(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| -> Reply {
        may(ask, "System.Read")?;
        ask.tags.tags_of(id_at(ask, 0)).map(list).map_err(|error| to_error(&error))
    };
    async move { read(&ask) }.boxed()
}

async fn user(ask: Ask<'_>, by: bool) -> Reply {
    may(&ask, "InventoryService.Tagging.ModifyUsedByForTag")?;
    let done = ask.tags.use_tag(id_at(&ask, 0), id_at(&ask, 1), by).await;
    done.map(|()| Value::Unset).map_err(|error| to_error(&error))
}

fn add_user(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    user(ask, true).boxed()
}

fn remove_user(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    user(ask, false).boxed()
}
