//! The network as the API shows it: `HostNetworkInfo` (what is), `HostNetworkConfig` (what was asked for), capabilities. Start at
//! [`Scene`], which holds everything that is shown.

mod adapter;
mod hint;
mod names;
mod nic;
mod policy;
mod route;
mod stack;
mod switch;

use vim::{Object, ty, vim};
use vswitch::State;
use vswitch::declare::{Dns, StackName};

#[cfg(test)]
pub(crate) use adapter::ip;
pub use adapter::net_config;
pub use hint::hint;
#[cfg(test)]
pub(crate) use names::shown as names_shown;

use crate::config::NetworkConfig;
use crate::fabric::Nic;
use crate::limits::MOST_GROUPS;
use crate::words;

/// The network at one moment: its configuration, and the state that is shown with it.
pub struct Scene<'a> {
    pub config: &'a NetworkConfig,
    pub nics: Vec<Nic>,
    /// The Linux system's own name and name servers.
    pub own_names: Dns,
    /// The current state of links and adapters.
    pub seen: State,
    /// The connected network adapters of a port group: the interface of the port, and the MAC address.
    pub on: &'a dyn Fn(&str) -> Vec<(String, String)>,
}

impl Scene<'_> {
    /// The `HostNetworkInfo`: the network as it is.
    pub fn info(&self) -> ty!(HostNetworkInfo) {
        let switches: Vec<_> = self.config.switches.iter().map(|switch| self.switch(switch)).collect();
        let groups: Vec<_> = self.config.groups().map(|(switch, group)| self.group(switch, group)).collect();
        vim!(HostNetworkInfo {
            vswitch: switches,
            portgroup: groups,
            pnic: self.nics.iter().map(nic::shown).collect::<Vec<_>>(),
            vnic: self.adapters(),
            dnsConfig: self.names(),
            ipRouteConfig: self.gateways(&StackName::default()),
            routeTableInfo: self.routes(&StackName::default()),
            netStackInstance: self.stacks(),
            ipV6Enabled: true,
            atBootIpV6Enabled: true,
        })
    }

    /// The `HostNetworkConfig`: the network as it was asked for.
    pub fn asked(&self) -> ty!(HostNetworkConfig) {
        let switches: Vec<_> = self
            .config
            .switches
            .iter()
            .map(|switch| {
                vim!(HostVirtualSwitchConfig { name: &switch.declared.name, spec: switch::spec(switch) })
            })
            .collect();
        let groups = self
            .config
            .groups()
            .map(|(switch, group)| vim!(HostPortGroupConfig { spec: switch::group_spec(switch, group) }));
        let card = |nic: &Nic| vim!(PhysicalNicConfig { device: &nic.name, spec: PhysicalNicSpec {} });
        let cards = self.nics.iter().map(card);
        vim!(HostNetworkConfig {
            vswitch: switches,
            portgroup: groups.collect::<Vec<_>>(),
            pnic: cards.collect::<Vec<_>>(),
            dnsConfig: self.names(),
            ipV6Enabled: true,
        })
    }

    /// The `HostDnsConfig`: the host's name, domain and name servers.
    pub fn names(&self) -> Object {
        names::shown(self.config.names.as_ref(), &self.seen, &self.own_names)
    }
}

/// The `HostNetCapabilities` of every host.
pub fn capabilities() -> ty!(HostNetCapabilities) {
    vim!(HostNetCapabilities {
        canSetPhysicalNicLinkSpeed: false,
        supportsNicTeaming: true,
        nicTeamingPolicy: words::balancings(),
        supportsVlan: true,
        usesServiceConsoleNic: false,
        supportsNetworkHints: true,
        maxPortGroupsPerVswitch: MOST_GROUPS,
        vswitchConfigSupported: true,
        vnicConfigSupported: true,
        ipRouteConfigSupported: true,
        dnsConfigSupported: true,
        dhcpOnVnicSupported: true,
        ipV6Supported: true,
    })
}
