//! The options of [`crate::Center::open`].

use std::sync::Arc;

use api::tls::CertificateAuthority;
use store::Store;

use crate::link::connector::Connector;
use crate::schedule::Clock;

/// The way in which the center reaches hosts outside of its process.
pub enum Network {
    /// None: all hosts are attached.
    None,
    /// By mutual TLS, with a client certificate of this authority.
    Authority(Box<CertificateAuthority>),
    /// By the caller's connector.
    Connector(Arc<dyn Connector>),
}

pub struct Options {
    /// Holds the center's state.
    pub store: Store,
    /// Whether the store holds the inventory too; the inventory of a simulator ends with its process.
    pub durable: bool,
    /// The name or address of the center for clients and hosts, with the port if it is not 443.
    pub address: Option<String>,
    /// The first administrator, which the first start creates, and its password.
    pub administrator: String,
    pub password: Option<String>,
    /// The center's identity; a new one at the first start if unset.
    pub uuid: Option<String>,
    pub network: Network,
    /// The clock of the scheduled tasks.
    pub clock: Clock,
}

impl Options {
    /// A center of `administrator@vsphere.local` that does not reach hosts on the network.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            durable: true,
            address: None,
            administrator: "Administrator".into(),
            password: None,
            uuid: None,
            network: Network::None,
            clock: Clock::default(),
        }
    }
}
