//! `esxcli network`: the host's network.

pub(crate) mod ip;
pub(crate) mod mirror;
pub(crate) mod nic;
pub(crate) mod port;
pub(crate) mod vm;
pub(crate) mod vswitch;
