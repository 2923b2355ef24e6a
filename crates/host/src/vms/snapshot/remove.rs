//! Removing snapshots: each is forgotten, and the layers that it kept apart are merged.

use std::sync::Arc;

use vim::Fault;

use super::missing;
use crate::vms::files::sibling;
use crate::vms::merge::{know_chains, looked_after, merge_into};
use crate::vms::service::Vms;
use crate::vms::vm::Vm;

/// Removes a snapshot, or with `children` also those that were taken after it.
///
/// # Errors
/// `SnapshotFault` if it does not exist; `InvalidState` while the files below a disk are not known; those of QEMU and of the files. Layers that stay behind are then for
/// [`crate::vms::merge::consolidate`].
pub(in crate::vms) async fn remove(
    vms: &Vms,
    vm: &Arc<Vm>,
    uid: u32,
    children: bool,
    progress: &(dyn Fn(u8) + Sync),
) -> Result<(), Fault> {
    let _one = vm.changing.lock().await;
    let list = {
        let state = vm.read();
        state.usable()?;
        state.snapshots.clone()
    };
    if list.get(uid).is_none() {
        return Err(missing(vm, uid));
    }
    know_chains(vms, vm).await?;
    // The newest first, so that each merge is small.
    let mut doomed = vec![uid];
    if children {
        let mut at = 0;
        while at < doomed.len() {
            doomed.extend(list.children(Some(doomed[at])).map(|snapshot| snapshot.uid));
            at += 1;
        }
        doomed.reverse();
    }
    remove_these(vms, vm, &doomed, progress).await
}

/// Removes all snapshots of a VM.
///
/// # Errors
/// As [`remove`].
pub(in crate::vms) async fn remove_all(
    vms: &Vms,
    vm: &Arc<Vm>,
    progress: &(dyn Fn(u8) + Sync),
) -> Result<(), Fault> {
    let _one = vm.changing.lock().await;
    let doomed: Vec<u32> = {
        let state = vm.read();
        state.usable()?;
        state.snapshots.snapshots.iter().rev().map(|snapshot| snapshot.uid).collect()
    };
    know_chains(vms, vm).await?;
    remove_these(vms, vm, &doomed, progress).await
}

async fn remove_these(
    vms: &Vms,
    vm: &Arc<Vm>,
    doomed: &[u32],
    progress: &(dyn Fn(u8) + Sync),
) -> Result<(), Fault> {
    let removed = async {
        for (at, uid) in doomed.iter().enumerate() {
            remove_one(vms, vm, *uid).await?;
            let percent = (at + 1).saturating_mul(100).checked_div(doomed.len()).unwrap_or(100);
            progress(u8::try_from(percent).unwrap_or(100));
        }
        Ok(())
    };
    let removed: Result<(), Fault> = removed.await;
    looked_after(vms, vm, removed.is_err()).await;
    removed
}

/// Forgets one snapshot and merges the layer on top of each of its files into the file.
async fn remove_one(vms: &Vms, vm: &Arc<Vm>, uid: u32) -> Result<(), Fault> {
    let (mut list, frozen) = {
        let state = vm.read();
        (state.snapshots.clone(), state.frozen.get(&uid).cloned())
    };
    let Some(record) = list.get(uid).cloned() else { return Ok(()) };
    for child in &mut list.snapshots {
        if child.parent == Some(uid) {
            child.parent = record.parent;
        }
    }
    list.snapshots.retain(|snapshot| snapshot.uid != uid);
    if list.current == Some(uid) {
        list.current = record.parent;
    }
    vms.files.save_snapshots(vm, list, |state| _ = state.quiesced.remove(&uid)).await?;
    if let Some(frozen) = frozen {
        for (key, disk) in frozen.disks().filter(|(_, disk)| !disk.independent) {
            merge_into(vms, vm, key, &disk.file).await?;
        }
    }
    if let Ok(file) = sibling(&vm.home(), &record.file_name) {
        vms.files.clear_away(&[file]).await;
    }
    Ok(())
}
