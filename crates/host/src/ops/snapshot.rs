//! Snapshots of disks. A snapshot is the file that each disk had when it was taken, frozen by a new layer on top, and
//! the configuration of that moment, kept as the text of a `.vmx` under the snapshot's `.vmsn` name.
//!
//! Order when one is taken: layers and `.vmsn`, then the `.vmx` that uses the layers, then a running machine goes over to
//! them, then the `.vmsd` knows the snapshot. An empty layer shows what lies under it, so that the `.vmx` is right before
//! and after the machine has gone over. A daemon that dies in between leaves at worst a layer that no snapshot needs,
//! never a snapshot whose file is written to, nor a `.vmx` without what the guest wrote. When one is removed the `.vmsd`
//! forgets it first; then its layers are merged (see [`super::merge`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use datastore::Dictionary;
use datastore::vmsd::{SnapshotDisk, SnapshotList, SnapshotRecord};
use vim::{DateTime, Fault, fault};
use vm::config::VmConfig;
use vm::device::slot;
use vm::{FileRef, Power, vmx as text};

use super::{blocking, files};
use crate::Host;
use crate::engine::{Error, Layer, Machine};
use crate::error::{machine_fault, not_supported};
use crate::events::Who;
use crate::limits::MAX_SNAPSHOT_DEPTH;
use crate::vms::Vm;
use crate::vms::usable;

/// What is asked of a new snapshot.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) memory: bool,
    pub(crate) quiesce: bool,
}

impl Host {
    /// Takes a snapshot; gives its number.
    pub(crate) async fn take_snapshot(&self, vm: &Arc<Vm>, wanted: Wanted) -> Result<u32, Fault> {
        let _one = vm.changing.lock().await;
        if wanted.name.trim().is_empty() {
            return Err(fault!(InvalidName { name: &*wanted.name }, "A snapshot needs a name"));
        }
        let (power, home, config, mut list) = {
            let state = vm.state();
            usable(&state)?;
            (state.power, state.home.clone(), state.config.clone(), state.snapshots.clone())
        };
        if wanted.memory && power == Power::On {
            return Err(not_supported(
                "Snapshots with the guest's memory are not supported; take one without (memory = false)",
            ));
        }
        if power == Power::Suspended {
            return Err(not_supported(
                "Snapshots of a suspended machine are not supported; power it on or off first",
            ));
        }
        if depth(&list) >= MAX_SNAPSHOT_DEPTH {
            return Err(fault!(
                SnapshotFault {},
                "A machine has at most {MAX_SNAPSHOT_DEPTH} snapshots on top of each other"
            ));
        }
        let uid = list.last_uid.saturating_add(1);
        let layers = self.layer_names(&config)?;
        let frozen = self.write_frozen(vm, &config, uid).await?;
        if let Err(fault) = self.make_layers(vm, &config, &layers).await {
            self.clear_away(&[frozen]).await;
            return Err(fault);
        }
        let mut next = VmConfig::clone(&config);
        for layer in &layers {
            if let Some(disk) = next.devices.get_mut(&layer.disk).and_then(|device| device.disk_mut()) {
                let below = std::mem::replace(&mut disk.file, layer.file.clone());
                disk.parents.insert(0, below);
            }
        }
        let quiesced = match self.lay(vm, &config, next, &layers, wanted.quiesce).await {
            Ok(quiesced) => quiesced,
            Err(fault) => {
                self.clear_away(&[frozen]).await;
                self.publish(vm);
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
        if let Err(fault) = self.save_snapshots(vm, list).await {
            // The layers are in use; what is missing is the snapshot, which nobody was told of.
            vm.state().consolidation_needed = true;
            self.clear_away(&[frozen]).await;
            self.publish(vm);
            return Err(fault);
        }
        {
            let mut state = vm.state();
            state.frozen.insert(uid, config);
            if quiesced {
                state.quiesced.insert(uid);
            }
        }
        self.look_at_files(vm).await;
        self.publish(vm);
        Ok(uid)
    }

    /// Names for the new layers of all disks that snapshots are about.
    fn layer_names(&self, config: &VmConfig) -> Result<Vec<Layer>, Fault> {
        let mut layers: Vec<Layer> = Vec::new();
        for (key, disk) in config.disks().filter(|(_, disk)| !disk.independent) {
            let on = self.datastores.of(&disk.file)?;
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
            layers.push(Layer { disk: key, file: files::sibling(&disk.file, &name)? });
        }
        Ok(layers)
    }

    /// Writes the configuration of this moment.
    async fn write_frozen(&self, vm: &Vm, config: &VmConfig, uid: u32) -> Result<FileRef, Fault> {
        let (home, before) = {
            let state = vm.state();
            (state.home.clone(), state.suspend_file.clone())
        };
        let file = files::sibling(&home, &format!("{}-Snapshot{uid}.vmsn", home.path.stem()))?;
        let text = files::render(config, &home, before.as_deref(), &Dictionary::new())?;
        let (on, path, content) = (self.datastores.of(&file)?, file.path.clone(), text.to_string());
        blocking(move || on.store.write(&path, content.as_bytes()).map_err(|error| on.fault(&error))).await?;
        Ok(file)
    }

    /// Makes the files of new layers, empty. None is left if one cannot be made.
    async fn make_layers(&self, vm: &Vm, config: &VmConfig, layers: &[Layer]) -> Result<(), Fault> {
        if let Some(machine) = vm.machine() {
            let made = machine.make_layers(layers).await;
            return made.map_err(|error| self.layer_fault(vm, layers, &error));
        }
        let images = self.engine.images();
        for (at, layer) in layers.iter().enumerate() {
            let Some(disk) = config.devices.get(&layer.disk).and_then(|device| device.disk()) else {
                continue;
            };
            if let Err(error) = images.create_layer(&layer.file, &disk.file, disk.capacity_bytes).await {
                self.clear_layers(&layers[..at]).await;
                return Err(self.image_fault(&layer.file, &error));
            }
        }
        Ok(())
    }

    /// Makes `next`, whose disks are the layers, the machine's configuration, and lets a machine that runs go over to
    /// them in one instant. Whether the guest's file systems were at rest.
    async fn lay(
        &self,
        vm: &Vm,
        before: &Arc<VmConfig>,
        next: VmConfig,
        layers: &[Layer],
        quiesce: bool,
    ) -> Result<bool, Fault> {
        if let Err(fault) = self.save(vm, next, None).await {
            // It may have been written all the same: the layers go only if the configuration is surely the old one.
            self.leave_layers(vm, before, layers).await;
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
            self.leave_layers(vm, before, layers).await;
            return Err(self.layer_fault(vm, layers, &error));
        }
        match uses_layers(&machine, layers).await {
            Some(true) => return Ok(frozen),
            Some(false) => {
                // It may still happen: the files stay, whatever names them.
                self.save_before(vm, before).await;
            }
            // Whether it has ended before or after: the layers show what was written.
            None => {}
        }
        vm.state().consolidation_needed = true;
        Err(self.layer_fault(vm, layers, &error))
    }

    /// Goes back to the configuration without the layers, which no machine uses, and removes them.
    async fn leave_layers(&self, vm: &Vm, before: &Arc<VmConfig>, layers: &[Layer]) {
        if self.save_before(vm, before).await {
            self.clear_layers(layers).await;
        } else {
            vm.state().consolidation_needed = true;
        }
    }

    /// Makes the configuration the old one again; false if the `.vmx` may say another.
    async fn save_before(&self, vm: &Vm, before: &Arc<VmConfig>) -> bool {
        let saved = self.save(vm, VmConfig::clone(before), None).await;
        if let Err(fault) = &saved {
            tracing::error!(vm = vm.me.id(), %fault, "the configuration may name layers that are not in use");
            vm.state().config = before.clone();
        }
        saved.is_ok()
    }

    async fn clear_layers(&self, layers: &[Layer]) {
        self.clear_away(&layers.iter().map(|layer| layer.file.clone()).collect::<Vec<_>>()).await;
    }

    fn layer_fault(&self, vm: &Vm, layers: &[Layer], error: &Error) -> Fault {
        match error {
            Error::NoSpace { .. } => {
                let file = layers.first().map_or_else(|| vm.state().home.clone(), |layer| layer.file.clone());
                self.image_fault(&file, error)
            }
            _ => machine_fault(&vm.me, error),
        }
    }

    /// Takes a machine back to a snapshot. It is off afterwards, as it was without its memory.
    pub(crate) async fn revert(
        self: &Arc<Self>,
        vm: &Arc<Vm>,
        uid: Option<u32>,
        who: &Who,
    ) -> Result<(), Fault> {
        let uid = {
            let state = vm.state();
            usable(&state)?;
            uid.or(state.snapshots.current)
                .ok_or_else(|| fault!(NotFound {}, "{} has no snapshot to go back to", state.config.name))?
        };
        if vm.power() != Power::Off {
            self.power_off(vm, who).await?;
        }
        let _one = vm.changing.lock().await;
        let (current, frozen, mut list) = {
            let state = vm.state();
            let frozen = state.frozen.get(&uid).cloned();
            (state.config.clone(), frozen, state.snapshots.clone())
        };
        let frozen = frozen.ok_or_else(|| {
            fault!(SnapshotFault {}, "The configuration of the snapshot {uid} cannot be read")
        })?;
        // A new layer on what the snapshot froze; the layer until now goes unless a snapshot needs it.
        let layers = self.layer_names(&frozen)?;
        let images = self.engine.images();
        let mut next = VmConfig::clone(&frozen);
        for (at, layer) in layers.iter().enumerate() {
            let Some(disk) = next.devices.get_mut(&layer.disk).and_then(|device| device.disk_mut()) else {
                continue;
            };
            if let Err(error) = images.create_layer(&layer.file, &disk.file, disk.capacity_bytes).await {
                let made: Vec<FileRef> = layers[..at].iter().map(|layer| layer.file.clone()).collect();
                self.clear_away(&made).await;
                return Err(self.image_fault(&layer.file, &error));
            }
            let below = std::mem::replace(&mut disk.file, layer.file.clone());
            disk.parents.insert(0, below);
        }
        // What identifies the machine does not go back.
        next.name.clone_from(&current.name);
        next.instance_uuid = current.instance_uuid;
        next.touch(DateTime::now());
        if let Err(fault) = self.save(vm, next, None).await {
            self.clear_away(&layers.into_iter().map(|layer| layer.file).collect::<Vec<_>>()).await;
            return Err(fault);
        }
        if list.current != Some(uid) {
            list.current = Some(uid);
            self.save_snapshots(vm, list).await?;
        }
        self.clear_left_layers(vm, &current).await;
        self.look_at_files(vm).await;
        self.publish(vm);
        Ok(())
    }

    /// Removes the layers of a configuration that was left behind: what was written since a file that is still used.
    /// A disk that lies on no such file was attached since, and is only detached; a file that another machine names
    /// stays in any case.
    async fn clear_left_layers(&self, vm: &Vm, left: &VmConfig) {
        let used = {
            let state = vm.state();
            let known = |snapshot: &SnapshotRecord| state.frozen.contains_key(&snapshot.uid);
            if !state.snapshots.snapshots.iter().all(known) {
                tracing::warn!(vm = vm.me.id(), "layers stay behind: what a snapshot needs cannot be read");
                return;
            }
            files::all_disk_files(&state)
        };
        let others = self.all_vms().into_iter().filter(|other| other.me != vm.me);
        let foreign: BTreeSet<FileRef> =
            others.flat_map(|other| files::all_disk_files(&other.state())).collect();
        let gone: Vec<FileRef> = left
            .disks()
            .filter(|(_, disk)| disk.parents.first().is_some_and(|below| used.contains(below)))
            .map(|(_, disk)| disk.file.clone())
            .filter(|file| !used.contains(file) && !foreign.contains(file))
            .collect();
        self.clear_away(&gone).await;
    }

    /// Removes a snapshot, or with `children` also those that were taken after it, and merges what they kept apart.
    pub(crate) async fn remove_snapshot(
        &self,
        vm: &Arc<Vm>,
        uid: u32,
        children: bool,
        progress: &(dyn Fn(u8) + Sync),
    ) -> Result<(), Fault> {
        let _one = vm.changing.lock().await;
        usable(&vm.state())?;
        let list = vm.state().snapshots.clone();
        if list.get(uid).is_none() {
            return Err(fault!(SnapshotFault {}, "There is no snapshot {uid}"));
        }
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
        self.remove_all(vm, &doomed, progress).await
    }

    /// Removes all snapshots of a machine.
    pub(crate) async fn remove_all_snapshots(
        &self,
        vm: &Arc<Vm>,
        progress: &(dyn Fn(u8) + Sync),
    ) -> Result<(), Fault> {
        let _one = vm.changing.lock().await;
        usable(&vm.state())?;
        let mut doomed: Vec<u32> =
            vm.state().snapshots.snapshots.iter().map(|snapshot| snapshot.uid).collect();
        doomed.reverse();
        self.remove_all(vm, &doomed, progress).await
    }

    async fn remove_all(
        &self,
        vm: &Arc<Vm>,
        doomed: &[u32],
        progress: &(dyn Fn(u8) + Sync),
    ) -> Result<(), Fault> {
        let removed = async {
            for (at, uid) in doomed.iter().enumerate() {
                self.remove_one(vm, *uid).await?;
                let percent = (at + 1).saturating_mul(100).checked_div(doomed.len()).unwrap_or(100);
                progress(u8::try_from(percent).unwrap_or(100));
            }
            Ok(())
        };
        let removed: Result<(), Fault> = removed.await;
        self.look_at_layers(vm);
        if removed.is_err() {
            vm.state().consolidation_needed = true;
        }
        self.look_at_files(vm).await;
        self.publish(vm);
        removed
    }

    /// Forgets one snapshot and merges the layer on top of each of its files into the file.
    async fn remove_one(&self, vm: &Arc<Vm>, uid: u32) -> Result<(), Fault> {
        let (mut list, frozen) = {
            let state = vm.state();
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
        self.save_snapshots(vm, list).await?;
        vm.state().quiesced.remove(&uid);
        if let Some(frozen) = frozen {
            for (key, disk) in frozen.disks().filter(|(_, disk)| !disk.independent) {
                self.merge_into(vm, key, &disk.file).await?;
            }
        }
        let home = vm.state().home.clone();
        if let Ok(file) = files::sibling(&home, &record.file_name) {
            self.clear_away(&[file]).await;
        }
        Ok(())
    }

    /// Gives a snapshot another name or description.
    pub(crate) async fn rename_snapshot(
        &self,
        vm: &Arc<Vm>,
        uid: u32,
        name: Option<&str>,
        description: Option<&str>,
    ) -> Result<(), Fault> {
        let _one = vm.changing.try_lock().map_err(|_| super::destroy::busy(vm))?;
        let mut list: SnapshotList = vm.state().snapshots.clone();
        let record = list.snapshots.iter_mut().find(|record| record.uid == uid);
        let record = record.ok_or_else(|| fault!(SnapshotFault {}, "There is no snapshot {uid}"))?;
        if let Some(name) = name {
            if name.trim().is_empty() {
                return Err(fault!(InvalidName { name: name }, "A snapshot needs a name"));
            }
            name.clone_into(&mut record.display_name);
        }
        if let Some(description) = description {
            description.clone_into(&mut record.description);
        }
        self.save_snapshots(vm, list).await?;
        self.publish(vm);
        Ok(())
    }
}

/// Freezes the guest's file systems if somebody is there to do it; a snapshot without is taken otherwise, as the event
/// log says.
async fn freeze(vm: &Vm, machine: &Arc<dyn Machine>) -> bool {
    match machine.freeze().await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(vm = vm.me.id(), %error, "the guest's file systems cannot be frozen");
            false
        }
    }
}

/// Whether a machine has gone over to new layers; none if it does not say.
async fn uses_layers(machine: &Arc<dyn Machine>, layers: &[Layer]) -> Option<bool> {
    for layer in layers {
        match machine.chain(layer.disk).await {
            Ok(chain) if chain.first() == Some(&layer.file) => {}
            Ok(_) => return Some(false),
            Err(error) => {
                tracing::warn!(%error, "the layers of a running machine are not known");
                return None;
            }
        }
    }
    Some(true)
}

/// The disks of a configuration as `.vmsd` lists them.
pub(super) fn disks_of(home: &FileRef, config: &VmConfig) -> Vec<SnapshotDisk> {
    let entry = |device: &vm::device::Device| {
        let disk = device.disk().filter(|disk| !disk.independent)?;
        Some(SnapshotDisk {
            node: slot(&config.devices, device)?.to_string(),
            file_name: text::file_name(home, &disk.file),
        })
    };
    config.devices.values().filter_map(entry).collect()
}

/// Snapshots on top of each other, from the current one down.
fn depth(list: &SnapshotList) -> usize {
    let mut at = list.current;
    let mut count = 0;
    while let Some(uid) = at {
        count += 1;
        at = list.get(uid).and_then(|snapshot| snapshot.parent);
    }
    count
}
