//! `esfera host`: the daemon of a host.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use api::accounts::AccountsDoor;
use api::server::Site;
use clap::{Args, ValueEnum};
use host::engine::QemuOptions;
use host::{ADMINISTRATOR, DEFAULT_NETWORK, Host, HostOptions};
use hostnet::{NetworkOptions, Switched};

use super::state::{self, Claim, claim_on_machine, plain};
use super::{ListenArgs, Ready, certificate, healthy, listeners, password_for, serve_all, shutdown_signal};

/// Number of the first user: each VM runs as its own.
const FIRST_USER: u32 = 200_000;
const CGROUP: &str = "/sys/fs/cgroup/esfera";
const TAP_PREFIX: &str = "vm";
pub const DATABASE: &str = "host.db";

#[derive(Args)]
pub struct HostArgs {
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Directory of the host's state: VM register, accounts, certificates
    #[arg(long, default_value = "/var/lib/esfera/host")]
    pub data: PathBuf,
    /// Sockets and records of running VMs; must be the same after a restart of the daemon
    #[arg(long, default_value = "/run/esfera")]
    pub runtime: PathBuf,
    /// A datastore: NAME=DIRECTORY; may be repeated
    #[arg(long, value_parser = name_and_directory)]
    pub datastore: Vec<(String, PathBuf)>,
    /// Network card, by its interface or its name vmnicN, that becomes an uplink of vSwitch0 at first start; may be repeated
    #[arg(long, value_name = "NIC")]
    pub uplink: Vec<String>,
    /// Virtual interface, by its name or as vmnicN, that counts as a network card; may be repeated
    #[arg(long, value_name = "NIC")]
    pub nic: Vec<String>,
    /// The resolver's file, which the host writes once a client has set its DNS configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/resolv.conf")]
    pub resolv_conf: PathBuf,
    /// Directory of the settings of time; a host with another one does not set the clock of its machine
    #[arg(long, value_name = "DIRECTORY", default_value = "/etc")]
    pub etc: PathBuf,
    /// Directory in which the virtual switch outlives the daemon; a BPF file system is mounted on it if needed
    #[arg(long, value_name = "DIRECTORY", default_value = "/run/esfera/bpf")]
    pub bpf: PathBuf,
    /// File that holds root's password, set at first start [default: a new one in DATA/initial-password]
    #[arg(long)]
    pub password_file: Option<PathBuf>,
    /// Virtualization of guests; auto uses KVM if it works
    #[arg(long, value_enum, default_value_t = Accelerator::Auto)]
    pub accel: Accelerator,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Accelerator {
    Auto,
    Kvm,
    Tcg,
}

fn name_and_directory(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, directory)) if !name.is_empty() && directory.starts_with('/') => {
            Ok((name.to_owned(), directory.into()))
        }
        _ => Err("expected NAME=/DIRECTORY".into()),
    }
}

pub async fn run(args: HostArgs) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("a host makes users, taps and processes for its virtual machines: run it as root");
    }
    refuse_doubles(&args.datastore)?;
    state::keep_private();
    let shutdown = shutdown_signal()?;
    let _claims = claims(&args)?;
    // The users of VMs find their own directories in it.
    state::make_directory(&args.runtime, state::ENTERED)?;
    let certificate = certificate(&args.data, "host", &args.listen.name)?;
    let switch =
        Switched::start(args.bpf.clone(), TAP_PREFIX, &name(&args), args.resolv_conf.clone()).await?;
    let switch = Arc::new(switch);
    let options = HostOptions {
        data: args.data.clone(),
        name: name(&args),
        datastores: args.datastore.clone(),
        network: network(&args, switch.clone()),
        qemu: QemuOptions {
            runtime: args.runtime.clone(),
            accel: args.accel.into(),
            first_user: Some(FIRST_USER),
            cgroup: Path::new(CGROUP).parent().filter(|root| root.exists()).map(|_| CGROUP.into()),
        },
        etc: args.etc.clone(),
    };
    let first_start = !args.data.join(DATABASE).exists();
    let password = password_for(first_start, &args.data, args.password_file.as_deref())?;
    let host = Host::open(options)
        .await
        .with_context(|| format!("cannot start the host with its state in {}", args.data.display()))?;
    // The host's own addresses may belong to VMkernel adapters, which exist since the host was opened.
    let listeners = listeners(&args.listen)?;
    let accounts = host.accounts().await?;
    if let Some(password) = &password {
        accounts.ensure_administrator(ADMINISTRATOR, "Administrator", Some(password)).await?;
    }
    let service = host.service(&accounts, &[esxcli::register])?;
    let site = Site {
        files: Some(host.storage().files(accounts.clone())),
        screens: Some(host.screens()),
        captures: Some(host.networking().captures()),
        protocols: vec![Arc::new(AccountsDoor(accounts))],
        service,
    };
    let ready =
        Ready { file: args.listen.ready_file.as_deref(), user: ADMINISTRATOR, password: password.as_deref() };
    tracing::info!(host = host.name, "the host is up");
    let serving = serve_all(site, listeners, Some(certificate), ready, shutdown);
    healthy(serving, &host.core.store).await?;
    switch.end().await;
    tracing::info!("the host daemon ends; its virtual machines run on");
    Ok(())
}

/// Refuses two datastores with one name, and one directory as two datastores.
fn refuse_doubles(datastores: &[(String, PathBuf)]) -> Result<()> {
    for (at, (name, directory)) in datastores.iter().enumerate() {
        for (earlier, same) in &datastores[..at] {
            if earlier == name {
                bail!("two datastores are named {name:?}; give each --datastore a name of its own");
            }
            if plain(same) == plain(directory) {
                let directory = directory.display();
                bail!("{directory} is given twice, as the datastores {earlier:?} and {name:?}; name it once");
            }
        }
    }
    Ok(())
}

/// Claims all that two hosts cannot share.
fn claims(args: &HostArgs) -> Result<[Claim; 4]> {
    let on_machine = |kind: &str, option: &str, path: &Path| {
        let path = plain(path).display().to_string();
        let otherwise = format!("choose another directory with --{option}");
        claim_on_machine(kind, &path, &format!("the directory {path}"), &otherwise)
    };
    // The users of VMs pass through it to a datastore or to their runtime directories.
    let data = plain(&args.data);
    let mut inner = args.datastore.iter().map(|(_, directory)| directory).chain([&args.runtime]);
    let passed = inner.any(|directory| plain(directory).starts_with(&data));
    let mode = if passed { state::ENTERED } else { state::PRIVATE_DIRECTORY };
    Ok([
        state::claim_data(&args.data, DATABASE, mode)?,
        on_machine("runtime", "runtime", &args.runtime)?,
        on_machine("bpf", "bpf", &args.bpf)?,
        state::claim_network()?,
    ])
}

fn name(args: &HostArgs) -> String {
    let own = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    args.listen.name.first().cloned().unwrap_or_else(own)
}

fn network(args: &HostArgs, fabric: Arc<Switched>) -> NetworkOptions {
    NetworkOptions {
        fabric,
        prefix: TAP_PREFIX.into(),
        uplinks: args.uplink.clone(),
        nics: args.nic.clone(),
        networks: vec![DEFAULT_NETWORK.into()],
        management: true,
    }
}

impl From<Accelerator> for host::engine::AccelPolicy {
    fn from(choice: Accelerator) -> Self {
        match choice {
            Accelerator::Auto => Self::Auto,
            Accelerator::Kvm => Self::Kvm,
            Accelerator::Tcg => Self::Tcg,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datastore_is_a_name_and_a_directory() {
        assert!(name_and_directory("ds=/srv").is_ok());
        assert!(name_and_directory("ds=srv").is_err() && name_and_directory("/srv").is_err());
    }

    #[test]
    fn a_name_and_a_directory_are_one_datastore() {
        let given = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(name, at)| ((*name).to_owned(), at.into())).collect();
            refuse_doubles(&pairs).map_err(|error| error.to_string())
        };
        given(&[("a", "/srv/a"), ("b", "/srv/b")]).unwrap();
        assert!(given(&[("a", "/srv/a"), ("a", "/srv/b")]).unwrap_err().contains("named \"a\""));
        assert!(given(&[("a", "/srv/a"), ("b", "/srv/a/")]).unwrap_err().contains("\"a\" and \"b\""));
    }
}
