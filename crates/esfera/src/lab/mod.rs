//! `esfera lab`: a whole data center on one computer.
//!
//! The lab is the init system of its processes: DHCP, two hosts and a center, each in its network namespace. Their public
//! sockets are opened here, on the loopback interface, and inherited. `seed` fills the data center.

mod announce;
mod credentials;
mod net;
mod pins;
mod process;
mod seed;
mod supervise;

use std::fs::Permissions;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use credentials::Credentials;
use net::{LabNet, SPARE_NIC, UPLINK, as_host, host_address, in_namespace};
use pins::Pins;
use process::{InheritedListener, Listeners};
use supervise::{Supervised, deaths};

use crate::daemon::state::{self, Claim, ENTERED, PRIVATE_DIRECTORY, claim_on_machine, make_directory};

const HOSTS: usize = 2;
/// Sockets of running VMs, in a directory for each lab.
const RUNTIME: &str = "/run/esfera-lab";
/// Longest name of a lab; its sockets' paths have a limit.
const MAX_NAME: usize = 20;
const CENTER_USER: &str = "administrator@vsphere.local";

#[derive(Args)]
pub struct LabArgs {
    /// Directory of everything that the lab keeps
    #[arg(long, default_value = "/var/lib/esfera/lab")]
    data: PathBuf,
    /// Address of the center; the hosts follow on the next two ports
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Name of the lab, of letters and digits: its network namespaces begin with esf-NAME-
    #[arg(long, default_value = "lab", value_parser = name)]
    name: String,
    /// Disk image of the guest
    #[arg(long, env = "ESFERA_GUEST_IMAGE")]
    guest_image: Option<PathBuf>,
    /// Write URL, user and password of each server into this file when everything is up
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// Do not make a VM
    #[arg(long)]
    no_vm: bool,
}

/// Runs the lab until it is told to stop.
pub async fn run(args: LabArgs) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the lab makes network namespaces: run it as root");
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    state::keep_private();
    let (lab, listeners) = Lab::prepare(args)?;
    let started = tokio::select! {
        running = lab.start(listeners) => running.map(Some),
        _ = interrupt.recv() => Ok(None),
        _ = terminate.recv() => Ok(None),
    };
    let running = match started {
        Ok(Some(running)) => running,
        stopped_or_failed => return stopped_or_failed.map(drop).and(lab.clear()),
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping: virtual machines first, then the daemons");
    if let Err(error) =
        seed::power_off_all(&lab.url(&running.center), CENTER_USER, &lab.credentials.center).await
    {
        tracing::warn!("cannot turn off every virtual machine: {}", crate::client::failure::chain(&error));
    }
    for process in running.processes {
        process.stop().await;
    }
    lab.clear()
}

/// A name that can begin those of namespaces and directories. With a hyphen, the namespaces of one lab could look like another's.
fn name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(|c| c.is_ascii_alphanumeric());
    if fits { Ok(text.to_owned()) } else { Err(format!("expected 1 to {MAX_NAME} letters and digits")) }
}

struct Lab {
    args: LabArgs,
    /// Its name and its directory, which no other lab has meanwhile.
    _claims: [Claim; 2],
    net: LabNet,
    credentials: Credentials,
    program: PathBuf,
    runtime: PathBuf,
    pins: Pins,
}

/// Claims the name and the directory of the lab.
fn claims(args: &LabArgs) -> Result<[Claim; 2]> {
    let name = &args.name;
    let what = format!("the name {name} of a lab, with its network namespaces,");
    make_directory(&args.data, ENTERED)?;
    Ok([
        claim_on_machine("lab", name, &what, "choose another name with --name")?,
        state::claim(&args.data, "choose another directory with --data")?,
    ])
}

struct Running {
    center: SocketAddr,
    /// In the order in which they are to be stopped.
    processes: Vec<Supervised>,
}

impl Lab {
    fn prepare(args: LabArgs) -> Result<(Self, Listeners)> {
        let claims = claims(&args)?;
        make_directory(&args.data.join("run"), PRIVATE_DIRECTORY)?;
        make_directory(&args.data.join("datastores/shared/images"), ENTERED)?;
        let credentials = Credentials::load_or_make(&args.data)?;
        let runtime = Path::new(RUNTIME).join(&args.name);
        let net = LabNet::named(&args.name, HOSTS);
        net.remove().context("cannot remove the remains of an earlier lab of this name")?;
        // The remains had these addresses, too; whoever has them now is not of this lab.
        let listeners = Listeners::bind(args.listen, HOSTS)?;
        net.create()?;
        // The processes in the namespaces are gone, so their files are stale.
        if runtime.exists() {
            std::fs::remove_dir_all(&runtime)
                .with_context(|| format!("cannot clear {}", runtime.display()))?;
        }
        make_directory(Path::new(RUNTIME), ENTERED)?;
        std::fs::set_permissions(RUNTIME, Permissions::from_mode(ENTERED))
            .with_context(|| format!("cannot let the users of VMs into {RUNTIME}"))?;
        let pins = Pins::mount(&runtime.with_extension("bpf"))?;
        let program = std::env::current_exe().context("cannot find this program")?;
        Ok((Self { args, _claims: claims, net, credentials, program, runtime, pins }, listeners))
    }

    /// Removes all that is not kept for the next start. Removing the namespaces ends everything that was started in them.
    fn clear(&self) -> Result<()> {
        self.net.remove()?;
        self.pins.remove();
        match std::fs::remove_dir_all(&self.runtime) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.runtime.display()))
            }
            _ => Ok(()),
        }
    }

    async fn start(&self, listeners: Listeners) -> Result<Running> {
        let Listeners { center, hosts } = listeners;
        let addresses: Vec<SocketAddr> =
            hosts.iter().map(InheritedListener::address).collect::<Result<_>>()?;
        let center_address = center.address()?;
        let run = self.args.data.join("run");
        let (died, mut deaths) = deaths();
        let dhcp = {
            let (net, state) = (self.net.clone(), run.clone());
            Supervised::start("dhcp", &run, move || net.dhcp_server(&state), died.clone())?
        };
        let mut daemons = Vec::new();
        for (at, listener) in hosts.into_iter().enumerate() {
            let number = at + 1;
            daemons.push(Supervised::start(
                &format!("host{number}"),
                &run,
                self.host_command(number, listener),
                died.clone(),
            )?);
        }
        let center = Supervised::start("center", &run, self.center_command(center), died)?;
        let mut processes = vec![center];
        processes.append(&mut daemons);
        processes.push(dhcp);
        let running = Running { center: center_address, processes };
        let seed = self.seed(&running, &addresses);
        tokio::select! {
            filled = seed::fill(&seed) => filled?,
            // A process that cannot start will not start the next time either.
            Some(death) = deaths.recv() => bail!("{death} while the lab was starting; its messages above say why"),
        }
        self.announce(&running, &addresses).await?;
        Ok(running)
    }

    fn seed(&self, running: &Running, hosts: &[SocketAddr]) -> seed::Seed {
        seed::Seed {
            center: self.url(&running.center),
            user: CENTER_USER.into(),
            credentials: self.credentials.clone(),
            hosts: hosts
                .iter()
                .enumerate()
                .map(|(at, public)| (self.url(public), host_address(at + 1)))
                .collect(),
            shared: self.args.data.join("datastores/shared"),
            image: self.args.guest_image.clone(),
            vm: !self.args.no_vm,
        }
    }

    fn url(&self, address: &SocketAddr) -> String {
        format!("https://{address}")
    }

    fn host_command(
        &self,
        number: usize,
        listener: InheritedListener,
    ) -> impl Fn() -> Result<Command> + Send + use<> {
        let (namespace, program) = (self.net.host(number), self.program.clone());
        let data = self.args.data.join(format!("host{number}"));
        let local = self.args.data.join(format!("datastores/local{number}"));
        let shared = self.args.data.join("datastores/shared");
        let runtime = self.runtime.join(format!("h{number}"));
        let password = self.credentials.host_file.clone();
        let pins = self.pins.of_host(&self.net.host(number));
        move || {
            make_directory(&local, ENTERED)?;
            let mut command = as_host(&namespace, &program);
            command.arg("host").arg("--data").arg(&data).arg("--runtime").arg(&runtime);
            command.args(["--listen", &format!("{}:443", host_address(number))]);
            command
                .args(["--listen-fd", &listener.fd().to_string(), "--uplink", UPLINK])
                .args(["--nic", SPARE_NIC])
                .arg("--bpf")
                .arg(&pins);
            command.args(["--name", &host_address(number).to_string(), "--name", "127.0.0.1"]);
            command.arg("--resolv-conf").arg(data.join("resolv.conf"));
            command.arg("--etc").arg(data.join("etc"));
            command.args(["--datastore", &format!("shared={}", shared.display())]);
            command.args(["--datastore", &format!("local{number}={}", local.display())]);
            command.arg("--password-file").arg(&password);
            Ok(command)
        }
    }

    fn center_command(&self, listener: InheritedListener) -> impl Fn() -> Result<Command> + Send + use<> {
        let (namespace, program) = (self.net.segment(), self.program.clone());
        let (data, password) = (self.args.data.join("center"), self.credentials.center_file.clone());
        move || {
            let mut command = in_namespace(&namespace, &program);
            command.arg("center").arg("--data").arg(&data);
            command.args(["--listen-fd", &listener.fd().to_string(), "--name", "127.0.0.1"]);
            command.arg("--password-file").arg(&password);
            Ok(command)
        }
    }
}
