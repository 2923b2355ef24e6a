//! Datastores whose storage goes and comes back while the daemon runs. The VMs on one that is gone are inaccessible, those
//! that run stay on; what could not be read of a VM is read when the storage is back.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use uuid::Uuid;
use vim::MoRef;
use vm::config::VmConfig;
use vm::{Power, show};

use super::{adopt, read, running};
use crate::ids;
use crate::storage::StorageUsers;
use crate::vms::bases;
use crate::vms::ports::port_spec;
use crate::vms::records;
use crate::vms::service::Vms;
use crate::vms::vm::Vm;
use crate::vms::watch::macs_of;

/// The VMs of a host, as storage tells them.
struct Users(Weak<Vms>);

/// Those who are told of storage that goes or comes back.
pub(crate) fn users(vms: &Arc<Vms>) -> Box<dyn StorageUsers> {
    Box::new(Users(Arc::downgrade(vms)))
}

#[async_trait]
impl StorageUsers for Users {
    async fn is_gone(&self, datastore: Uuid, why: &str) {
        let Some(vms) = self.0.upgrade() else { return };
        for vm in vms.register.all() {
            let concerned = {
                let state = vm.read();
                state.home.datastore == datastore && state.broken.is_none()
            };
            if concerned {
                vm.change(|state| state.broken = Some(why.to_owned()));
            }
        }
    }

    async fn is_back(&self, datastore: Uuid) {
        let Some(vms) = self.0.upgrade() else { return };
        let me = ids::datastore(datastore);
        let mut busy = Vec::new();
        for vm in vms.register.all() {
            if !is_concerned(&vm, &me) {
                continue;
            }
            match vm.changing.try_lock() {
                Ok(_one) => take_up(&vms, &vm, &me).await,
                Err(_) => busy.push(vm.clone()),
            }
        }
        // An operation may take long: the other VMs did not wait for it.
        for vm in busy {
            let _one = vm.changing.lock().await;
            take_up(&vms, &vm, &me).await;
        }
    }
}

/// Whether a VM uses a datastore, or may do so.
fn is_concerned(vm: &Vm, datastore: &MoRef) -> bool {
    let state = vm.read();
    state.broken.is_some() || show::config::uses(&state.config, &state.home).0.contains(datastore)
}

/// Reads a VM that nobody changes now, if it is still concerned.
async fn take_up(vms: &Arc<Vms>, vm: &Arc<Vm>, datastore: &MoRef) {
    if is_concerned(vm, datastore) {
        read_again(vms, vm).await;
    }
}

/// Reads what can be read of a VM now.
async fn read_again(vms: &Arc<Vms>, vm: &Arc<Vm>) {
    let Ok(Some(record)) = vms.register.records().get(&vm.me) else { return };
    let (home, power, unread) = {
        let state = vm.read();
        (state.home.clone(), state.power, state.unread)
    };
    let runs = power == Power::On;
    if runs && !unread {
        refresh(vms, vm).await;
    } else {
        let fresh = read(vms, records::number(&vm.me), home, runs).await;
        // It is known already: what stands for one that cannot be read must not take its place.
        if fresh.unread && !unread {
            vm.change(|state| state.broken = fresh.broken);
            return;
        }
        vm.change(|state| {
            (state.config, state.text) = (fresh.config, fresh.text);
            (state.snapshots, state.frozen) = (fresh.snapshots, fresh.frozen);
            (state.broken, state.unread) = (fresh.broken, fresh.unread);
            if !runs {
                (state.suspend_file, state.power) = (fresh.suspend_file, fresh.power);
            }
        });
        if runs {
            connect(vms, vm).await;
        } else {
            adopt::find_saved_state(vms, vm, record).await;
        }
    }
    if runs {
        adopt::lock_running(vms, vm).await;
        running::mend(vms, vm).await;
    }
    adopt::recover_layers(vms, vm).await;
    bases::note(vms, vm).await;
    vms.files.look(vm).await;
}

/// Looks at the disks and snapshots of a VM that runs and whose configuration is known.
async fn refresh(vms: &Vms, vm: &Vm) {
    let (home, config) = {
        let state = vm.read();
        (state.home.clone(), state.config.clone())
    };
    let datastores = vms.files.datastores.clone();
    let look = move || {
        let mut config = VmConfig::clone(&config);
        for disk in config.devices.values_mut().filter_map(vm::device::Device::disk_mut) {
            let bytes = vm::Storage::capacity_bytes(&*datastores, &disk.file);
            disk.capacity_bytes = bytes.unwrap_or(disk.capacity_bytes);
        }
        Ok(config)
    };
    let looked = crate::blocking::blocking(look).await;
    let snapshots = vms.files.load_snapshots(&home).await;
    vm.change(|state| {
        if let Ok(config) = looked {
            state.config = Arc::new(config);
        }
        match snapshots {
            Ok((snapshots, frozen)) => {
                (state.snapshots, state.frozen, state.broken) = (snapshots, frozen, None);
            }
            Err(fault) => state.broken = Some(fault.to_string()),
        }
    });
}

/// Takes up the disks and the ports of a VM that runs and whose configuration is known only now.
async fn connect(vms: &Vms, vm: &Vm) {
    let mut config = VmConfig::clone(&vm.config());
    if let Some(machine) = vm.machine() {
        adopt::take_open_files(vm, &*machine, &mut config).await;
    }
    adopt::connect_all(&mut config);
    let macs = macs_of(vm).await;
    let ports: Vec<_> =
        config.nics().map(|(key, nic)| (port_spec(vm, key, nic), macs.get(&key).copied())).collect();
    vm.change(|state| state.config = Arc::new(config));
    if let Err(error) = vms.ports.network.adopt_more(ports).await {
        tracing::error!(vm = vm.me.id(), %error, "the ports of a running VM differ from their declaration");
    }
}

#[cfg(test)]
mod tests {
    use datastore::{Datastore, FilePath};
    use vm::FileRef;

    use super::*;
    use crate::vms::records::Registered;
    use crate::vms::recover::recover;
    use crate::{Host, SimulatedOptions};

    #[tokio::test]
    async fn a_configuration_that_is_known_stays_so_while_its_datastore_is_gone() {
        let made = || Arc::new(Datastore::memory(Uuid::new_v4(), 1 << 30));
        let (home, other) = (made(), made());
        let named = vec![("home".to_owned(), home.clone()), ("other".to_owned(), other.clone())];
        let host = Host::simulated(SimulatedOptions::new("sim", named)).await.unwrap();
        home.make_directory(&FilePath::parse("vm").unwrap(), false).unwrap();
        let path = FilePath::parse("vm/1.vmx").unwrap();
        home.write(&path, b"displayName = \"known\"\nmemSize = \"64\"\n").unwrap();
        let file = FileRef { datastore: home.uuid(), path };
        let mut record = Registered::new(&file, &[], &ids::vm(0));
        record.unfinished = None;
        host.vms.register.records().write(1, &record).await.unwrap();
        recover(&host.vms).await.unwrap();
        let vm = host.vm(&ids::vm(1)).unwrap();
        let absent = Arc::new(Datastore::absent("/nowhere", home.uuid()));
        assert!(host.datastores.replace(&home, absent.clone()));
        assert!(!host.datastores.replace(&home, absent.clone()), "that one is not there any more");
        let users = users(&host.vms);
        users.is_gone(home.uuid(), "gone").await;
        users.is_back(other.uuid()).await;
        assert_eq!(vm.name(), "known");
        let (broken, unread) = {
            let state = vm.read();
            (state.broken.clone(), state.unread)
        };
        assert!(broken.is_some_and(|why| why.contains("Mount its storage at /nowhere")) && !unread);
        assert!(host.datastores.replace(&absent, home.clone()));
        users.is_back(home.uuid()).await;
        assert_eq!(vm.name(), "known");
        assert!(vm.read().broken.is_none());
    }
}
