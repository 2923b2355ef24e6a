//! Clusters: their configuration, which the center keeps. Nothing acts on it, so what it would enable is refused.

mod config;
mod methods;
mod usage;

pub(crate) use config::changed;
pub(crate) use methods::register;
