//! How a center is opened.

use std::sync::Arc;

use api::tls::CertificateAuthority;
use store::Store;

use crate::hosts::connector::Connector;

/// How the center reaches hosts outside of its process.
pub enum Network {
    /// Not at all: all hosts are attached.
    None,
    /// By mutual TLS, with a client certificate of this authority.
    Authority(Box<CertificateAuthority>),
    /// In a way of the caller's.
    Connector(Arc<dyn Connector>),
}

pub struct Options {
    /// Where the center's state is kept.
    pub store: Store,
    /// Whether the inventory is kept there at all; a simulator's is forgotten with the process.
    pub durable: bool,
    /// The name or address, and port if it is not 443, by which clients and hosts know the center.
    pub address: Option<String>,
    /// The first administrator, made at the first start, and his password.
    pub administrator: String,
    pub password: Option<String>,
    pub network: Network,
}

impl Options {
    /// A center of `administrator@vsphere.local` that reaches no hosts on the network.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            durable: true,
            address: None,
            administrator: "Administrator".into(),
            password: None,
            network: Network::None,
        }
    }
}
