//! `esfera datastore mkdir`

use clap::Args;
use vim::{call, field};

use super::place::Place;
use crate::client::failure::Failure;
use crate::client::inventory::Inventory;
use crate::client::session;
use crate::client::target::Target;

#[derive(Args)]
pub struct Mkdir {
    path: String,
    #[command(flatten)]
    target: Target,
}

pub async fn run(Mkdir { path, target }: Mkdir) -> Result<(), Failure> {
    let client = session::open(&target).await?;
    let inventory = Inventory::of(&client).await?;
    let place = Place::find(&inventory, &path).await?;
    let call =
        call!(MakeDirectory { name: path, datacenter: place.datacenter, createParentDirectories: true });
    inventory.task(&inventory.manager(field!(ServiceContent.fileManager))?, call).await.map(drop)
}
