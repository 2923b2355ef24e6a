//! Worlds: the numbers by which esxcli knows running VMs.

use std::sync::Arc;

use host::{Host, Vm};
use vm::Power;

/// The VMs that are on.
pub(crate) fn running(host: &Host) -> impl Iterator<Item = Arc<Vm>> {
    host.all_vms().into_iter().filter(|vm| vm.power() == Power::On)
}

/// The world of a running VM: the number of its QEMU process or, on a simulated host, of its managed object.
pub(crate) fn world(vm: &Vm) -> Option<i64> {
    let pid = vm.machine().map(|machine| machine.pid()).filter(|pid| *pid > 0);
    pid.map(i64::from).or_else(|| vm.me.id().parse().ok())
}
