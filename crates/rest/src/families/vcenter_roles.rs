//! `com.vmware.vcenter.authorization.roles`: roles, which are those of `AuthorizationManager`.

use api::accounts::RoleInfo;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Error, ErrorKind, Record, Value};

use crate::fault;
use crate::operation::{Ask, Family, Reply, Row};
use crate::pages::{self, text, texts};

pub(crate) const FAMILY: Family = Family {
    service: "vcenter.authorization.roles",
    operations: &[
        Row { name: "create", handler: create, open: false },
        Row { name: "get", handler: get, open: false },
        Row { name: "delete", handler: delete, open: false },
        Row { name: "list", handler: list, open: false },
        Row { name: "update", handler: update, open: false },
    ],
};

fn info(role: &RoleInfo) -> Value {
    let privileges = role.privileges.iter().map(|id| id.as_str().into()).collect();
    Value::Record(Record::new(
        "vcenter.authorization.roles.info",
        [
            ("name", role.name.as_str().into()),
            ("description", role.label.as_str().into()),
            ("privileges", Value::List(privileges)),
            ("system", Value::Boolean(role.system)),
        ],
    ))
}

/// The role that the first parameter names.
fn named(ask: &Ask<'_>) -> Result<RoleInfo, Error> {
    let id = ask.input.first().and_then(Value::as_str).unwrap_or_default();
    let known = ask.accounts.role_infos().into_iter().find(|role| role.id.to_string() == id);
    known.ok_or_else(|| pages::not_found("role", id))
}

/// The same for one that can be changed.
fn changeable(ask: &Ask<'_>) -> Result<RoleInfo, Error> {
    may_modify(ask)?;
    let role = named(ask)?;
    if role.system {
        let text = format!("The role {} belongs to the system and cannot be changed", role.name);
        return Err(Error::new(ErrorKind::Unsupported, "esfera.system_role", text));
    }
    Ok(role)
}

fn may_modify(ask: &Ask<'_>) -> Result<(), Error> {
    let (session, service) = (ask.session()?, ask.door.service());
    let (manager, state) = (&ask.ids.authorization_manager, service.core.tree.snapshot());
    let may = service.check(session, manager, "Authorization.ModifyRoles", &state);
    may.map_err(|denied| fault::to_error(&denied))
}

async fn put(ask: &Ask<'_>, role: RoleInfo) -> Result<i32, Error> {
    let (account, state) = (&ask.session()?.account, ask.door.service().core.tree.snapshot());
    let id = ask.accounts.put_role_info(role, account, &state).await;
    let id = id.map_err(|error| fault::to_error(&error.to_fault()))?;
    tracing::info!(user = account.name, role = id, "a role was set");
    Ok(id)
}

fn create(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        may_modify(&ask)?;
        let spec = ask.input.first().and_then(Value::as_record).ok_or_else(no_spec)?;
        let role = RoleInfo {
            id: 0,
            name: text(spec, "name").unwrap_or_default().to_owned(),
            label: text(spec, "description").unwrap_or_default().to_owned(),
            privileges: texts(spec, "privileges").into_iter().collect(),
            system: false,
        };
        Ok(put(&ask, role).await?.to_string().into())
    }
    .boxed()
}

fn no_spec() -> Error {
    Error::new(ErrorKind::InvalidArgument, "esfera.invalid_argument", "The specification is missing")
}

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { Ok(info(&named(&ask)?)) }.boxed()
}

fn delete(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let role = changeable(&ask)?;
        let (account, state) = (&ask.session()?.account, ask.door.service().core.tree.snapshot());
        let removed = ask.accounts.remove_unused_role(role.id, account, &state).await;
        removed.map_err(|error| fault::to_error(&error.to_fault()))?;
        tracing::info!(user = account.name, role = role.id, "a role was removed");
        Ok(Value::Unset)
    }
    .boxed()
}

fn update(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let mut role = changeable(&ask)?;
        let spec = ask.input.get(1).and_then(Value::as_record).ok_or_else(no_spec)?;
        if let Some(name) = text(spec, "name") {
            role.name = name.to_owned();
        }
        if let Some(description) = text(spec, "description") {
            role.label = description.to_owned();
        }
        if spec.get("privileges").is_some() {
            role.privileges = texts(spec, "privileges").into_iter().collect();
        }
        put(&ask, role).await?;
        Ok(Value::Unset)
    }
    .boxed()
}

fn list(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let listed = |ask: &Ask<'_>| -> Reply {
        let filter = ask.input.first().and_then(Value::as_record);
        let iteration = ask.input.get(1).and_then(Value::as_record);
        let system = pages::flag(filter, "is_system");
        let mut all = ask.accounts.role_infos();
        all.sort_by_key(|role| role.id.to_string());
        let fits = |role: &RoleInfo| {
            pages::passes(filter, "names", |name| name.as_str() == Some(&role.name))
                && pages::passes(filter, "privileges", |id| {
                    id.as_str().is_some_and(|id| role.privileges.contains(id))
                })
                && system.is_none_or(|wanted| wanted == role.system)
        };
        let page = pages::page(all.into_iter().filter(fits), |role| role.id.to_string(), iteration)?;
        let items = page.items.iter().map(|role| {
            let fields = [("role", role.id.to_string().into()), ("info", info(role))];
            Value::Record(Record::new("vcenter.authorization.roles.list_item", fields))
        });
        let fields = [("items", Value::List(items.collect())), ("marker", page.marker)];
        Ok(Value::Record(Record::new("vcenter.authorization.roles.list_result", fields)))
    };
    async move { listed(&ask) }.boxed()
}
