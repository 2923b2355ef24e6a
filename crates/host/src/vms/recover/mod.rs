//! Opening a host: [`recover`] reads the VMs of the register, `adopt` takes hold of those that run, `silent` waits for those
//! that do not answer, `running` takes what is known of a VM from what runs, `storage` reads VMs again whose datastore is back, and whatever was interrupted is finished or removed.

mod adopt;
mod running;
mod silent;
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::task::UnfinishedTask;
use datastore::Dictionary;
use datastore::FilePath;
use futures_util::future::join_all;
use vim::{DateTime, Fault, MoRef, Value, fault, method};
use vm::config::VmConfig;
use vm::{FileRef, Power};

use super::bases;
use super::own_files::owner_says;
use super::ports::port_spec;
use super::records::{self, Registered};
use super::service::Vms;
use super::state::State;
use super::vm::Vm;
use super::watch::macs_of;
use crate::engine::Error;
use crate::{Result, ids};
pub(crate) use storage::users as storage_users;

/// Brings the host to where the register, the files and the running QEMU processes say that it is. To be called once,
/// before anything is served.
///
/// # Errors
/// If the store or the runtime directory cannot be read. A VM that cannot be read is shown as inaccessible.
pub(crate) async fn recover(vms: &Arc<Vms>) -> Result<()> {
    vms.pools.open()?;
    let records = vms.register.records().all()?;
    let finished = records.iter().filter(|(_, record)| record.unfinished.is_none());
    let wanted: BTreeSet<String> = finished.map(|(id, _)| id.clone()).collect();
    vms.engine.reap(&wanted).await?;
    // All at once: each may be silent for a while.
    let mut asked = BTreeMap::new();
    for id in wanted {
        let engine = vms.engine.clone();
        asked.insert(id.clone(), tokio::spawn(async move { engine.adopt(&id).await }));
    }
    // All VMs are known before the first is worked on: none may lose a layer that another one uses.
    let mut known = Vec::new();
    for (id, record) in records {
        let Ok(number) = id.parse::<u64>() else { continue };
        if let Some(made) = &record.unfinished {
            if made.iter().any(|(datastore, _)| is_absent(vms, *datastore)) {
                tracing::warn!(vm = number, "the files of an interrupted operation cannot be removed now");
                continue;
            }
            finish_removal(vms, number, made).await;
            continue;
        }
        let found = match asked.remove(&id) {
            // A QEMU process that runs, none, or an error if it does not answer.
            Some(asked) => asked.await.unwrap_or_else(|error| Err(Error::Protocol(error.to_string()))),
            None => Ok(None),
        };
        let runs = !matches!(found, Ok(None));
        if let Some(vm) = read_vm(vms, number, &record, runs).await {
            known.push((vm, record, found));
        }
    }
    let mut held = Vec::new();
    for (vm, record, found) in known {
        match found {
            Ok(Some(machine)) => adopt::adopt(vms, &vm, machine, record).await,
            Ok(None) => adopt::find_saved_state(vms, &vm, record).await,
            Err(error) => silent::is_silent(vms, &vm, &error).await,
        }
        held.push(vm);
    }
    for vm in held {
        running::mend(vms, &vm).await;
        adopt::recover_layers(vms, &vm).await;
        bases::note(vms, &vm).await;
        vms.files.look(&vm).await;
        vm.appear();
    }
    reconcile_ports(vms).await;
    vms.core.tasks.recover(|task| outcome(vms, task)).await?;
    Ok(())
}

/// Whether a datastore is known whose storage is not there.
fn is_absent(vms: &Vms, datastore: uuid::Uuid) -> bool {
    vms.files.datastores.by_uuid(datastore).is_some_and(|on| on.store.is_absent())
}

/// Removes the files that an unfinished creation made, or that an unfinished removal left.
async fn finish_removal(vms: &Vms, number: u64, made: &[(uuid::Uuid, String)]) {
    tracing::warn!(vm = number, "removing the files of an interrupted operation");
    let made: Vec<FileRef> = made.iter().filter_map(records::file).collect();
    vms.files.clear_unfinished(&made, &owner_says(vms.host.uuid, number)).await;
    for directory in made.iter().map(FileRef::directory).collect::<BTreeSet<_>>() {
        vms.files.remove_empty(&directory).await;
    }
    vms.register.records().forget(number).await;
}

/// Reads a VM and enters it in the register; none if its record names no path.
async fn read_vm(vms: &Arc<Vms>, number: u64, record: &Registered, runs: bool) -> Option<Arc<Vm>> {
    let Ok(path) = FilePath::parse(&record.path) else {
        tracing::error!(vm = number, path = record.path, "the record of a VM names no path");
        return None;
    };
    let home = FileRef { datastore: record.datastore, path };
    let mut state = read(vms, number, home, runs).await;
    state.user = record.user;
    state.bases = bases::named(record);
    let vm = Vm::new(ids::vm(number), state, vms.view.clone());
    vms.register.add_unshown(&vm);
    Some(vm)
}

/// The state of a VM by its files, with the configuration that it runs with if it does.
async fn read(vms: &Vms, number: u64, home: FileRef, runs: bool) -> State {
    if runs && let Some(state) = running::read(vms, number, &home).await {
        return state;
    }
    let pool = vms.pools.of(number);
    match vms.files.load(&home).await {
        Ok(loaded) => {
            vms.files.identify(&loaded.config).await;
            let mut state = State::new(home, loaded.config, &loaded.text, pool);
            state.snapshots = loaded.snapshots;
            state.frozen = loaded.frozen;
            state
        }
        Err(fault) => {
            tracing::error!(vm = number, %fault, "the configuration of a VM cannot be read");
            let config = VmConfig::new(home.path.stem(), DateTime::now());
            let mut state = State::new(home, config, &Dictionary::new(), pool);
            state.broken = Some(fault.to_string());
            state.unread = true;
            state
        }
    }
}

/// Removes the ports of VMs that do not run. A VM that runs and whose adapters are not known keeps its taps.
async fn reconcile_ports(vms: &Vms) {
    let (mut running, mut unread) = (Vec::new(), Vec::new());
    let all = vms.register.all();
    // Asked first: the switch must not take a guest's own MAC from it in between.
    let macs = join_all(all.iter().map(|vm| macs_of(vm))).await;
    for (vm, macs) in all.iter().zip(macs) {
        let state = vm.read();
        if state.power == Power::On {
            let port = |(key, nic)| (port_spec(vm, key, nic), macs.get(&key).copied());
            running.extend(state.config.nics().map(port));
            if state.unread {
                unread.push(vm.me.id().to_owned());
            }
        }
    }
    if let Err(error) = vms.ports.network.adopt(running, &unread).await {
        tracing::error!(%error, "the network differs from its declaration");
    }
}

/// How a task that was interrupted has ended, as far as the state tells.
fn outcome(vms: &Vms, task: &UnfinishedTask) -> Result<Option<Value>, Fault> {
    let vm = task.entity().and_then(|entity| vms.register.find(entity).ok());
    let power = vm.as_ref().map(|vm| vm.power());
    let Some(method) = task.method() else { return task.interrupted() };
    if method == method!(CreateVM_Task) || method == method!(RegisterVM_Task) {
        let made: Option<MoRef> = vms.register.records().made_by(&task.task);
        return made.map(|me| Some(Value::Ref(me))).ok_or_else(nothing_made);
    }
    let wanted = [
        (method!(PowerOnVM_Task), Some(Power::On)),
        (method!(PowerOffVM_Task), Some(Power::Off)),
        (method!(SuspendVM_Task), Some(Power::Suspended)),
        (method!(Destroy_Task), None),
    ];
    let done = wanted.contains(&(method, power));
    if done { Ok(None) } else { task.interrupted() }
}

fn nothing_made() -> Fault {
    fault!(
        SystemError { reason: "the server was restarted" },
        "The server was restarted while the VM was being made; nothing is left of it"
    )
}

#[cfg(test)]
mod tests {
    use datastore::Datastore;

    use super::*;
    use crate::{Host, SimulatedOptions};

    /// Enters a VM whose only disk is this image.
    async fn enter(host: &Host, number: u64, image: &str) {
        let on = host.datastores.by_name("ds").unwrap();
        let path = FilePath::parse(&format!("vm/{number}.vmx")).unwrap();
        let text = format!(
            "displayName = \"{number}\"\nmemSize = \"64\"\nscsi0.present = \"TRUE\"\nscsi0:0.present = \"TRUE\"\n\
             scsi0:0.fileName = \"{image}\"\n"
        );
        on.store.write(&path, text.as_bytes()).unwrap();
        let home = FileRef { datastore: on.store.uuid(), path };
        let mut record = Registered::new(&home, &[], &ids::vm(0));
        record.unfinished = None;
        host.vms.register.records().write(number, &record).await.unwrap();
    }

    /// A qcow2 image of 8 MiB over a raw one.
    fn layer_on(below: &str) -> Vec<u8> {
        let mut image = b"QFI\xfb".to_vec();
        image.extend(3u32.to_be_bytes());
        image.extend(128u64.to_be_bytes());
        image.extend(u32::try_from(below.len()).unwrap().to_be_bytes());
        image.extend(16u32.to_be_bytes());
        image.extend((8u64 << 20).to_be_bytes());
        image.resize(100, 0);
        image.extend(104u32.to_be_bytes());
        // The format of the image below.
        image.extend(0xe279_2acau32.to_be_bytes());
        image.extend(3u32.to_be_bytes());
        image.extend(b"raw");
        image.resize(128, 0);
        image.extend(below.as_bytes());
        image
    }

    #[tokio::test]
    async fn a_vm_that_is_read_later_keeps_the_layer_that_it_uses() {
        let store = Arc::new(Datastore::memory(uuid::Uuid::new_v4(), 1 << 30));
        let host = Host::simulated(SimulatedOptions::new("sim", vec![("ds".into(), store)])).await.unwrap();
        let on = host.datastores.by_name("ds").unwrap();
        let file = |name: &str| FileRef {
            datastore: on.store.uuid(),
            path: FilePath::parse(&format!("vm/{name}")).unwrap(),
        };
        on.store.make_directory(&FilePath::parse("vm").unwrap(), false).unwrap();
        on.store.create_sparse(&file("a.vmdk").path, 8 << 20).unwrap();
        on.store.write(&file("a-000001.vmdk").path, &layer_on("a.vmdk")).unwrap();
        enter(&host, 1, "a-000001.vmdk").await;
        recover(&host.vms).await.unwrap();
        let needed = |vm: &MoRef| host.vm(vm).unwrap().read().consolidation_needed;
        assert!(needed(&ids::vm(1)), "the layer is for nobody else");
        enter(&host, 2, "a.vmdk").await;
        recover(&host.vms).await.unwrap();
        assert!(!needed(&ids::vm(1)), "the other VM uses the file below");
    }
}
