//! The files of VMs: reading and writing configurations and snapshots ([`Files`]), and telling which files belong to
//! which VM (`own`).

mod load;

pub(super) use load::{Loaded, render};

use std::collections::BTreeMap;
use std::sync::Arc;

use datastore::vmsd::SnapshotList;
use vim::{DateTime, Fault, fault};
use vm::FileRef;
use vm::config::VmConfig;
use vm::observed::OwnFile;

use super::own_files::{all_disk_files, own_files, owner_token};
use super::state::State;
use super::vm::Vm;
use crate::blocking::blocking;
use crate::datastores::Datastores;
use crate::engine::{Engine, machine_fault};

/// Longest text of an owner token that is read.
const MAX_TOKEN_BYTES: u64 = 256;

/// A file beside a `.vmx`.
///
/// # Errors
/// `InvalidName`.
pub(super) fn sibling(home: &FileRef, name: &str) -> Result<FileRef, Fault> {
    home.sibling(name).map_err(|error| fault!(InvalidName { name: name }, "{error}"))
}

/// Reads and writes the files of VMs on the host's datastores.
pub(super) struct Files {
    pub(super) datastores: Arc<Datastores>,
    pub(super) engine: Arc<dyn Engine>,
}

impl Files {
    /// Reads a VM's configuration and snapshots.
    ///
    /// # Errors
    /// If the `.vmx` or the `.vmsd` cannot be read.
    pub(super) async fn load(&self, home: &FileRef) -> Result<Loaded, Fault> {
        let (datastores, home) = (self.datastores.clone(), home.clone());
        blocking(move || load::load(&datastores, &home, DateTime::now())).await
    }

    /// Reads the configurations that all snapshots of a list froze.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub(super) async fn load_all_frozen(
        &self,
        home: FileRef,
        list: SnapshotList,
    ) -> Result<BTreeMap<u32, Arc<VmConfig>>, Fault> {
        let datastores = self.datastores.clone();
        blocking(move || load::load_all_frozen(&datastores, &home, &list, DateTime::now())).await
    }

    /// Takes the text that is kept beside a QEMU process apart.
    ///
    /// # Errors
    /// If it is not the text of a configuration.
    pub(super) async fn understand(
        &self,
        home: &FileRef,
        text: Vec<u8>,
    ) -> Result<(VmConfig, datastore::Dictionary), Fault> {
        let (datastores, home) = (self.datastores.clone(), home.clone());
        blocking(move || load::understand(&datastores, &home, &text, DateTime::now())).await
    }

    /// Reads the snapshots of a VM.
    ///
    /// # Errors
    /// If the `.vmsd` cannot be read.
    pub(super) async fn load_snapshots(&self, home: &FileRef) -> Result<load::Snapshots, Fault> {
        let (datastores, home) = (self.datastores.clone(), home.clone());
        blocking(move || load::snapshots(&datastores, &home, DateTime::now())).await
    }

    /// Writes a VM's configuration, which the VM has from then on. `suspend` names the saved state. The text is kept beside a
    /// QEMU process first, because there it is the truth.
    ///
    /// # Errors
    /// If the `.vmx` cannot be written; the VM keeps its configuration. `InvalidState` if it was never read.
    pub(super) async fn save(&self, vm: &Vm, config: VmConfig, suspend: Option<&str>) -> Result<(), Fault> {
        let (home, text) = {
            let state = vm.read();
            if state.unread {
                state.readable()?;
                return Err(fault!(InvalidState {}, "The configuration of {} was never read", config.name));
            }
            (state.home.clone(), state.text.clone())
        };
        let on = self.datastores.of(&home)?;
        let before = text.read().map_err(|error| load::damaged(&on.show(&home.path), &error))?;
        let text = render(&config, &home, suspend, &before)?;
        let keep = |text: &datastore::Dictionary| self.engine.keep(vm.me.id(), &text.to_string());
        keep(&text).map_err(|error| machine_fault(&vm.me, &error))?;
        if let Err(fault) = self.write(&home, text.to_string().into_bytes()).await {
            if let Err(error) = keep(&before) {
                tracing::error!(vm = vm.me.id(), %error, "a configuration that was not written is kept");
            }
            return Err(fault);
        }
        vm.change(|state| {
            state.config = Arc::new(config);
            state.suspend_file = suspend.map(ToOwned::to_owned);
            state.text = (&text).into();
        });
        Ok(())
    }

    /// Writes the configuration that a snapshot freezes, as the text of a `.vmx` of its own.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) async fn write_frozen(&self, vm: &Vm, file: &FileRef, config: &VmConfig) -> Result<(), Fault> {
        let text = {
            let state = vm.read();
            render(config, &state.home, state.suspend_file.as_deref(), &datastore::Dictionary::new())?
        };
        self.write(file, text.to_string().into_bytes()).await
    }

    /// Writes the list of snapshots, which the VM has from then on with what `also` changes.
    ///
    /// # Errors
    /// If the `.vmsd` cannot be written; the VM keeps its list.
    pub(super) async fn save_snapshots(
        &self,
        vm: &Vm,
        list: SnapshotList,
        also: impl FnOnce(&mut State),
    ) -> Result<(), Fault> {
        let file = load::snapshot_list(&vm.home())?;
        let text = list
            .to_text()
            .map_err(|error| fault!(GenericVmConfigFault { reason: error.to_string() }, "{error}"))?;
        self.write(&file, text.into_bytes()).await?;
        vm.change(|state| {
            state.frozen.retain(|uid, _| list.get(*uid).is_some());
            state.snapshots = list;
            also(state);
        });
        Ok(())
    }

    /// Gives the images of disks that have no identity the one that the disks have. A datastore that cannot keep identities is
    /// left: there the configuration keeps them.
    pub(super) async fn identify(&self, config: &VmConfig) {
        let datastores = self.datastores.clone();
        let disks: Vec<_> = config.disks().map(|(_, disk)| (disk.file.clone(), disk.uuid)).collect();
        let identified = blocking(move || {
            for (file, uuid) in disks {
                let Some(on) = datastores.by_uuid(file.datastore) else { continue };
                if matches!(on.store.identity_of(&file.path), Ok(None))
                    && let Err(error) = on.store.identify(&file.path, uuid)
                {
                    tracing::warn!(disk = on.show(&file.path), %error, "the disk cannot keep its identity");
                }
            }
            Ok(())
        });
        if let Err(fault) = identified.await {
            tracing::error!(%fault, "disks were not given their identities");
        }
    }

    /// Looks at the room that a VM's files take.
    pub(super) async fn look(&self, vm: &Vm) {
        let datastores = self.datastores.clone();
        let (home, disks) = {
            let state = vm.read();
            (state.home.clone(), all_disk_files(&state))
        };
        let found = blocking(move || Ok(own_files(&datastores, &home, &disks))).await;
        let Ok(files) = found else { return };
        let known = vm.read().files == files;
        if !known {
            vm.change(|state| {
                state.files = files;
                state.files_at = DateTime::now();
            });
        }
    }

    /// The files of a VM in this state, with the room that they take. Blocking.
    pub(super) fn find_own(&self, state: &State) -> Vec<OwnFile> {
        own_files(&self.datastores, &state.home, &all_disk_files(state))
    }

    /// The files of a VM that are there. Blocking.
    pub(super) fn own(&self, vm: &Vm) -> Vec<FileRef> {
        let (home, disks) = {
            let state = vm.read();
            (state.home.clone(), all_disk_files(&state))
        };
        own_files(&self.datastores, &home, &disks).into_iter().map(|file| file.file).collect()
    }

    /// The files beside a VM's `.vmx` that are its own. Blocking.
    pub(super) fn beside(&self, home: &FileRef) -> Vec<FileRef> {
        let none = std::collections::BTreeSet::new();
        own_files(&self.datastores, home, &none).into_iter().map(|file| file.file).collect()
    }

    /// Whether a file exists.
    ///
    /// # Errors
    /// If the datastore is not mounted or cannot be read.
    pub(super) fn has(&self, file: &FileRef) -> Result<bool, Fault> {
        let on = self.datastores.of(file)?;
        on.store.exists(&file.path).map_err(|error| on.fault(&error))
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// If the datastore is not mounted or cannot be written.
    pub(super) async fn write(&self, file: &FileRef, content: Vec<u8>) -> Result<(), Fault> {
        let (on, path) = (self.datastores.of(file)?, file.path.clone());
        blocking(move || on.store.write(&path, &content).map_err(|error| on.fault(&error))).await
    }

    /// Removes files and directories that an interrupted or failed operation made.
    pub(super) async fn clear_away(&self, made: &[FileRef]) {
        for file in made.iter().filter(|file| !file.path.is_root()) {
            let Some(on) = self.datastores.by_uuid(file.datastore) else { continue };
            let path = file.path.clone();
            let cleared = blocking(move || match on.store.delete(&path) {
                Ok(()) | Err(datastore::Error::NotFound(_) | datastore::Error::NotADirectory(_)) => Ok(()),
                Err(error) => Err(on.fault(&error)),
            });
            if let Err(fault) = cleared.await {
                tracing::error!(file = %file.path, %fault, "a file of an unfinished operation stays behind");
            }
        }
    }

    /// Removes a directory that nothing is in.
    pub(super) async fn remove_empty(&self, directory: &FileRef) {
        if directory.path.is_root() {
            return;
        }
        let Some(on) = self.datastores.by_uuid(directory.datastore) else { return };
        let path = directory.path.clone();
        let removed = blocking(move || {
            let empty = on.store.list(&path).map_err(|error| on.fault(&error))?.is_empty();
            if empty { on.store.delete(&path).map_err(|error| on.fault(&error)) } else { Ok(()) }
        });
        if let Err(fault) = removed.await {
            tracing::debug!(directory = %directory.path, %fault, "the directory stays");
        }
    }

    /// Removes the files that the record of an interrupted creation or removal names, and the directories whose owner
    /// token is `says`: the creation made them. Another directory goes only if it is empty.
    pub(super) async fn clear_unfinished(&self, made: &[FileRef], says: &str) {
        for file in made {
            let Some(on) = self.datastores.by_uuid(file.datastore) else { continue };
            let (at, says) = (file.clone(), says.to_owned());
            let foreign = blocking(move || {
                let folder = on.store.entry(&at.path).is_ok_and(|entry| entry.is_folder());
                let token = owner_token(&at)?;
                let ours =
                    || on.store.read(&token.path, MAX_TOKEN_BYTES).is_ok_and(|text| text == says.as_bytes());
                Ok(folder && !ours())
            });
            match foreign.await {
                Ok(false) => self.clear_away(std::slice::from_ref(file)).await,
                _ => self.remove_empty(file).await,
            }
        }
    }
}
