//! Each host as the center knows it, and its objects in the center's tree.
//!
//! A [`ManagedHost`] holds the connection, the references ([`Refs`]) and the typed facts (`reported`) of one host.
//! [`Mirror::follow`] runs as long as the host is connected: it applies the host's stream in batches. A batch is first
//! identified (`identify`: which objects of the center are these?), made durable as far as the center owns it, then
//! written with references translated (`write`).

mod apply;
mod away;
mod error;
mod events;
mod facts;
mod follow;
mod host;
mod hosts;
mod identify;
mod refs;
mod removal;
mod reported;
mod service;
mod settle;
mod shown;
mod tasks;
mod write;

pub(crate) use error::FollowError;
pub(crate) use events::set_place;
pub(crate) use host::ManagedHost;
pub(crate) use hosts::Hosts;
pub(crate) use refs::{Fixed, Refs};
pub(crate) use service::Mirror;
pub(crate) use tasks::outcome;
