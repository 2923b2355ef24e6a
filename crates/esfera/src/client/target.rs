//! Arguments that say which server and which host a command addresses.

use clap::Args;
use vim::{MoRef, managed_id};

use super::failure::{Failure, Reason};
use super::inventory::Inventory;

/// The server of a command, and the form of its output.
#[derive(Args, Clone)]
pub struct Target {
    /// Server to use, if there are sessions with several: https://HOST[:PORT]
    #[arg(long, env = "ESFERA_URL", global = true)]
    pub url: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// A host of the server.
#[derive(Args)]
pub struct OnHost {
    /// Host, by name; needed if there are several
    #[arg(long)]
    pub host: Option<String>,
    #[command(flatten)]
    pub target: Target,
}

impl OnHost {
    /// The named host, or else the only one.
    pub async fn find(&self, inventory: &Inventory<'_>) -> Result<MoRef, Failure> {
        if let Some(name) = &self.host {
            return inventory.host(name).await;
        }
        let hosts = inventory.all(managed_id!(HostSystem), &["name"]).await?;
        match hosts.as_slice() {
            [only] => Ok(only.me.clone()),
            [] => Err(Failure::new(Reason::NotFound, "the inventory has no host")),
            several => {
                let names: Vec<&str> = several.iter().map(|host| host.text(0)).collect();
                let failure = Failure::new(Reason::Usage, format!("there are {} hosts", several.len()));
                Err(failure.hint(format!("name one with --host: {}", names.join(", "))))
            }
        }
    }
}
