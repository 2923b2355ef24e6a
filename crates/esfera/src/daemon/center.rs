//! `esfera center`: the daemon of the center.

use std::path::PathBuf;

use anyhow::{Context, Result};
use center::{Center, Network, Options};
use clap::Args;
use store::Store;

use super::database::DatabaseArgs;
use super::{
    ListenArgs, Ready, authority, certificate, healthy, listeners, password_for, serve_all, shutdown_signal,
    state,
};

const ADMINISTRATOR: &str = "administrator@vsphere.local";

#[derive(Args)]
pub struct CenterArgs {
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Directory of the center's state: inventory, accounts, certificates
    #[arg(long, default_value = "/var/lib/esfera/center")]
    pub data: PathBuf,
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// File that holds the administrator's password, set at first start [default: a new one in DATA/initial-password]
    #[arg(long)]
    pub password_file: Option<PathBuf>,
}

/// The center's database, where none is named.
pub const DATABASE: &str = "center.db";
/// The copy of a PostgreSQL database.
const COPY: &str = "center-copy.db";
/// As other programs see the center in the database.
pub const PROGRAM: &str = "esfera center";

pub async fn run(args: CenterArgs) -> Result<()> {
    state::keep_private();
    let listeners = listeners(&args.listen)?;
    let shutdown = shutdown_signal()?;
    let _claim = state::claim_data(&args.data, DATABASE, state::PRIVATE_DIRECTORY)?;
    let certificate = certificate(&args.data, "center", &args.listen.name)?;
    let store = open_store(&args).await?;
    let first_start = store.read(|view| view.position())? == 0;
    let password = password_for(first_start, &args.data, args.password_file.as_deref())?;
    let mut options = Options::new(store.clone());
    options.address = args.listen.name.first().cloned();
    options.administrator = ADMINISTRATOR.into();
    options.password = password.clone();
    options.network = Network::Authority(Box::new(authority(&args.data, "center")?));
    let center = Center::open(options).await?;
    let ready =
        Ready { file: args.listen.ready_file.as_deref(), user: ADMINISTRATOR, password: password.as_deref() };
    tracing::info!("the center is up");
    let serving = serve_all(center.site(), listeners, Some(certificate), ready, shutdown);
    healthy(serving, &store).await?;
    tracing::info!("the center ends");
    Ok(())
}

/// Opens the database that the command line names, or the one in the directory of state.
async fn open_store(args: &CenterArgs) -> Result<Store> {
    let Some(target) = args.database.target()? else {
        return Store::open(args.data.join(DATABASE))
            .with_context(|| format!("cannot use the center's state in {}", args.data.display()));
    };
    let copy = args.data.join(COPY);
    let options = store::Options { program: PROGRAM.into(), ..store::Options::default() };
    tokio::task::spawn_blocking(move || Store::connect(&target, copy, &options))
        .await
        .context("opening the database failed")?
        .context("cannot use the center's database")
}
