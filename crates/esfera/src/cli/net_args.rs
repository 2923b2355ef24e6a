//! Arguments of `esfera net`.

use clap::{Args, Subcommand, ValueEnum};

use super::args::Target;
use super::net_vmk_args::VmkCommand;

#[derive(Subcommand)]
pub enum NetCommand {
    /// Standard switches
    #[command(subcommand)]
    Switch(SwitchCommand),
    /// Port groups of standard switches
    #[command(subcommand)]
    Portgroup(PortgroupCommand),
    /// Physical network cards
    #[command(subcommand)]
    Nic(NicCommand),
    /// VMkernel adapters: the host's own interfaces on its switches
    #[command(subcommand)]
    Vmk(VmkCommand),
    /// Ports of virtual machines and VMkernel adapters
    #[command(subcommand)]
    Port(PortCommand),
    /// Write what passes ports of a host to a file that Wireshark reads, until Ctrl-C
    Capture(CaptureArgs),
}

#[derive(Subcommand)]
pub enum PortCommand {
    /// List ports
    Ls(OnHost),
}

#[derive(Args)]
pub struct CaptureArgs {
    /// A port or an uplink, as `esfera net port ls` and `esfera net nic ls` name it; may be repeated
    #[arg(long, required = true)]
    pub port: Vec<String>,
    /// File to write pcapng to; - for the standard output
    #[arg(long, value_name = "FILE")]
    pub write: String,
    /// Where frames are seen; may be repeated, all points otherwise
    #[arg(long, value_enum)]
    pub point: Vec<Point>,
    /// Bytes of each frame that are kept [default: 256]
    #[arg(long)]
    pub length: Option<u32>,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Point {
    /// As the port sends it
    FromPort,
    /// As it is delivered to the port
    ToPort,
    /// As it comes from the uplink
    UplinkIn,
    /// As it leaves by the uplink
    UplinkOut,
    /// Where it is dropped, with the reason
    Dropped,
}

/// Which host, and how to speak to its server.
#[derive(Args)]
pub struct OnHost {
    /// Host, by name; needed if there are several
    #[arg(long)]
    pub host: Option<String>,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Subcommand)]
pub enum SwitchCommand {
    /// List standard switches
    Ls(OnHost),
    /// Make a standard switch
    Add {
        switch: String,
        #[command(flatten)]
        settings: SwitchSettings,
        #[command(flatten)]
        on: OnHost,
    },
    /// Change a standard switch; what is not named stays
    Set {
        switch: String,
        #[command(flatten)]
        settings: SwitchSettings,
        #[command(flatten)]
        on: OnHost,
    },
    /// Remove a standard switch with its port groups
    Rm {
        switch: String,
        #[command(flatten)]
        on: OnHost,
    },
}

#[derive(Args)]
pub struct SwitchSettings {
    /// A network card that is an uplink, all that it shall have; may be repeated. --uplink "" for none
    #[arg(long)]
    pub uplink: Option<Vec<String>>,
    /// Largest payload of a frame in bytes
    #[arg(long)]
    pub mtu: Option<i32>,
    #[command(flatten)]
    pub policy: PolicySettings,
}

#[derive(Args)]
pub struct PolicySettings {
    /// Ports see what passes on their VLAN
    #[arg(long, value_name = "BOOL")]
    pub promiscuous: Option<bool>,
    /// Guests may change their MAC address
    #[arg(long, value_name = "BOOL")]
    pub mac_changes: Option<bool>,
    /// Guests may send from other MAC addresses
    #[arg(long, value_name = "BOOL")]
    pub forged_transmits: Option<bool>,
    /// What chooses the uplink
    #[arg(long, value_enum)]
    pub balancing: Option<Balancing>,
    /// An uplink that carries traffic; may be repeated, in order
    #[arg(long)]
    pub active: Option<Vec<String>>,
    /// An uplink that stands by; may be repeated, in order
    #[arg(long)]
    pub standby: Option<Vec<String>>,
    /// An uplink that works again takes its place back
    #[arg(long, value_name = "BOOL")]
    pub failback: Option<bool>,
    /// Tell physical switches where addresses have moved to
    #[arg(long, value_name = "BOOL")]
    pub notify_switches: Option<bool>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Balancing {
    /// The virtual port
    Port,
    /// A hash of the source MAC address
    Mac,
    /// A hash of the IP addresses
    Ip,
    /// The first uplink in order that works
    Explicit,
    /// The port, until its uplink has too much to do
    Load,
}

#[derive(Subcommand)]
pub enum PortgroupCommand {
    /// List port groups
    Ls(OnHost),
    /// Make a port group
    Add {
        portgroup: String,
        /// Standard switch that it belongs to
        #[arg(long, default_value = "vSwitch0")]
        switch: String,
        /// 0 for none, 1-4094, 4095 for all
        #[arg(long, default_value_t = 0)]
        vlan: i32,
        #[command(flatten)]
        policy: PolicySettings,
        #[command(flatten)]
        on: OnHost,
    },
    /// Change a port group; what is not named stays
    Set {
        portgroup: String,
        #[arg(long)]
        rename: Option<String>,
        /// 0 for none, 1-4094, 4095 for all
        #[arg(long)]
        vlan: Option<i32>,
        #[command(flatten)]
        policy: PolicySettings,
        #[command(flatten)]
        on: OnHost,
    },
    /// Remove a port group
    Rm {
        portgroup: String,
        #[command(flatten)]
        on: OnHost,
    },
}

#[derive(Subcommand)]
pub enum NicCommand {
    /// List physical network cards
    Ls(OnHost),
}
