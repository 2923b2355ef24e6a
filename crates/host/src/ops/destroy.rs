//! Removing machines: from the register alone, or with their files.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use datastore::VmLock;
use vim::{Fault, fault};
use vm::{FileRef, Power};

use super::files;
use crate::Host;
use crate::error::store_fault;
use crate::events;
use crate::host::VMS;
use crate::vms::Vm;

impl Host {
    /// Takes a machine out of the register; its files stay.
    pub(crate) async fn unregister(&self, vm: &Arc<Vm>, who: &events::Who) -> Result<(), Fault> {
        let _one = vm.changing.try_lock().map_err(|_| busy(vm))?;
        not_running(vm)?;
        let mut batch = store::Batch::new();
        VMS.delete(&mut batch, vm.me.id());
        self.core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
        self.remove_vm(vm, who).await;
        Ok(())
    }

    /// Removes a machine with its files, but for those that other machines of this host name. The register says what is
    /// to go before the first file goes, so that whoever opens the host after a crash finishes it.
    ///
    /// # Errors
    /// `FileLocked` if the machine, or a disk of it, is in use, here or on another host; nothing is removed then.
    pub(crate) async fn destroy(self: &Arc<Self>, vm: &Arc<Vm>, who: &events::Who) -> Result<(), Fault> {
        let _one = vm.changing.lock().await;
        not_running(vm)?;
        let number: u64 = vm.me.id().parse().unwrap_or_default();
        let (host, of) = (self.clone(), vm.clone());
        let (home, gone, lock) = super::blocking(move || {
            let home = of.state().home.clone();
            let lock = host.lock_home(&home)?;
            Ok((home, host.files_to_remove(&of)?, lock))
        })
        .await?;
        let record = VMS.get(&self.core.store, vm.me.id()).map_err(|error| store_fault(&error))?;
        if let Some(mut record) = record {
            let lock_file = files::sibling(&home, &format!("{}.lck", home.path.name())).ok();
            let named = gone.iter().chain(&lock_file);
            let named = named.map(|file| (file.datastore, file.path.as_str().to_owned()));
            record.unfinished = Some(named.collect());
            self.write_record(number, &record).await?;
        }
        self.remove_vm(vm, who).await;
        self.clear_away(&gone).await;
        drop(lock);
        self.remove_empty(&home.directory()).await;
        self.drop_record(number).await;
        Ok(())
    }

    /// Takes the lock of a machine; there is none to take where its directory is gone. Blocking.
    fn lock_home(&self, home: &FileRef) -> Result<Option<VmLock>, Fault> {
        let Some(on) = self.datastores.by_uuid(home.datastore) else { return Ok(None) };
        match on.store.lock_vm(&home.path, &self.name) {
            Ok(lock) => Ok(Some(lock)),
            Err(datastore::Error::NotFound(_) | datastore::Error::NotADirectory(_)) => Ok(None),
            Err(error) => Err(on.fault(&error)),
        }
    }

    /// What goes with a machine that is locked: its own files but for those of others, the configuration last, because
    /// until then the directory is a machine's. Blocking.
    fn files_to_remove(&self, vm: &Vm) -> Result<Vec<FileRef>, Fault> {
        let (home, disks) = {
            let state = vm.state();
            (state.home.clone(), files::all_disk_files(&state))
        };
        let mut others = BTreeSet::new();
        for other in self.all_vms().into_iter().filter(|other| other.me != vm.me) {
            let (beside, named) = {
                let state = other.state();
                (state.home.clone(), files::all_named_files(&state))
            };
            if beside.directory() == home.directory() {
                let own = files::own_files(&self.datastores, &beside, &BTreeSet::new());
                others.extend(own.into_iter().map(|file| file.file));
            }
            others.extend(named);
        }
        let own = files::own_files(&self.datastores, &home, &disks);
        let mut gone: BTreeSet<FileRef> = own.into_iter().map(|file| file.file).collect();
        gone.retain(|file| !others.contains(file));
        let used = disks.iter().chain(gone.iter().filter(|file| **file != home && !disks.contains(file)));
        self.in_use.refuse_open_files(&vm.me, used)?;
        let last = gone.take(&home);
        Ok(gone.into_iter().chain(last).collect())
    }

    /// Removes a directory that nothing is in.
    pub(crate) async fn remove_empty(&self, directory: &FileRef) {
        if directory.path.is_root() {
            return;
        }
        let Some(on) = self.datastores.by_uuid(directory.datastore) else { return };
        let path = directory.path.clone();
        let removed = super::blocking(move || {
            let empty = on.store.list(&path).map_err(|error| on.fault(&error))?.is_empty();
            if empty { on.store.delete(&path).map_err(|error| on.fault(&error)) } else { Ok(()) }
        });
        if let Err(fault) = removed.await {
            tracing::debug!(directory = %directory.path, %fault, "the directory stays");
        }
    }

    async fn remove_vm(&self, vm: &Arc<Vm>, who: &events::Who) {
        self.vms.write().unwrap_or_else(PoisonError::into_inner).remove(vm.me.id());
        self.unpublish(vm);
        self.post(vm, events::Vm::Removed, who).await;
    }
}

fn not_running(vm: &Vm) -> Result<(), Fault> {
    if vm.power() == Power::On {
        return vm.require(Power::Off);
    }
    Ok(())
}

/// `TaskInProgress` without a task to name: somebody changes the machine at this moment.
pub(crate) fn busy(vm: &Vm) -> Fault {
    fault!(InvalidState {}, "Another operation is under way on {}; try again when it has ended", vm.name())
}
