//! `esxcli system`: the host itself.

pub(crate) mod hostname;
pub(crate) mod uuid;
pub(crate) mod version;
