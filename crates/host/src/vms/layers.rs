//! Chains of the layers that snapshots put on disks, as decisions on configurations: which files lie on which, and which of
//! them no snapshot needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use datastore::vmsd::{SnapshotDisk, SnapshotList};
use vm::config::VmConfig;
use vm::device::{Device, slot};
use vm::{FileRef, vmx};

use super::register::Register;
use super::state::State;
use super::vm::Vm;

/// The configurations of the snapshots of a VM, by the numbers of the snapshots.
pub(super) type Frozen = BTreeMap<u32, Arc<VmConfig>>;

/// The configuration of a VM and those of its snapshots.
pub(super) fn configs<'a>(current: &'a VmConfig, frozen: &'a Frozen) -> impl Iterator<Item = &'a VmConfig> {
    std::iter::once(current).chain(frozen.values().map(|config| &**config))
}

/// Whether a disk of the VM or of a snapshot is this very file.
pub(super) fn named(current: &VmConfig, frozen: &Frozen, file: &FileRef) -> bool {
    configs(current, frozen).flat_map(VmConfig::disks).any(|(_, disk)| disk.file == *file)
}

/// Whether a disk of a configuration has this file in its chain.
pub(super) fn uses(config: &VmConfig, file: &FileRef) -> bool {
    config.disks().any(|(_, disk)| disk.file == *file || disk.parents.contains(file))
}

/// The files that have `layer` as the next file below them.
pub(super) fn lying_on<'a>(configs: impl Iterator<Item = &'a VmConfig>, layer: &FileRef) -> Vec<FileRef> {
    let mut found: Vec<FileRef> = Vec::new();
    for (_, disk) in configs.flat_map(VmConfig::disks) {
        let chain: Vec<&FileRef> = std::iter::once(&disk.file).chain(&disk.parents).collect();
        let on_top = chain.windows(2).find(|pair| pair[1] == layer).map(|pair| pair[0].clone());
        found.extend(on_top.filter(|file| !found.contains(file)));
    }
    found
}

/// A configuration whose disks have `base` instead of `layer`; none if they have no such layer.
pub(super) fn without(config: &VmConfig, layer: &FileRef, base: &FileRef) -> Option<VmConfig> {
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

/// Whether the configuration of every snapshot could be read, and every disk of them and of the VM can be used: nothing
/// tells which files the others need.
pub(super) fn all_read(state: &State) -> bool {
    state.snapshots.snapshots.iter().all(|snapshot| state.frozen.contains_key(&snapshot.uid))
        && all_usable(&state.config, &state.frozen)
}

/// Whether every disk of the VM and of its snapshots can be used.
pub(super) fn all_usable(current: &VmConfig, frozen: &Frozen) -> bool {
    configs(current, frozen)
        .flat_map(|config| config.devices.values())
        .all(|device| !device.is_unusable_disk())
}

/// The files that the layer on them could be merged into, because no snapshot and no other VM of this host needs them,
/// each with the key of a disk; the newest first.
pub(super) fn mergeable(register: &Register, vm: &Vm) -> Vec<(i32, FileRef)> {
    let found = {
        let state = vm.read();
        if all_read(&state) { superfluous(&state.config, &state.frozen) } else { Vec::new() }
    };
    found.into_iter().filter(|(_, base)| !register.is_foreign_disk(&vm.me, base)).collect()
}

/// Notes whether disks have layers that no snapshot needs.
pub(super) fn look(register: &Register, vm: &Vm) {
    let needed = !mergeable(register, vm).is_empty();
    set_consolidation_needed(vm, needed);
}

/// Notes that consolidating the disks would merge something, or nothing.
pub(super) fn set_consolidation_needed(vm: &Vm, needed: bool) {
    let known = vm.read().consolidation_needed == needed;
    if !known {
        vm.change(|state| state.consolidation_needed = needed);
    }
}

/// The files under the disks of a VM that one layer of the same disk lies on and that no snapshot is about.
fn superfluous(current: &VmConfig, frozen: &Frozen) -> Vec<(i32, FileRef)> {
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

/// The disks of a configuration as `.vmsd` lists them.
pub(super) fn disks_of(home: &FileRef, config: &VmConfig) -> Vec<SnapshotDisk> {
    let entry = |device: &Device| {
        let disk = device.disk().filter(|disk| !disk.independent)?;
        Some(SnapshotDisk {
            node: slot(&config.devices, device)?.to_string(),
            file_name: vmx::file_name(home, &disk.file),
        })
    };
    config.devices.values().filter_map(entry).collect()
}

/// Snapshots on top of each other, from the current one down.
pub(super) fn depth(list: &SnapshotList) -> usize {
    let mut at = list.current;
    let mut count = 0;
    while let Some(uid) = at {
        count += 1;
        at = list.get(uid).and_then(|snapshot| snapshot.parent);
    }
    count
}

#[cfg(test)]
mod tests {
    use datastore::FilePath;
    use uuid::Uuid;
    use vim::DateTime;
    use vm::device::{Disk, Kind};

    use super::*;

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
