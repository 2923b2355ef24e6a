//! Clusters: their configuration, which the center stores but does not act upon yet.

mod config;
mod methods;

pub(crate) use config::changed;
pub(crate) use methods::register;
