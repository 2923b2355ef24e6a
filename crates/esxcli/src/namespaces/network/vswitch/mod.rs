//! `esxcli network vswitch`: virtual switches.

pub(crate) mod dvs;
pub(crate) mod standard;
