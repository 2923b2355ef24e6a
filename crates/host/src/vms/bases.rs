//! The files that the disks of a VM lie on and that may be others', as its record names them: a VM whose `.vmx` or disks cannot be read
//! still keeps them from being removed or merged.

use std::collections::BTreeSet;

use vm::FileRef;

use super::layers::all_read;
use super::own_files::all_disk_files;
use super::records;
use super::service::Vms;
use super::state::State;
use super::vm::Vm;

/// The files that the disks of a VM are in or lie on, but those that are its own by their place and name.
fn of(state: &State) -> BTreeSet<FileRef> {
    let (directory, stem) = (state.home.directory(), state.home.path.stem());
    let own = |file: &FileRef| file.directory() == directory && file.path.name().starts_with(stem);
    all_disk_files(state).into_iter().filter(|file| !own(file)).collect()
}

/// The files that a record names.
pub(super) fn named(record: &records::Registered) -> BTreeSet<FileRef> {
    record.bases.iter().filter_map(records::file).collect()
}

/// Brings the record of a VM to what its disks lie on now. A base that cannot be read now stays.
pub(super) async fn note(vms: &Vms, vm: &Vm) {
    let (now, known) = {
        let state = vm.read();
        if state.unread {
            return;
        }
        let mut now = of(&state);
        if !all_read(&state) {
            now.extend(state.bases.iter().cloned());
        }
        (now, state.bases.clone())
    };
    if now == known {
        return;
    }
    let named: Vec<_> = now.iter().map(records::named).collect();
    match vms.register.records().amend(&vm.me, |record| record.bases = named).await {
        Ok(()) => vm.change(|state| state.bases = now),
        Err(fault) => tracing::error!(vm = vm.me.id(), %fault, "the files below the disks are not noted"),
    }
}
