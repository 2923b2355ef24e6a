//! `com.vmware.cis.tagging.category`.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tags::{Cardinality, Category, CategorySpec, CategoryUpdate};
use vapi::{Record, Value};

use super::{listed, may, set, tell, texts, to_error};
use crate::inventory::{id_at, spec_at};
use crate::operation::{Ask, Family, Reply, Row};
use crate::pages::text;

pub(crate) const FAMILY: Family = Family {
    service: "cis.tagging.category",
    operations: &[
        Row { name: "create", handler: create, open: false },
        Row { name: "get", handler: get, open: false },
        Row { name: "update", handler: update, open: false },
        Row { name: "delete", handler: delete, open: false },
        Row { name: "list", handler: all, open: false },
        Row { name: "list_used_categories", handler: used, open: false },
        Row { name: "add_to_used_by", handler: add_user, open: false },
        Row { name: "remove_from_used_by", handler: remove_user, open: false },
    ],
};

fn cardinality(of: Option<&str>) -> Option<Cardinality> {
    match of? {
        "SINGLE" => Some(Cardinality::Single),
        _ => Some(Cardinality::Multiple),
    }
}

fn shown(category: &Category) -> Value {
    let cardinality = match category.cardinality {
        Cardinality::Single => "SINGLE",
        Cardinality::Multiple => "MULTIPLE",
    };
    Value::Record(Record::new(
        "cis.tagging.category_model",
        [
            ("id", category.id.as_str().into()),
            ("name", category.name.as_str().into()),
            ("description", category.description.as_str().into()),
            ("cardinality", cardinality.into()),
            ("associable_types", set(&category.types)),
            ("used_by", set(&category.used_by)),
        ],
    ))
}

fn create(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        may(&ask, "InventoryService.Tagging.CreateCategory")?;
        let spec = spec_at(&ask, 0);
        let field = |name| spec.and_then(|spec| text(spec, name));
        let made = CategorySpec {
            id: field("category_id").map(str::to_owned),
            name: field("name").unwrap_or_default().to_owned(),
            description: field("description").unwrap_or_default().to_owned(),
            cardinality: cardinality(field("cardinality")).unwrap_or(Cardinality::Multiple),
            types: texts(spec.and_then(|spec| spec.get("associable_types"))).into_iter().collect(),
        };
        let name = made.name.clone();
        let id = ask.tags.add_category(made).await.map_err(|error| to_error(&error))?;
        tell(&ask, "CreateTagCategory", format!("Created the tag category {name}"), None).await;
        Ok(id.into())
    }
    .boxed()
}

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| -> Reply {
        let id = id_at(ask, 0);
        let category = ask.tags.category(id).map_err(|error| to_error(&error));
        if let Err(denied) = may(ask, "System.Read") {
            let tags = ask.tags.tags_of(id).unwrap_or_default();
            if !tags.iter().take(super::MAX_ASKED).any(|tag| super::sees(ask, tag)) {
                return Err(denied);
            }
        }
        category.map(|category| shown(&category))
    };
    async move { read(&ask) }.boxed()
}

fn update(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        may(&ask, "InventoryService.Tagging.EditCategory")?;
        let spec = spec_at(&ask, 1);
        let field = |name| spec.and_then(|spec| text(spec, name));
        let types = spec.and_then(|spec| spec.get("associable_types"));
        let changes = CategoryUpdate {
            name: field("name").map(str::to_owned),
            description: field("description").map(str::to_owned),
            cardinality: cardinality(field("cardinality")),
            types: types.map(|types| texts(Some(types)).into_iter().collect()),
        };
        let id = id_at(&ask, 0);
        ask.tags.update_category(id, changes).await.map_err(|error| to_error(&error))?;
        let name = ask.tags.category(id).map_or_else(|_| id.to_owned(), |category| category.name);
        tell(&ask, "UpdateTagCategory", format!("Changed the tag category {name}"), None).await;
        Ok(Value::Unset)
    }
    .boxed()
}

fn delete(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        may(&ask, "InventoryService.Tagging.DeleteCategory")?;
        let id = id_at(&ask, 0);
        let name = ask.tags.category(id).map_err(|error| to_error(&error))?.name;
        ask.tags.drop_category(id).await.map_err(|error| to_error(&error))?;
        tell(&ask, "DeleteTagCategory", format!("Removed the tag category {name} and its tags"), None).await;
        Ok(Value::Unset)
    }
    .boxed()
}

fn ids(ask: &Ask<'_>, fits: impl Fn(&Category) -> bool) -> Reply {
    Ok(listed(ask, ask.tags.categories().into_iter().filter(fits).map(|category| category.id)))
}

fn all(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { ids(&ask, |_| true) }.boxed()
}

fn used(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { ids(&ask, |category| category.used_by.contains(id_at(&ask, 0))) }.boxed()
}

async fn user(ask: Ask<'_>, by: bool) -> Reply {
    may(&ask, "InventoryService.Tagging.ModifyUsedByForCategory")?;
    let done = ask.tags.use_category(id_at(&ask, 0), id_at(&ask, 1), by).await;
    done.map(|()| Value::Unset).map_err(|error| to_error(&error))
}

fn add_user(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    user(ask, true).boxed()
}

fn remove_user(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    user(ask, false).boxed()
}
