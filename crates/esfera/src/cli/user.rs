//! `esfera user`

use std::path::PathBuf;

use api::client::Client;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value as Json, json};
use vim::{call, field};

use crate::client::failure::Failure;
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session::{self, new_password};
use crate::client::target::Target;
use crate::client::terminal;

#[derive(Subcommand)]
pub enum UserCommand {
    /// List users
    Ls(Target),
    /// Create a user
    #[command(visible_alias = "create")]
    Add(Box<Add>),
    /// Change a user
    Set(Box<Set>),
    /// Remove a user with his permissions, memberships and tokens
    Rm {
        user: String,
        #[command(flatten)]
        target: Target,
    },
    /// Unlock a user whom wrong passwords have locked
    Unlock {
        user: String,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Args)]
pub struct Add {
    user: String,
    /// Full name, or a description
    #[arg(long)]
    full_name: Option<String>,
    /// Mail address
    #[arg(long)]
    email: Option<String>,
    /// A group to which the user is to belong; may be repeated
    #[arg(long = "group")]
    groups: Vec<String>,
    /// File that holds the password; otherwise $ESFERA_NEW_PASSWORD, or it is asked for
    #[arg(long)]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Set {
    user: String,
    /// Full name, or a description
    #[arg(long)]
    full_name: Option<String>,
    /// Mail address; empty for none
    #[arg(long)]
    email: Option<String>,
    /// Let the user log in again
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// End the user's sessions and let him log in no more
    #[arg(long)]
    disable: bool,
    /// Whether the password ends by its age
    #[arg(long, value_name = "true|false")]
    password_expires: Option<bool>,
    /// Ask for a new password, or take it from $ESFERA_NEW_PASSWORD
    #[arg(long)]
    password: bool,
    /// File that holds the new password
    #[arg(long)]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

pub async fn run(command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Ls(target) => list(&target).await,
        UserCommand::Add(args) => add(*args).await,
        UserCommand::Set(args) => set(*args).await,
        UserCommand::Rm { user, target } => {
            let client = session::open(&target).await?;
            let manager = Inventory::of(&client).await?.manager(field!(ServiceContent.accountManager))?;
            client.invoke(&manager, &call!(RemoveUser { userName: user })).await?;
            Ok(())
        }
        UserCommand::Unlock { user, target } => {
            let client = session::open(&target).await?;
            client.plain(Method::POST, &format!("{}/unlock", path(&user)), None).await?;
            Ok(())
        }
    }
}

fn path(user: &str) -> String {
    format!("/esfera/users/{}", api::files::escape(user))
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let people = client.plain(Method::GET, "/esfera/users", None).await?;
    let headings =
        ["name", "full_name", "email", "enabled", "locked", "administrator", "groups", "password_ends"];
    let mut table = Table::new(&headings);
    for person in people.as_array().into_iter().flatten() {
        let cell = |heading: &&str| match &person[*heading] {
            Json::Array(words) if !target.json => {
                words.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", ").into()
            }
            other => other.clone(),
        };
        table.row(headings.iter().map(cell).collect());
    }
    table.print(target.json)
}

async fn add(args: Add) -> Result<(), Failure> {
    let client = session::open(&args.target).await?;
    let password = new_password(args.password_file.as_deref(), &args.user)?;
    let inventory = Inventory::of(&client).await?;
    let manager = inventory.manager(field!(ServiceContent.accountManager))?;
    let spec = vim::vim!(HostAccountSpec { id: &args.user, password: password, description: args.full_name });
    client.invoke(&manager, &call!(CreateUser { user: spec })).await?;
    if let Some(email) = args.email {
        change(&client, &args.user, json!({ "email": email })).await?;
    }
    for group in args.groups {
        client.invoke(&manager, &call!(AssignUserToGroup { user: &args.user, group: group })).await?;
    }
    if args.target.json { terminal::json(&json!({ "name": args.user })) } else { Ok(()) }
}

async fn set(args: Set) -> Result<(), Failure> {
    let client = session::open(&args.target).await?;
    let mut body = Map::new();
    if let Some(full_name) = args.full_name {
        body.insert("full_name".into(), full_name.into());
    }
    if let Some(email) = args.email {
        body.insert("email".into(), email.into());
    }
    if args.enable || args.disable {
        body.insert("enabled".into(), args.enable.into());
    }
    if let Some(expires) = args.password_expires {
        body.insert("password_expires".into(), expires.into());
    }
    if args.password || args.password_file.is_some() {
        let password = new_password(args.password_file.as_deref(), &args.user)?;
        let manager = Inventory::of(&client).await?.manager(field!(ServiceContent.accountManager))?;
        let spec = vim::vim!(HostAccountSpec { id: &args.user, password: password });
        client.invoke(&manager, &call!(UpdateUser { user: spec })).await?;
    }
    if body.is_empty() { Ok(()) } else { change(&client, &args.user, body.into()).await }
}

async fn change(client: &Client, user: &str, body: Json) -> Result<(), Failure> {
    client.plain(Method::PATCH, &path(user), Some(&body)).await?;
    Ok(())
}
