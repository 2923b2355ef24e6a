//! `esxcli network vswitch standard portgroup policy`: policies of port groups.

pub(crate) mod failover;
pub(crate) mod ipfix;
pub(crate) mod learning;
pub(crate) mod security;
pub(crate) mod shaping;
