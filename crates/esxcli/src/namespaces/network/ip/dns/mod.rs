//! `esxcli network ip dns`: resolving names.

pub(crate) mod search;
pub(crate) mod server;
