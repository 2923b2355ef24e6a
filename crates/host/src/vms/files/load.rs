//! Reading configurations and snapshots of VMs, and the text of a configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use datastore::limits::MAX_DICTIONARY_BYTES;
use datastore::vmsd::{SnapshotList, SnapshotRecord};
use datastore::{Dictionary, vmx};
use vim::{DateTime, Fault, fault};
use vm::config::VmConfig;
use vm::{FileRef, vmx as text};

use super::sibling;
use crate::datastores::Datastores;

/// The content of a VM's files.
pub(in crate::vms) struct Loaded {
    pub(in crate::vms) config: VmConfig,
    pub(in crate::vms) text: Dictionary,
    pub(in crate::vms) snapshots: SnapshotList,
    pub(in crate::vms) frozen: BTreeMap<u32, Arc<VmConfig>>,
}

/// The `.vmsd` beside a `.vmx`.
pub(super) fn snapshot_list(home: &FileRef) -> Result<FileRef, Fault> {
    sibling(home, &format!("{}.vmsd", home.path.stem()))
}

/// Reads a VM's configuration and snapshots. Blocking.
pub(super) fn load(datastores: &Datastores, home: &FileRef, now: DateTime) -> Result<Loaded, Fault> {
    let on = datastores.of(home)?;
    let text = on.store.read_vmx(&home.path).map_err(|error| on.fault(&error))?;
    let config =
        text::read(datastores, home, &text, now).map_err(|error| unread(&on.show(&home.path), error))?;
    let (snapshots, frozen) = snapshots(datastores, home, now)?;
    Ok(Loaded { config, text, snapshots, frozen })
}

/// Takes the text of a configuration apart that is not read from the `.vmx`. Blocking.
pub(super) fn understand(
    datastores: &Datastores,
    home: &FileRef,
    text: &[u8],
    now: DateTime,
) -> Result<(VmConfig, Dictionary), Fault> {
    let name = datastores.show(home);
    let text = vmx::parse(text).map_err(|error| damaged(&name, &error))?;
    let config = text::read(datastores, home, &text, now).map_err(|error| unread(&name, error))?;
    Ok((config, text))
}

/// The snapshots of a VM, and the configuration that each froze.
pub(in crate::vms) type Snapshots = (SnapshotList, BTreeMap<u32, Arc<VmConfig>>);

/// Reads the snapshots of a VM. Blocking.
pub(super) fn snapshots(datastores: &Datastores, home: &FileRef, now: DateTime) -> Result<Snapshots, Fault> {
    let list = snapshot_list(home)?;
    let on = datastores.of(&list)?;
    let snapshots = on.store.read_vmsd(&list.path).map_err(|error| on.fault(&error))?;
    let mut frozen = BTreeMap::new();
    for snapshot in &snapshots.snapshots {
        match load_frozen(datastores, home, &snapshot.file_name, now) {
            Ok(config) => drop(frozen.insert(snapshot.uid, Arc::new(config))),
            Err(fault) => {
                let vm = home.path.as_str();
                tracing::warn!(vm, snapshot = snapshot.uid, %fault, "a snapshot's configuration cannot be read");
            }
        }
    }
    Ok((snapshots, frozen))
}

/// Reads the configurations that all snapshots of a list froze. Blocking.
///
/// # Errors
/// If one of them cannot be read.
pub(super) fn load_all_frozen(
    datastores: &Datastores,
    home: &FileRef,
    list: &SnapshotList,
    now: DateTime,
) -> Result<BTreeMap<u32, Arc<VmConfig>>, Fault> {
    let load = |snapshot: &SnapshotRecord| {
        Ok((snapshot.uid, Arc::new(load_frozen(datastores, home, &snapshot.file_name, now)?)))
    };
    list.snapshots.iter().map(load).collect()
}

/// Reads the configuration that a snapshot froze, which is kept in the text of a `.vmx`. Blocking.
fn load_frozen(
    datastores: &Datastores,
    home: &FileRef,
    name: &str,
    now: DateTime,
) -> Result<VmConfig, Fault> {
    let file = sibling(home, name)?;
    let on = datastores.of(&file)?;
    let content = on.store.read(&file.path, MAX_DICTIONARY_BYTES as u64).map_err(|error| on.fault(&error))?;
    let text = vmx::parse(&content).map_err(|error| damaged(&on.show(&file.path), &error))?;
    text::read(datastores, home, &text, now).map_err(|error| unread(&on.show(&file.path), error))
}

fn unread(file: &str, error: text::ReadError) -> Fault {
    match error {
        text::ReadError::Text(error) => damaged(file, &error),
        text::ReadError::Fault(fault) => fault,
    }
}

/// `CannotAccessFile` for a file whose text is not that of a configuration.
pub(super) fn damaged(file: &str, error: &dyn std::fmt::Display) -> Fault {
    fault!(CannotAccessFile { file: file }, "{file} cannot be understood: {error}")
}

/// The text of a configuration, over the text that was there before.
///
/// # Errors
/// `GenericVmConfigFault` for values that no text can hold.
pub(in crate::vms) fn render(
    config: &VmConfig,
    home: &FileRef,
    suspend_file: Option<&str>,
    before: &Dictionary,
) -> Result<Dictionary, Fault> {
    text::write(config, home, suspend_file, before)
        .map_err(|error| fault!(GenericVmConfigFault { reason: error.to_string() }, "{error}"))
}
