//! Suspending VMs: QEMU saves the state to a file and ends.

use std::sync::Arc;

use vim::Fault;
use vm::faults::not_supported;

use super::files::sibling;
use super::service::Vms;
use super::vm::Vm;
use super::{end, saved_state};
use crate::engine::image_fault;
use crate::events::{VmEvent, Who};

/// Saves the state of a VM and ends its QEMU process.
///
/// # Errors
/// `InvalidPowerState`; `NotSupported` for a VM that was given processors or memory while it ran; those of QEMU and of the
/// file.
pub(super) async fn suspend(
    vms: &Vms,
    vm: &Arc<Vm>,
    who: &Who,
    progress: &(dyn Fn(u8) + Sync),
) -> Result<(), Fault> {
    let _one = vm.changing.lock().await;
    let machine = vm.running()?;
    let has = {
        let config = vm.config();
        (config.cpus, config.memory_mib)
    };
    if machine.started_with() != has {
        return Err(not_supported(
            "A VM that was given processors or memory while it ran cannot be suspended before it was off once",
        ));
    }
    vms.post(vm, VmEvent::Suspending, who).await;
    let home = vm.home();
    let name = format!("{}-{:08x}.vmss", home.path.stem(), rand::random::<u32>());
    let file = sibling(&home, &name)?;
    let on = vms.files.datastores.of(&file)?;
    let bytes = vm.config().memory_mib << 20;
    let used = machine.usage().map_or(bytes, |usage| usage.resident_bytes.min(bytes));
    on.store.require_space(&file.path, used).map_err(|error| on.fault(&error))?;
    saved_state::note(&vms.register, vm, Some(&name)).await?;
    vm.expect_end(true);
    if let Err(error) = machine.suspend(&file, progress).await {
        let fault = || Err(image_fault(&vms.files.datastores, &file, &error));
        let whole = vms.files.has(&file).unwrap_or(true);
        let ended = machine.ended();
        match (&ended, whole) {
            // Only the answer is missing.
            (Some(_), true) => {}
            (Some(reason), false) => {
                end::has_ended(vms, vm, reason, who).await;
                saved_state::forget(&vms.register, &vms.files, vm, None).await?;
                return fault();
            }
            // The state is saved and QEMU about to end: its end is noticed, and then the VM is suspended.
            (None, true) => {
                vm.expect_end(false);
                return fault();
            }
            (None, false) => {
                vm.expect_end(false);
                saved_state::forget(&vms.register, &vms.files, vm, None).await?;
                return fault();
            }
        }
    }
    end::is_suspended(vms, vm, &name, who).await;
    Ok(())
}
