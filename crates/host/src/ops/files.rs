//! A machine's files: reading and writing its configuration, and what they take.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datastore::limits::MAX_DICTIONARY_BYTES;
use datastore::vmsd::SnapshotList;
use datastore::{Dictionary, vmx};
use vim::{DateTime, Fault, fault};
use vm::config::VmConfig;
use vm::device::{Cdrom, Kind, Medium, Serial, SerialBacking};
use vm::observed::OwnFile;
use vm::{FileRef, vmx as text};

use super::blocking;
use crate::Host;
use crate::datastores::Datastores;
use crate::vms::State;
use crate::vms::Vm;

/// Endings of the files that belong to a machine, beside its disks.
const OWN_ENDINGS: [&str; 9] =
    [".vmx", ".vmxf", ".nvram", ".vmsd", ".vmsn", ".vmss", ".vmss.partial", ".log", ".vswp"];

/// The file in the directory of a machine that is being made that says who makes it. It makes what is in the directory
/// the creation's own, which may then be removed if that is interrupted.
const OWNER_TOKEN: &str = ".unfinished-machine";
/// Longest text of such a file that is read.
const MAX_TOKEN_BYTES: u64 = 256;

/// The owner token of a directory.
pub(crate) fn owner_token(directory: &FileRef) -> Result<FileRef, Fault> {
    let path = directory.path.join(OWNER_TOKEN);
    let path = path.map_err(|error| fault!(InvalidName { name: OWNER_TOKEN }, "{error}"))?;
    Ok(FileRef { datastore: directory.datastore, path })
}

/// What the owner token of a machine of this host says.
pub(crate) fn owner_says(host: &Host, number: u64) -> String {
    format!("{} {number}\n", host.uuid)
}

/// What the files of a machine say.
pub(crate) struct Loaded {
    pub(crate) config: VmConfig,
    pub(crate) text: Dictionary,
    pub(crate) snapshots: SnapshotList,
    pub(crate) frozen: BTreeMap<u32, Arc<VmConfig>>,
}

/// The `.vmsd` beside a `.vmx`.
pub(crate) fn snapshot_list(home: &FileRef) -> Result<FileRef, Fault> {
    sibling(home, &format!("{}.vmsd", home.path.stem()))
}

/// A file beside a `.vmx`.
pub(crate) fn sibling(home: &FileRef, name: &str) -> Result<FileRef, Fault> {
    home.sibling(name).map_err(|error| fault!(InvalidName { name: name }, "{error}"))
}

/// Reads a machine's configuration and snapshots. Blocking.
pub(crate) fn load(datastores: &Datastores, home: &FileRef, now: DateTime) -> Result<Loaded, Fault> {
    let on = datastores.of(home)?;
    let text = on.store.read_vmx(&home.path).map_err(|error| on.fault(&error))?;
    let config =
        text::read(datastores, home, &text, now).map_err(|error| unread(&on.show(&home.path), error))?;
    let list = snapshot_list(home)?;
    let snapshots = on.store.read_vmsd(&list.path).map_err(|error| on.fault(&error))?;
    let mut frozen = BTreeMap::new();
    for snapshot in &snapshots.snapshots {
        match load_frozen(datastores, home, &snapshot.file_name, now) {
            Ok(config) => drop(frozen.insert(snapshot.uid, Arc::new(config))),
            Err(fault) => {
                tracing::warn!(vm = %config.name, snapshot = snapshot.uid, %fault, "a snapshot's configuration cannot be read");
            }
        }
    }
    Ok(Loaded { config, text, snapshots, frozen })
}

/// Reads the configurations that all snapshots of a list froze. Blocking.
///
/// # Errors
/// If one of them cannot be read.
pub(crate) fn load_all_frozen(
    datastores: &Datastores,
    home: &FileRef,
    list: &SnapshotList,
    now: DateTime,
) -> Result<BTreeMap<u32, Arc<VmConfig>>, Fault> {
    let load = |snapshot: &datastore::vmsd::SnapshotRecord| {
        Ok((snapshot.uid, Arc::new(load_frozen(datastores, home, &snapshot.file_name, now)?)))
    };
    list.snapshots.iter().map(load).collect()
}

/// Reads the configuration that a snapshot froze, which is kept in the text of a `.vmx`. Blocking.
pub(crate) fn load_frozen(
    datastores: &Datastores,
    home: &FileRef,
    name: &str,
    now: DateTime,
) -> Result<VmConfig, Fault> {
    let file = sibling(home, name)?;
    let on = datastores.of(&file)?;
    let content = on.store.read(&file.path, MAX_DICTIONARY_BYTES as u64).map_err(|error| on.fault(&error))?;
    let text = vmx::parse(&content).map_err(|error| damaged(&on.show(&file.path), &error))?;
    text::read(datastores, home, &text, now).map_err(|error| unread(&on.show(&file.path), error))
}

fn unread(file: &str, error: text::ReadError) -> Fault {
    match error {
        text::ReadError::Text(error) => damaged(file, &error),
        text::ReadError::Fault(fault) => fault,
    }
}

fn damaged(file: &str, error: &dyn std::fmt::Display) -> Fault {
    fault!(CannotAccessFile { file: file }, "{file} cannot be understood: {error}")
}

/// The text of a configuration, over what was there before.
pub(crate) fn render(
    config: &VmConfig,
    home: &FileRef,
    suspend_file: Option<&str>,
    before: &Dictionary,
) -> Result<Dictionary, Fault> {
    text::write(config, home, suspend_file, before)
        .map_err(|error| fault!(GenericVmConfigFault { reason: error.to_string() }, "{error}"))
}

impl Host {
    /// Writes a machine's configuration, which is then the one that it has. `suspend` names the saved state.
    pub(crate) async fn save(&self, vm: &Vm, config: VmConfig, suspend: Option<&str>) -> Result<(), Fault> {
        let (home, text) = {
            let state = vm.state();
            (state.home.clone(), state.text.clone())
        };
        let on = self.datastores.of(&home)?;
        let text = text.read().map_err(|error| damaged(&on.show(&home.path), &error))?;
        let text = render(&config, &home, suspend, &text)?;
        let content = text.to_string();
        blocking(move || on.store.write(&home.path, content.as_bytes()).map_err(|error| on.fault(&error)))
            .await?;
        let mut state = vm.state();
        state.config = Arc::new(config);
        state.suspend_file = suspend.map(ToOwned::to_owned);
        state.text = (&text).into();
        Ok(())
    }

    /// Removes what an interrupted creation or removal of a machine named: files, and directories whose token says that
    /// it made them. Another directory goes only if it is empty.
    pub(crate) async fn clear_unfinished(&self, number: u64, made: &[FileRef]) {
        let says = owner_says(self, number);
        for file in made {
            let Some(on) = self.datastores.by_uuid(file.datastore) else { continue };
            let (at, says) = (file.clone(), says.clone());
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

    /// Writes the list of snapshots, which is then the one that the machine has.
    pub(crate) async fn save_snapshots(&self, vm: &Vm, list: SnapshotList) -> Result<(), Fault> {
        let home = vm.state().home.clone();
        let file = snapshot_list(&home)?;
        let on = self.datastores.of(&file)?;
        let text = list
            .to_text()
            .map_err(|error| fault!(GenericVmConfigFault { reason: error.to_string() }, "{error}"))?;
        blocking(move || on.store.write(&file.path, text.as_bytes()).map_err(|error| on.fault(&error)))
            .await?;
        let mut state = vm.state();
        state.frozen.retain(|uid, _| list.get(*uid).is_some());
        state.snapshots = list;
        Ok(())
    }

    /// Looks at what a machine's files take.
    pub(crate) async fn look_at_files(&self, vm: &Vm) {
        let datastores = self.datastores.clone();
        let (home, disks) = {
            let state = vm.state();
            (state.home.clone(), all_disk_files(&state))
        };
        let found = blocking(move || Ok(own_files(&datastores, &home, &disks))).await;
        if let Ok(files) = found {
            let mut state = vm.state();
            if state.files != files {
                state.files = files;
                state.files_at = DateTime::now();
            }
        }
    }
}

/// The images of a machine's disks, now and in its snapshots.
pub(crate) fn all_disk_files(state: &State) -> BTreeSet<FileRef> {
    let mut files = BTreeSet::new();
    for config in std::iter::once(&state.config).chain(state.frozen.values()) {
        for (_, disk) in config.disks() {
            files.insert(disk.file.clone());
            files.extend(disk.parents.iter().cloned());
        }
    }
    files
}

/// The files that a machine's configurations name: itself, its disks, media and files of serial ports.
pub(crate) fn all_named_files(state: &State) -> BTreeSet<FileRef> {
    let mut files = all_disk_files(state);
    files.insert(state.home.clone());
    for config in std::iter::once(&state.config).chain(state.frozen.values()) {
        files.extend(config.devices.values().filter_map(|device| match &device.kind {
            Kind::Cdrom(Cdrom { medium: Medium::Iso(file) }) => Some(file.clone()),
            Kind::Serial(Serial { backing: SerialBacking::File(file), .. }) => Some(file.clone()),
            _ => None,
        }));
    }
    files
}

/// The files of a machine that are there: those of its directory that are its own, and its disks. Blocking.
pub(crate) fn own_files(datastores: &Datastores, home: &FileRef, disks: &BTreeSet<FileRef>) -> Vec<OwnFile> {
    let mut found = Vec::new();
    let directory = home.directory();
    let entries = datastores.of(home).ok().and_then(|on| on.store.list(&directory.path).ok());
    let entries = entries.unwrap_or_default();
    let machines: Vec<&str> = entries.iter().filter_map(|entry| entry.name.strip_suffix(".vmx")).collect();
    for entry in entries.iter().filter(|entry| !entry.is_folder()) {
        let own = is_own(&entry.name, home.path.stem(), &machines);
        if let Ok(path) = directory.path.join(&entry.name)
            && own
        {
            let file = FileRef { datastore: home.datastore, path };
            found.push(OwnFile { file, allocated_bytes: entry.allocated_bytes });
        }
    }
    for file in disks {
        let entry = datastores.of(file).ok().and_then(|on| on.store.entry(&file.path).ok());
        if let Some(entry) = entry {
            found.push(OwnFile { file: file.clone(), allocated_bytes: entry.allocated_bytes });
        }
    }
    found
}

/// Whether a file is the machine's whose files begin with `stem`, beside those of the other machines in the directory:
/// `web-2.nvram` is the machine's `web-2` if there is one, else the machine's `web`.
fn is_own(name: &str, stem: &str, machines: &[&str]) -> bool {
    let begins = |stem: &str| name.strip_prefix(stem).is_some_and(|rest| rest.starts_with(['.', '-']));
    if name == OWNER_TOKEN {
        return true;
    }
    if !OWN_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return false;
    }
    let nearer = machines.iter().any(|other| other.len() > stem.len() && begins(other));
    begins(stem) && !nearer || name.starts_with("vmware") && name.ends_with(".log")
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn a_file_is_the_machines_whose_name_it_has_and_no_others() {
        let machines = ["web", "web2", "web-2", "web.1", "vmware"];
        for (name, own) in [
            ("web.vmx", true),
            ("web-Snapshot1.vmsn", true),
            ("web-0000aaaa.vmss", true),
            ("vmware.log", true),
            ("vmware.vmx", false),
            ("web2.vmx", false),
            ("web-2.vmx", false),
            ("web-2-Snapshot1.vmsn", false),
            ("web.1.nvram", false),
            ("web.iso", false),
        ] {
            assert_eq!(is_own(name, "web", &machines), own, "{name}");
        }
    }
}
