//! `esfera host lockdown`: the lockdown mode of a host, through its center, and the way back at the machine itself.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use vim::{MoRef, Value, call, field, vim_enum};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;
use crate::daemon::host::DATABASE;
use crate::daemon::state;

#[derive(Subcommand)]
pub enum LockdownCommand {
    /// List the lockdown modes of hosts and their exception users
    Ls(Target),
    /// Set the lockdown mode of a host
    Set(Set),
    /// Set the users who may log in to a host in lockdown mode; none without a name
    Except {
        host: String,
        users: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
    /// At the machine, as root, while its daemon is stopped: end the lockdown of a host whose center is gone for good
    Reset {
        /// Directory of the host's state
        #[arg(long, default_value = "/var/lib/esfera/host")]
        data: PathBuf,
    },
}

#[derive(Args)]
pub struct Set {
    host: String,
    #[arg(value_enum)]
    mode: Mode,
    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Mode {
    /// Users log in to the host itself
    Off,
    /// Only the center and exception users do
    Normal,
    /// The same; vSphere's strict mode also closes the console of ESXi, which a Linux machine does not have
    Strict,
}

pub async fn run(command: LockdownCommand) -> Result<(), Failure> {
    match command {
        LockdownCommand::Ls(target) => list(&target).await,
        LockdownCommand::Set(Set { host, mode, target }) => {
            let mode = match mode {
                Mode::Off => vim_enum!(HostLockdownMode.lockdownDisabled),
                Mode::Normal => vim_enum!(HostLockdownMode.lockdownNormal),
                Mode::Strict => vim_enum!(HostLockdownMode.lockdownStrict),
            };
            on_access(&host, &target, call!(ChangeLockdownMode { mode: mode })).await
        }
        LockdownCommand::Except { host, users, target } => {
            on_access(&host, &target, call!(UpdateLockdownExceptions { users: users })).await
        }
        LockdownCommand::Reset { data } => reset(&data),
    }
}

async fn access(inventory: &Inventory<'_>, host: &MoRef) -> Result<MoRef, Failure> {
    let found = inventory.read(host, &["configManager"]).await?;
    let access = found.object(0).and_then(|manager| manager.get(field!(HostConfigManager.hostAccessManager)));
    access
        .cloned()
        .ok_or_else(|| Failure::new(Reason::Failed, "the host is not connected, or has no lockdown mode"))
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let mut table = Table::new(&["host", "id", "lockdown", "exceptions"]);
    let paths = ["name", "config.lockdownMode", "runtime.connectionState"];
    for host in inventory.all(vim::managed_id!(HostSystem), &paths).await? {
        let mut users: Option<Vec<String>> = None;
        if host.text(2) == "connected" {
            let access = access(&inventory, &host.me).await?;
            let known = client.invoke(&access, &call!(QueryLockdownExceptions {})).await?;
            let known = known.iter().flat_map(Value::items).filter_map(Value::as_str);
            users = Some(known.map(str::to_owned).collect());
        }
        let mode = host.text(1).trim_start_matches("lockdown").to_lowercase();
        table.row(vec![
            host.text(0).into(),
            host.me.id().into(),
            mode.into(),
            json!(users.map(|all| all.join(" "))),
        ]);
    }
    table.print(target.json)
}

async fn on_access(host: &str, target: &Target, call: vim::Args) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let host = inventory.host(host).await?;
    let access = access(&inventory, &host).await?;
    client.invoke(&access, &call).await?;
    Ok(())
}

/// Changes the host's own state, which only its user may read: nobody logs in.
fn reset(data: &std::path::Path) -> Result<(), Failure> {
    if !data.join(DATABASE).exists() {
        let message = format!("{} does not hold the state of a host", data.display());
        return Err(Failure::new(Reason::NotFound, message).hint("name its directory with --data"));
    }
    let _claim = state::claim(data, "stop its daemon first; the virtual machines run on")?;
    let was = host::lift_lockdown(data).map_err(anyhow::Error::from)?;
    terminal::line(if was {
        "the lockdown of the host has ended"
    } else {
        "the host was not in lockdown mode"
    })
}
