//! `esfera center`: the daemon without a verb, and its database with one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use store::{Options, Place};

use crate::client::failure::Failure;
use crate::client::output::Table;
use crate::client::terminal;
use crate::daemon;
use crate::daemon::center::{CenterArgs, DATABASE, PROGRAM};
use crate::daemon::database::DatabaseArgs;
use crate::daemon::state::keep_private;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CenterCommand {
    #[command(subcommand)]
    pub verb: Option<CenterVerb>,
    #[command(flatten)]
    pub run: CenterArgs,
}

#[derive(Subcommand)]
pub enum CenterVerb {
    /// Check the center's database, and move it between SQLite and PostgreSQL
    #[command(subcommand)]
    Db(DbVerb),
}

#[derive(Subcommand)]
pub enum DbVerb {
    /// Read the whole database and check it; the center must be stopped
    Check {
        #[command(flatten)]
        at: At,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the database into a new file; the center may run
    Export {
        file: PathBuf,
        #[command(flatten)]
        at: At,
    },
    /// Fill an empty database from a file that `export` wrote
    Import {
        file: PathBuf,
        #[command(flatten)]
        at: At,
    },
}

/// The database.
#[derive(Args)]
pub struct At {
    /// Directory of the center's state
    #[arg(long, default_value = "/var/lib/esfera/center")]
    data: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
}

impl At {
    fn place(&self) -> anyhow::Result<Place> {
        Ok(match self.database.target()? {
            Some(target) => Place::Database(Box::new(target)),
            None => Place::File(self.data.join(DATABASE)),
        })
    }
}

pub async fn run(command: CenterCommand) -> Result<(), Failure> {
    let Some(verb) = command.verb else {
        daemon::start_log("info");
        return Ok(daemon::center::run(command.run).await?);
    };
    daemon::start_log("warn");
    keep_private();
    match verb {
        CenterVerb::Db(DbVerb::Check { at, json }) => check(&at, json).await,
        CenterVerb::Db(DbVerb::Export { file, at }) => {
            let totals = at.place()?.export(&file).await.map_err(anyhow::Error::new)?;
            terminal::line(format!("{} has {}", file.display(), told(totals)))
        }
        CenterVerb::Db(DbVerb::Import { file, at }) => {
            if let Place::File(path) = at.place()?
                && let Some(data) = path.parent()
            {
                daemon::state::make_directory(data, daemon::state::PRIVATE_DIRECTORY)?;
            }
            let options = Options { program: format!("{PROGRAM} db import"), ..Options::default() };
            let totals = at.place()?.import(&file, &options).await.map_err(anyhow::Error::new)?;
            terminal::line(format!("the database has {}", told(totals)))
        }
    }
}

fn told(totals: store::Totals) -> String {
    let store::Totals { position, records, entries, .. } = totals;
    format!("{records} records and {entries} log entries, after batch {position}")
}

async fn check(at: &At, json: bool) -> Result<(), Failure> {
    let survey = at.place()?.check().await.map_err(anyhow::Error::new)?;
    let mut table = Table::new(&["kind", "name", "rows", "bytes"]);
    for (kind, tables) in [("collection", &survey.collections), ("log", &survey.logs)] {
        for row in tables {
            table.row(vec![kind.into(), row.name.clone().into(), json!(row.rows), json!(row.bytes)]);
        }
    }
    table.print(json)?;
    if json {
        return Ok(());
    }
    let store::Survey { format, position, on_disk, .. } = survey;
    terminal::line(format!("sound: format {format}, batch {position}, {on_disk} bytes on the disk"))
}
