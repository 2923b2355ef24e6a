//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A free virtualization platform that speaks the vSphere API.
#[derive(Parser)]
#[command(name = "esfera", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Manage hosts; without a verb, run this machine as a virtualization host
    Host(Box<HostCommand>),
    /// Run a control center
    Center(CenterArgs),
    /// Run a whole data center on this machine: a center, two hosts, a shared datastore, a Linux VM
    Lab(LabArgs),
    /// Run a control center over simulated hosts, for tests of automation
    Sim(SimArgs),
    /// Log in to a center or host; later commands use the session
    Login(LoginArgs),
    /// End the session
    Logout(Target),
    /// Virtual machines
    #[command(subcommand)]
    Vm(VmCommand),
    /// Datastores and their files
    #[command(subcommand)]
    Datastore(DatastoreCommand),
    /// Switches, port groups and network cards of a host
    #[command(subcommand)]
    Net(super::net_args::NetCommand),
    /// Run a command of esxcli on a host; an incomplete one lists what there is
    Esxcli(EsxcliArgs),
    /// Tasks
    #[command(subcommand)]
    Task(TaskCommand),
    /// What happened, newest last
    Events(EventsArgs),
    /// Print the completion script for a shell
    Completions { shell: clap_complete::Shell },
}

/// Which server, and how to print.
#[derive(Args, Clone)]
pub struct Target {
    /// Server to use, if there are sessions with several: https://HOST[:PORT]
    #[arg(long, env = "ESFERA_URL", global = true)]
    pub url: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Args)]
pub struct EsxcliArgs {
    #[command(flatten)]
    pub on: super::net_args::OnHost,
    /// The command with its options: network vswitch standard list --vswitch-name vSwitch0
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub words: Vec<String>,
}

#[derive(Args)]
pub struct LoginArgs {
    /// https://HOST[:PORT]
    pub url: String,
    #[arg(long, short, env = "ESFERA_USER")]
    pub user: String,
    /// File that holds the password; otherwise $ESFERA_PASSWORD, or it is asked for
    #[arg(long)]
    pub password_file: Option<PathBuf>,
    /// SHA-256 or SHA-1 thumbprint of the server's certificate, AA:BB:…
    #[arg(long, conflicts_with_all = ["ca", "insecure"])]
    pub thumbprint: Option<String>,
    /// Certificate authority (PEM) that signed the server's certificate
    #[arg(long, conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,
    /// Trust whatever certificate the server shows now
    #[arg(long)]
    pub insecure: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct HostCommand {
    #[command(subcommand)]
    pub verb: Option<HostVerb>,
    #[command(flatten)]
    pub run: HostArgs,
}

#[derive(Subcommand)]
pub enum HostVerb {
    /// List hosts
    Ls(Target),
    /// Add a host to the inventory
    Add {
        /// Name or address of the host
        address: String,
        /// Datacenter or cluster to add it to, by name; needed if there are several
        #[arg(long)]
        to: Option<String>,
        #[arg(long, default_value_t = 443)]
        port: u16,
        #[arg(long, short, default_value = "root")]
        user: String,
        /// File that holds the password; otherwise $ESFERA_HOST_PASSWORD, or it is asked for
        #[arg(long)]
        password_file: Option<PathBuf>,
        /// Thumbprint of the host's certificate; without it the certificate must be accepted at the terminal
        #[arg(long)]
        thumbprint: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Stop managing a host for a while
    Disconnect {
        host: String,
        #[command(flatten)]
        target: Target,
    },
    /// Manage a disconnected host again
    Reconnect {
        host: String,
        #[command(flatten)]
        target: Target,
    },
    /// Take a disconnected host out of the inventory; its VMs run on
    Remove {
        host: String,
        #[command(flatten)]
        target: Target,
    },
}

/// Where a daemon listens.
#[derive(Args)]
pub struct ListenArgs {
    /// Address and port to serve the API on; may be repeated. Without any, and without --listen-fd: 0.0.0.0:443
    #[arg(long)]
    pub listen: Vec<SocketAddr>,
    /// Number of an open listening socket that was inherited; may be repeated
    #[arg(long)]
    pub listen_fd: Vec<i32>,
    /// Name or address that clients use for this machine, put into its certificate; may be repeated
    #[arg(long)]
    pub name: Vec<String>,
    /// Write URL, user and password into this file when the daemon answers
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
}

#[derive(Args)]
pub struct HostArgs {
    #[command(flatten)]
    pub listen: ListenArgs,
    /// What the host remembers: VM register, accounts, certificates
    #[arg(long, default_value = "/var/lib/esfera/host")]
    pub data: PathBuf,
    /// Sockets and records of running VMs; must be the same after a restart of the daemon
    #[arg(long, default_value = "/run/esfera")]
    pub runtime: PathBuf,
    /// A datastore: NAME=DIRECTORY; may be repeated
    #[arg(long, value_parser = name_and_directory)]
    pub datastore: Vec<(String, PathBuf)>,
    /// Network card, by its interface or its name vmnicN, that becomes an uplink of vSwitch0 when the host starts for the first time; may be repeated
    #[arg(long, value_name = "NIC")]
    pub uplink: Vec<String>,
    /// Interface, or its name vmnicN, that counts as a network card although it is a virtual one; may be repeated
    #[arg(long, value_name = "NIC")]
    pub nic: Vec<String>,
    /// The resolver's file, written when a client has set the host's DNS configuration, and not before
    #[arg(long, value_name = "FILE", default_value = "/etc/resolv.conf")]
    pub resolv_conf: PathBuf,
    /// Directory of the settings of time; a host with another one does not set the clock of its machine
    #[arg(long, value_name = "DIRECTORY", default_value = "/etc")]
    pub etc: PathBuf,
    /// Where the virtual switch outlives the daemon: a directory of a BPF file system, mounted if it is none
    #[arg(long, value_name = "DIRECTORY", default_value = "/run/esfera/bpf")]
    pub bpf: PathBuf,
    /// File that holds root's password, set at first start; without it one is made and written to DATA/initial-password
    #[arg(long)]
    pub password_file: Option<PathBuf>,
    /// How guests run: auto decides by trying
    #[arg(long, value_enum, default_value_t = Accelerator::Auto)]
    pub accel: Accelerator,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Accelerator {
    Auto,
    Kvm,
    Tcg,
}

#[derive(Args)]
pub struct CenterArgs {
    #[command(flatten)]
    pub listen: ListenArgs,
    /// What the center remembers: inventory, accounts, certificates
    #[arg(long, default_value = "/var/lib/esfera/center")]
    pub data: PathBuf,
    /// File that holds the administrator's password, set at first start; without it one is made and written to DATA/initial-password
    #[arg(long)]
    pub password_file: Option<PathBuf>,
}

#[derive(Args)]
pub struct LabArgs {
    /// Where the lab keeps everything
    #[arg(long, default_value = "/var/lib/esfera/lab")]
    pub data: PathBuf,
    /// Address of the center; the hosts follow on the next two ports
    #[arg(long, default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// Name of the lab: its network namespaces begin with esf-NAME-
    #[arg(long, default_value = "lab")]
    pub name: String,
    /// Disk image of the guest
    #[arg(long, env = "ESFERA_GUEST_IMAGE")]
    pub guest_image: Option<PathBuf>,
    /// Write URL, user and password of each server into this file when everything is up
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
    /// Make no VM
    #[arg(long)]
    pub no_vm: bool,
}

#[derive(Args)]
pub struct SimArgs {
    #[arg(long, default_value = "127.0.0.1:8989")]
    pub listen: SocketAddr,
    /// Name of the administrator [default: administrator@vsphere.local, with --esx root]
    #[arg(long)]
    pub user: Option<String>,
    #[arg(long, default_value = "pass")]
    pub password: String,
    /// Serve plain HTTP
    #[arg(long)]
    pub plain: bool,
    /// Simulate one standalone host and no center
    #[arg(long)]
    pub esx: bool,
    #[arg(long, default_value_t = 1)]
    pub datacenters: usize,
    /// Clusters in each datacenter
    #[arg(long, default_value_t = 1)]
    pub clusters: usize,
    /// Hosts in each cluster
    #[arg(long, default_value_t = 3)]
    pub hosts: usize,
    /// Hosts of their own in each datacenter
    #[arg(long, default_value_t = 1)]
    pub standalone_hosts: usize,
    /// VMs in each cluster and on each standalone host
    #[arg(long, default_value_t = 2)]
    pub vms: usize,
    /// Write URL, user and password into this file when it answers
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
}

#[derive(Subcommand)]
pub enum VmCommand {
    /// List virtual machines
    Ls(Target),
    /// Show one virtual machine
    Info {
        vm: String,
        #[command(flatten)]
        target: Target,
    },
    /// Create a virtual machine
    Create(VmCreate),
    /// Turn on, off, …
    Power {
        vm: String,
        #[arg(value_enum)]
        operation: PowerOperation,
        #[command(flatten)]
        target: Target,
    },
    /// Change a virtual machine
    Reconfigure {
        vm: String,
        #[arg(long)]
        rename: Option<String>,
        /// Virtual CPUs
        #[arg(long)]
        cpus: Option<i32>,
        /// Memory in MiB
        #[arg(long)]
        memory: Option<i64>,
        #[arg(long)]
        annotation: Option<String>,
        /// Add a disk of so many GiB
        #[arg(long)]
        add_disk: Option<i64>,
        /// Insert an ISO image: "[datastore] path"
        #[arg(long)]
        iso: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Snapshots
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Attach to the screen of a running VM through a local VNC port
    Console {
        vm: String,
        /// Local address that a VNC viewer connects to
        #[arg(long, default_value = "127.0.0.1:5900")]
        listen: SocketAddr,
        #[command(flatten)]
        target: Target,
    },
    /// Delete a virtual machine with its disks
    Destroy {
        vm: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Args)]
pub struct VmCreate {
    pub name: String,
    /// Host, by name; otherwise the center chooses
    #[arg(long)]
    pub host: Option<String>,
    /// Datastore, by name; needed if there are several
    #[arg(long)]
    pub datastore: Option<String>,
    /// Virtual CPUs
    #[arg(long, default_value_t = 1)]
    pub cpus: i32,
    /// Memory in MiB
    #[arg(long, default_value_t = 1024)]
    pub memory: i64,
    /// Size of a new disk in GiB
    #[arg(long, conflicts_with = "disk_file")]
    pub disk: Option<i64>,
    /// An existing disk: "[datastore] path"
    #[arg(long)]
    pub disk_file: Option<String>,
    /// Network, by name
    #[arg(long, default_value = "VM Network")]
    pub network: String,
    /// An ISO image in the CD drive: "[datastore] path"
    #[arg(long)]
    pub iso: Option<String>,
    /// Guest operating system, as vSphere names it
    #[arg(long, default_value = "otherLinux64Guest")]
    pub guest_id: String,
    /// Boot by UEFI instead of BIOS
    #[arg(long)]
    pub efi: bool,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum PowerOperation {
    On,
    Off,
    Reset,
    Suspend,
    /// Ask the guest to shut down
    Shutdown,
    /// Ask the guest to restart
    Reboot,
}

#[derive(Subcommand)]
pub enum SnapshotCommand {
    /// List the snapshots of a VM
    Ls {
        vm: String,
        #[command(flatten)]
        target: Target,
    },
    /// Take a snapshot of the disks
    Create {
        vm: String,
        name: String,
        #[arg(long, default_value = "")]
        description: String,
        /// Let the guest's agent bring file systems to rest first
        #[arg(long)]
        quiesce: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Go back to a snapshot; what was written since is lost
    Revert {
        vm: String,
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a snapshot, keeping what was written since
    Remove {
        vm: String,
        name: String,
        /// Remove those that were made on top of it too
        #[arg(long)]
        children: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Remove all snapshots
    RemoveAll {
        vm: String,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Subcommand)]
pub enum DatastoreCommand {
    /// List datastores, or the files in a directory of one
    Ls {
        /// "[datastore] directory"
        path: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Copy a file to, from or within datastores; a path of a datastore is written "[datastore] path"
    Cp {
        from: String,
        to: String,
        #[command(flatten)]
        target: Target,
    },
    /// Delete a file or directory
    Rm {
        path: String,
        #[command(flatten)]
        target: Target,
    },
    /// Make a directory
    Mkdir {
        path: String,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Subcommand)]
pub enum TaskCommand {
    /// List recent tasks
    Ls(Target),
}

#[derive(Args)]
pub struct EventsArgs {
    /// Only events of this VM
    #[arg(long)]
    pub vm: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50)]
    pub max: i32,
    #[command(flatten)]
    pub target: Target,
}

fn name_and_directory(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, directory)) if !name.is_empty() && directory.starts_with('/') => {
            Ok((name.to_owned(), directory.into()))
        }
        _ => Err("expected NAME=/DIRECTORY".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_datastore_is_a_name_and_a_directory() {
        assert!(name_and_directory("ds=/srv").is_ok());
        assert!(name_and_directory("ds=srv").is_err() && name_and_directory("/srv").is_err());
    }
}
