//! Making a VM. Its record is written before its first file is made, as unfinished, and names the files that will be made:
//! recovery removes them after a crash. When all is there the record is written anew, finished.

use std::sync::Arc;

use datastore::Dictionary;
use vim::{Fault, MoRef, Object, field};
use vm::FileRef;
use vm::plan::{self, Plan, Step};

use super::bases;
use super::files::render;
use super::home;
use super::own_files::{owner_says, owner_token};
use super::planning::plan;
use super::records::Registered;
use super::service::Vms;
use super::state::State;
use super::vm::Vm;
use crate::blocking::blocking;
use crate::engine::{Images, image_fault};
use crate::ids;

/// Makes a VM as the specification says, by order of `task`.
///
/// # Errors
/// Those of the plan, of the files and of the store; nothing of the VM is left then.
pub(super) async fn create(
    vms: &Arc<Vms>,
    spec: Arc<Object>,
    pool: MoRef,
    task: &MoRef,
) -> Result<Arc<Vm>, Fault> {
    let name = plan::parse_name(spec.get(field!(VirtualMachineConfigSpec.name)).unwrap_or_default(), None)?;
    let _admitted = vms.register.admit(&name)?;
    // One at a time until the directory is there: then no other operation finds its place free.
    let placing = vms.register.place().await;
    let (on, planned) = (vms.clone(), spec.clone());
    let (mut decided, home, new_directory) = blocking(move || {
        let (home, new_directory) = home::choose(&on.files.datastores, &planned)?;
        let decided = plan(&on, home.clone(), None, |around| plan::create(&planned, around))?;
        Ok((decided, home, new_directory))
    })
    .await?;
    let kept = vms.register.keep_uuid(decided.config.instance_uuid, None);
    decided.config.instance_uuid = kept.uuid;
    let mut planned: Vec<FileRef> = created_disks(&decided).collect();
    // The files that exist so far, for when the rest fails.
    let mut made = Vec::new();
    if new_directory {
        planned.retain(|file| file.directory() != home.directory());
        planned.push(home.directory());
        made.push(home.directory());
    } else {
        planned.push(home.clone());
    }
    let mut record = Registered::new(&home, &planned, task);
    let number = vms.register.records().begin(&mut record).await?;
    if new_directory && let Err(fault) = make_directory(vms, &home, number).await {
        vms.register.records().forget(number).await;
        return Err(fault);
    }
    drop(placing);
    let built = async {
        let built = build(vms, &home, &decided, &mut made).await?;
        let entered = vms.pools.enter(&pool, number).await?;
        record.unfinished = None;
        vms.register.records().write(number, &record).await?;
        Ok((built, entered))
    };
    let (text, entered) = match built.await {
        Ok(built) => built,
        Err(fault) => {
            vms.files.clear_away(&made).await;
            vms.register.records().forget(number).await;
            return Err(fault);
        }
    };
    if new_directory {
        disown(vms, &home).await;
    }
    let mut state = State::new(home, decided.config, &text, entered.pool.clone());
    state.user = record.user;
    let vm = Vm::new(ids::vm(number), state, vms.view.clone());
    bases::note(vms, &vm).await;
    vms.files.look(&vm).await;
    vms.register.add(&vm);
    Ok(vm)
}

/// Makes the directory of a VM, with an owner token in it until the VM is there.
async fn make_directory(vms: &Vms, home: &FileRef, number: u64) -> Result<(), Fault> {
    let on = vms.files.datastores.of(home)?;
    let directory = home.directory();
    let (path, token) = (directory.path.clone(), owner_token(&directory)?.path);
    let says = owner_says(vms.host.uuid, number);
    let owned = blocking(move || {
        on.store.make_directory(&path, true).map_err(|error| on.fault(&error))?;
        Ok(on.store.write(&token, says.as_bytes()).map_err(|error| on.fault(&error)))
    });
    let owned = owned.await?;
    if owned.is_err() {
        vms.files.remove_empty(&directory).await;
    }
    owned
}

/// Takes the owner token out of the directory of a VM that is there.
async fn disown(vms: &Vms, home: &FileRef) {
    if let Ok(token) = owner_token(&home.directory()) {
        vms.files.clear_away(&[token]).await;
    }
}

/// Makes the disks and the configuration, and notes in `made` which files it has made.
async fn build(vms: &Vms, home: &FileRef, plan: &Plan, made: &mut Vec<FileRef>) -> Result<Dictionary, Fault> {
    let on = vms.files.datastores.of(home)?;
    let images = vms.engine.images();
    for step in &plan.steps {
        if let Step::CreateDisk { file, bytes, thin, eager, .. } = step {
            create_disk(vms, &*images, file, *bytes, *thin, *eager).await?;
            made.push(file.clone());
        }
    }
    vms.files.identify(&plan.config).await;
    let text = render(&plan.config, home, None, &Dictionary::new())?;
    let (content, path) = (text.to_string(), home.path.clone());
    blocking(move || {
        let begun = on.store.upload(&path, false, None);
        let written = begun.and_then(|mut upload| {
            upload.write(content.as_bytes())?;
            upload.finish()
        });
        written.map_err(|error| on.fault(&error))
    })
    .await?;
    made.push(home.clone());
    Ok(text)
}

/// Makes one disk, with a directory for it if it is missing.
///
/// # Errors
/// `NoDiskSpace`; those of the datastore and of the image. Nothing is left then but perhaps the directory.
pub(super) async fn create_disk(
    vms: &Vms,
    images: &dyn Images,
    file: &FileRef,
    bytes: u64,
    thin: bool,
    eager: bool,
) -> Result<(), Fault> {
    let on = vms.files.datastores.of(file)?;
    let path = file.path.clone();
    blocking(move || {
        let directory = path.parent().unwrap_or_default();
        if !directory.is_root() && !on.store.exists(&directory).map_err(|error| on.fault(&error))? {
            on.store.make_directory(&directory, true).map_err(|error| on.fault(&error))?;
        }
        if !thin {
            on.store.require_space(&path, bytes).map_err(|error| on.fault(&error))?;
        }
        Ok(())
    })
    .await?;
    let created = images.create(file, bytes, thin, eager).await;
    created.map_err(|error| image_fault(&vms.files.datastores, file, &error))
}

/// The disks that a plan makes.
fn created_disks(plan: &Plan) -> impl Iterator<Item = FileRef> + '_ {
    plan.steps.iter().filter_map(|step| match step {
        Step::CreateDisk { file, .. } => Some(file.clone()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use datastore::{Datastore, FilePath};
    use vim::vim;

    use super::*;
    use crate::{Host, SimulatedOptions};

    #[tokio::test]
    async fn a_file_that_appeared_meanwhile_is_neither_replaced_nor_counted_as_made() {
        let store = Arc::new(Datastore::memory(uuid::Uuid::new_v4(), 1 << 30));
        let options = SimulatedOptions::new("sim.test", vec![("ds".into(), store.clone())]);
        let host = Host::simulated(options).await.unwrap();
        let vms = &host.vms;
        let spec = Object::from(vim!(VirtualMachineConfigSpec {
            name: "late",
            memoryMB: 128i64,
            numCPUs: 1,
            files: VirtualMachineFileInfo { vmPathName: "[ds] d/late.vmx" },
        }));
        store.make_directory(&FilePath::parse("d").unwrap(), false).unwrap();
        let (home, _) = home::choose(&vms.files.datastores, &spec).unwrap();
        let plan = plan(vms, home.clone(), None, |around| plan::create(&spec, around)).unwrap();
        store.write(&home.path, b"another's").unwrap();
        let mut made = Vec::new();
        let fault = build(vms, &home, &plan, &mut made).await.unwrap_err();
        assert_eq!(fault.type_name(), "FileAlreadyExists");
        assert_eq!(made, []);
        assert_eq!(store.read(&home.path, 100).unwrap(), b"another's");
    }
}
