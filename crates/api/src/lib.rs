//! Serves a tree of managed objects to vSphere clients: sessions, privileges, the property collector, views, tasks and events, over SOAP
//! and VI-JSON on TLS. It knows no VM: the daemons define the objects and their methods.
//!
//! Start with [`Tree`] (the objects), then [`Methods`] and [`Call`] (their methods), [`Guard`] (the privileges) and [`Service`]. A daemon
//! adds objects as rows of [`Manager`].
#![forbid(unsafe_code)]

pub mod accounts;
mod acting;
mod actor;
mod authority;
mod budget;
pub mod client;
mod collectors;
mod common;
pub mod event;
pub mod files;
mod hash;
pub mod history;
mod locals;
pub mod managers;
mod privilege;
pub mod property;
pub mod retention;
mod search;
pub mod server;
mod service;
pub mod session;
mod settings;
mod singletons;
mod stored;
pub mod task;
#[cfg(test)]
mod testing;
pub mod ticket;
pub mod tls;
pub mod tree;
mod view;

pub use acting::Acting;
pub use actor::Actor;
pub use authority::{Account, Authority, Narrowed, Present, Use};
pub use event::Events;
pub use privilege::{
    Privilege, PrivilegeGroup, all_privileges, host_privileges, privilege_groups, privileges,
};
pub use service::{
    Answer, Ask, Call, Computed, Core, Gate, Guard, Manager, Methods, Rule, Service, Table, invalid_argument,
};
pub use session::{Session, Sessions};
pub use settings::OwnedSettings;
pub use task::{Running, TaskOptions, Tasks};
pub use tree::{Change, Commit, Node, Snapshot, Tree, What, Writer, not_found};
