//! The use of VMs, host and datastores, looked at in a slow rhythm. Datastores are looked at in tasks of their own: one that
//! does not answer keeps nobody waiting.

use std::sync::Arc;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::limits::STATISTICS;
use crate::storage::Storage;
use crate::system::{System, hardware};
use crate::vms::Register;

/// The services whose use is looked at.
pub(crate) struct Looked {
    pub(crate) register: Arc<Register>,
    pub(crate) storage: Arc<Storage>,
    pub(crate) system: Arc<System>,
    /// The host uses none of the hardware on which it is simulated.
    pub(crate) simulated: bool,
}

/// Looks until `closing`.
pub(crate) fn watch(looked: Looked, closing: CancellationToken) {
    looked.storage.watch(closing.clone());
    let looked = Arc::new(looked);
    tokio::spawn(async move {
        let mut before = hardware::processor_ticks();
        loop {
            tokio::select! {
                () = closing.cancelled() => return,
                () = sleep(STATISTICS) => {}
            }
            let now = hardware::processor_ticks();
            let at = looked.clone();
            let done = tokio::task::spawn_blocking(move || look(&at, before, now)).await;
            if let Err(error) = done {
                tracing::error!(%error, "a look at the use of the host was interrupted");
            }
            before = now;
        }
    });
}

/// Blocking.
fn look(looked: &Looked, before: (u64, u64), now: (u64, u64)) {
    looked.register.look_at_use(looked.system.hardware.cpu.mhz);
    if !looked.simulated {
        looked.system.show_use(before, now);
    }
}
