//! `esfera identity`: LDAP servers and Active Directory beside the server's own users.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value as Json, json};

use crate::client::failure::Failure;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

#[derive(Subcommand)]
pub enum IdentityCommand {
    /// List identity sources
    Ls(Target),
    /// Add an identity source
    Add(Box<Add>),
    /// Remove an identity source with all that its users and groups were given, and end their sessions
    Rm {
        domain: String,
        #[command(flatten)]
        target: Target,
    },
    /// See whether the servers of a source answer, and what they tell of a user
    Test {
        domain: String,
        /// Plain name of a user
        user: Option<String>,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Schema {
    ActiveDirectory,
    OpenLdap,
}

#[derive(Args)]
pub struct Add {
    /// Domain of its users: they log in as USER@DOMAIN
    domain: String,
    /// Short domain: they log in as ALIAS\USER too
    #[arg(long)]
    alias: Option<String>,
    #[arg(long, value_enum)]
    schema: Schema,
    /// ldaps://HOST[:PORT] or ldap+starttls://HOST[:PORT]; may be repeated for servers with the same contents
    #[arg(long = "server", required = true)]
    servers: Vec<String>,
    /// File with the certificates of the servers' authorities, PEM
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Distinguished name of the account that reads the directory
    #[arg(long)]
    account: String,
    /// File that holds the account's password; otherwise $ESFERA_BIND_PASSWORD, or it is asked for
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// Distinguished name below which the users are
    #[arg(long)]
    users: String,
    /// Distinguished name below which the groups are
    #[arg(long)]
    groups: String,
    /// Allow ldap://, which sends passwords in clear
    #[arg(long)]
    clear_text: bool,
    /// Put it in the place of the domain's present source
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    target: Target,
}

pub async fn run(command: IdentityCommand) -> Result<(), Failure> {
    match command {
        IdentityCommand::Ls(target) => list(&target).await,
        IdentityCommand::Add(args) => add(*args).await,
        IdentityCommand::Rm { domain, target } => {
            let client = session::open(&target).await?;
            client.plain(Method::DELETE, &path(&domain), None).await?;
            Ok(())
        }
        IdentityCommand::Test { domain, user, target } => test(&domain, user.as_deref(), &target).await,
    }
}

fn path(domain: &str) -> String {
    format!("/esfera/identity-sources/{}", api::files::escape(domain))
}

fn words(value: &Json) -> String {
    value.as_array().into_iter().flatten().filter_map(Json::as_str).collect::<Vec<_>>().join(", ")
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let sources = client.plain(Method::GET, "/esfera/identity-sources", None).await?;
    let headings = ["domain", "alias", "schema", "endpoints", "account", "users", "groups"];
    let mut table = Table::new(&headings);
    for source in sources.as_array().into_iter().flatten() {
        let cell = |heading: &&str| match &source[*heading] {
            several @ Json::Array(_) if !target.json => words(several).into(),
            other => other.clone(),
        };
        table.row(headings.iter().map(cell).collect());
    }
    table.print(target.json)
}

async fn add(args: Add) -> Result<(), Failure> {
    let client = session::open(&args.target).await?;
    let authorities = match &args.ca {
        Some(file) => {
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
        }
        None => String::new(),
    };
    let password = session::password(
        args.password_file.as_deref(),
        "ESFERA_BIND_PASSWORD",
        &args.account,
        &args.domain,
    )?;
    let schema = match args.schema {
        Schema::ActiveDirectory => "activeDirectory",
        Schema::OpenLdap => "openLdap",
    };
    let body = json!({
        "domain": args.domain,
        "alias": args.alias,
        "schema": schema,
        "endpoints": args.servers,
        "authorities": authorities,
        "account": args.account,
        "password": password,
        "users": args.users,
        "groups": args.groups,
        "clear_text": args.clear_text,
    });
    if args.replace {
        client.plain(Method::PUT, &path(&args.domain), Some(&body)).await?;
    } else {
        client.plain(Method::POST, "/esfera/identity-sources", Some(&body)).await?;
    }
    if args.target.json { terminal::json(&json!({ "domain": args.domain })) } else { Ok(()) }
}

async fn test(domain: &str, user: Option<&str>, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let body = json!({ "user": user });
    let found = client.plain(Method::POST, &format!("{}/test", path(domain)), Some(&body)).await?;
    if target.json {
        return terminal::json(&found);
    }
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    terminal::line(format!("The servers of {} answer.", text(&found["domain"])))?;
    let user = &found["user"];
    if user.is_object() {
        terminal::line(format!("{} ({})", text(&user["name"]), text(&user["full_name"])))?;
        terminal::line(format!("groups: {}", words(&user["groups"])))?;
        if user["enabled"] == Json::Bool(false) {
            terminal::line("The directory has disabled this user.")?;
        }
    }
    Ok(())
}
