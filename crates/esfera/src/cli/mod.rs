//! The command line. A noun is a folder or a file, a verb a file (of a small noun: a function) that holds its arguments and what it
//! does, and a row in the enum of its noun. [`Command`] has a row for each noun.

mod category;
mod center;
mod cluster;
mod customization;
mod datacenter;
mod datastore;
mod esxcli;
mod events;
mod folder;
mod group;
mod host;
mod host_lockdown;
mod identity;
mod login;
mod logout;
mod net;
mod passwd;
mod permission;
mod pod;
mod pool;
mod role;
mod schedule;
mod session;
mod tag;
mod task;
mod token;
mod user;
mod vapp;
mod vm;

use clap::{CommandFactory, Parser, Subcommand};

use crate::client::failure::Failure;
use crate::client::target::Target;
use crate::client::terminal;
use crate::lab::LabArgs;
use crate::sim::SimCommand;
use crate::{daemon, lab, sim};

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
    Host(Box<host::HostCommand>),
    /// Run a control center; with a verb, look after its database
    Center(Box<center::CenterCommand>),
    /// Run a whole data center on this machine: a center, two hosts, a shared datastore, a Linux VM
    Lab(LabArgs),
    /// Run a control center over simulated hosts, for tests of automation
    Sim(Box<SimCommand>),
    /// Log in to a center or host; later commands use the session
    Login(login::Login),
    /// End the session
    Logout(Target),
    /// Virtual machines
    #[command(subcommand)]
    Vm(vm::VmCommand),
    /// Datacenters
    #[command(subcommand)]
    Datacenter(datacenter::DatacenterCommand),
    /// Folders of the inventory
    #[command(subcommand)]
    Folder(folder::FolderCommand),
    /// Clusters
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// vApps: VMs that start and stop as a whole
    #[command(subcommand)]
    Vapp(vapp::VappCommand),
    /// Datastore clusters
    #[command(subcommand)]
    Pod(pod::PodCommand),
    /// Specifications for the customization of guests
    #[command(subcommand)]
    Customization(customization::CustomizationCommand),
    /// Resource pools of clusters and hosts
    #[command(subcommand)]
    Pool(pool::PoolCommand),
    /// Datastores and their files
    #[command(subcommand)]
    Datastore(datastore::DatastoreCommand),
    /// Switches, port groups and network cards of a host
    #[command(subcommand)]
    Net(net::NetCommand),
    /// Run an esxcli command on a host; an incomplete one lists its completions
    Esxcli(esxcli::Esxcli),
    /// Tags, and the objects that they are attached to
    #[command(subcommand)]
    Tag(tag::TagCommand),
    /// Categories of tags
    #[command(subcommand)]
    Category(category::CategoryCommand),
    /// Roles: sets of privileges
    #[command(subcommand)]
    Role(role::RoleCommand),
    /// Permissions: who has which role where
    #[command(subcommand)]
    Permission(permission::PermissionCommand),
    /// Users of the server
    #[command(subcommand)]
    User(user::UserCommand),
    /// Groups of users
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Identity sources: LDAP and Active Directory
    #[command(subcommand)]
    Identity(identity::IdentityCommand),
    /// Change your password
    Passwd(passwd::Passwd),
    /// Sessions of the server
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// Tokens by which your scripts log in
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Tasks
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// Scheduled tasks
    #[command(subcommand)]
    Schedule(schedule::ScheduleCommand),
    /// Events, newest last
    Events(events::Events),
    /// Print the completion script for a shell
    Completions { shell: clap_complete::Shell },
}

/// Runs the command, which for a daemon ends with the daemon.
pub async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Host(command) => host::run(*command).await,
        Command::Center(command) => center::run(*command).await,
        Command::Lab(args) => {
            daemon::start_log("info");
            Ok(lab::run(args).await?)
        }
        Command::Sim(command) => sim::run(*command).await,
        Command::Login(args) => login::run(args).await,
        Command::Logout(target) => logout::run(&target).await,
        Command::Vm(command) => vm::run(command).await,
        Command::Datacenter(command) => datacenter::run(command).await,
        Command::Folder(command) => folder::run(command).await,
        Command::Cluster(command) => cluster::run(command).await,
        Command::Vapp(command) => vapp::run(command).await,
        Command::Pod(command) => pod::run(command).await,
        Command::Customization(command) => customization::run(command).await,
        Command::Pool(command) => pool::run(command).await,
        Command::Datastore(command) => datastore::run(command).await,
        Command::Net(command) => net::run(command).await,
        Command::Esxcli(args) => esxcli::run(args).await,
        Command::Tag(command) => tag::run(command).await,
        Command::Category(command) => category::run(command).await,
        Command::Role(command) => role::run(command).await,
        Command::Permission(command) => permission::run(command).await,
        Command::User(command) => user::run(command).await,
        Command::Group(command) => group::run(command).await,
        Command::Identity(command) => identity::run(command).await,
        Command::Passwd(args) => passwd::run(args).await,
        Command::Session(command) => session::run(command).await,
        Command::Token(command) => token::run(command).await,
        Command::Task(command) => task::run(command).await,
        Command::Schedule(command) => schedule::run(command).await,
        Command::Events(args) => events::run(args).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "esfera", &mut script);
            terminal::raw(&script)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
