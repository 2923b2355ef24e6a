//! The name of a PostgreSQL database on the command line, and its password, which comes from elsewhere.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use store::Target;

/// The environment's password for the database.
const PASSWORD: &str = "ESFERA_DATABASE_PASSWORD";

#[derive(Args)]
pub struct DatabaseArgs {
    /// PostgreSQL database for the state, as postgres://USER@HOST/NAME?sslmode=verify-full [default: a file in DATA]
    // Its value is not shown in the help: it may have a password.
    #[arg(long, env = "ESFERA_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// File that holds the database's password; otherwise $ESFERA_DATABASE_PASSWORD
    #[arg(long)]
    database_password_file: Option<PathBuf>,
}

impl DatabaseArgs {
    /// The database; none for a file in the directory of state.
    ///
    /// # Errors
    /// If its name or its password cannot be read.
    pub fn target(&self) -> Result<Option<Target>> {
        let Some(name) = &self.database else {
            if self.database_password_file.is_some() {
                anyhow::bail!("--database-password-file needs --database");
            }
            return Ok(None);
        };
        let mut target = Target::parse(name)?;
        if target.password_in_name() {
            tracing::warn!(
                "the name of the database has its password, which other users may see in the list of processes: use \
                 --database-password-file"
            );
        }
        if let Some(path) = &self.database_password_file {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            target = target.with_password(text.trim_end_matches(['\r', '\n']));
        } else if let Ok(password) = std::env::var(PASSWORD) {
            target = target.with_password(&password);
        }
        if target.is_unverified() {
            tracing::warn!(
                database = %target,
                "sslmode=require encrypts and checks no certificate, so anybody on the way can pose as the database: \
                 use sslmode=verify-full"
            );
        }
        Ok(Some(target))
    }
}
