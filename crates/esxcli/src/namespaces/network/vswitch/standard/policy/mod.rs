//! `esxcli network vswitch standard policy`: policies of standard switches. Port groups have the same ones, so their parameters and
//! rows are here, too.

pub(crate) mod failover;
pub(crate) mod multicast;
pub(crate) mod security;
pub(crate) mod set;
pub(crate) mod shaping;
