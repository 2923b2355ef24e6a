//! `esfera role`: roles, which are sets of privileges.

use std::collections::BTreeSet;

use api::client::Client;
use clap::{Args, Subcommand};
use serde_json::json;
use vim::{MoRef, Object, Value, call, field};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

#[derive(Subcommand)]
pub enum RoleCommand {
    /// List roles
    Ls(Target),
    /// Show the privileges of a role
    Show {
        role: String,
        #[command(flatten)]
        target: Target,
    },
    /// Add a role
    Add {
        role: String,
        /// Privilege by its id, as VirtualMachine.Interact.PowerOn, or a whole group: VirtualMachine.Interact.*
        #[arg(long = "privilege", short, value_name = "PRIVILEGE")]
        privileges: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Change a role
    Set(Set),
    /// Add a role with the privileges of another
    Clone {
        role: String,
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a role
    Rm {
        role: String,
        /// Remove the permissions that have it as well
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        target: Target,
    },
    /// List all privileges
    Privileges(Target),
}

#[derive(Args)]
pub struct Set {
    role: String,
    /// New name
    #[arg(long)]
    name: Option<String>,
    /// Privilege, or a group as VirtualMachine.Interact.*, that it gets
    #[arg(long, value_name = "PRIVILEGE")]
    add: Vec<String>,
    /// Privilege, or a group, that it loses
    #[arg(long, value_name = "PRIVILEGE")]
    remove: Vec<String>,
    #[command(flatten)]
    target: Target,
}

pub async fn run(command: RoleCommand) -> Result<(), Failure> {
    match command {
        RoleCommand::Ls(target) => list(&target).await,
        RoleCommand::Show { role, target } => show(&role, &target).await,
        RoleCommand::Add { role, privileges, target } => add(&role, &privileges, &target).await,
        RoleCommand::Set(set) => change(&set).await,
        RoleCommand::Clone { role, name, target } => clone(&role, &name, &target).await,
        RoleCommand::Rm { role, force, target } => remove(&role, force, &target).await,
        RoleCommand::Privileges(target) => privileges(&target).await,
    }
}

/// The server's roles and privileges.
pub(super) struct Roles {
    pub manager: MoRef,
    roles: Vec<Role>,
    /// Each with its id and label.
    privileges: Vec<(String, String)>,
}

/// A role of the server.
pub(super) struct Role {
    pub id: i32,
    pub name: String,
    pub label: String,
    pub system: bool,
    pub privileges: BTreeSet<String>,
}

impl Roles {
    pub(super) async fn of(inventory: &Inventory<'_>) -> Result<Self, Failure> {
        let manager = inventory.manager(field!(ServiceContent.authorizationManager))?;
        let read = inventory.read(&manager, &["roleList", "description"]).await?;
        let roles = read.at(0).into_iter().flat_map(Value::items).filter_map(Value::as_object);
        let listed = read
            .object(1)
            .and_then(|description| description.get(field!(AuthorizationDescription.privilege)));
        let element = |element: &std::sync::Arc<Object>| {
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            (
                text(element.get(field!(ElementDescription.key))),
                text(element.get(field!(ElementDescription.label))),
            )
        };
        let privileges = listed.into_iter().flatten().map(element).collect();
        Ok(Self { manager, roles: roles.map(|role| Role::read(role)).collect(), privileges })
    }

    /// The role with this name, label or id.
    pub(super) fn named(&self, name: &str) -> Result<&Role, Failure> {
        let by_name = self.roles.iter().find(|role| role.name == name);
        let id = name.parse::<i32>().ok();
        let by_other = || self.roles.iter().find(|role| role.label == name || Some(role.id) == id);
        let found = by_name.or_else(by_other);
        found.ok_or_else(|| Failure::not_found("role", name).hint("esfera role ls lists the roles"))
    }

    /// The name of the role with this id.
    pub(super) fn name_of(&self, id: i32) -> String {
        self.roles.iter().find(|role| role.id == id).map_or_else(|| id.to_string(), |role| role.name.clone())
    }

    /// The ids that a word of the command line stands for.
    fn expand(&self, words: &[String]) -> Result<BTreeSet<String>, Failure> {
        let mut all = BTreeSet::new();
        for word in words {
            let group = word.strip_suffix('*');
            let fits = |id: &str| group.map_or(id == word, |group| id.starts_with(group));
            let before = all.len();
            all.extend(self.privileges.iter().map(|(id, _)| id.clone()).filter(|id| fits(id)));
            if all.len() == before && !all.contains(word) && group.is_none() {
                return Err(Failure::not_found("privilege", word).hint("esfera role privileges lists them"));
            }
        }
        Ok(all)
    }
}

impl Role {
    fn read(role: &Object) -> Self {
        let info = role.get(field!(AuthorizationRole.info));
        let privileges = role.get(field!(AuthorizationRole.privilege)).into_iter().flatten();
        Self {
            id: role.get(field!(AuthorizationRole.roleId)).unwrap_or_default(),
            name: role.get(field!(AuthorizationRole.name)).unwrap_or_default().to_owned(),
            label: info.and_then(|info| info.get(field!(Description.label))).unwrap_or_default().to_owned(),
            system: role.get(field!(AuthorizationRole.system)).unwrap_or_default(),
            privileges: privileges.map(str::to_owned).collect(),
        }
    }
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let roles = Roles::of(&Inventory::of(&client).await?).await?;
    let mut table = Table::new(&["id", "name", "label", "privileges", "system"]);
    for role in &roles.roles {
        table.row(vec![
            json!(role.id),
            role.name.as_str().into(),
            role.label.as_str().into(),
            json!(role.privileges.len()),
            json!(role.system),
        ]);
    }
    table.print(target.json)
}

async fn show(name: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let roles = Roles::of(&Inventory::of(&client).await?).await?;
    let role = roles.named(name)?;
    let held = roles.privileges.iter().filter(|(id, _)| role.privileges.contains(id));
    print_privileges(held, target)
}

async fn privileges(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let roles = Roles::of(&Inventory::of(&client).await?).await?;
    print_privileges(roles.privileges.iter(), target)
}

fn print_privileges<'a>(
    privileges: impl Iterator<Item = &'a (String, String)>,
    target: &Target,
) -> Result<(), Failure> {
    let mut table = Table::new(&["privilege", "label"]);
    for (id, label) in privileges {
        table.row(vec![id.as_str().into(), label.as_str().into()]);
    }
    table.print(target.json)
}

async fn make(client: &Client, roles: &Roles, name: &str, ids: BTreeSet<String>) -> Result<(), Failure> {
    let ids: Vec<String> = ids.into_iter().collect();
    let made =
        client.invoke(&roles.manager, &call!(AddAuthorizationRole { name: name, privIds: ids })).await?;
    match made {
        Some(Value::Int(id)) => terminal::line(id),
        _ => Err(Failure::new(Reason::Failed, "the server did not number the new role")),
    }
}

async fn add(name: &str, privileges: &[String], target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let roles = Roles::of(&Inventory::of(&client).await?).await?;
    let ids = roles.expand(privileges)?;
    make(&client, &roles, name, ids).await
}

async fn clone(role: &str, name: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let roles = Roles::of(&Inventory::of(&client).await?).await?;
    let ids = roles.named(role)?.privileges.clone();
    make(&client, &roles, name, ids).await
}

async fn change(set: &Set) -> Result<(), Failure> {
    let client = session::open(&set.target).await?;
    let roles = Roles::of(&Inventory::of(&client).await?).await?;
    let role = roles.named(&set.role)?;
    let (more, less) = (roles.expand(&set.add)?, roles.expand(&set.remove)?);
    let ids = role.privileges.union(&more).filter(|id| !less.contains(*id));
    let ids: Vec<String> = ids.cloned().collect();
    let name = set.name.as_deref().unwrap_or(&role.name);
    let update = call!(UpdateAuthorizationRole { roleId: role.id, newName: name, privIds: ids });
    client.invoke(&roles.manager, &update).await?;
    Ok(())
}

async fn remove(name: &str, force: bool, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let roles = Roles::of(&Inventory::of(&client).await?).await?;
    let role = roles.named(name)?;
    let remove = call!(RemoveAuthorizationRole { roleId: role.id, failIfUsed: !force });
    client.invoke(&roles.manager, &remove).await?;
    Ok(())
}
