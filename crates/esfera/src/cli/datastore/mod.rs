//! `esfera datastore`: datastores and their files.

mod cp;
mod ls;
mod mkdir;
mod place;
mod rm;

use clap::Subcommand;

use crate::client::failure::Failure;

#[derive(Subcommand)]
pub enum DatastoreCommand {
    /// List datastores, or the files in a directory of one
    Ls(ls::Ls),
    /// Copy a file to, from or within datastores; a path of a datastore is written "[datastore] path"
    Cp(cp::Cp),
    /// Delete a file or directory
    Rm(rm::Rm),
    /// Make a directory
    Mkdir(mkdir::Mkdir),
}

pub async fn run(command: DatastoreCommand) -> Result<(), Failure> {
    match command {
        DatastoreCommand::Ls(args) => ls::run(args).await,
        DatastoreCommand::Cp(args) => cp::run(args).await,
        DatastoreCommand::Rm(args) => rm::run(args).await,
        DatastoreCommand::Mkdir(args) => mkdir::run(args).await,
    }
}
