//! The saved state of a suspended VM. While a state is being saved the record of the VM names its file, so that a crash in
//! between is told from a state that is whole. A state that the VM has gone on from is never used again, because the
//! disks have changed since.

use vim::{Fault, fault};
use vm::FileRef;

use super::files::{Files, sibling};
use super::register::Register;
use super::vm::Vm;

/// Ending of a saved state's name until it is whole.
pub(super) const PARTIAL: &str = ".partial";

/// The file that a suspended VM goes on from.
///
/// # Errors
/// `InvalidState` if the VM has no saved state, `FileNotFound` if its file is gone.
pub(super) fn find(files: &Files, vm: &Vm) -> Result<FileRef, Fault> {
    let (home, name) = {
        let state = vm.read();
        (state.home.clone(), state.suspend_file.clone())
    };
    let name =
        name.ok_or_else(|| fault!(InvalidState {}, "The saved state of {} is not known", vm.name()))?;
    let file = sibling(&home, &name)?;
    if !files.has(&file)? {
        let name = files.datastores.show(&file);
        return Err(fault!(
            FileNotFound { file: &*name },
            "The saved state {name} is gone; power the VM off to start it anew"
        ));
    }
    Ok(file)
}

/// The file that the VM is being suspended to, by its record.
///
/// # Errors
/// If the store cannot be read.
pub(super) fn being_saved(register: &Register, vm: &Vm) -> Result<Option<FileRef>, Fault> {
    let record = register.records().get(&vm.me)?;
    let Some(name) = record.and_then(|record| record.suspending) else { return Ok(None) };
    sibling(&vm.home(), &name).map(Some)
}

/// Notes in the record of a VM that its state is being saved, or no longer.
///
/// # Errors
/// If the store cannot be written.
pub(super) async fn note(register: &Register, vm: &Vm, file: Option<&str>) -> Result<(), Fault> {
    let file = file.map(ToOwned::to_owned);
    register.records().amend(&vm.me, |record| record.suspending = file).await
}

/// Notes in the record of a VM that its state is no longer being saved, and removes the file, unless it is `keep`.
///
/// # Errors
/// If the store cannot be read or written.
pub(super) async fn forget(
    register: &Register,
    files: &Files,
    vm: &Vm,
    keep: Option<&FileRef>,
) -> Result<(), Fault> {
    let Some(file) = being_saved(register, vm)? else { return Ok(()) };
    note(register, vm, None).await?;
    let mut left: Vec<FileRef> =
        sibling(&file, &format!("{}{PARTIAL}", file.path.name())).into_iter().collect();
    if keep != Some(&file) {
        left.push(file);
    }
    files.clear_away(&left).await;
    Ok(())
}
