//! How each type of object looks to clients: records, and what is computed from other objects, as properties.

pub(crate) mod compute;
pub(crate) mod datacenter;
pub(crate) mod datastore;
pub(crate) mod host;
pub(crate) mod network;
pub(crate) mod pool;
pub(crate) mod vm;
