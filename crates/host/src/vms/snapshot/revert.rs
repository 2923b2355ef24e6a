//! Taking a VM back to a snapshot.

use std::sync::Arc;

use vim::{DateTime, Fault, fault};
use vm::config::VmConfig;
use vm::device::distrust;
use vm::{FileRef, Power};

use super::{files_of, layer_names, make_layers, on_layers};
use crate::events::Who;
use crate::vms::bases;
use crate::vms::layers::all_read;
use crate::vms::own_files::all_disk_files;
use crate::vms::power::power_off;
use crate::vms::service::Vms;
use crate::vms::vm::Vm;

/// Takes a VM back to a snapshot, or to the current one. It is off afterwards, as it was without its memory.
///
/// # Errors
/// `NotFound` if the VM has no snapshot, `SnapshotFault` if its configuration is lost; those of powering off and of the
/// files.
pub(in crate::vms) async fn revert(
    vms: &Vms,
    vm: &Arc<Vm>,
    uid: Option<u32>,
    who: &Who,
) -> Result<(), Fault> {
    let uid = {
        let state = vm.read();
        state.usable()?;
        uid.or(state.snapshots.current)
            .ok_or_else(|| fault!(NotFound {}, "{} has no snapshot to go back to", state.config.name))?
    };
    if vm.power() != Power::Off {
        power_off(vms, vm, who).await?;
    }
    let _one = vm.changing.lock().await;
    let (current, frozen, mut list) = {
        let state = vm.read();
        let frozen = state.frozen.get(&uid).cloned();
        (state.config.clone(), frozen, state.snapshots.clone())
    };
    let frozen = frozen
        .ok_or_else(|| fault!(SnapshotFault {}, "The configuration of the snapshot {uid} cannot be read"))?;
    // A new layer on each file that the snapshot froze; the layer until now goes unless a snapshot needs it.
    let layers = layer_names(&vms.files, &frozen)?;
    make_layers(vms, &frozen, &layers).await?;
    let mut next = on_layers(&frozen, &layers);
    vms.files.identify(&next).await;
    // The identity of the VM does not go back.
    next.name.clone_from(&current.name);
    next.instance_uuid = current.instance_uuid;
    // Neither does the file of the firmware's variables, which is the same all the time.
    next.nvram.clone_from(&current.nvram);
    // It may be that of a VM that was registered.
    distrust(&mut next.devices);
    next.touch(DateTime::now());
    if let Err(fault) = vms.files.save(vm, next, None).await {
        vms.files.clear_away(&files_of(&layers)).await;
        return Err(fault);
    }
    if list.current != Some(uid) {
        list.current = Some(uid);
        vms.files.save_snapshots(vm, list, |_| ()).await?;
    }
    clear_left_layers(vms, vm, &current).await;
    bases::note(vms, vm).await;
    vms.files.look(vm).await;
    Ok(())
}

/// Removes the layers of a configuration that was left behind: those that hold the writes since a file that is still used.
/// A disk that lies on no such file was attached since, and is only detached; a file that another VM names stays in any
/// case.
async fn clear_left_layers(vms: &Vms, vm: &Vm, left: &VmConfig) {
    let used = {
        let state = vm.read();
        if !all_read(&state) {
            tracing::warn!(
                vm = vm.me.id(),
                "layers stay behind: a snapshot that may need them cannot be read"
            );
            return;
        }
        all_disk_files(&state)
    };
    let gone: Vec<FileRef> = left
        .disks()
        .filter(|(_, disk)| disk.parents.first().is_some_and(|below| used.contains(below)))
        .map(|(_, disk)| disk.file.clone())
        .filter(|file| !used.contains(file) && !vms.register.is_foreign_disk(&vm.me, file))
        .collect();
    vms.files.clear_away(&gone).await;
}
