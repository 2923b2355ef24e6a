//! `esfera sim`: the real center over simulated hosts, or one simulated host, all in memory.
//!
//! `center::sim` describes the inventory, [`build`] makes it, [`hosts`] makes one host with its VMs, [`connector`] those
//! that are added later, [`failing`] lets calls fail, and [`record`] describes what a center shows.

mod args;
mod build;
mod connector;
mod failing;
mod hosts;
mod identity;
mod insider;
mod record;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use api::Service;
use api::server::Site;
use api::tls::{CertificateAuthority, Renewing};
use center::Center;
use center::sim::{Inventory, LIMIT, lone_host, plan};
use datastore::Datastore;
use host::ADMINISTRATOR;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

pub use args::SimCommand;
use args::{SimArgs, SimVerb};
use build::{build, insider};
use failing::Failures;
use hosts::Plan;
use identity::Seed;
use record::Door;

use crate::client::failure::Failure;
use crate::client::terminal;
use crate::daemon::state::keep_private;
use crate::daemon::{Ready, bind, serve_all, shutdown_signal, start_log};

const CENTER_USER: &str = "administrator@vsphere.local";

pub async fn run(command: SimCommand) -> Result<(), Failure> {
    match command.verb {
        Some(SimVerb::Record(args)) => record::run(args).await,
        None => {
            // A simulator is a tool of tests: it logs only problems.
            start_log("warn");
            Ok(simulate(command.run).await?)
        }
    }
}

/// Serves a simulated data center until it is told to stop.
async fn simulate(args: SimArgs) -> Result<()> {
    keep_private();
    let shutdown = shutdown_signal()?;
    let inventory = wanted(&args)?;
    let listener = bind(args.listen)?;
    let default_user = if args.esx { ADMINISTRATOR } else { CENTER_USER };
    let user = args.user.clone().unwrap_or_else(|| default_user.to_owned());
    let keys = tempfile::tempdir()?;
    let certificate = if args.plain { None } else { Some(certificate(&args, keys.path())?) };
    let ready = Ready { file: args.ready_file.as_deref(), user: &user, password: Some(&args.password) };
    let address = listener.local_addr()?;
    let scheme = if args.plain { "http" } else { "https" };
    terminal::line(format!("{scheme}://{address}   user {user}   password {}", args.password))?;
    if args.esx {
        let site = lone(&args, &user).await?;
        behave(&site.service, &args);
        return serve_all(site, vec![listener], certificate, ready, shutdown).await;
    }
    let center = build(&args, &user, &address.to_string(), &inventory).await?;
    behave(&center.service(), &args);
    let saver = args.save.clone().map(|file| {
        let (center, user) = (center.clone(), user.clone());
        Arc::new(Saver { center, user, file, turn: tokio::sync::Mutex::default() })
    });
    let _saving = saver.clone().map(Saver::at_signals).transpose()?;
    serve_all(center.site(), vec![listener], certificate, ready, shutdown).await?;
    match saver {
        Some(saver) => saver.save().await,
        None => Ok(()),
    }
}

/// The inventory that the command line asks for.
fn wanted(args: &SimArgs) -> Result<Inventory> {
    let Some(file) = &args.load else { return Ok(plan(&args.counts())) };
    let mut text = Vec::new();
    let shown = file.display();
    let open = std::fs::File::open(file).with_context(|| format!("cannot read {shown}"))?;
    open.take(LIMIT + 1).read_to_end(&mut text).with_context(|| format!("cannot read {shown}"))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LIMIT {
        bail!("{shown} is larger than {LIMIT} bytes");
    }
    let mut inventory = Inventory::read(&text).with_context(|| format!("cannot load {shown}"))?;
    if !args.autostart {
        let computes = inventory.datacenters.iter_mut().flat_map(|datacenter| &mut datacenter.computes);
        for vm in computes.flat_map(|compute| &mut compute.hosts).flat_map(|host| &mut host.vms) {
            vm.powered_on = false;
        }
    }
    Ok(inventory)
}

/// Lets tasks take their time and calls fail, as the command line asks. All simulated objects are made already.
fn behave(service: &Service, args: &SimArgs) {
    if let Some(pace) = args.pace() {
        service.core.tasks.set_pace(pace);
    }
    if !args.fail.is_empty() {
        service.set_gate(Arc::new(Failures::new(Seed(args.seed), &args.fail)));
    }
}

/// A certificate of an authority that ends with the process.
fn certificate(args: &SimArgs, directory: &Path) -> Result<Arc<Renewing>> {
    let authority = CertificateAuthority::open(directory, "Esfera simulator authority")?;
    let names = vec!["localhost".into(), "127.0.0.1".into(), args.listen.ip().to_string()];
    Ok(Renewing::new(authority, "server", names)?)
}

async fn lone(args: &SimArgs, user: &str) -> Result<Site> {
    let (host, datastores) = lone_host(&args.counts());
    let seed = Seed(args.seed);
    let datastores = datastores.into_iter().map(|store| {
        let memory = Datastore::memory(seed.uuid("datastore", &["", &store.name]), store.capacity_bytes);
        (store.name, Arc::new(memory))
    });
    let plan = Plan {
        host: &host,
        names: ["", &host.name],
        datastores: datastores.collect(),
        number: 0,
        first_adapter: 0,
        seed,
        with_vms: true,
        administrator: Some((user, &args.password)),
    };
    plan.make().await
}

/// Writes the structure of the inventory into a file.
struct Saver {
    center: Arc<Center>,
    user: String,
    file: PathBuf,
    /// Held while the file is written.
    turn: tokio::sync::Mutex<()>,
}

impl Saver {
    async fn save(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        let insider = insider(&self.center, &self.user)?;
        let inventory = record::read(&Door::Inside(&insider)).await?;
        record::write(&self.file, &inventory)
    }

    /// Saves whenever the signal USR1 arrives.
    fn at_signals(self: Arc<Self>) -> Result<AbortOnDropHandle<()>> {
        let mut asked = signal(SignalKind::user_defined1())?;
        Ok(AbortOnDropHandle::new(tokio::spawn(async move {
            while asked.recv().await.is_some() {
                if let Err(error) = self.save().await {
                    terminal::complain(format!("error: {error:#}"));
                }
            }
        })))
    }
}
