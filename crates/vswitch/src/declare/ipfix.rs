//! Where a switch exports flows to.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// As vSphere's `VMwareIpfixConfig`. A policy selects the ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipfix {
    /// `collectorIpAddress` and `collectorPort`.
    pub collector: SocketAddr,
    /// `observationDomainId`.
    #[serde(default)]
    pub domain: u32,
    /// `activeFlowTimeout`: seconds after which a flow in progress gets a record.
    pub active_s: u32,
    /// `idleFlowTimeout`: seconds without a packet after which a flow has ended.
    pub idle_s: u32,
    /// `samplingRate`: one packet in this many is counted; 0 and 1 count all.
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
