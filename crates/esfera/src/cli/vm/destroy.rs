//! `esfera vm destroy`

use clap::Args;
use vim::call;

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::session;
use crate::client::target::Target;

#[derive(Args)]
pub struct Destroy {
    vm: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    target: Target,
}

pub async fn run(Destroy { vm: name, yes, target }: Destroy) -> Result<(), Failure> {
    let client = session::open(&target).await?;
    let inventory = Inventory::of(&client).await?;
    let vm = inventory.vm(&name).await?;
    if !yes && !session::confirm(&format!("Delete {name} and its disks?")) {
        return Err(Failure::new(Reason::Usage, "nothing was deleted")
            .hint("give --yes to delete without being asked"));
    }
    inventory.task(&vm, call!(Destroy_Task {})).await.map(drop)
}
