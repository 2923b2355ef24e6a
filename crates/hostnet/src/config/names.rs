//! The host's name, its domain and its name servers as a client set them, and what they come to with leases.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use vswitch::State;
use vswitch::declare::Dns;

use crate::limits::{MOST_DOMAINS, MOST_SERVERS};

/// The names that a client has set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The VMkernel adapter whose DHCP server gives the domain and the servers; unset if the client gave them.
    #[serde(default)]
    pub from: Option<String>,
    /// The VMkernel adapter whose DHCPv6 server gives more servers and, unless the client gave them, the search domains.
    #[serde(default)]
    pub from_v6: Option<String>,
    pub given: Dns,
}

impl Names {
    /// The names in effect; `None` while they depend on a lease that no adapter has yet.
    pub(crate) fn effective(&self, seen: &State) -> Option<Dns> {
        if !self.are_leased() {
            return Some(self.given.clone());
        }
        let state = |device: &Option<String>| seen.adapters.get(device.as_ref()?);
        let four = state(&self.from).and_then(|state| state.lease.as_ref());
        let six = state(&self.from_v6).and_then(|state| state.lease6.as_ref());
        if four.is_none() && six.is_none() {
            return None;
        }
        let mut names = Dns { domain: String::new(), servers: Vec::new(), ..self.given.clone() };
        if let Some(lease) = four {
            names.domain = lease.domain.clone().unwrap_or_default();
            names.servers.extend(lease.dns.iter().copied().map(IpAddr::from));
        }
        if let Some(lease) = six {
            // A link-local server is reachable only with its link, which a list of servers does not name.
            let usable = lease.dns.iter().filter(|server| !server.is_unicast_link_local());
            names.servers.extend(usable.copied().map(IpAddr::from));
            if names.search.is_empty() {
                names.search = lease.search.iter().take(MOST_DOMAINS).cloned().collect();
            }
        }
        names.servers.truncate(MOST_SERVERS);
        Some(names)
    }

    /// Whether DHCP servers give the names.
    pub(crate) fn are_leased(&self) -> bool {
        self.from.is_some() || self.from_v6.is_some()
    }
}
