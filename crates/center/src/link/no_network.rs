//! The connector of a center whose hosts all run in its own process.

use std::sync::Arc;

use async_trait::async_trait;
use vim::{Fault, fault};

use super::connector::{Address, Certificate, Connector, Credentials};
use super::{HostLink, LinkError};

pub(crate) struct NoNetwork;

fn no_network() -> Fault {
    fault!(NotSupported {}, "This center manages only the hosts in its own process")
}

#[async_trait]
impl Connector for NoNetwork {
    async fn probe(&self, _: &Address) -> Result<Certificate, Fault> {
        Err(no_network())
    }

    async fn enroll(&self, _: &Address, _: &str, _: &Credentials, _: bool) -> Result<(), Fault> {
        Err(no_network())
    }

    async fn visit(&self, _: &Address, _: &str, _: &Credentials) -> Result<Arc<dyn HostLink>, Fault> {
        Err(no_network())
    }

    async fn connect(&self, _: &Address, _: &str) -> Result<Arc<dyn HostLink>, LinkError> {
        Err(no_network().into())
    }

    async fn release(&self, _: &Arc<dyn HostLink>) {}
}
