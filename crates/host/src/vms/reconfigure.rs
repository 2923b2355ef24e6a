//! Changing a VM as a specification says. New files are made first, then the `.vmx` is written, then the running QEMU
//! process follows; if it refuses, the change is taken back. Devices to remove leave the running VM first, and their files
//! are removed last.

use std::sync::Arc;

use vim::{Fault, Object};
use vm::FileRef;
use vm::config::VmConfig;
use vm::plan::{self, Plan, Step};

use super::bases;
use super::create::create_disk;
use super::follow::{follow, unplug};
use super::own_files::all_disk_files;
use super::planning;
use super::service::Vms;
use super::vm::Vm;
use crate::blocking::blocking;
use crate::engine::{Machine, image_fault};
use crate::events::{VmEvent, Who};

/// Changes a VM.
///
/// # Errors
/// Those of the plan, of the files, and of QEMU; the VM stays as it was then, except for disks that have grown.
pub(super) async fn reconfigure(
    vms: &Arc<Vms>,
    vm: &Arc<Vm>,
    spec: Arc<Object>,
    who: &Who,
) -> Result<(), Fault> {
    let _one = vm.changing.lock().await;
    let (home, current) = {
        let state = vm.read();
        state.usable()?;
        (state.home.clone(), state.config.clone())
    };
    let (on, of, before) = (vms.clone(), vm.clone(), current.clone());
    let mut plan = blocking(move || {
        planning::plan(&on, home, Some(&of), |around| plan::reconfigure(&spec, &before, around))
    })
    .await?;
    let renamed = plan.config.name != current.name;
    let _kept = renamed.then(|| vms.register.keep_name(&plan.config.name, &vm.me)).transpose()?;
    let identified = plan.config.instance_uuid != current.instance_uuid;
    let kept = identified.then(|| vms.register.keep_uuid(plan.config.instance_uuid, Some(&vm.me)));
    if let Some(kept) = &kept {
        plan.config.instance_uuid = kept.uuid;
    }
    carry_out(vms, vm, &current, plan).await?;
    if let Some(machine) = vm.machine() {
        vms.engine.allot(vm.me.id(), &vm.config(), machine.pid()).await;
    }
    vms.files.look(vm).await;
    vms.post(vm, VmEvent::Reconfigured, who).await;
    vms.warn_of_shared_macs(vm, who).await;
    Ok(())
}

/// Carries out a plan, or leaves everything as it was.
async fn carry_out(vms: &Vms, vm: &Arc<Vm>, before: &VmConfig, plan: Plan) -> Result<(), Fault> {
    let machine = vm.machine();
    // Devices that the guest must release: a refusal changes nothing.
    for step in &plan.steps {
        if let (Step::Unplug(key), Some(machine)) = (step, &machine) {
            unplug(vms, vm, machine, before, *key).await?;
        }
    }
    let mut made: Vec<FileRef> = Vec::new();
    let changed = async {
        prepare_disks(vms, machine.as_ref(), &plan, &mut made).await?;
        vms.files.identify(&plan.config).await;
        let suspended = vm.read().suspend_file.clone();
        vms.files.save(vm, plan.config.clone(), suspended.as_deref()).await
    };
    if let Err(fault) = changed.await {
        vms.files.clear_away(&made).await;
        return Err(fault);
    }
    if let Some(machine) = &machine
        && let Err(fault) = follow(vms, vm, machine, &plan).await
    {
        // The running VM is as it was, but for the changes that QEMU has taken on already.
        tracing::warn!(vm = vm.me.id(), %fault, "the running VM did not follow a change");
        vms.files.save(vm, before.clone(), None).await?;
        vms.files.clear_away(&made).await;
        return Err(fault);
    }
    bases::note(vms, vm).await;
    for step in &plan.steps {
        if let Step::DestroyDisk { files } = step {
            destroy_disk(vms, vm, files).await;
        }
    }
    Ok(())
}

/// Makes and grows disks, and notes in `made` which files it has made.
async fn prepare_disks(
    vms: &Vms,
    machine: Option<&Arc<dyn Machine>>,
    plan: &Plan,
    made: &mut Vec<FileRef>,
) -> Result<(), Fault> {
    let images = vms.engine.images();
    for step in &plan.steps {
        match step {
            Step::CreateDisk { file, bytes, thin, eager, .. } => {
                create_disk(vms, &*images, file, *bytes, *thin, *eager).await?;
                made.push(file.clone());
            }
            Step::GrowDisk { key, file, bytes } => {
                let grown = match machine {
                    Some(machine) => machine.resize_disk(*key, *bytes).await,
                    None => images.grow(file, *bytes).await,
                };
                grown.map_err(|error| image_fault(&vms.files.datastores, file, &error))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes the images of a disk that is no longer the VM's, but those that a snapshot or another VM needs.
async fn destroy_disk(vms: &Vms, vm: &Vm, images: &[FileRef]) {
    let own = all_disk_files(&vm.read());
    let is_kept = |file: &FileRef| own.contains(file) || vms.register.is_foreign_disk(&vm.me, file);
    let gone: Vec<FileRef> = images.iter().filter(|file| !is_kept(file)).cloned().collect();
    vms.files.clear_away(&gone).await;
}
