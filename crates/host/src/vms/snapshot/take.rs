//! Taking a snapshot.

use std::sync::Arc;

use datastore::vmsd::SnapshotRecord;
use vim::{DateTime, Fault, fault};
use vm::config::VmConfig;
use vm::faults::not_supported;
use vm::{FileRef, Power};

use super::{check_name, files_of, layer_names, on_layers};
use crate::engine::{Error, Layer, Machine, image_fault, machine_fault};
use crate::limits::MAX_SNAPSHOT_DEPTH;
use crate::vms::files::sibling;
use crate::vms::layers::{depth, disks_of, set_consolidation_needed};
use crate::vms::service::Vms;
use crate::vms::vm::Vm;

/// A snapshot that a client asks for.
pub(in crate::vms) struct Wanted {
    pub(in crate::vms) name: String,
    pub(in crate::vms) description: String,
    pub(in crate::vms) memory: bool,
    pub(in crate::vms) quiesce: bool,
}

/// Takes a snapshot; gives its number.
///
/// # Errors
/// `InvalidName`, `NotSupported` with memory or of a suspended VM, `SnapshotFault` if the chain is too long; those of QEMU
/// and of the files. The VM then has its old disks, unless QEMU does not say which it uses.
pub(in crate::vms) async fn take(vms: &Vms, vm: &Arc<Vm>, wanted: Wanted) -> Result<u32, Fault> {
    let _one = vm.changing.lock().await;
    check_name(&wanted.name)?;
    let (power, home, config, mut list) = {
        let state = vm.read();
        state.usable()?;
        (state.power, state.home.clone(), state.config.clone(), state.snapshots.clone())
    };
    if wanted.memory && power == Power::On {
        return Err(not_supported(
            "Snapshots with the guest's memory are not supported; take one without (memory = false)",
        ));
    }
    if power == Power::Suspended {
        return Err(not_supported("Snapshots of a suspended VM are not supported; power it on or off first"));
    }
    if depth(&list) >= MAX_SNAPSHOT_DEPTH {
        return Err(fault!(
            SnapshotFault {},
            "{} has {MAX_SNAPSHOT_DEPTH} snapshots on top of each other, as many as are possible",
            config.name
        ));
    }
    let uid = list.last_uid.saturating_add(1);
    let layers = layer_names(&vms.files, &config)?;
    let frozen = sibling(&home, &format!("{}-Snapshot{uid}.vmsn", home.path.stem()))?;
    vms.files.write_frozen(vm, &frozen, &config).await?;
    let laid = async {
        make(vms, vm, &config, &layers).await?;
        lay(vms, vm, &config, &layers, wanted.quiesce).await
    };
    let quiesced = match laid.await {
        Ok(quiesced) => quiesced,
        Err(fault) => {
            vms.files.clear_away(&[frozen]).await;
            return Err(fault);
        }
    };
    list.snapshots.push(SnapshotRecord {
        uid,
        parent: list.current,
        file_name: frozen.path.name().to_owned(),
        display_name: wanted.name,
        description: wanted.description,
        create_time_us: DateTime::now().as_micros(),
        kind: 0,
        disks: disks_of(&home, &config),
    });
    list.current = Some(uid);
    list.last_uid = uid;
    let saved = vms.files.save_snapshots(vm, list, |state| {
        state.frozen.insert(uid, config);
        if quiesced {
            state.quiesced.insert(uid);
        }
    });
    if let Err(fault) = saved.await {
        // The layers are in use; only the snapshot is missing, which no client was told of.
        set_consolidation_needed(vm, true);
        vms.files.clear_away(&[frozen]).await;
        return Err(fault);
    }
    vms.files.look(vm).await;
    Ok(uid)
}

/// Makes the files of new layers, empty. None is left if one cannot be made.
async fn make(vms: &Vms, vm: &Vm, config: &VmConfig, layers: &[Layer]) -> Result<(), Fault> {
    match vm.machine() {
        Some(machine) => {
            let made = machine.make_layers(layers).await;
            made.map_err(|error| layer_fault(vms, vm, layers, &error))?;
        }
        None => super::make_layers(vms, config, layers).await?,
    }
    // Each is the same disk.
    vms.files.identify(&super::on_layers(config, layers)).await;
    Ok(())
}

/// Makes the layers the disks of the VM's configuration, and lets a running QEMU process go over to them in one instant.
/// Whether the guest's file systems were at rest.
async fn lay(
    vms: &Vms,
    vm: &Vm,
    before: &Arc<VmConfig>,
    layers: &[Layer],
    quiesce: bool,
) -> Result<bool, Fault> {
    if let Err(fault) = vms.files.save(vm, on_layers(before, layers), None).await {
        // It may have been written all the same: the layers go only if the configuration is surely the old one.
        leave_layers(vms, vm, before, layers).await;
        return Err(fault);
    }
    let Some(machine) = vm.machine() else { return Ok(false) };
    let frozen = quiesce && freeze(vm, &machine).await;
    let laid = machine.snapshot(layers).await;
    if frozen && let Err(error) = machine.thaw().await {
        tracing::error!(vm = vm.me.id(), %error, "the guest's file systems may still be frozen");
    }
    let Err(error) = laid else { return Ok(frozen) };
    if !error.is_undecided() {
        leave_layers(vms, vm, before, layers).await;
        return Err(layer_fault(vms, vm, layers, &error));
    }
    match uses_layers(&machine, layers).await {
        Some(true) => return Ok(frozen),
        // QEMU may still go over: the files stay, whatever names them.
        Some(false) => _ = save_before(vms, vm, before).await,
        // Whether it has ended before or after: the layers show all that was written.
        None => {}
    }
    set_consolidation_needed(vm, true);
    Err(layer_fault(vms, vm, layers, &error))
}

/// Goes back to the configuration without the layers, which no QEMU process uses, and removes them.
async fn leave_layers(vms: &Vms, vm: &Vm, before: &Arc<VmConfig>, layers: &[Layer]) {
    if save_before(vms, vm, before).await {
        vms.files.clear_away(&files_of(layers)).await;
    } else {
        set_consolidation_needed(vm, true);
    }
}

/// Makes the configuration the old one again; false if the `.vmx` may say another.
async fn save_before(vms: &Vms, vm: &Vm, before: &Arc<VmConfig>) -> bool {
    let saved = vms.files.save(vm, VmConfig::clone(before), None).await;
    if let Err(fault) = &saved {
        tracing::error!(vm = vm.me.id(), %fault, "the configuration may name layers that are not in use");
        vm.change(|state| state.config = before.clone());
    }
    saved.is_ok()
}

fn layer_fault(vms: &Vms, vm: &Vm, layers: &[Layer], error: &Error) -> Fault {
    match error {
        Error::NoSpace { .. } => {
            let file: FileRef = layers.first().map_or_else(|| vm.home(), |layer| layer.file.clone());
            image_fault(&vms.files.datastores, &file, error)
        }
        _ => machine_fault(&vm.me, error),
    }
}

/// Freezes the guest's file systems if an agent is there to do it. A snapshot without is taken otherwise, as the log says.
async fn freeze(vm: &Vm, machine: &Arc<dyn Machine>) -> bool {
    match machine.freeze().await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(vm = vm.me.id(), %error, "the guest's file systems cannot be frozen");
            false
        }
    }
}

/// Whether a QEMU process has gone over to new layers; none if it does not say.
async fn uses_layers(machine: &Arc<dyn Machine>, layers: &[Layer]) -> Option<bool> {
    for layer in layers {
        match machine.chain(layer.disk).await {
            Ok(chain) if chain.first() == Some(&layer.file) => {}
            Ok(_) => return Some(false),
            Err(error) => {
                tracing::warn!(%error, "the layers of a running VM are not known");
                return None;
            }
        }
    }
    Some(true)
}
