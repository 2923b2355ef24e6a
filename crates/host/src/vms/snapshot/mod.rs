//! Snapshots of disks. A snapshot is the file that each disk had when it was taken, frozen by a new layer on top, and
//! the configuration of that moment, kept as the text of a `.vmx` under the snapshot's `.vmsn` name.
//!
//! Order when one is taken (`take`): layers and `.vmsn`, then the `.vmx` that uses the layers, then a running QEMU process
//! goes over to them, then the `.vmsd` lists the snapshot. An empty layer shows the content of the file under it, so that
//! the `.vmx` is right before and after QEMU has gone over. A daemon that dies in between leaves at worst a layer that no
//! snapshot needs, never a snapshot whose file is written to, nor a `.vmx` without the guest's writes. When one is removed
//! (`remove`) the `.vmsd` forgets it first; then its layers are merged (see [`super::merge`]). `revert` takes a VM back.

mod remove;
mod revert;
mod take;

pub(super) use remove::{remove, remove_all};
pub(super) use revert::revert;
pub(super) use take::{Quiesce, Wanted, take};

use std::sync::Arc;

use vim::{Fault, fault};
use vm::FileRef;
use vm::config::VmConfig;

use super::files::{Files, sibling};
use super::service::Vms;
use super::vm::Vm;
use crate::engine::{Layer, image_fault};

/// Gives a snapshot another name or description.
///
/// # Errors
/// `SnapshotFault` if it does not exist, `InvalidName`; those of the files.
pub(super) async fn rename(
    vms: &Vms,
    vm: &Arc<Vm>,
    uid: u32,
    name: Option<&str>,
    description: Option<&str>,
) -> Result<(), Fault> {
    let _one = vm.begin()?;
    let mut list = vm.read().snapshots.clone();
    let record = list.snapshots.iter_mut().find(|record| record.uid == uid);
    let record = record.ok_or_else(|| missing(vm, uid))?;
    if let Some(name) = name {
        check_name(name)?;
        name.clone_into(&mut record.display_name);
    }
    if let Some(description) = description {
        description.clone_into(&mut record.description);
    }
    vms.files.save_snapshots(vm, list, |_| ()).await
}

fn check_name(name: &str) -> Result<(), Fault> {
    if name.trim().is_empty() {
        return Err(fault!(InvalidName { name: name }, "A snapshot needs a name"));
    }
    Ok(())
}

fn missing(vm: &Vm, uid: u32) -> Fault {
    fault!(SnapshotFault {}, "{} has no snapshot {uid}", vm.name())
}

/// Names for the new layers of all disks that snapshots are about.
fn layer_names(files: &Files, config: &VmConfig) -> Result<Vec<Layer>, Fault> {
    let mut layers: Vec<Layer> = Vec::new();
    for (key, disk) in config.disks().filter(|(_, disk)| !disk.independent) {
        let on = files.datastores.of(&disk.file)?;
        let directory = disk.file.directory().path;
        let entries = on.store.list(&directory).map_err(|error| on.fault(&error))?;
        let taken = layers.iter().map(|layer| layer.file.path.name());
        let names = entries.iter().map(|entry| entry.name.as_str()).chain(taken);
        let name = datastore::next_delta_name(disk.file.path.name(), names).ok_or_else(|| {
            let file = on.show(&disk.file.path);
            fault!(
                CannotAccessFile { file: &*file },
                "{file} cannot have another layer: end its name in .vmdk"
            )
        })?;
        layers.push(Layer { disk: key, file: sibling(&disk.file, &name)? });
    }
    Ok(layers)
}

/// A configuration whose disks are in new layers over the files that they were in.
fn on_layers(config: &VmConfig, layers: &[Layer]) -> VmConfig {
    let mut next = config.clone();
    for layer in layers {
        if let Some(disk) = next.devices.get_mut(&layer.disk).and_then(|device| device.disk_mut()) {
            let below = std::mem::replace(&mut disk.file, layer.file.clone());
            disk.parents.insert(0, below);
        }
    }
    next
}

/// Makes the files of new layers over the disks of a configuration that no QEMU process has open. None is left if one
/// cannot be made.
async fn make_layers(vms: &Vms, config: &VmConfig, layers: &[Layer]) -> Result<(), Fault> {
    let images = vms.engine.images();
    for (at, layer) in layers.iter().enumerate() {
        let Some(disk) = config.devices.get(&layer.disk).and_then(|device| device.disk()) else { continue };
        if let Err(error) = images.create_layer(&layer.file, &disk.file, disk.capacity_bytes).await {
            vms.files.clear_away(&files_of(&layers[..at])).await;
            return Err(image_fault(&vms.files.datastores, &layer.file, &error));
        }
    }
    Ok(())
}

fn files_of(layers: &[Layer]) -> Vec<FileRef> {
    layers.iter().map(|layer| layer.file.clone()).collect()
}
