//! Where a switch tells of flows.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// As vSphere's `VMwareIpfixConfig`. Which ports are watched is a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipfix {
    /// `collectorIpAddress` and `collectorPort`.
    pub collector: SocketAddr,
    /// `observationDomainId`.
    #[serde(default)]
    pub domain: u32,
    /// `activeFlowTimeout`: a flow that goes on gets a record after so many seconds.
    pub active_s: u32,
    /// `idleFlowTimeout`: a flow has ended after so many seconds without a packet.
    pub idle_s: u32,
    /// `samplingRate`: one packet of so many is looked at; 0 and 1 are all.
    #[serde(default)]
    pub one_of: u32,
    /// `internalFlowsOnly`: only flows whose both ends are ports of this host.
    #[serde(default)]
    pub internal_only: bool,
}

impl Ipfix {
    /// With vSphere's defaults: 60 s and 15 s, all packets, all flows.
    pub fn to(collector: SocketAddr) -> Self {
        Self { collector, domain: 0, active_s: 60, idle_s: 15, one_of: 0, internal_only: false }
    }
}
