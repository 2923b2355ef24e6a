//! Which files machines have open, so that they are not taken away from under them.
//!
//! Three signs count: what the machines of this host that are on say they use; the locks that QEMU keeps on every image
//! it has open, which on shared storage tell of other hosts' machines too; and the locks of machines beside their
//! configurations.

use std::collections::BTreeSet;
use std::ops::Range;

use datastore::{Error, FileKind, FilePath, Search};
use vim::{Fault, MoRef, Object, Value, data_id, fault, field, managed_id, prop, vim_enum};
use vm::FileRef;

use super::place::Place;
use crate::Host;
use crate::datastores::Mounted;

/// Where QEMU's locks on an image begin (`block/file-posix.c`): a byte for each permission that it holds from 100 on,
/// and for each that it denies others from 200 on.
const IMAGE_LOCKS: Range<u64> = 100..300;
/// The byte that is locked while somebody may write.
const WRITER: Range<u64> = 101..102;

/// The files that this host's machines have open.
struct Open(BTreeSet<FileRef>);

impl Open {
    /// What is open at this moment.
    fn of(host: &Host) -> Self {
        Self::but(host, None)
    }

    /// What machines other than `but` have open.
    fn but(host: &Host, but: Option<&MoRef>) -> Self {
        let mut files = BTreeSet::new();
        let state = host.core.tree.snapshot();
        let machines = state.iter().filter(|node| node.me().is_a(managed_id!(VirtualMachine)));
        for node in machines.filter(|node| Some(node.me()) != but) {
            let power = node
                .get(prop!(VirtualMachine.runtime))
                .and_then(|runtime| runtime.get(field!(VirtualMachineRuntimeInfo.powerState)));
            if power != Some(vim_enum!(VirtualMachinePowerState.poweredOn)) {
                continue;
            }
            let layout = node.get(prop!(VirtualMachine.layoutEx));
            let names = layout.and_then(|layout| layout.get(field!(VirtualMachineFileLayoutEx.file)));
            for file in names.into_iter().flatten() {
                let name = file.get(field!(VirtualMachineFileLayoutExFileInfo.name));
                files.extend(name.and_then(|name| host.datastores.parse(name).ok()));
            }
            let config = node.get(prop!(VirtualMachine.config));
            files.extend(config.into_iter().flat_map(|config| backings(host, config)));
        }
        Self(files)
    }

    /// Refuses if the place, or anything in it, is open.
    ///
    /// # Errors
    /// `FileLocked`.
    fn refuse(&self, place: &FileRef, shown: &str) -> Result<(), Fault> {
        let inside = |open: &&FileRef| open.datastore == place.datastore && place.path.contains(&open.path);
        match self.0.iter().find(inside) {
            Some(open) if open.path == place.path => {
                Err(locked(shown, "a virtual machine that is on uses it"))
            }
            Some(open) => {
                Err(locked(shown, &format!("a virtual machine that is on uses {} in it", open.path)))
            }
            None => Ok(()),
        }
    }
}

/// Images in the drives of a machine.
fn backings(host: &Host, config: &Object) -> Vec<FileRef> {
    let devices = config
        .get(field!(VirtualMachineConfigInfo.hardware))
        .and_then(|hardware| hardware.get(field!(VirtualHardware.device)));
    let mut found = Vec::new();
    for device in devices.into_iter().flatten() {
        let mut backing = device.get(field!(VirtualDevice.backing)).cloned();
        while let Some(at) = backing.filter(|at| at.is_a(data_id!(VirtualDeviceFileBackingInfo))) {
            let name = at.get(field!(VirtualDeviceFileBackingInfo.fileName));
            found.extend(name.and_then(|name| host.datastores.parse(name).ok()));
            backing = at.named("parent").and_then(Value::as_object).cloned();
        }
    }
    found
}

/// Refuses to take away or replace a place that somebody has open. Synchronous: it looks at the files.
///
/// # Errors
/// `FileLocked`, or the fault of what cannot be read.
pub(super) fn refuse_open(host: &Host, place: &Place) -> Result<(), Fault> {
    refuse_among(&Open::of(host), place)
}

fn refuse_among(open: &Open, place: &Place) -> Result<(), Fault> {
    open.refuse(&place.file, &place.show())?;
    let store = &place.on.store;
    let fault = |error: Error| place.fault(&error);
    let entry = match store.entry(&place.file.path) {
        Ok(entry) => entry,
        Err(Error::NotFound(_) | Error::NotADirectory(_)) => return Ok(()),
        Err(error) => return Err(fault(error)),
    };
    if !entry.is_folder() {
        return refuse_locked(place, &place.file.path, entry.kind);
    }
    let kinds = vec![FileKind::VmConfig, FileKind::Disk];
    let search = Search { kinds, sub_folders: true, ..Search::default() };
    for folder in store.search(&place.file.path, &search).map_err(fault)? {
        for entry in &folder.entries {
            let path = folder.folder.join(&entry.name).map_err(|error| fault(error.into()))?;
            refuse_locked(place, &path, entry.kind)?;
        }
    }
    Ok(())
}

/// The same for who has no call of the API.
///
/// # Errors
/// As [`refuse_open`].
pub(crate) fn refuse_open_file(host: &Host, on: &Mounted, file: &FileRef) -> Result<(), Fault> {
    refuse_open(host, &Place { on: on.clone(), file: file.clone() })
}

/// The same for files of a machine that is off, which does not count itself. What is on no mounted datastore is left out.
///
/// # Errors
/// As [`refuse_open`].
pub(crate) fn refuse_open_files<'a>(
    host: &Host,
    but: &MoRef,
    files: impl IntoIterator<Item = &'a FileRef>,
) -> Result<(), Fault> {
    let open = Open::but(host, Some(but));
    for file in files {
        if let Some(on) = host.datastores.by_uuid(file.datastore) {
            refuse_among(&open, &Place { on, file: file.clone() })?;
        }
    }
    Ok(())
}

/// Refuses a file that is locked, by whichever host.
fn refuse_locked(place: &Place, path: &FilePath, kind: FileKind) -> Result<(), Fault> {
    let store = &place.on.store;
    match kind {
        FileKind::VmConfig => match store.vm_lock_owner(path) {
            Ok(Some(owner)) => Err(locked(
                &place.on.show(path),
                &format!("the virtual machine is open on host {}", owner.host),
            )),
            Ok(None) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(place.fault(&error)),
        },
        FileKind::Disk | FileKind::Iso => match image_lock(place, path, IMAGE_LOCKS)? {
            true => Err(locked(&place.on.show(path), "a virtual machine has it open")),
            false => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Refuses to read a disk that a machine is writing: what came out would be of no one moment.
///
/// # Errors
/// `FileLocked`.
pub(super) fn refuse_written(host: &Host, place: &Place, layers: &[FilePath]) -> Result<(), Fault> {
    // A machine in memory keeps no locks: there the newest layer of each disk counts.
    if place.on.store.root_path().is_none() && Open::of(host).0.contains(&place.file) {
        return Err(locked(&place.show(), "a virtual machine that is on writes to it"));
    }
    for path in std::iter::once(&place.file.path).chain(layers) {
        if image_lock(place, path, WRITER)? {
            return Err(locked(&place.on.show(path), "a virtual machine that is on writes to it"));
        }
    }
    Ok(())
}

/// Whether anybody holds a lock on these bytes of a file.
fn image_lock(place: &Place, path: &FilePath, bytes: Range<u64>) -> Result<bool, Fault> {
    match place.on.store.open(path).and_then(|reader| reader.is_locked(bytes)) {
        Ok(locked) => Ok(locked),
        Err(Error::NotFound(_)) => Ok(false),
        Err(error) => Err(place.fault(&error)),
    }
}

/// `FileLocked` that says why.
pub(super) fn locked(file: &str, why: &str) -> Fault {
    fault!(FileLocked { file: file }, "{file} cannot be used: {why}")
}
