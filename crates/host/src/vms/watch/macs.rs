//! The MACs that guests set on their adapters: the virtual switch is told, and judges by the security policy. QEMU does not
//! report when a guest sets one on an adapter, so the host asks at intervals.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tokio::time::{sleep, timeout};
use vm::Power;
use vswitch::Mac;

use crate::engine::Machine;
use crate::limits::{GUEST_MACS, GUEST_MACS_FIRST};
use crate::vms::service::Vms;
use crate::vms::vm::Vm;

/// The MACs that the adapters of a VM have now, by their keys; none while it does not run or does not answer.
pub(in crate::vms) async fn macs_of(vm: &Vm) -> BTreeMap<i32, Mac> {
    let Some(machine) = vm.machine() else { return BTreeMap::new() };
    match timeout(GUEST_MACS_FIRST, machine.macs()).await {
        Ok(Ok(macs)) => macs,
        Ok(Err(error)) => {
            tracing::warn!(vm = vm.me.id(), %error, "the MACs of a VM's adapters are not known");
            BTreeMap::new()
        }
        Err(_) => {
            tracing::warn!(vm = vm.me.id(), "a QEMU process does not say which MACs its adapters have");
            BTreeMap::new()
        }
    }
}

/// Tells the virtual switch of the MACs of a VM's adapters until the VM is off or the host closes.
pub(super) async fn poll(vms: Weak<Vms>, vm: Arc<Vm>, machine: Arc<dyn Machine>) {
    loop {
        sleep(GUEST_MACS).await;
        if machine.ended().is_some() || vm.power() == Power::Off {
            return;
        }
        let Ok(macs) = machine.macs().await else { continue };
        let Some(vms) = vms.upgrade() else { return };
        if let Err(error) = vms.ports.network.guest_macs(vm.me.id(), &macs).await {
            tracing::warn!(vm = vm.me.id(), %error, "the virtual switch could not be told of a guest's MAC");
        }
    }
}
