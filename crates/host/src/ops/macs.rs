//! The MACs that guests set on their adapters: the virtual switch is told, and judges by the security policy. The machinery
//! of the adapters that there are does not say when one is set, so it is asked in a rhythm.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tokio::time::{sleep, timeout};
use vm::Power;
use vswitch::Mac;

use crate::Host;
use crate::engine::Machine;
use crate::limits::{GUEST_MACS, GUEST_MACS_FIRST};
use crate::vms::Vm;

impl Host {
    /// The MACs that the adapters of a machine have now; none while it does not run or does not answer.
    pub(super) async fn macs_of(&self, vm: &Vm) -> BTreeMap<i32, Mac> {
        let Some(machine) = vm.machine() else { return BTreeMap::new() };
        match timeout(GUEST_MACS_FIRST, machine.macs()).await {
            Ok(Ok(macs)) => macs,
            Ok(Err(error)) => {
                tracing::warn!(vm = vm.me.id(), %error, "the MACs of a machine's adapters are not known");
                BTreeMap::new()
            }
            Err(_) => {
                tracing::warn!(vm = vm.me.id(), "a machine does not say which MACs its adapters have");
                BTreeMap::new()
            }
        }
    }
}

/// Tells the switch of the MACs of a machine's adapters as long as it runs.
pub(super) async fn poll(host: Weak<Host>, vm: Arc<Vm>, machine: Arc<dyn Machine>) {
    loop {
        sleep(GUEST_MACS).await;
        if machine.ended().is_some() || vm.power() == Power::Off {
            return;
        }
        let Ok(macs) = machine.macs().await else { continue };
        let Some(host) = host.upgrade() else { return };
        if let Err(error) = host.network.guest_macs(vm.me.id(), &macs).await {
            tracing::warn!(vm = vm.me.id(), %error, "the switch could not be told of a guest's MAC");
        }
    }
}
