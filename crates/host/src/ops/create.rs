//! Making a machine. The register knows of it before its first file is made, as unfinished, and which files that will
//! be; whoever opens the host after a crash removes them. When all is there it is registered in earnest.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use datastore::{DatastorePath, Dictionary, FilePath};
use store::Batch;
use vim::{DateTime, Fault, MoRef, Object, fault, field};
use vm::config::VmConfig;
use vm::observed::Statistics;
use vm::plan::{self, Plan, Step, Surroundings};
use vm::{FileRef, Power};

use super::{blocking, files};
use crate::engine::Images;
use crate::error::{invalid_config, machine_fault, store_fault};
use crate::host::{Registered, VM_NUMBERS, VMS};
use crate::vms::State;
use crate::vms::Vm;
use crate::{Host, ids};

impl Host {
    /// Makes a machine as the specification says.
    pub(crate) async fn create_vm(
        self: &Arc<Self>,
        spec: Arc<Object>,
        pool: MoRef,
        task: &MoRef,
    ) -> Result<Arc<Vm>, Fault> {
        let name = spec.get(field!(VirtualMachineConfigSpec.name)).unwrap_or_default().to_owned();
        plan::check_name(&name)?;
        self.reserve_name(&name)?;
        let made = self.create_named(spec, pool, task).await;
        self.making.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        made
    }

    /// Keeps a name for a machine that is being made.
    fn reserve_name(&self, name: &str) -> Result<(), Fault> {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_free_name(name, None)?;
        if !making.insert(name.to_owned()) {
            return Err(fault!(
                DuplicateName { name: name, object: ids::vm_folder() },
                "A virtual machine called {name} is being made already"
            ));
        }
        Ok(())
    }

    async fn create_named(
        self: &Arc<Self>,
        spec: Arc<Object>,
        pool: MoRef,
        task: &MoRef,
    ) -> Result<Arc<Vm>, Fault> {
        // One at a time until the directory is there: then nobody else finds its place free.
        let placing = self.placing.lock().await;
        let (host, planned) = (self.clone(), spec);
        let (plan, home, new_directory) = blocking(move || {
            let (home, new_directory) = host.choose_home(&planned)?;
            let plan = host.plan(home.clone(), None, |around| plan::create(&planned, around))?;
            Ok((plan, home, new_directory))
        })
        .await?;
        let mut planned: Vec<FileRef> = created_disks(&plan).collect();
        // What is there so far, for when the rest fails.
        let mut made = Vec::new();
        if new_directory {
            planned.retain(|file| file.directory() != home.directory());
            planned.push(home.directory());
            made.push(home.directory());
        } else {
            planned.push(home.clone());
        }
        let mut record = Registered {
            datastore: home.datastore,
            path: home.path.as_str().to_owned(),
            pool: (pool != ids::root_pool()).then(|| pool.id().to_owned()),
            user: 0,
            unfinished: Some(
                planned.iter().map(|file| (file.datastore, file.path.as_str().to_owned())).collect(),
            ),
            suspending: None,
            merging: None,
            task: Some(task.id().to_owned()),
        };
        let number = self.begin_registration(&mut record).await?;
        if new_directory && let Err(fault) = self.make_directory(&home, number).await {
            self.drop_record(number).await;
            return Err(fault);
        }
        drop(placing);
        let built = self.build(&home, &plan, &mut made).await;
        let built = match built {
            Ok(built) => {
                record.unfinished = None;
                self.write_record(number, &record).await.map(|()| built)
            }
            Err(fault) => Err(fault),
        };
        match built {
            Ok(text) => {
                if new_directory {
                    self.disown(&home).await;
                }
                let vm = self.add_vm(number, &record, home, plan.config, text, pool);
                self.look_at_files(&vm).await;
                self.publish(&vm);
                Ok(vm)
            }
            Err(fault) => {
                self.clear_away(&made).await;
                self.drop_record(number).await;
                Err(fault)
            }
        }
    }

    /// Makes a machine's directory, which says whose it is until the machine is there.
    async fn make_directory(&self, home: &FileRef, number: u64) -> Result<(), Fault> {
        let on = self.datastores.of(home)?;
        let directory = home.directory();
        let (path, token) = (directory.path.clone(), files::owner_token(&directory)?.path);
        let says = files::owner_says(self, number);
        let owned = blocking(move || {
            on.store.make_directory(&path, true).map_err(|error| on.fault(&error))?;
            Ok(on.store.write(&token, says.as_bytes()).map_err(|error| on.fault(&error)))
        });
        let owned = owned.await?;
        if owned.is_err() {
            self.remove_empty(&directory).await;
        }
        owned
    }

    /// Takes the word whose it is out of a directory whose machine is there.
    async fn disown(&self, home: &FileRef) {
        if let Ok(token) = files::owner_token(&home.directory()) {
            self.clear_away(&[token]).await;
        }
    }

    /// Makes the disks and the configuration, and notes in `made` what it has made.
    async fn build(&self, home: &FileRef, plan: &Plan, made: &mut Vec<FileRef>) -> Result<Dictionary, Fault> {
        let on = self.datastores.of(home)?;
        let images = self.engine.images();
        for step in &plan.steps {
            if let Step::CreateDisk { file, bytes, thin, eager, .. } = step {
                self.create_disk(&*images, file, *bytes, *thin, *eager).await?;
                made.push(file.clone());
            }
        }
        let text = files::render(&plan.config, home, None, &Dictionary::new())?;
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
    pub(crate) async fn create_disk(
        &self,
        images: &dyn Images,
        file: &FileRef,
        bytes: u64,
        thin: bool,
        eager: bool,
    ) -> Result<(), Fault> {
        let on = self.datastores.of(file)?;
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
        images.create(file, bytes, thin, eager).await.map_err(|error| self.image_fault(file, &error))
    }

    /// The fault for an error of a disk image.
    pub(crate) fn image_fault(&self, file: &FileRef, error: &crate::engine::Error) -> Fault {
        let name = self.datastores.show(file);
        match error {
            crate::engine::Error::NoSpace { .. } => {
                let datastore =
                    self.datastores.by_uuid(file.datastore).map_or_else(String::new, |on| on.name);
                fault!(
                    NoDiskSpace { file: &*name, datastore: datastore },
                    "No space is left for {name}; free space on the datastore"
                )
            }
            crate::engine::Error::Image { reason, .. } => {
                fault!(CannotAccessFile { file: &*name }, "{name}: {reason}")
            }
            other => machine_fault(&ids::host(), other),
        }
    }

    /// Puts a machine into the register of this process.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn add_vm(
        &self,
        number: u64,
        record: &Registered,
        home: FileRef,
        config: VmConfig,
        text: Dictionary,
        pool: MoRef,
    ) -> Arc<Vm> {
        let now = DateTime::now();
        let suspend_file = vm::vmx::suspend_file(&text);
        let power = if suspend_file.is_some() { Power::Suspended } else { Power::Off };
        let state = State {
            home,
            config: Arc::new(config),
            suspend_file,
            text: (&text).into(),
            power,
            machine: None,
            ending: false,
            snapshots: datastore::vmsd::SnapshotList::default(),
            frozen: std::collections::BTreeMap::new(),
            quiesced: BTreeSet::new(),
            consolidation_needed: false,
            guest: None,
            tools_seen: false,
            booted: None,
            suspended: None,
            clean_power_off: None,
            question: None,
            statistics: Statistics::default(),
            statistics_at: now,
            cpu_ms: 0,
            files: Vec::new(),
            files_at: now,
            pool,
            user: record.user,
            lock: None,
            broken: None,
            silent: None,
        };
        let vm = Arc::new(Vm::new(ids::vm(number), state));
        let mut vms = self.vms.write().unwrap_or_else(PoisonError::into_inner);
        vms.insert(vm.me.id().to_owned(), vm.clone());
        vm
    }

    /// Takes a number for a machine and writes its record.
    pub(crate) async fn begin_registration(&self, record: &mut Registered) -> Result<u64, Fault> {
        if self.all_vms().len() >= crate::limits::MAX_VMS {
            return Err(fault!(
                InsufficientResourcesFault {},
                "The host has {} machines already",
                crate::limits::MAX_VMS
            ));
        }
        let mut batch = Batch::new();
        batch.reserve(VM_NUMBERS, 1);
        let reserved = self.core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
        let number = reserved.reserved.first().map_or(1, |range| range.start);
        record.user = u32::try_from(number % USERS).unwrap_or_default();
        self.write_record(number, record).await?;
        Ok(number)
    }

    pub(crate) async fn write_record(&self, number: u64, record: &Registered) -> Result<(), Fault> {
        let mut batch = Batch::new();
        VMS.put(&mut batch, &number.to_string(), record).map_err(|error| store_fault(&error))?;
        self.core.store.commit(batch).await.map(drop).map_err(|error| store_fault(&error))
    }

    /// Forgets a machine. What cannot be written now is repaired when the host is opened again.
    pub(crate) async fn drop_record(&self, number: u64) {
        let mut batch = Batch::new();
        VMS.delete(&mut batch, &number.to_string());
        if let Err(error) = self.core.store.commit(batch).await {
            tracing::error!(vm = number, %error, "the register could not be written");
        }
    }

    /// Removes files and directories that an interrupted or failed operation made.
    pub(crate) async fn clear_away(&self, made: &[FileRef]) {
        for file in made.iter().filter(|file| !file.path.is_root()) {
            let Some(on) = self.datastores.by_uuid(file.datastore) else { continue };
            let path = file.path.clone();
            let cleared = blocking(move || match on.store.delete(&path) {
                Ok(()) | Err(datastore::Error::NotFound(_) | datastore::Error::NotADirectory(_)) => Ok(()),
                Err(error) => Err(on.fault(&error)),
            });
            if let Err(fault) = cleared.await {
                tracing::error!(file = %file.path, %fault, "what an unfinished operation made stays behind");
            }
        }
    }

    /// Refuses a name that another machine has.
    pub(crate) fn check_free_name(&self, name: &str, own: Option<&MoRef>) -> Result<(), Fault> {
        match self.all_vms().into_iter().find(|vm| Some(&vm.me) != own && vm.name() == name) {
            Some(other) => Err(fault!(
                DuplicateName { name: name, object: &other.me },
                "There is a virtual machine called {name} already"
            )),
            None => Ok(()),
        }
    }

    /// Where the machine's files go, and whether its directory is to be made. Blocking.
    fn choose_home(&self, spec: &Object) -> Result<(FileRef, bool), Fault> {
        let name = spec.get(field!(VirtualMachineConfigSpec.name)).unwrap_or_default();
        let files = spec.get(field!(VirtualMachineConfigSpec.files));
        let asked = files
            .and_then(|files| files.get(field!(VirtualMachineFileInfo.vmPathName)))
            .map(str::trim)
            .filter(|path| !path.is_empty())
            .ok_or_else(|| {
                invalid_config(
                    "files.vmPathName",
                    "Say on which datastore the machine is to be: \"[datastore]\"",
                )
            })?;
        let path = DatastorePath::parse(asked)
            .map_err(|error| fault!(InvalidDatastorePath { datastorePath: asked }, "{error}"))?;
        let home = self.datastores.parse(asked)?;
        let on = self.datastores.of(&home)?;
        let exists = |path: &FilePath| on.store.exists(path).map_err(|error| on.fault(&error));
        let in_directory = |directory: FilePath, stem: &str| {
            let path = directory.join(&format!("{stem}.vmx")).map_err(|error| bad_name(name, &error));
            path.map(|path| FileRef { datastore: home.datastore, path })
        };
        let stem = file_stem(name);
        if path.path().is_root() {
            for number in 0..1000 {
                let directory = if number == 0 { stem.clone() } else { format!("{stem}_{number}") };
                let directory = FilePath::parse(&directory).map_err(|error| bad_name(name, &error))?;
                if !exists(&directory)? {
                    return Ok((in_directory(directory, &stem)?, true));
                }
            }
            return Err(fault!(FileAlreadyExists { file: asked }, "No directory name is free for {name}"));
        }
        let home =
            if home.path.name().ends_with(".vmx") { home } else { in_directory(home.path.clone(), &stem)? };
        if exists(&home.path)? {
            let file = on.show(&home.path);
            return Err(fault!(FileAlreadyExists { file: &*file }, "{file} exists already"));
        }
        let new = !exists(&home.directory().path)?;
        Ok((home, new))
    }

    /// Plans with what is known of the world. Blocking.
    pub(crate) fn plan<T>(
        &self,
        home: FileRef,
        vm: Option<&Vm>,
        decide: impl FnOnce(&Surroundings<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (running, has_snapshots) = vm.map_or((false, false), |vm| {
            let state = vm.state();
            (state.power == Power::On, !state.snapshots.snapshots.is_empty())
        });
        let taken = self.taken_macs(vm.map(|vm| &vm.me));
        let given = std::cell::RefCell::new(BTreeSet::new());
        let new_mac = || {
            loop {
                let mac = random_mac();
                if !taken.contains(&mac) && given.borrow_mut().insert(mac.clone()) {
                    return mac;
                }
            }
        };
        decide(&Surroundings {
            storage: &*self.datastores,
            home,
            running,
            has_snapshots,
            network: &|me, name| {
                self.network.names().into_iter().find(|known| match me {
                    Some(me) => ids::network(known) == *me,
                    None => known == name,
                })
            },
            capacity_bytes: &|file| {
                let on = self.datastores.of(file)?;
                let facts = crate::disk_image::facts(&on.store, &file.path);
                facts.map(|facts| facts.capacity_bytes).map_err(|error| on.fault(&error))
            },
            parents: &|file| {
                let on = self.datastores.of(file)?;
                let paths =
                    crate::disk_image::parents(&on.store, &file.path).map_err(|error| on.fault(&error))?;
                Ok(paths.into_iter().map(|path| FileRef { datastore: file.datastore, path }).collect())
            },
            exists: &|file| {
                let on = self.datastores.of(file)?;
                on.store.exists(&file.path).map_err(|error| on.fault(&error))
            },
            unfit_for_output: &|file| {
                let on = self.datastores.of(file)?;
                if let Err(why) = crate::serial_file::check(&on, &file.path) {
                    return Ok(Some(why));
                }
                crate::methods::refuse_open_file(self, &on, file).map(|()| None)
            },
            new_mac: &new_mac,
            mac_taken: &|mac| taken.contains(mac),
            now: DateTime::now(),
        })
    }

    /// The addresses of all adapters but those of one machine.
    fn taken_macs(&self, but: Option<&MoRef>) -> BTreeSet<String> {
        let others = self.all_vms().into_iter().filter(|vm| Some(&vm.me) != but);
        others.flat_map(|vm| vm.config().nics().map(|(_, nic)| nic.mac.clone()).collect::<Vec<_>>()).collect()
    }
}

/// Users that machines run as; two machines may only share one after so many were made.
const USERS: u64 = 60_000;

/// The disks that a plan makes.
pub(crate) fn created_disks(plan: &Plan) -> impl Iterator<Item = FileRef> + '_ {
    plan.steps.iter().filter_map(|step| match step {
        Step::CreateDisk { file, .. } => Some(file.clone()),
        _ => None,
    })
}

/// A generated address: VMware's prefix, above the range that it keeps for addresses that people choose.
fn random_mac() -> String {
    let [a, b, c, _] = rand::random::<u32>().to_le_bytes();
    format!("00:50:56:{:02x}:{b:02x}:{c:02x}", a & 0x3f | 0x80)
}

/// A machine's name as the name of files.
fn file_stem(name: &str) -> String {
    let stem: String =
        name.chars().map(|c| if c == '/' || c == '\\' || c.is_control() { '_' } else { c }).collect();
    let stem = stem.trim().trim_start_matches('.').to_owned();
    if stem.is_empty() { "vm".into() } else { stem }
}

fn bad_name(name: &str, error: &dyn std::fmt::Display) -> Fault {
    fault!(InvalidName { name: name }, "\"{name}\" cannot be the name of a directory: {error}")
}

#[cfg(test)]
mod tests {
    use datastore::Datastore;
    use vim::vim;

    use super::*;
    use crate::SimulatedOptions;

    #[tokio::test]
    async fn a_file_that_appeared_meanwhile_is_neither_replaced_nor_counted_as_made() {
        let store = Arc::new(Datastore::memory(uuid::Uuid::new_v4(), 1 << 30));
        let options = SimulatedOptions::new("sim.test", vec![("ds".into(), store.clone())]);
        let host = Host::simulated(options).await.unwrap();
        let spec = Object::from(vim!(VirtualMachineConfigSpec {
            name: "late",
            memoryMB: 128i64,
            numCPUs: 1,
            files: VirtualMachineFileInfo { vmPathName: "[ds] d/late.vmx" },
        }));
        store.make_directory(&FilePath::parse("d").unwrap(), false).unwrap();
        let (home, _) = host.choose_home(&spec).unwrap();
        let plan = host.plan(home.clone(), None, |around| plan::create(&spec, around)).unwrap();
        store.write(&home.path, b"another's").unwrap();
        let mut made = Vec::new();
        let fault = host.build(&home, &plan, &mut made).await.unwrap_err();
        assert_eq!(fault.type_name(), "FileAlreadyExists");
        assert_eq!(made, []);
        assert_eq!(store.read(&home.path, 100).unwrap(), b"another's");
    }
}
