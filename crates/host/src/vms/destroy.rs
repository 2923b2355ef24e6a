//! Removing VMs with their files.

use std::collections::BTreeSet;
use std::sync::Arc;

use datastore::VmLock;
use vim::Fault;
use vm::{FileRef, Power};

use super::files::sibling;
use super::own_files::all_disk_files;
use super::records;
use super::service::Vms;
use super::vm::Vm;
use crate::blocking::blocking;
use crate::events::{VmEvent, Who};

/// Removes a VM with its files, but for those that other VMs of this host name. Its record names the files before the
/// first of them is removed, so that recovery removes the rest after a crash.
///
/// # Errors
/// `FileLocked` if the VM, or a disk of it, is in use, here or on another host; nothing is removed then.
pub(super) async fn destroy(vms: &Arc<Vms>, vm: &Arc<Vm>, who: &Who) -> Result<(), Fault> {
    let _one = vm.changing.lock().await;
    not_running(vm)?;
    let (on, of) = (vms.clone(), vm.clone());
    let (home, gone, lock) = blocking(move || {
        let home = of.home();
        let lock = lock_home(&on, &home)?;
        Ok((home, files_to_remove(&on, &of)?, lock))
    })
    .await?;
    let lock_file = sibling(&home, &format!("{}.lck", home.path.name())).ok();
    let named = gone.iter().chain(&lock_file).map(records::named).collect();
    vms.register.records().amend(&vm.me, |record| record.unfinished = Some(named)).await?;
    vms.register.remove(vm);
    vms.post(vm, VmEvent::Removed, who).await;
    vms.files.clear_away(&gone).await;
    drop(lock);
    vms.files.remove_empty(&home.directory()).await;
    vms.register.records().forget(records::number(&vm.me)).await;
    Ok(())
}

/// Refuses a VM that is on.
///
/// # Errors
/// `InvalidPowerState`, `InvalidState`.
pub(super) fn not_running(vm: &Vm) -> Result<(), Fault> {
    if vm.power() == Power::On {
        return vm.require(Power::Off);
    }
    Ok(())
}

/// Takes the lock of a VM; none if its directory is gone. Blocking.
fn lock_home(vms: &Vms, home: &FileRef) -> Result<Option<VmLock>, Fault> {
    let Some(on) = vms.files.datastores.by_uuid(home.datastore) else { return Ok(None) };
    match on.store.lock_vm(&home.path, &vms.host.name) {
        Ok(lock) => Ok(Some(lock)),
        Err(datastore::Error::NotFound(_) | datastore::Error::NotADirectory(_)) => Ok(None),
        Err(error) => Err(on.fault(&error)),
    }
}

/// The files to remove with a VM that is locked: its own but for those of other VMs, the configuration last, because until
/// then the directory is a VM's. Blocking.
fn files_to_remove(vms: &Vms, vm: &Vm) -> Result<Vec<FileRef>, Fault> {
    let home = vm.home();
    let mut others = BTreeSet::new();
    for other in vms.register.within(&home.directory(), Some(&vm.me)) {
        let beside = other.home();
        if beside.directory() == home.directory() {
            others.extend(vms.files.beside(&beside));
        }
    }
    let disks = all_disk_files(&vm.read());
    let mut gone: BTreeSet<FileRef> = vms.files.own(vm).into_iter().collect();
    gone.retain(|file| !others.contains(file) && !vms.register.is_named_elsewhere(&vm.me, file));
    let used = disks.iter().chain(gone.iter().filter(|file| **file != home && !disks.contains(file)));
    vms.in_use.refuse_open_files(&vm.me, used)?;
    let last = gone.take(&home);
    Ok(gone.into_iter().chain(last).collect())
}
