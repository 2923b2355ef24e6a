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

use super::files::owner_says;
use super::ports::port_spec;
use super::records::{self, Registered};
use super::service::Vms;
use super::state::State;
use super::vm::Vm;
use super::watch::macs_of;
use crate::engine::{Error, Machine};
use crate::{Result, ids};
pub(crate) use storage::users as storage_users;

/// The QEMU process of a VM that runs, if one does; an error if it does not answer.
type Found = crate::engine::Result<Option<Arc<dyn Machine>>>;

/// Brings the host to where the register, the files and the running QEMU processes say that it is. To be called once,
/// before anything is served.
///
/// # Errors
/// If the store or the runtime directory cannot be read. A VM that cannot be read is shown as inaccessible.
pub(crate) async fn recover(vms: &Arc<Vms>) -> Result<()> {
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
            Some(asked) => asked.await.unwrap_or_else(|error| Err(Error::Protocol(error.to_string()))),
            None => Ok(None),
        };
        recover_vm(vms, number, record, found).await;
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

async fn recover_vm(vms: &Arc<Vms>, number: u64, record: Registered, found: Found) {
    let Ok(path) = FilePath::parse(&record.path) else {
        tracing::error!(vm = number, path = record.path, "the record of a VM names no path");
        return;
    };
    let home = FileRef { datastore: record.datastore, path };
    let runs = !matches!(found, Ok(None));
    let mut state = read(vms, number, home, runs).await;
    state.user = record.user;
    let vm = Vm::new(ids::vm(number), state, vms.view.clone());
    match found {
        Ok(Some(machine)) => adopt::adopt(vms, &vm, machine, record).await,
        Ok(None) => adopt::find_saved_state(vms, &vm, record).await,
        Err(error) => silent::is_silent(vms, &vm, &error).await,
    }
    running::mend(vms, &vm).await;
    adopt::recover_layers(vms, &vm).await;
    vms.files.look(&vm).await;
    vms.register.add(&vm);
}

/// The state of a VM by its files, with the configuration that it runs with if it does. Pools other than the root pool do
/// not outlive the daemon.
async fn read(vms: &Vms, number: u64, home: FileRef, runs: bool) -> State {
    if runs && let Some(state) = running::read(vms, number, &home).await {
        return state;
    }
    let pool = ids::root_pool();
    match vms.files.load(&home).await {
        Ok(loaded) => {
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
