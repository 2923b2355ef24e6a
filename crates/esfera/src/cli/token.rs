//! `esfera token`: secrets by which scripts log in, for a limited time and with the privileges of one role at most.

use api::client::Client;
use clap::Subcommand;
use http::Method;
use serde_json::{Value as Json, json};
use vim::{Value, field};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

#[derive(Subcommand)]
pub enum TokenCommand {
    /// List your tokens
    Ls {
        /// Those of all users
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Make a token; it is shown once, and stands for your password
    Add {
        /// Your word for it
        name: String,
        /// Role whose privileges the token has, as far as you have them yourself
        #[arg(long)]
        role: String,
        /// Days for which it works
        #[arg(long, default_value_t = 30)]
        days: i64,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a token and end its sessions
    Rm {
        /// Name or id
        token: String,
        #[command(flatten)]
        target: Target,
    },
}

pub async fn run(command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Ls { all, target } => list(all, &target).await,
        TokenCommand::Add { name, role, days, target } => {
            let client = session::open(&target).await?;
            let body = json!({ "name": name, "role": role_id(&client, &role).await?, "days": days });
            let made = client.plain(Method::POST, "/esfera/tokens", Some(&body)).await?;
            if target.json {
                terminal::json(&made)
            } else {
                terminal::line(made["token"].as_str().unwrap_or_default())
            }
        }
        TokenCommand::Rm { token, target } => remove(&token, &target).await,
    }
}

async fn list(all: bool, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let path = if all { "/esfera/tokens?all=true" } else { "/esfera/tokens" };
    let tokens = client.plain(Method::GET, path, None).await?;
    let headings = ["id", "name", "user", "role", "made", "ends"];
    let mut table = Table::new(&headings);
    for token in tokens.as_array().into_iter().flatten() {
        table.row(headings.iter().map(|heading| token[*heading].clone()).collect());
    }
    table.print(target.json)
}

async fn remove(token: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let mine = client.plain(Method::GET, "/esfera/tokens", None).await?;
    let named = mine.as_array().into_iter().flatten().find(|known| known["name"].as_str() == Some(token));
    let id = named.and_then(|known| known["id"].as_str()).unwrap_or(token);
    let answer =
        client.plain(Method::DELETE, &format!("/esfera/tokens/{}", api::files::escape(id)), None).await?;
    debug_assert_eq!(answer, Json::Null);
    Ok(())
}

async fn role_id(client: &Client, name: &str) -> Result<i32, Failure> {
    let manager = Inventory::of(client).await?.manager(field!(ServiceContent.authorizationManager))?;
    let roles = client.property(&manager, "roleList").await?;
    let mut roles = roles.iter().flat_map(Value::items).filter_map(Value::as_object);
    let role = roles.find(|role| role.get(field!(AuthorizationRole.name)) == Some(name));
    let id = role.and_then(|role| role.get(field!(AuthorizationRole.roleId)));
    id.ok_or_else(|| Failure::new(Reason::NotFound, format!("no role is named {name:?}")))
}
