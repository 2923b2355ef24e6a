//! `esfera group`

use clap::Subcommand;
use serde_json::json;
use vim::{MoRef, Value, call, field, vim};

use crate::client::failure::Failure;
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;

#[derive(Subcommand)]
pub enum GroupCommand {
    /// List groups with their members
    Ls(Target),
    /// Create a group
    #[command(visible_alias = "create")]
    Add {
        group: String,
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a group with its permissions; its members stay
    Rm {
        group: String,
        #[command(flatten)]
        target: Target,
    },
    /// Members of a group: users and other groups
    #[command(subcommand)]
    Member(MemberCommand),
}

#[derive(Subcommand)]
pub enum MemberCommand {
    /// Let a user, or a group, belong to a group
    Add {
        group: String,
        member: String,
        #[command(flatten)]
        target: Target,
    },
    /// Take a user, or a group, out of a group
    Rm {
        group: String,
        member: String,
        #[command(flatten)]
        target: Target,
    },
}

pub async fn run(command: GroupCommand) -> Result<(), Failure> {
    match command {
        GroupCommand::Ls(target) => list(&target).await,
        GroupCommand::Add { group, description, target } => {
            let spec = vim!(HostAccountSpec { id: group, description: description });
            invoke(&target, call!(CreateGroup { group: spec })).await
        }
        GroupCommand::Rm { group, target } => invoke(&target, call!(RemoveGroup { groupName: group })).await,
        GroupCommand::Member(MemberCommand::Add { group, member, target }) => {
            invoke(&target, call!(AssignUserToGroup { user: member, group: group })).await
        }
        GroupCommand::Member(MemberCommand::Rm { group, member, target }) => {
            invoke(&target, call!(UnassignUserFromGroup { user: member, group: group })).await
        }
    }
}

async fn invoke(target: &Target, call: vim::Args) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let manager = Inventory::of(&client).await?.manager(field!(ServiceContent.accountManager))?;
    client.invoke(&manager, &call).await?;
    Ok(())
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let directory = Inventory::of(&client).await?.manager(field!(ServiceContent.userDirectory))?;
    let mut table = Table::new(&["name", "description", "users", "groups"]);
    for (name, description) in found(&client, &directory, None, (false, true)).await? {
        let users = found(&client, &directory, Some(&name), (true, false)).await?;
        let groups = found(&client, &directory, Some(&name), (false, true)).await?;
        let names = |all: Vec<(String, Option<String>)>| {
            let names: Vec<String> = all.into_iter().map(|(name, _)| name).collect();
            if target.json { json!(names) } else { names.join(", ").into() }
        };
        table.row(vec![name.into(), json!(description), names(users), names(groups)]);
    }
    table.print(target.json)
}

/// The users or groups (which of both is asked for) that belong to a group directly, or all, each with its description.
async fn found(
    client: &api::client::Client,
    directory: &MoRef,
    group: Option<&str>,
    (users, groups): (bool, bool),
) -> Result<Vec<(String, Option<String>)>, Failure> {
    let ask = call!(RetrieveUserGroups {
        searchStr: "",
        belongsToGroup: group.map(str::to_owned),
        exactMatch: false,
        findUsers: users,
        findGroups: groups,
    });
    let answer = client.invoke(directory, &ask).await?;
    let results = answer.iter().flat_map(Value::items).filter_map(Value::as_object);
    let named = results.map(|result| {
        let name = result.get(field!(UserSearchResult.principal)).unwrap_or_default().to_owned();
        (name, result.get(field!(UserSearchResult.fullName)).map(str::to_owned))
    });
    Ok(named.collect())
}
