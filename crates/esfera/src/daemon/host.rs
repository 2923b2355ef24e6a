//! `esfera host`

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use api::server::Site;
use host::engine::QemuOptions;
use host::{ADMINISTRATOR, DEFAULT_NETWORK, Host, HostOptions};
use hostnet::{NetworkOptions, Switched};

use super::{Ready, certificate, listeners, password_for, serve_all, shutdown_signal};
use crate::cli::args::{Accelerator, HostArgs};

/// Each virtual machine runs as a user of its own, from this number on.
const FIRST_USER: u32 = 200_000;
const CGROUP: &str = "/sys/fs/cgroup/esfera";
const TAP_PREFIX: &str = "vm";

pub async fn run(args: HostArgs) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("a host makes users, taps and processes for its virtual machines: run it as root");
    }
    let shutdown = shutdown_signal()?;
    std::fs::create_dir_all(&args.data).with_context(|| format!("cannot make {}", args.data.display()))?;
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
    let first_start = !args.data.join("host.db").exists();
    let password = password_for(first_start, &args.data, args.password_file.as_deref())?;
    let host = Host::open(options).await?;
    // Its own addresses may be adapters' of the virtual switch, which stands now.
    let listeners = listeners(&args.listen)?;
    let accounts = host.accounts().await?;
    if let Some(password) = &password {
        accounts.ensure_administrator(ADMINISTRATOR, "Administrator", Some(password)).await?;
    }
    let service = host.service(&accounts, &[esxcli::register])?;
    let site = Site {
        files: Some(host.storage().files(accounts)),
        screens: Some(host.screens()),
        captures: Some(host.networking().captures()),
        service,
    };
    let ready =
        Ready { file: args.listen.ready_file.as_deref(), user: ADMINISTRATOR, password: password.as_deref() };
    tracing::info!(host = host.name, "the host is up");
    serve_all(site, listeners, Some(certificate), ready, shutdown).await?;
    switch.end().await;
    tracing::info!("the host daemon ends; its virtual machines run on");
    Ok(())
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
