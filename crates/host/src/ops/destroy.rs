//! Removing machines: from the register alone, or with their files.

use std::sync::{Arc, PoisonError};

use vim::{Fault, fault};

use super::files;
use crate::Host;
use crate::error::store_fault;
use crate::events;
use crate::host::VMS;
use crate::vm::Vm;
use crate::vm::device::FileRef;
use crate::vm::state::Power;

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

    /// Removes a machine with its files. The register says what is to go before the first file goes, so that whoever
    /// opens the host after a crash finishes it.
    pub(crate) async fn destroy(&self, vm: &Arc<Vm>, who: &events::Who) -> Result<(), Fault> {
        let _one = vm.changing.lock().await;
        not_running(vm)?;
        let number: u64 = vm.me.id().parse().unwrap_or_default();
        let (home, disks) = {
            let state = vm.state();
            (state.home.clone(), files::all_disk_files(&state))
        };
        let datastores = self.datastores.clone();
        let at = home.clone();
        let own = super::blocking(move || Ok(files::own_files(&datastores, &at, &disks))).await?;
        let mut gone: Vec<FileRef> = own.into_iter().map(|file| file.file).collect();
        // The configuration last: until then the directory is a machine's.
        gone.sort_by_key(|file| *file == home);
        let record = VMS.get(&self.core.store, vm.me.id()).map_err(|error| store_fault(&error))?;
        if let Some(mut record) = record {
            let named = gone.iter().map(|file| (file.datastore, file.path.as_str().to_owned()));
            record.unfinished = Some(named.collect());
            self.write_record(number, &record).await?;
        }
        self.remove_vm(vm, who).await;
        self.clear_away(&gone).await;
        self.remove_empty(&home.directory()).await;
        self.drop_record(number).await;
        Ok(())
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
