//! `esfera lab`: a whole data center on one computer.
//!
//! The lab is the init system of its processes: DHCP, two hosts and a center, each in its network namespace. Their public
//! sockets are opened here, on the loopback interface, and inherited. `seed` fills the data center.

mod credentials;
mod net;
mod pins;
mod process;
mod seed;
mod supervise;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use credentials::Credentials;
use net::{LabNet, SPARE_NIC, UPLINK, as_host, host_address, in_namespace};
use pins::Pins;
use process::InheritedListener;
use supervise::Supervised;

const HOSTS: usize = 2;
/// Sockets of running VMs, in a directory for each lab.
const RUNTIME: &str = "/run/esfera";
const CENTER_USER: &str = "administrator@vsphere.local";

#[derive(Args)]
pub struct LabArgs {
    /// Directory of everything that the lab keeps
    #[arg(long, default_value = "/var/lib/esfera/lab")]
    data: PathBuf,
    /// Address of the center; the hosts follow on the next two ports
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Name of the lab: its network namespaces begin with esf-NAME-
    #[arg(long, default_value = "lab")]
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
    let lab = Lab::prepare(args)?;
    let started = tokio::select! {
        running = lab.start() => running.map(Some),
        _ = interrupt.recv() => Ok(None),
        _ = terminate.recv() => Ok(None),
    };
    let running = match started {
        Ok(Some(running)) => running,
        // Removing the namespaces ends everything that was started in them.
        stopped_or_failed => return stopped_or_failed.map(drop).and(lab.net.remove()),
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
    lab.net.remove()?;
    lab.pins.remove();
    if let Err(error) = std::fs::remove_dir_all(&lab.runtime) {
        tracing::warn!("cannot remove {}: {error}", lab.runtime.display());
    }
    Ok(())
}

struct Lab {
    args: LabArgs,
    net: LabNet,
    credentials: Credentials,
    program: PathBuf,
    runtime: PathBuf,
    pins: Pins,
}

struct Running {
    center: SocketAddr,
    /// In the order in which they are to be stopped.
    processes: Vec<Supervised>,
}

impl Lab {
    fn prepare(args: LabArgs) -> Result<Self> {
        for directory in ["run", "datastores/shared/images"] {
            let path = args.data.join(directory);
            std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let credentials = Credentials::load_or_make(&args.data)?;
        let runtime = Path::new(RUNTIME).join(&args.name);
        let net = LabNet::create(&args.name, HOSTS)?;
        // The processes in the namespaces are gone, so their files are stale.
        if runtime.exists() {
            std::fs::remove_dir_all(&runtime)
                .with_context(|| format!("cannot clear {}", runtime.display()))?;
        }
        let pins = Pins::mount(&runtime.with_extension("bpf"))?;
        let program = std::env::current_exe().context("cannot find this program")?;
        Ok(Self { args, net, credentials, program, runtime, pins })
    }

    async fn start(&self) -> Result<Running> {
        let center = InheritedListener::bind(self.args.listen)?;
        let mut hosts = Vec::new();
        for number in 1..=HOSTS {
            hosts.push(InheritedListener::bind(self.public_address(number)?)?);
        }
        let addresses: Vec<SocketAddr> =
            hosts.iter().map(InheritedListener::address).collect::<Result<_>>()?;
        let center_address = center.address()?;
        let run = self.args.data.join("run");
        let dhcp = {
            let (net, state) = (self.net.clone(), run.clone());
            Supervised::start("dhcp", &run, move || net.dhcp_server(&state))?
        };
        let mut daemons = Vec::new();
        for (at, listener) in hosts.into_iter().enumerate() {
            let number = at + 1;
            daemons.push(Supervised::start(
                &format!("host{number}"),
                &run,
                self.host_command(number, listener),
            )?);
        }
        let center = Supervised::start("center", &run, self.center_command(center))?;
        let mut processes = vec![center];
        processes.append(&mut daemons);
        processes.push(dhcp);
        let running = Running { center: center_address, processes };
        seed::fill(&self.seed(&running, &addresses)).await?;
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

    /// Host `number`'s socket is on the center's port plus its number, or on any port if the center's is.
    fn public_address(&self, number: usize) -> Result<SocketAddr> {
        let mut address = self.args.listen;
        if address.port() != 0 {
            let port = u16::try_from(usize::from(address.port()) + number).context(
                "the lab needs a port for each host above the center's, and none is left below 65536",
            )?;
            address.set_port(port);
        }
        Ok(address)
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
            std::fs::create_dir_all(&local)?;
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

    async fn announce(&self, running: &Running, hosts: &[SocketAddr]) -> Result<()> {
        let url = self.url(&running.center);
        println!();
        println!("The lab is up.");
        println!();
        println!("  center  {url}   user {CENTER_USER}   password {}", self.credentials.center);
        for (at, address) in hosts.iter().enumerate() {
            println!(
                "  host    {}   user root   password {}   (in the inventory: {})",
                self.url(address),
                self.credentials.host,
                host_address(at + 1)
            );
        }
        println!();
        println!("Try:  esfera login {url} --insecure --user {CENTER_USER}   and then   esfera vm ls");
        println!("Ctrl-C stops everything; the next start finds it as it was.");
        println!();
        if let Some(file) = &self.args.ready_file {
            let mut ready_hosts = Vec::new();
            for (at, address) in hosts.iter().enumerate() {
                ready_hosts.push(json!({
                    "url": self.url(address),
                    "user": "root",
                    "password": self.credentials.host,
                    "management_address": host_address(at + 1).to_string(),
                    "namespace": self.net.host(at + 1),
                    "thumbprint": api::tls::thumbprint_of(&address.to_string()).await?.sha1,
                }));
            }
            let ready = json!({
                "center": { "url": url, "user": CENTER_USER, "password": self.credentials.center },
                "hosts": ready_hosts,
                "segment": self.net.segment(),
                "run": self.args.data.join("run"),
                "runtime": self.runtime,
                "datastore": self.args.data.join("datastores/shared"),
            });
            crate::daemon::write_ready_file(file, &ready)?;
        }
        Ok(())
    }
}
