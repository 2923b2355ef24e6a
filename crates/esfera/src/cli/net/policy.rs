//! Policies of switches and port groups: their arguments, and setting them.

use clap::{Args, ValueEnum};
use vim::{Field, Object, field, vim};

#[derive(Args)]
pub struct PolicySettings {
    /// Ports receive all frames of their VLAN
    #[arg(long, value_name = "BOOL")]
    promiscuous: Option<bool>,
    /// Guests may change their MAC address
    #[arg(long, value_name = "BOOL")]
    mac_changes: Option<bool>,
    /// Guests may send from other MAC addresses
    #[arg(long, value_name = "BOOL")]
    forged_transmits: Option<bool>,
    /// Choice of the uplink
    #[arg(long, value_enum)]
    balancing: Option<Balancing>,
    /// An uplink that carries traffic; may be repeated, in order
    #[arg(long)]
    active: Option<Vec<String>>,
    /// An uplink that stands by; may be repeated, in order
    #[arg(long)]
    standby: Option<Vec<String>>,
    /// An uplink that works again takes its place back
    #[arg(long, value_name = "BOOL")]
    failback: Option<bool>,
    /// Tell physical switches where addresses have moved to
    #[arg(long, value_name = "BOOL")]
    notify_switches: Option<bool>,
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
    /// The port, until its uplink is overloaded
    Load,
}

impl PolicySettings {
    /// Whether any of them is given.
    pub fn is_set(&self) -> bool {
        let words =
            [self.promiscuous, self.mac_changes, self.forged_transmits, self.failback, self.notify_switches];
        words.iter().any(Option::is_some)
            || self.balancing.is_some()
            || self.active.is_some()
            || self.standby.is_some()
    }
}

/// The policy with the given settings.
pub fn set_policy(mut policy: Object, settings: PolicySettings) -> Object {
    let mut security = match policy.get(field!(HostNetworkPolicy.security)) {
        Some(known) => Object::clone(known),
        None => vim!(HostNetworkSecurityPolicy {}).into(),
    };
    put(&mut security, field!(HostNetworkSecurityPolicy.allowPromiscuous), settings.promiscuous);
    put(&mut security, field!(HostNetworkSecurityPolicy.macChanges), settings.mac_changes);
    put(&mut security, field!(HostNetworkSecurityPolicy.forgedTransmits), settings.forged_transmits);
    policy.set(field!(HostNetworkPolicy.security), security);
    let mut teaming = match policy.get(field!(HostNetworkPolicy.nicTeaming)) {
        Some(known) => Object::clone(known),
        None => vim!(HostNicTeamingPolicy {}).into(),
    };
    if let Some(balancing) = settings.balancing {
        let word = match balancing {
            Balancing::Port => "loadbalance_srcid",
            Balancing::Mac => "loadbalance_srcmac",
            Balancing::Ip => "loadbalance_ip",
            Balancing::Explicit => "failover_explicit",
            Balancing::Load => "loadbalance_loadbased",
        };
        teaming.set(field!(HostNicTeamingPolicy.policy), word);
    }
    put(&mut teaming, field!(HostNicTeamingPolicy.notifySwitches), settings.notify_switches);
    put(&mut teaming, field!(HostNicTeamingPolicy.rollingOrder), settings.failback.map(|failback| !failback));
    if settings.active.is_some() || settings.standby.is_some() {
        let order = vim!(HostNicOrderPolicy {
            activeNic: settings.active.unwrap_or_default(),
            standbyNic: settings.standby.unwrap_or_default(),
        });
        teaming.set(field!(HostNicTeamingPolicy.nicOrder), order);
    }
    policy.set(field!(HostNetworkPolicy.nicTeaming), teaming);
    policy
}

/// Sets a field if the value is given.
fn put(object: &mut Object, field: Field<vim::kind::Boolean>, value: Option<bool>) {
    if value.is_some() {
        object.set(field, value);
    }
}
