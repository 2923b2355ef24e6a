//! Makes the VMs of a simulated host at once and turns them on: without a task and events for each, with one write of the store for all.

use std::sync::Arc;

use datastore::Dictionary;
use vim::{DateTime, Fault, MoRef, Object, field};
use vm::Power;
use vm::plan::{self, Step};

use super::files::render;
use super::home;
use super::planning::plan;
use super::power;
use super::records::Registered;
use super::service::Vms;
use super::state::State;
use super::vm::Vm;
use super::watch::{bounded, watch};
use crate::engine::{Machine, image_fault};
use crate::ids;

/// Makes VMs as the specifications say. If one fails, files of the others may stay: nothing is registered then.
///
/// # Errors
/// Those of the plans, of the files and of the store.
pub(crate) async fn populate(
    vms: &Arc<Vms>,
    specs: &[Arc<Object>],
    turn_on: bool,
) -> Result<Vec<MoRef>, Fault> {
    let _placing = vms.register.place().await;
    let numbers = vms.register.records().reserve(specs.len()).await?;
    let (mut made, mut records, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for (number, spec) in numbers.zip(specs) {
        let name =
            plan::parse_name(spec.get(field!(VirtualMachineConfigSpec.name)).unwrap_or_default(), None)?;
        kept.push(vms.register.admit(&name)?);
        let (vm, record) = make(vms, number, spec).await?;
        let machine = if turn_on { Some(start(vms, &vm).await?) } else { None };
        let files = vms.files.find_own(&vm.read());
        vm.change(|state| state.files = files);
        records.push((number, record));
        made.push((vm, machine));
    }
    vms.register.records().write_all(&records).await?;
    let mut all = Vec::with_capacity(made.len());
    for (vm, machine) in made {
        vms.register.add(&vm);
        if let Some(machine) = machine {
            watch(vms, &vm, machine);
        }
        all.push(vm.me.clone());
    }
    Ok(all)
}

/// Makes the files of a VM.
async fn make(vms: &Arc<Vms>, number: u64, spec: &Object) -> Result<(Arc<Vm>, Registered), Fault> {
    let (home, _) = home::choose(&vms.files.datastores, spec)?;
    let mut decided = plan(vms, home.clone(), None, |around| plan::create(spec, around))?;
    decided.config.instance_uuid = vms.register.keep_uuid(decided.config.instance_uuid, None).uuid;
    let on = vms.files.datastores.of(&home)?;
    let directory = home.directory().path;
    if !directory.is_root() && !on.store.exists(&directory).map_err(|error| on.fault(&error))? {
        on.store.make_directory(&directory, true).map_err(|error| on.fault(&error))?;
    }
    let images = vms.engine.images();
    for step in &decided.steps {
        if let Step::CreateDisk { file, bytes, thin, eager, .. } = step {
            let created = images.create(file, *bytes, *thin, *eager).await;
            created.map_err(|error| image_fault(&vms.files.datastores, file, &error))?;
        }
    }
    for (_, disk) in decided.config.disks() {
        on.store.identify(&disk.file.path, disk.uuid).map_err(|error| on.fault(&error))?;
    }
    let text = render(&decided.config, &home, None, &Dictionary::new())?;
    on.store.write(&home.path, text.to_string().as_bytes()).map_err(|error| on.fault(&error))?;
    let pool = ids::root_pool();
    let mut record = Registered::finished(&home);
    record.give_user(number);
    let mut state = State::new(home, decided.config, &text, pool);
    state.user = record.user;
    Ok((Vm::new(ids::vm(number), state, vms.view.clone()), record))
}

/// Turns a VM on that is not shown yet.
async fn start(vms: &Arc<Vms>, vm: &Arc<Vm>) -> Result<Arc<dyn Machine>, Fault> {
    let (home, before) = {
        let state = vm.read();
        (state.home.clone(), state.config.clone())
    };
    let config = power::ready_config(&vms.files, &before)?;
    let on = vms.files.datastores.of(&home)?;
    let lock = on.store.lock_vm(&home.path, &vms.host.name).map_err(|error| on.fault(&error))?;
    let taps = vms.ports.plug_all(vm, &config).await?;
    let machine = power::start(vms, vm, &config, &home, taps, None).await?;
    let text = render(&config, &home, None, &Dictionary::new())?;
    on.store.write(&home.path, text.to_string().as_bytes()).map_err(|error| on.fault(&error))?;
    let guest = machine.guest().await.map(bounded);
    vm.change(|state| {
        state.config = Arc::new(config);
        state.text = (&text).into();
        state.power = Power::On;
        state.machine = Some(machine.clone());
        state.lock = Some(lock);
        state.booted = Some(DateTime::now());
        state.tools_seen |= guest.is_some();
        state.guest = guest;
    });
    Ok(machine)
}

#[cfg(test)]
mod tests {
    use datastore::Datastore;
    use vim::{managed_id, vim};

    use super::super::create;
    use super::*;
    use crate::events::Who;
    use crate::{Host, SimulatedOptions};

    fn spec(name: &str) -> Arc<Object> {
        let spec = vim!(VirtualMachineConfigSpec {
            name: name,
            memoryMB: 128i64,
            numCPUs: 1,
            files: VirtualMachineFileInfo { vmPathName: "[ds]" },
            deviceChange: [
                VirtualDeviceConfigSpec {
                    operation: "add",
                    device: ParaVirtualSCSIController { key: -1, busNumber: 0, sharedBus: "noSharing" },
                },
                VirtualDeviceConfigSpec {
                    operation: "add",
                    fileOperation: "create",
                    device: VirtualDisk {
                        key: -2,
                        controllerKey: -1,
                        unitNumber: 0,
                        capacityInKB: 1024i64,
                        backing: VirtualDiskFlatVer2BackingInfo {
                            fileName: "",
                            diskMode: "persistent",
                            thinProvisioned: true,
                        },
                    },
                },
            ],
        });
        Arc::new(spec.into())
    }

    #[tokio::test]
    async fn vms_that_are_made_at_once_are_like_those_made_one_by_one() {
        let store = Arc::new(Datastore::memory(uuid::Uuid::new_v4(), 1 << 30));
        let host =
            Host::simulated(SimulatedOptions::new("sim.test", vec![("ds".into(), store)])).await.unwrap();
        let vms = &host.vms;
        let made = host.populate(&[spec("a"), spec("b")], true).await.unwrap();
        let task = MoRef::new(managed_id!(Task), "task-1");
        let single = create::create(vms, spec("c"), ids::root_pool(), &task).await.unwrap();
        power::power_on(vms, &single, &Who::default()).await.unwrap();
        while single.guest().is_none() {
            tokio::task::yield_now().await;
        }
        let shown = |me: &MoRef| {
            let state = host.core.tree.snapshot();
            let set: Vec<u16> = state.find(me).unwrap().properties().map(|(number, _)| number).collect();
            set
        };
        for me in &made {
            let vm = host.vm(me).unwrap();
            assert_eq!(vm.power(), Power::On);
            assert!(vm.guest().is_some() && vm.machine().is_some());
            assert_eq!(shown(me), shown(&single.me));
            assert_eq!(vm.read().files.len(), single.read().files.len());
            assert_ne!(vm.config().instance_uuid, single.config().instance_uuid);
        }
        let records = vms.register.records().all().unwrap();
        assert_eq!(records.len(), 3);
        assert!(records.iter().all(|(_, record)| record.unfinished.is_none()));
        assert_eq!(
            host.populate(&[spec("d"), spec("a")], true).await.unwrap_err().type_name(),
            "DuplicateName"
        );
        power::power_off(vms, &host.vm(&made[0]).unwrap(), &Who::default()).await.unwrap();
        assert_eq!(host.vm(&made[0]).unwrap().power(), Power::Off);
    }
}
