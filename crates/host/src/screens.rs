//! Pictures of the machines' screens, for `/screen`.

use std::sync::Arc;

use api::Account;
use api::server::Screens;
use async_trait::async_trait;
use vim::{Fault, MoRef};

use crate::Host;
use crate::error::machine_fault;

impl Host {
    /// Pictures of the machines' screens.
    pub fn screens(self: &Arc<Self>) -> Arc<dyn Screens> {
        Arc::new(HostScreens(self.clone()))
    }
}

struct HostScreens(Arc<Host>);

#[async_trait]
impl Screens for HostScreens {
    async fn screenshot(&self, _who: &Account, vm: &MoRef) -> Result<Vec<u8>, Fault> {
        let machine = self.0.vm(vm)?.running()?;
        machine.screenshot().await.map_err(|error| machine_fault(vm, &error))
    }
}
