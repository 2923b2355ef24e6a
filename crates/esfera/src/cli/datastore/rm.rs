//! `esfera datastore rm`

use clap::Args;
use vim::{call, field};

use super::place::Place;
use crate::client::failure::Failure;
use crate::client::inventory::Inventory;
use crate::client::session;
use crate::client::target::Target;

#[derive(Args)]
pub struct Rm {
    path: String,
    #[command(flatten)]
    target: Target,
}

pub async fn run(Rm { path, target }: Rm) -> Result<(), Failure> {
    let client = session::open(&target).await?;
    let inventory = Inventory::of(&client).await?;
    let place = Place::find(&inventory, &path).await?;
    let call = call!(DeleteDatastoreFile_Task { name: path, datacenter: place.datacenter });
    inventory.task(&inventory.manager(field!(ServiceContent.fileManager))?, call).await.map(drop)
}
