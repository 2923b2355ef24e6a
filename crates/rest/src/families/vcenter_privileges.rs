//! `com.vmware.vcenter.authorization.privileges`: the privileges that there are.

use api::{Privilege, privileges};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Record, Value};

use crate::operation::{Ask, Family, Reply, Row};
use crate::pages;

pub(crate) const FAMILY: Family = Family {
    service: "vcenter.authorization.privileges",
    operations: &[
        Row { name: "get", handler: get, open: false },
        Row { name: "list", handler: list, open: false },
    ],
};

/// The version of every privilege: none has changed its meaning.
const VERSION: i64 = 1;

fn is_on_parent(privilege: &Privilege) -> bool {
    matches!(privilege.name, "Create" | "Delete" | "Move" | "Rename")
}

fn info(privilege: &Privilege) -> Value {
    Value::Record(Record::new(
        "vcenter.authorization.privileges.info",
        [
            ("name", privilege.id.into()),
            ("description", privilege.label.into()),
            ("on_parent", Value::Boolean(is_on_parent(privilege))),
            ("version", Value::Long(VERSION)),
        ],
    ))
}

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let id = ask.input.first().and_then(Value::as_str).unwrap_or_default();
        let known = privileges().iter().find(|privilege| privilege.id == id);
        known.map(info).ok_or_else(|| pages::not_found("privilege", id))
    }
    .boxed()
}

fn list(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let listed = |ask: &Ask<'_>| -> Reply {
        let filter = ask.input.first().and_then(Value::as_record);
        let iteration = ask.input.get(1).and_then(Value::as_record);
        let on_parent = pages::flag(filter, "is_on_parent");
        let mut all: Vec<&Privilege> = privileges().iter().collect();
        all.sort_by_key(|privilege| privilege.id);
        let fits = |privilege: &&Privilege| {
            pages::passes(filter, "names", |name| name.as_str() == Some(privilege.id))
                && pages::passes(filter, "versions", |version| *version == Value::Long(VERSION))
                && on_parent.is_none_or(|wanted| wanted == is_on_parent(privilege))
        };
        let page = pages::page(all.into_iter().filter(fits), |known| known.id.to_owned(), iteration)?;
        let items = page.items.into_iter().map(|privilege| {
            let fields = [("privilege", privilege.id.into()), ("info", info(privilege))];
            Value::Record(Record::new("vcenter.authorization.privileges.list_item", fields))
        });
        let fields = [("items", Value::List(items.collect())), ("marker", page.marker)];
        Ok(Value::Record(Record::new("vcenter.authorization.privileges.list_result", fields)))
    };
    async move { listed(&ask) }.boxed()
}
