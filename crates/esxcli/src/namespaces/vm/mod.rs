//! `esxcli vm`: virtual machines.

pub(crate) mod process;
