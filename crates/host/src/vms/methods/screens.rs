//! Pictures of the screens of VMs, for `/screen`.

use std::sync::Arc;

use api::Account;
use api::server::Screens;
use async_trait::async_trait;
use vim::{Fault, MoRef};

use crate::engine::machine_fault;
use crate::vms::register::Register;

/// Takes pictures of the screens of the VMs of a register.
pub(crate) struct Screenshots(pub(crate) Arc<Register>);

#[async_trait]
impl Screens for Screenshots {
    async fn screenshot(&self, _who: &Account, vm: &MoRef) -> Result<Vec<u8>, Fault> {
        let machine = self.0.find(vm)?.running()?;
        machine.screenshot().await.map_err(|error| machine_fault(vm, &error))
    }
}
