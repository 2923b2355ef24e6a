//! `esxcli network port`: ports of virtual switches.

pub(crate) mod learned;
pub(crate) mod stats;
