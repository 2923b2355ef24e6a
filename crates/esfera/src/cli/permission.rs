//! `esfera permission`: who has which role where.

use std::collections::BTreeSet;

use api::client::Client;
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use vim::{MoRef, Object, Value, call, field, vim};

use super::role::Roles;
use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

/// Global permissions, in the automation API.
const PERMISSIONS: &str = "/api/vcenter/authorization/permissions";
const USES: &str = "/api/vcenter/authorization/privilege-checks?action=list";
/// Uses that one command shows.
const MAX_USES: usize = 1_000;

#[derive(Subcommand)]
pub enum PermissionCommand {
    /// List permissions: of an object with those that it inherits, or all
    Ls {
        /// Object by its path (/DC0/vm/web) or id
        object: Option<String>,
        /// List global permissions
        #[arg(long, conflicts_with = "object")]
        global: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Give a user or group a role on an object and, by default, on what is below it
    Add(Add),
    /// Take a permission back
    Rm(Rm),
    /// Say what a user may do with an object, and through which permissions
    Explain {
        user: String,
        /// Object by its path (/DC0/vm/web) or id
        object: String,
        /// Only this privilege
        privilege: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// List which privileges were used last, on what and until when
    Used {
        /// Only those that this user used
        user: Option<String>,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Args)]
pub struct Add {
    /// User or group
    principal: String,
    role: String,
    /// Object by its path (/DC0/vm/web) or id
    #[arg(required_unless_present = "global")]
    object: Option<String>,
    /// The principal is a group
    #[arg(long)]
    group: bool,
    /// Not on what is below the object
    #[arg(long)]
    no_propagate: bool,
    /// Above the root folder
    #[arg(long, conflicts_with = "object")]
    global: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Rm {
    /// User or group
    principal: String,
    /// Object by its path (/DC0/vm/web) or id
    #[arg(required_unless_present = "global")]
    object: Option<String>,
    /// The principal is a group
    #[arg(long)]
    group: bool,
    /// Above the root folder
    #[arg(long, conflicts_with = "object")]
    global: bool,
    #[command(flatten)]
    target: Target,
}

pub async fn run(command: PermissionCommand) -> Result<(), Failure> {
    match command {
        PermissionCommand::Ls { global: true, target, .. } => list_global(&target).await,
        PermissionCommand::Ls { object, target, .. } => list(object.as_deref(), &target).await,
        PermissionCommand::Add(add) => set(&add).await,
        PermissionCommand::Rm(rm) => remove(&rm).await,
        PermissionCommand::Explain { user, object, privilege, target } => {
            explain(&user, &object, privilege.as_deref(), &target).await
        }
        PermissionCommand::Used { user, target } => used(user.as_deref(), &target).await,
    }
}

/// The object with this path, or else with this id.
async fn object(inventory: &Inventory<'_>, name: &str) -> Result<MoRef, Failure> {
    let path = name.trim_matches('/');
    if path.is_empty() {
        return inventory.root();
    }
    let index = inventory.manager(field!(ServiceContent.searchIndex))?;
    let find = call!(FindByInventoryPath { inventoryPath: path });
    if let Some(found) = inventory.client.invoke(&index, &find).await?.as_ref().and_then(Value::as_ref) {
        return Ok(found.clone());
    }
    let all = inventory.all(vim::managed_id!(ManagedEntity), &["name"]).await?;
    let found = all.into_iter().find(|found| found.me.id() == name).map(|found| found.me);
    found.ok_or_else(|| {
        Failure::not_found("object", name).hint("give its path in the inventory, as /DC0/vm/web, or its id")
    })
}

async fn permissions(client: &Client, manager: &MoRef, entity: &MoRef) -> Result<Vec<Value>, Failure> {
    let ask = call!(RetrieveEntityPermissions { entity: entity, inherited: true });
    Ok(client.invoke(manager, &ask).await?.map(|found| found.items().to_vec()).unwrap_or_default())
}

fn row(permission: &Object, roles: &Roles) -> Vec<Json> {
    let role = permission.get(field!(Permission.roleId)).unwrap_or_default();
    let group = permission.get(field!(Permission.group)).unwrap_or_default();
    vec![
        json!(permission.get(field!(Permission.principal))),
        json!(if group { "group" } else { "user" }),
        roles.name_of(role).into(),
        json!(permission.get(field!(Permission.entity)).map(ToString::to_string)),
        json!(permission.get(field!(Permission.propagate))),
    ]
}

async fn list(name: Option<&str>, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let roles = Roles::of(&inventory).await?;
    let found = match name {
        Some(name) => permissions(&client, &roles.manager, &object(&inventory, name).await?).await?,
        None => {
            let all = client.invoke(&roles.manager, &call!(RetrieveAllPermissions {})).await?;
            all.map(|all| all.items().to_vec()).unwrap_or_default()
        }
    };
    let mut table = Table::new(&["principal", "kind", "role", "object", "propagates"]);
    for permission in found.iter().filter_map(Value::as_object) {
        table.row(row(permission, &roles));
    }
    table.print(target.json)
}

async fn globals(client: &Client) -> Result<Vec<Json>, Failure> {
    let filter = json!({ "filter": { "objects": [{ "type": "", "id": "" }] } });
    let listed = client.automation("POST", &format!("{PERMISSIONS}?action=list"), Some(&filter)).await?;
    Ok(listed["items"].as_array().cloned().unwrap_or_default())
}

async fn list_global(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let roles = Roles::of(&Inventory::of(&client).await?).await?;
    let mut table = Table::new(&["principal", "kind", "role", "propagates"]);
    for item in globals(&client).await? {
        let info = &item["info"];
        let role = info["role"].as_str().and_then(|id| id.parse().ok()).unwrap_or_default();
        table.row(vec![
            info["principal"]["name"].clone(),
            info["principal"]["type"].as_str().map(str::to_lowercase).into(),
            roles.name_of(role).into(),
            info["propagating"].clone(),
        ]);
    }
    table.print(target.json)
}

async fn set(add: &Add) -> Result<(), Failure> {
    let client = session::open(&add.target).await?;
    let inventory = Inventory::of(&client).await?;
    let roles = Roles::of(&inventory).await?;
    let role = roles.named(&add.role)?.id;
    let Some(name) = &add.object else {
        let kind = if add.group { "GROUP" } else { "USER" };
        let spec = json!({
            "object": { "type": "", "id": "" },
            "principal": { "type": kind, "name": add.principal },
            "role": role.to_string(),
            "propagating": !add.no_propagate,
        });
        client.automation("POST", PERMISSIONS, Some(&spec)).await?;
        return Ok(());
    };
    let entity = object(&inventory, name).await?;
    let permission = vim!(Permission {
        principal: add.principal.as_str(),
        group: add.group,
        roleId: role,
        propagate: !add.no_propagate,
    });
    let set = call!(SetEntityPermissions { entity: entity, permission: [permission] });
    client.invoke(&roles.manager, &set).await?;
    Ok(())
}

async fn remove(rm: &Rm) -> Result<(), Failure> {
    let client = session::open(&rm.target).await?;
    let inventory = Inventory::of(&client).await?;
    let manager = inventory.manager(field!(ServiceContent.authorizationManager))?;
    let Some(name) = &rm.object else {
        let kind = if rm.group { "GROUP" } else { "USER" };
        let plain = rm.principal.rsplit('\\').next().unwrap_or_default();
        let plain = plain.split('@').next().unwrap_or_default();
        let all = globals(&client).await?;
        let his = all.iter().find(|item| {
            let principal = &item["info"]["principal"];
            principal["type"] == kind
                && principal["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(plain))
        });
        let id = his.and_then(|item| item["permission"].as_str());
        let id = id.ok_or_else(|| Failure::not_found("global permission of a principal", &rm.principal))?;
        let path = format!("{PERMISSIONS}/{}", id.replace(' ', "%20"));
        client.automation("DELETE", &path, None).await?;
        return Ok(());
    };
    let entity = object(&inventory, name).await?;
    let remove =
        call!(RemoveEntityPermission { entity: entity, user: rm.principal.as_str(), isGroup: rm.group });
    client.invoke(&manager, &remove).await?;
    Ok(())
}

/// The groups of a user.
async fn groups_of(inventory: &Inventory<'_>, user: &str) -> Result<BTreeSet<String>, Failure> {
    let directory = inventory.manager(field!(ServiceContent.userDirectory))?;
    let ask = call!(RetrieveUserGroups {
        searchStr: "",
        belongsToUser: user,
        exactMatch: false,
        findUsers: false,
        findGroups: true
    });
    let found = inventory.client.invoke(&directory, &ask).await?;
    let found = found.iter().flat_map(Value::items).filter_map(Value::as_object);
    let names = found.filter_map(|group| group.get(field!(UserSearchResult.principal)).map(plain));
    Ok(names.collect())
}

/// A principal's name without its domain, as permissions and directories may name it with one or without.
fn plain(name: &str) -> String {
    let name = name.rsplit('\\').next().unwrap_or_default();
    name.split('@').next().unwrap_or_default().to_lowercase()
}

async fn explain(user: &str, name: &str, privilege: Option<&str>, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let roles = Roles::of(&inventory).await?;
    let entity = object(&inventory, name).await?;
    let ask = call!(FetchUserPrivilegeOnEntities { entities: [entity.clone()], userName: user });
    let held = client.invoke(&roles.manager, &ask).await?;
    let held = held.iter().flat_map(Value::items).filter_map(Value::as_object).next().cloned();
    let held: BTreeSet<String> = held
        .iter()
        .filter_map(|result| result.get(field!(UserPrivilegeResult.privileges)))
        .flatten()
        .map(str::to_owned)
        .collect();
    let groups = groups_of(&inventory, user).await?;
    let all = permissions(&client, &roles.manager, &entity).await?;
    let his = all.iter().filter_map(Value::as_object).filter(|permission| {
        let principal = plain(permission.get(field!(Permission.principal)).unwrap_or_default());
        match permission.get(field!(Permission.group)) {
            Some(true) => groups.contains(&principal),
            _ => principal == plain(user),
        }
    });
    let mut table = Table::new(&["principal", "kind", "role", "object", "propagates"]);
    his.for_each(|permission| table.row(row(permission, &roles)));
    let answer = privilege.map(|privilege| held.contains(privilege));
    if target.json {
        return terminal::json(&json!({
            "user": user,
            "object": entity.to_string(),
            "privilege": privilege,
            "held": answer,
            "privileges": held,
            "permissions": table.to_json(),
        }));
    }
    let mut lines = match (privilege, answer) {
        (Some(privilege), Some(true)) => vec![format!("{user} has {privilege} on {entity}")],
        (Some(privilege), _) => vec![format!("{user} does not have {privilege} on {entity}")],
        (None, _) => {
            let mut lines = vec![format!("{user} has {} privileges on {entity}", held.len())];
            lines.extend(held.iter().map(|id| format!("  {id}")));
            lines
        }
    };
    lines.push(String::new());
    lines.push(
        "Permissions that name the user or a group of his, the nearest first; the nearest decide:".into(),
    );
    lines.extend(table.to_lines());
    terminal::lines(lines)
}

async fn used(user: Option<&str>, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let mut table = Table::new(&["until", "user", "privilege", "object"]);
    let mut marker: Option<String> = None;
    // The time stands in the marker of a page, so each page has one use.
    for _ in 0..MAX_USES {
        let mut iteration = json!({ "size": 1 });
        if let Some(marker) = &marker {
            iteration["marker"] = marker.as_str().into();
        }
        let page = client.automation("POST", USES, Some(&json!({ "iteration": iteration }))).await?;
        let Some(item) = page["items"].get(0) else { break };
        let next = page["marker"].as_str().unwrap_or_default().to_owned();
        let name = item["principal"]["name"].as_str().unwrap_or_default();
        if user.is_none_or(|user| plain(user) == name.to_lowercase()) {
            let object = &item["object"];
            table.row(vec![
                next.split('/').next().into(),
                name.into(),
                item["privilege"].clone(),
                json!(format!(
                    "{}:{}",
                    object["type"].as_str().unwrap_or_default(),
                    object["id"].as_str().unwrap_or_default()
                )),
            ]);
        }
        if marker.as_ref() == Some(&next) {
            return Err(Failure::new(Reason::Failed, "the server repeats a page of uses"));
        }
        marker = Some(next);
    }
    table.print(target.json)
}
