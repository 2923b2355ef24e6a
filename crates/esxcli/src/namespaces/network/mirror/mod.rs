//! `esxcli network mirror`: port mirroring.

pub(crate) mod session;
