//! Merging layers of disks that no snapshot needs any more into the files below them.
//!
//! A merging is noted in the register before it begins, and the files tell how far it came: nothing but the layer lies
//! on the file below before, so that whatever else is found on it says that all was merged. What is then left is to
//! name the file below wherever the layer was named, which [`Host::finish_merging`] does after a crash. The newest layer
//! of a running machine is special, because the guest writes to the file below once it was merged: its processors
//! stand still until the `.vmx` names that file, and until then both files show the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datastore::Dictionary;
use datastore::FilePath;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use uuid::Uuid;
use vim::{DateTime, Fault, fault};
use vm::FileRef;
use vm::config::VmConfig;

use super::{blocking, files, snapshot::disks_of};
use crate::Host;
use crate::engine::{Layer, Machine};
use crate::error::machine_fault;
use crate::host::VMS;
use crate::limits::{ASK_SILENT, MAX_ASKED, MAX_MERGES};
use crate::vms::Vm;
use crate::vms::usable;

/// A layer that is merged into the file below it, by datastore and path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Merging {
    layer: (Uuid, String),
    base: (Uuid, String),
}

impl Merging {
    fn new(layer: &FileRef, base: &FileRef) -> Self {
        let named = |file: &FileRef| (file.datastore, file.path.as_str().to_owned());
        Self { layer: named(layer), base: named(base) }
    }

    fn files(&self) -> Option<(FileRef, FileRef)> {
        let file = |(datastore, path): &(Uuid, String)| {
            Some(FileRef { datastore: *datastore, path: FilePath::parse(path).ok()? })
        };
        Some((file(&self.layer)?, file(&self.base)?))
    }
}

impl Host {
    /// Merges all layers that no snapshot needs.
    pub(crate) async fn consolidate(
        &self,
        vm: &Arc<Vm>,
        progress: &(dyn Fn(u8) + Sync),
    ) -> Result<(), Fault> {
        let _one = vm.changing.lock().await;
        {
            let state = vm.state();
            usable(&state)?;
            let unread =
                |snapshot: &datastore::vmsd::SnapshotRecord| !state.frozen.contains_key(&snapshot.uid);
            if state.snapshots.snapshots.iter().any(unread) {
                return Err(fault!(
                    InvalidState {},
                    "What the snapshots of {} need cannot be read; remove those whose configuration is lost first",
                    state.config.name
                ));
            }
        }
        let done = self.merge_superfluous(vm, progress).await;
        self.look_at_layers(vm);
        if done.is_err() {
            vm.state().consolidation_needed = true;
        }
        self.look_at_files(vm).await;
        self.publish(vm);
        done
    }

    async fn merge_superfluous(&self, vm: &Arc<Vm>, progress: &(dyn Fn(u8) + Sync)) -> Result<(), Fault> {
        self.finish_merging(vm).await?;
        let count = self.superfluous(vm).len().max(1);
        for done in 1..=MAX_MERGES {
            let Some((key, base)) = self.superfluous(vm).into_iter().next() else { break };
            self.merge_into(vm, key, &base).await?;
            progress(u8::try_from(done.saturating_mul(100) / count).unwrap_or(100).min(100));
        }
        Ok(())
    }

    /// Notes whether there are layers that no snapshot needs.
    pub(crate) fn look_at_layers(&self, vm: &Vm) {
        let needed = !self.superfluous(vm).is_empty();
        vm.state().consolidation_needed = needed;
    }

    /// The files that what lies on them could be merged into, with the key of a disk; the newest first. None that
    /// another machine of this host names.
    fn superfluous(&self, vm: &Vm) -> Vec<(i32, FileRef)> {
        let found = {
            let state = vm.state();
            let known = state.snapshots.snapshots.iter().all(|one| state.frozen.contains_key(&one.uid));
            if known { superfluous(&state.config, &state.frozen) } else { Vec::new() }
        };
        if found.is_empty() {
            return Vec::new();
        }
        let others = self.all_vms().into_iter().filter(|other| other.me != vm.me);
        let foreign: BTreeSet<FileRef> =
            others.flat_map(|other| files::all_disk_files(&other.state())).collect();
        found.into_iter().filter(|(_, base)| !foreign.contains(base)).collect()
    }

    /// Merges the only layer on top of `base` into it; keeps both if several layers lie on it, and removes `base` if
    /// none does.
    pub(super) async fn merge_into(&self, vm: &Arc<Vm>, key: i32, base: &FileRef) -> Result<(), Fault> {
        let (current, frozen) = {
            let state = vm.state();
            (state.config.clone(), state.frozen.clone())
        };
        // A snapshot or the machine itself may still be on the very file.
        if named(&current, &frozen, base) {
            return Ok(());
        }
        let above = lying_on(configs(&current, &frozen), base);
        let [layer] = above.as_slice() else {
            if above.is_empty() {
                self.clear_away(std::slice::from_ref(base)).await;
            }
            return Ok(());
        };
        self.note_merging(vm, Some(Merging::new(layer, base))).await?;
        let open = current.disks().any(|(_, disk)| disk.file == *layer || disk.parents.contains(layer));
        match vm.machine().filter(|_| open) {
            Some(machine) => self.merge_open(vm, &machine, (key, layer, base)).await,
            None => {
                let merged = self.engine.images().commit(layer, base).await;
                if let Err(error) = merged {
                    self.note_merging(vm, None).await?;
                    return Err(self.image_fault(base, &error));
                }
                self.merged(vm, layer, base).await
            }
        }
    }

    /// Merges a layer that a running machine has open.
    async fn merge_open(
        &self,
        vm: &Arc<Vm>,
        machine: &Arc<dyn Machine>,
        (key, layer, base): (i32, &FileRef, &FileRef),
    ) -> Result<(), Fault> {
        let newest = vm.config().disks().any(|(_, disk)| disk.file == *layer);
        let stopped = match machine.commit(key, (!newest).then_some(layer), base, &|_| {}).await {
            Ok(stopped) => stopped,
            Err(error) => {
                let went_over = error.is_undecided() && self.has_left(vm, machine, key, layer).await?;
                if !went_over {
                    self.note_merging(vm, None).await?;
                    return Err(machine_fault(&vm.me, &error));
                }
                true
            }
        };
        let named = self.merged(vm, layer, base).await;
        if named.is_err() && newest {
            self.go_back(vm, machine, (key, layer, base)).await;
        }
        let resumed = if stopped { machine.resume().await } else { Ok(()) };
        named.and(resumed.map_err(|error| machine_fault(&vm.me, &error)))
    }

    /// Whether a machine that has not said so has merged a layer. One that has not goes on as before.
    async fn has_left(
        &self,
        vm: &Vm,
        machine: &Arc<dyn Machine>,
        key: i32,
        layer: &FileRef,
    ) -> Result<bool, Fault> {
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
                Err(error) => tracing::warn!(vm = vm.me.id(), %error, "what was merged is not known yet"),
            }
            asked += 1;
            sleep(ASK_SILENT).await;
        }
    }

    /// Lays a layer that was merged on the disk again, because the `.vmx` still names it.
    async fn go_back(
        &self,
        vm: &Vm,
        machine: &Arc<dyn Machine>,
        (key, layer, base): (i32, &FileRef, &FileRef),
    ) {
        let Err(error) = machine.snapshot(&[Layer { disk: key, file: layer.clone() }]).await else { return };
        tracing::error!(vm = vm.me.id(), %error, "the configuration names a layer that the machine no longer uses");
        // What it uses is written with the next change.
        let mut state = vm.state();
        if let Some(config) = without(&state.config, layer, base) {
            state.config = Arc::new(config);
        }
    }

    /// Does what there is left when a layer was merged: what lay on it comes to lie on `base`, which is named wherever
    /// the layer was, and the layer goes.
    async fn merged(&self, vm: &Arc<Vm>, layer: &FileRef, base: &FileRef) -> Result<(), Fault> {
        let (current, frozen, running) = {
            let state = vm.state();
            (state.config.clone(), state.frozen.clone(), state.machine.is_some())
        };
        let mut lying = lying_on(configs(&current, &frozen), layer);
        if running {
            // QEMU changes what it has open itself.
            lying.retain(|file| {
                !current.disks().any(|(_, disk)| disk.file == *file || disk.parents.contains(file))
            });
        }
        let images = self.engine.images();
        for file in lying {
            images.rebase(&file, base).await.map_err(|error| self.image_fault(&file, &error))?;
        }
        self.replace_everywhere(vm, layer, base).await?;
        self.clear_away(std::slice::from_ref(layer)).await;
        self.note_merging(vm, None).await
    }

    /// Finishes the merging that the register tells of, if all was merged; else it has not happened.
    pub(crate) async fn finish_merging(&self, vm: &Arc<Vm>) -> Result<(), Fault> {
        let record =
            VMS.get(&self.core.store, vm.me.id()).map_err(|error| crate::error::store_fault(&error))?;
        let Some(merging) = record.and_then(|record| record.merging) else { return Ok(()) };
        let Some((layer, base)) = merging.files() else { return self.note_merging(vm, None).await };
        let (home, list) = {
            let state = vm.state();
            (state.home.clone(), state.snapshots.clone())
        };
        // A merging that has ended since they were read has changed what they lie on.
        let datastores = self.datastores.clone();
        let frozen =
            blocking(move || files::load_all_frozen(&datastores, &home, &list, DateTime::now())).await?;
        let current = {
            let mut state = vm.state();
            state.frozen = frozen.clone();
            state.config.clone()
        };
        let used = configs(&current, &frozen)
            .flat_map(VmConfig::disks)
            .any(|(_, disk)| disk.file == layer || disk.parents.contains(&layer));
        let whole = named(&current, &frozen, &base)
            || lying_on(configs(&current, &frozen), &base).iter().any(|file| *file != layer);
        tracing::warn!(vm = vm.me.id(), layer = %layer.path, whole, "a merging of layers was interrupted");
        if whole {
            return self.merged(vm, &layer, &base).await;
        }
        if !used {
            self.clear_away(std::slice::from_ref(&layer)).await;
        }
        self.note_merging(vm, None).await
    }

    async fn note_merging(&self, vm: &Vm, merging: Option<Merging>) -> Result<(), Fault> {
        self.amend_record(vm, |record| record.merging = merging).await
    }

    /// Names `base` wherever `layer` was named, which holds the same now: in the machine and in its snapshots.
    async fn replace_everywhere(&self, vm: &Vm, layer: &FileRef, base: &FileRef) -> Result<(), Fault> {
        let (home, current, frozen, mut list, before) = {
            let state = vm.state();
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
            let file = files::sibling(&home, &record.file_name)?;
            let text = files::render(&config, &home, before.as_deref(), &Dictionary::new())?;
            let (on, path, content) = (self.datastores.of(&file)?, file.path, text.to_string());
            blocking(move || on.store.write(&path, content.as_bytes()).map_err(|error| on.fault(&error)))
                .await?;
            replaced.insert(*uid, Arc::new(config));
        }
        if !replaced.is_empty() {
            self.save_snapshots(vm, list).await?;
            vm.state().frozen.extend(replaced);
        }
        // Even if it is so already: the file may say something else.
        let config = without(&current, layer, base).unwrap_or_else(|| VmConfig::clone(&current));
        self.save(vm, config, before.as_deref()).await
    }
}

/// A configuration whose disks have `base` instead of `layer`; none if they have no such layer.
fn without(config: &VmConfig, layer: &FileRef, base: &FileRef) -> Option<VmConfig> {
    let mut config = config.clone();
    let mut changed = false;
    for disk in config.devices.values_mut().filter_map(|device| device.disk_mut()) {
        let chain: Vec<FileRef> = std::iter::once(disk.file.clone()).chain(disk.parents.clone()).collect();
        if !chain.contains(layer) {
            continue;
        }
        let mut merged = chain.into_iter().filter(|file| file != layer);
        disk.file = merged.next().unwrap_or_else(|| base.clone());
        disk.parents = merged.collect();
        changed = true;
    }
    changed.then_some(config)
}

fn configs<'a>(
    current: &'a VmConfig,
    frozen: &'a BTreeMap<u32, Arc<VmConfig>>,
) -> impl Iterator<Item = &'a VmConfig> {
    std::iter::once(current).chain(frozen.values().map(|config| &**config))
}

/// Whether a disk of the machine or of a snapshot is this very file.
fn named(current: &VmConfig, frozen: &BTreeMap<u32, Arc<VmConfig>>, file: &FileRef) -> bool {
    configs(current, frozen).flat_map(VmConfig::disks).any(|(_, disk)| disk.file == *file)
}

/// The files whose next file below is `layer`.
fn lying_on<'a>(configs: impl Iterator<Item = &'a VmConfig>, layer: &FileRef) -> Vec<FileRef> {
    let mut found: Vec<FileRef> = Vec::new();
    for (_, disk) in configs.flat_map(VmConfig::disks) {
        let chain: Vec<&FileRef> = std::iter::once(&disk.file).chain(&disk.parents).collect();
        let on_top = chain.windows(2).find(|pair| pair[1] == layer).map(|pair| pair[0].clone());
        found.extend(on_top.filter(|file| !found.contains(file)));
    }
    found
}

/// The files under the machine's disks that one layer of the same disk lies on and that no snapshot is about.
fn superfluous(current: &VmConfig, frozen: &BTreeMap<u32, Arc<VmConfig>>) -> Vec<(i32, FileRef)> {
    let mut found = Vec::new();
    for (key, disk) in current.disks() {
        let chain: Vec<&FileRef> = std::iter::once(&disk.file).chain(&disk.parents).collect();
        for pair in chain.windows(2) {
            let (above, below) = (pair[0], pair[1]);
            let lone = lying_on(configs(current, frozen), below) == [above.clone()];
            if lone && is_layer_of(above, below) && !named(current, frozen, below) {
                found.push((key, below.clone()));
            }
        }
    }
    found
}

/// Whether a snapshot has made this file a layer on that one, going by their names.
fn is_layer_of(above: &FileRef, below: &FileRef) -> bool {
    above.directory() == below.directory()
        && datastore::disk_chain_names(below.path.name(), [above.path.name()]).len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm::device::{Device, Disk, Kind};

    fn file(name: &str) -> FileRef {
        FileRef { datastore: Uuid::nil(), path: FilePath::parse(name).unwrap() }
    }

    fn config(chain: &[&str]) -> VmConfig {
        let mut config = VmConfig::new("vm", DateTime::now());
        let disk = Disk {
            file: file(chain[0]),
            parents: chain[1..].iter().map(|name| file(name)).collect(),
            capacity_bytes: 1,
            independent: false,
            thin: true,
            eager_zero: false,
            uuid: Uuid::nil(),
        };
        let device =
            Device { key: 2000, controller: None, unit: None, connect: None, kind: Kind::Disk(disk) };
        config.devices.insert(2000, device);
        config
    }

    #[test]
    fn a_layer_is_superfluous_if_it_was_made_for_a_snapshot_that_is_no_more() {
        type Chain<'a> = &'a [&'a str];
        let cases: &[(Chain<'_>, &[Chain<'_>], Chain<'_>)] = &[
            (&["v/a.vmdk"], &[], &[]),
            (&["v/a-000001.vmdk", "v/a.vmdk"], &[&["v/a.vmdk"]], &[]),
            (&["v/a-000001.vmdk", "v/a.vmdk"], &[], &["v/a.vmdk"]),
            (
                &["v/a-000002.vmdk", "v/a-000001.vmdk", "v/a.vmdk"],
                &[&["v/a-000001.vmdk", "v/a.vmdk"]],
                &["v/a.vmdk"],
            ),
            // Another branch lies on the file below.
            (&["v/a-000002.vmdk", "v/a.vmdk"], &[&["v/a-000001.vmdk", "v/a.vmdk"]], &[]),
            // A disk that others may share, which no snapshot has put there.
            (&["v/a-000001.vmdk", "images/a.vmdk"], &[], &[]),
            (&["v/clone.vmdk", "v/a.vmdk"], &[], &[]),
        ];
        for (current, frozen, wanted) in cases {
            let frozen = frozen.iter().zip(1..).map(|(chain, uid)| (uid, Arc::new(config(chain)))).collect();
            let found: Vec<FileRef> =
                superfluous(&config(current), &frozen).into_iter().map(|(_, base)| base).collect();
            let wanted: Vec<FileRef> = wanted.iter().map(|name| file(name)).collect();
            assert_eq!(found, wanted, "{current:?}");
        }
    }
}
