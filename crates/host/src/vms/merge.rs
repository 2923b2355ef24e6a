//! Merging layers of disks that no snapshot needs any more into the files below them.
//!
//! The record of the VM names a merging before it begins, and the files tell how far it came: nothing but the layer lies
//! on the file below before, so that any other file found on it says that all was merged. The rest is then to name the
//! file below wherever the layer was named, which [`finish`] does after a crash. The newest layer of a running VM is
//! special, because the guest writes to the file below once it was merged: its processors stand still until the `.vmx`
//! names that file, and until then both files show the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use datastore::disk_image;
use tokio::time::sleep;
use vim::{Fault, fault};
use vm::FileRef;
use vm::config::VmConfig;

use super::files::sibling;
use super::layers::{self, configs, disks_of, lying_on, named, without};
use super::records::Merging;
use super::service::Vms;
use super::vm::Vm;
use crate::blocking::blocking;
use crate::engine::{Layer, Machine, image_fault, machine_fault};
use crate::limits::{ASK_SILENT, MAX_ASKED, MAX_MERGES};

/// Merges all layers that no snapshot needs.
///
/// # Errors
/// `InvalidState` if the configuration of a snapshot is lost; those of QEMU and of the files.
pub(super) async fn consolidate(
    vms: &Vms,
    vm: &Arc<Vm>,
    progress: &(dyn Fn(u8) + Sync),
) -> Result<(), Fault> {
    let _one = vm.changing.lock().await;
    {
        let state = vm.read();
        state.usable()?;
        if !layers::all_read(&state) {
            return Err(fault!(
                InvalidState {},
                "The files that snapshots of {} need are not known; remove the snapshots whose configuration is lost first",
                state.config.name
            ));
        }
    }
    know_chains(vms, vm).await?;
    let done = merge_superfluous(vms, vm, progress).await;
    looked_after(vms, vm, done.is_err()).await;
    done
}

/// Makes sure that the VM knows all files below its disks and those of its snapshots, before files go that seem to be
/// needed by none.
///
/// # Errors
/// `InvalidState` if a disk cannot be used, or lies on files that were not there when it was read.
pub(super) async fn know_chains(vms: &Vms, vm: &Vm) -> Result<(), Fault> {
    let (name, disks) = {
        let state = vm.read();
        if !layers::all_usable(&state.config, &state.frozen) {
            return Err(fault!(
                InvalidState {},
                "A disk of {} or of a snapshot cannot be used, so that nothing tells which files it needs; make it usable \
                 first, or remove it",
                state.config.name
            ));
        }
        let disks: Vec<_> = configs(&state.config, &state.frozen).flat_map(VmConfig::disks).collect();
        let disks: BTreeMap<_, _> =
            disks.into_iter().map(|(_, disk)| (disk.file.clone(), disk.parents.clone())).collect();
        (state.config.name.clone(), disks)
    };
    let datastores = vms.files.datastores.clone();
    blocking(move || {
        for (file, known) in disks {
            let on = datastores.of(&file)?;
            let below = disk_image::parents(&on.store, &file.path).map_err(|error| on.fault(&error))?;
            if below.iter().any(|path| known.iter().all(|parent| parent.path != *path)) {
                return Err(fault!(
                    InvalidState {},
                    "{} lies on files that {name} does not know of; reload the VM once its datastores are there",
                    on.show(&file.path)
                ));
            }
        }
        Ok(())
    })
    .await
}

/// Notes whether layers are left to merge, which a merging that failed leaves in any case, and looks at the files.
pub(super) async fn looked_after(vms: &Vms, vm: &Vm, failed: bool) {
    if failed {
        layers::set_consolidation_needed(vm, true);
    } else {
        layers::look(&vms.register, vm);
    }
    vms.files.look(vm).await;
}

async fn merge_superfluous(vms: &Vms, vm: &Arc<Vm>, progress: &(dyn Fn(u8) + Sync)) -> Result<(), Fault> {
    finish(vms, vm).await?;
    let count = layers::mergeable(&vms.register, vm).len().max(1);
    for done in 1..=MAX_MERGES {
        let Some((key, base)) = layers::mergeable(&vms.register, vm).into_iter().next() else { break };
        merge_into(vms, vm, key, &base).await?;
        progress(u8::try_from(done.saturating_mul(100) / count).unwrap_or(100).min(100));
    }
    Ok(())
}

/// Merges the only layer on top of `base` into it; keeps both if several layers lie on it, and removes `base` if none
/// does.
///
/// # Errors
/// Those of QEMU, of the files and of the store.
pub(super) async fn merge_into(vms: &Vms, vm: &Arc<Vm>, key: i32, base: &FileRef) -> Result<(), Fault> {
    let (current, frozen) = {
        let state = vm.read();
        (state.config.clone(), state.frozen.clone())
    };
    // A snapshot or the VM itself may still be on the very file.
    if named(&current, &frozen, base) {
        return Ok(());
    }
    let above = lying_on(configs(&current, &frozen), base);
    let [layer] = above.as_slice() else {
        if above.is_empty() && !vms.register.is_foreign_disk(&vm.me, base) {
            vms.files.clear_away(std::slice::from_ref(base)).await;
        }
        return Ok(());
    };
    note(vms, vm, Some(Merging::new(layer, base))).await?;
    match vm.machine().filter(|_| layers::uses(&current, layer)) {
        Some(machine) => merge_open(vms, vm, &machine, (key, layer, base)).await,
        None => {
            if let Err(error) = vms.engine.images().commit(layer, base).await {
                note(vms, vm, None).await?;
                return Err(image_fault(&vms.files.datastores, base, &error));
            }
            merged(vms, vm, layer, base).await
        }
    }
}

/// Merges a layer that a QEMU process has open.
async fn merge_open(
    vms: &Vms,
    vm: &Arc<Vm>,
    machine: &Arc<dyn Machine>,
    (key, layer, base): (i32, &FileRef, &FileRef),
) -> Result<(), Fault> {
    let newest = vm.config().disks().any(|(_, disk)| disk.file == *layer);
    let stopped = match machine.commit(key, (!newest).then_some(layer), base, &|_| {}).await {
        Ok(stopped) => stopped,
        Err(error) => {
            let went_over = error.is_undecided() && has_left(vm, machine, key, layer).await?;
            if !went_over {
                note(vms, vm, None).await?;
                return Err(machine_fault(&vm.me, &error));
            }
            true
        }
    };
    let named = merged(vms, vm, layer, base).await;
    if named.is_err() && newest {
        go_back(vm, machine, (key, layer, base)).await;
    }
    let resumed = if stopped { machine.resume().await } else { Ok(()) };
    named.and(resumed.map_err(|error| machine_fault(&vm.me, &error)))
}

/// Whether a QEMU process whose answer was lost has merged a layer. One that has not goes on as before.
async fn has_left(vm: &Vm, machine: &Arc<dyn Machine>, key: i32, layer: &FileRef) -> Result<bool, Fault> {
    let mut asked = 0;
    loop {
        let answer = async {
            machine.end_merging().await?;
            let left = !machine.chain(key).await?.contains(layer);
            if !left {
                machine.resume().await?;
            }
            Ok(left)
        };
        match answer.await {
            Ok(left) => return Ok(left),
            Err(error) if machine.ended().is_some() || asked == MAX_ASKED => {
                return Err(machine_fault(&vm.me, &error));
            }
            Err(error) => {
                tracing::warn!(vm = vm.me.id(), %error, "whether a layer was merged is not known yet")
            }
        }
        asked += 1;
        sleep(ASK_SILENT).await;
    }
}

/// Lays a layer that was merged on the disk again, because the `.vmx` still names it.
async fn go_back(vm: &Vm, machine: &Arc<dyn Machine>, (key, layer, base): (i32, &FileRef, &FileRef)) {
    let Err(error) = machine.snapshot(&[Layer { disk: key, file: layer.clone() }]).await else { return };
    tracing::error!(vm = vm.me.id(), %error, "the configuration names a layer that the VM no longer uses");
    // The files in use are written with the next change.
    vm.change(|state| {
        if let Some(config) = without(&state.config, layer, base) {
            state.config = Arc::new(config);
        }
    });
}

/// Does the rest when a layer was merged: every file that lay on it comes to lie on `base`, which is named wherever the
/// layer was, and the layer is removed.
async fn merged(vms: &Vms, vm: &Arc<Vm>, layer: &FileRef, base: &FileRef) -> Result<(), Fault> {
    let (current, frozen, running) = {
        let state = vm.read();
        (state.config.clone(), state.frozen.clone(), state.machine.is_some())
    };
    let mut lying = lying_on(configs(&current, &frozen), layer);
    if running {
        // QEMU itself changes the files that it has open.
        lying.retain(|file| !layers::uses(&current, file));
    }
    let images = vms.engine.images();
    for file in lying {
        let rebased = images.rebase(&file, base).await;
        rebased.map_err(|error| image_fault(&vms.files.datastores, &file, &error))?;
    }
    replace_everywhere(vms, vm, layer, base).await?;
    vms.files.clear_away(std::slice::from_ref(layer)).await;
    note(vms, vm, None).await
}

/// Finishes the merging that the record of a VM names, if all was merged; else it has not happened.
///
/// # Errors
/// Those of the files and of the store.
pub(super) async fn finish(vms: &Vms, vm: &Arc<Vm>) -> Result<(), Fault> {
    let record = vms.register.records().get(&vm.me)?;
    let Some(merging) = record.and_then(|record| record.merging) else { return Ok(()) };
    let Some((layer, base)) = merging.files() else { return note(vms, vm, None).await };
    let (home, list) = {
        let state = vm.read();
        (state.home.clone(), state.snapshots.clone())
    };
    // A merging that has ended since they were read has changed the files that they lie on.
    let frozen = vms.files.load_all_frozen(home, list).await?;
    let current = vm.change(|state| {
        state.frozen.clone_from(&frozen);
        state.config.clone()
    });
    let used = configs(&current, &frozen).any(|config| layers::uses(config, &layer));
    let whole = named(&current, &frozen, &base)
        || lying_on(configs(&current, &frozen), &base).iter().any(|file| *file != layer);
    tracing::warn!(vm = vm.me.id(), layer = %layer.path, whole, "a merging of layers was interrupted");
    if whole {
        return merged(vms, vm, &layer, &base).await;
    }
    if !used && layers::all_usable(&current, &frozen) {
        vms.files.clear_away(std::slice::from_ref(&layer)).await;
    }
    note(vms, vm, None).await
}

async fn note(vms: &Vms, vm: &Vm, merging: Option<Merging>) -> Result<(), Fault> {
    vms.register.records().amend(&vm.me, |record| record.merging = merging).await
}

/// Names `base` wherever `layer` was named, which holds the same now: in the VM and in its snapshots.
async fn replace_everywhere(vms: &Vms, vm: &Vm, layer: &FileRef, base: &FileRef) -> Result<(), Fault> {
    let (home, current, frozen, mut list, suspended) = {
        let state = vm.read();
        (
            state.home.clone(),
            state.config.clone(),
            state.frozen.clone(),
            state.snapshots.clone(),
            state.suspend_file.clone(),
        )
    };
    let mut replaced: BTreeMap<u32, Arc<VmConfig>> = BTreeMap::new();
    for (uid, config) in &frozen {
        let Some(config) = without(config, layer, base) else { continue };
        let Some(record) = list.snapshots.iter_mut().find(|record| record.uid == *uid) else { continue };
        record.disks = disks_of(&home, &config);
        vms.files.write_frozen(vm, &sibling(&home, &record.file_name)?, &config).await?;
        replaced.insert(*uid, Arc::new(config));
    }
    if !replaced.is_empty() {
        vms.files.save_snapshots(vm, list, |state| state.frozen.extend(replaced)).await?;
    }
    // Even if it is so already: the file may say something else.
    let config = without(&current, layer, base).unwrap_or_else(|| VmConfig::clone(&current));
    vms.files.save(vm, config, suspended.as_deref()).await
}
