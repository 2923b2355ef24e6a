//! `com.vmware.vcenter.authorization.permissions`: permissions, those of the inventory and global ones.
//!
//! A global permission lies above the root folder. Its object has an empty type and an empty id, since it is on no object; whoever may
//! modify permissions on the root folder may modify global ones.

use api::accounts::{PermissionInfo, PermissionPlace, Realm};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Error, ErrorKind, Record, Value};
use vim::MoRef;

use crate::fault;
use crate::operation::{Ask, Family, Reply, Row};
use crate::pages::{self, text};

pub(crate) const FAMILY: Family = Family {
    service: "vcenter.authorization.permissions",
    operations: &[
        Row { name: "create", handler: create, open: false },
        Row { name: "get", handler: get, open: false },
        Row { name: "delete", handler: delete, open: false },
        Row { name: "list", handler: list, open: false },
        Row { name: "update", handler: update, open: false },
    ],
};

const MODIFY: &str = "Authorization.ModifyPermissions";

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, "esfera.invalid_argument", message)
}

/// Whether the caller has the privilege where the permission is; the root folder stands for global ones.
fn may(ask: &Ask<'_>, place: &PermissionPlace, privilege: &str) -> Result<(), Error> {
    let at = match place {
        PermissionPlace::Entity(entity) => entity,
        PermissionPlace::Global => &ask.ids.root_folder,
    };
    let (session, service) = (ask.session()?, ask.door.service());
    let checked = service.check(session, at, privilege, &service.core.tree.snapshot());
    checked.map_err(|denied| fault::to_error(&denied))
}

fn object(place: &PermissionPlace) -> Value {
    let (ty, id) = match place {
        PermissionPlace::Entity(entity) => (entity.type_name(), entity.id()),
        PermissionPlace::Global => ("", ""),
    };
    Value::Record(Record::new("vapi.std.dynamic_ID", [("type", ty.into()), ("id", id.into())]))
}

fn info(ask: &Ask<'_>, known: &PermissionInfo) -> Value {
    let domain = match ask.accounts.realm() {
        Realm::Center { domain } => domain.as_str().into(),
        Realm::Host => Value::Unset,
    };
    let kind = if known.group { "GROUP" } else { "USER" };
    let fields = [("type", kind.into()), ("name", known.principal.as_str().into()), ("domain", domain)];
    let principal = Record::new("vcenter.authorization.permissions.principal", fields);
    Value::Record(Record::new(
        "vcenter.authorization.permissions.info",
        [
            ("object", object(&known.place)),
            ("principal", Value::Record(principal)),
            ("role", known.role.to_string().into()),
            ("propagating", Value::Boolean(known.propagate)),
        ],
    ))
}

/// A permission that the caller may see: one of an entity that he may view.
fn named(ask: &Ask<'_>) -> Result<PermissionInfo, Error> {
    let id = ask.input.first().and_then(Value::as_str).unwrap_or_default();
    let known = ask.accounts.permission_infos().into_iter().find(|known| known.id == id);
    let seen = known.filter(|known| may(ask, &known.place, "System.View").is_ok());
    seen.ok_or_else(|| pages::not_found("permission", id))
}

fn role(text: Option<&str>) -> Result<i32, Error> {
    let text = text.unwrap_or_default();
    text.parse().map_err(|_| invalid(format!("The role {text:?} does not exist")))
}

/// The principal that a specification names, as users write it.
fn principal(of: &Record) -> (String, bool) {
    let name = text(of, "name").unwrap_or_default();
    let name = match text(of, "domain") {
        Some(domain) if !domain.is_empty() => format!("{domain}\\{name}"),
        _ => name.to_owned(),
    };
    (name, text(of, "type") == Some("GROUP"))
}

fn place(ask: &Ask<'_>, object: Option<&Value>) -> Result<PermissionPlace, Error> {
    let object = object.and_then(Value::as_record);
    let field = |name| object.and_then(|object| text(object, name)).unwrap_or_default();
    let (ty, id) = (field("type"), field("id"));
    if ty.is_empty() && id.is_empty() {
        return Ok(PermissionPlace::Global);
    }
    let unknown = || invalid(format!("The object {ty}:{id} does not exist"));
    let state = ask.door.service().core.tree.snapshot();
    let reference = MoRef::new(vim::schema().find_managed(ty).ok_or_else(unknown)?, id);
    let entity = state.find(&reference).map(|node| node.me().clone());
    let entity = entity.filter(|entity| entity.is_a(vim::managed_id!(ManagedEntity))).ok_or_else(unknown)?;
    Ok(PermissionPlace::Entity(entity))
}

async fn put(ask: &Ask<'_>, wanted: &PermissionInfo) -> Result<String, Error> {
    let (account, state) = (&ask.session()?.account, ask.door.service().core.tree.snapshot());
    let id = ask.accounts.put_permission_info(wanted, account, &state).await;
    let id = id.map_err(|error| fault::to_error(&error.to_fault()))?;
    tracing::info!(user = account.name, permission = id, role = wanted.role, "a permission was set");
    Ok(id)
}

fn create(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let missing = || invalid("The specification is missing".into());
        let spec = ask.input.first().and_then(Value::as_record).ok_or_else(missing)?;
        let place = place(&ask, spec.get("object"))?;
        may(&ask, &place, MODIFY)?;
        let (name, group) =
            spec.get("principal").and_then(Value::as_record).map(principal).ok_or_else(missing)?;
        let wanted = PermissionInfo {
            id: String::new(),
            place,
            principal: name,
            group,
            role: role(text(spec, "role"))?,
            propagate: spec.get("propagating") == Some(&Value::Boolean(true)),
        };
        let plain = |name: &str| name.rsplit(['\\', '@']).next().unwrap_or_default().to_lowercase();
        let same = |known: &PermissionInfo| {
            known.place == wanted.place
                && known.group == wanted.group
                && plain(&known.principal) == plain(&wanted.principal)
        };
        if let Some(known) = ask.accounts.permission_infos().iter().find(|known| same(known)) {
            let text =
                format!("{} has the permission {} there already; update it", wanted.principal, known.id);
            return Err(Error::new(ErrorKind::AlreadyExists, "esfera.already_exists", text));
        }
        Ok(put(&ask, &wanted).await?.into())
    }
    .boxed()
}

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { Ok(info(&ask, &named(&ask)?)) }.boxed()
}

fn update(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let mut wanted = named(&ask)?;
        may(&ask, &wanted.place, MODIFY)?;
        let spec = ask.input.get(1).and_then(Value::as_record);
        if let Some(id) = spec.and_then(|spec| text(spec, "role")) {
            wanted.role = role(Some(id))?;
        }
        if let Some(propagate) = pages::flag(spec, "is_propagating") {
            wanted.propagate = propagate;
        }
        put(&ask, &wanted).await?;
        Ok(Value::Unset)
    }
    .boxed()
}

fn delete(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let known = named(&ask)?;
        may(&ask, &known.place, MODIFY)?;
        let (account, state) = (&ask.session()?.account, ask.door.service().core.tree.snapshot());
        let removed = ask.accounts.remove_permission_info(&known, account, &state).await;
        removed.map_err(|error| fault::to_error(&error.to_fault()))?;
        tracing::info!(user = account.name, permission = known.id, "a permission was removed");
        Ok(Value::Unset)
    }
    .boxed()
}

fn list(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let listed = |ask: &Ask<'_>| -> Reply {
        let filter = ask.input.first().and_then(Value::as_record);
        let iteration = ask.input.get(1).and_then(Value::as_record);
        let propagating = pages::flag(filter, "is_propagating");
        let is_for = |known: &PermissionInfo, asked: &Value| {
            asked.as_record().map(principal).is_some_and(|(name, group)| {
                let plain = name.rsplit('\\').next().unwrap_or_default();
                group == known.group && plain.eq_ignore_ascii_case(&known.principal)
            })
        };
        let fits = |known: &PermissionInfo| {
            let role = known.role.to_string();
            pages::passes(filter, "objects", |asked| *asked == object(&known.place))
                && pages::passes(filter, "principals", |asked| is_for(known, asked))
                && pages::passes(filter, "roles", |asked| asked.as_str() == Some(&role))
                && propagating.is_none_or(|wanted| wanted == known.propagate)
                && may(ask, &known.place, "System.View").is_ok()
        };
        let all = ask.accounts.permission_infos();
        let page = pages::page(all.into_iter().filter(fits), |known| known.id.clone(), iteration)?;
        let items = page.items.iter().map(|known| {
            let fields = [("permission", known.id.as_str().into()), ("info", info(ask, known))];
            Value::Record(Record::new("vcenter.authorization.permissions.list_item", fields))
        });
        let fields = [("items", Value::List(items.collect())), ("marker", page.marker)];
        Ok(Value::Record(Record::new("vcenter.authorization.permissions.list_result", fields)))
    };
    async move { listed(&ask) }.boxed()
}
