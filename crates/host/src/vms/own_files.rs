//! The files that belong to a VM: by the names in its directory, and by its configurations.

use std::collections::BTreeSet;

use vim::{Fault, fault};
use vm::FileRef;
use vm::config::VmConfig;
use vm::device::{Cdrom, Kind, Medium, Serial, SerialBacking};
use vm::observed::OwnFile;

use super::state::State;
use crate::datastores::Datastores;

/// Endings of the files that belong to a VM, beside its disks.
const OWN_ENDINGS: [&str; 9] =
    [".vmx", ".vmxf", ".nvram", ".vmsd", ".vmsn", ".vmss", ".vmss.partial", ".log", ".vswp"];

/// The file in the directory of a VM that is being made that names the maker. It makes the directory and everything in it
/// the creation's own, which recovery may then remove if the creation is interrupted.
const OWNER_TOKEN: &str = ".unfinished-machine";

/// The owner token of a directory.
///
/// # Errors
/// `InvalidName`.
pub(super) fn owner_token(directory: &FileRef) -> Result<FileRef, Fault> {
    let path = directory.path.join(OWNER_TOKEN);
    let path = path.map_err(|error| fault!(InvalidName { name: OWNER_TOKEN }, "{error}"))?;
    Ok(FileRef { datastore: directory.datastore, path })
}

/// The text of the owner token of a VM of the host with this identity.
pub(super) fn owner_says(host: uuid::Uuid, number: u64) -> String {
    format!("{host} {number}\n")
}

/// The images of a VM's disks, now and in its snapshots.
pub(super) fn all_disk_files(state: &State) -> BTreeSet<FileRef> {
    let mut files = BTreeSet::new();
    for config in std::iter::once(&state.config).chain(state.frozen.values()) {
        disk_files(config, &mut files);
    }
    files
}

/// The files that a VM's configurations name: its `.vmx`, its disks, media and files of serial ports.
pub(super) fn all_named_files(state: &State) -> BTreeSet<FileRef> {
    let mut files = all_disk_files(state);
    files.insert(state.home.clone());
    for config in std::iter::once(&state.config).chain(state.frozen.values()) {
        other_files(config, &mut files);
    }
    files
}

/// The files that a VM has open while it is on: its own, its disks, media and files of serial ports.
pub(super) fn open_files(state: &State) -> BTreeSet<FileRef> {
    if state.power != vm::Power::On {
        return BTreeSet::new();
    }
    let mut files: BTreeSet<FileRef> = state.files.iter().map(|file| file.file.clone()).collect();
    disk_files(&state.config, &mut files);
    other_files(&state.config, &mut files);
    files
}

fn disk_files(config: &VmConfig, files: &mut BTreeSet<FileRef>) {
    for (_, disk) in config.disks() {
        files.insert(disk.file.clone());
        files.extend(disk.parents.iter().cloned());
    }
}

/// Media and files of serial ports.
fn other_files(config: &VmConfig, files: &mut BTreeSet<FileRef>) {
    files.extend(config.devices.values().filter_map(|device| match &device.kind {
        Kind::Cdrom(Cdrom { medium: Medium::Iso(file) }) => Some(file.clone()),
        Kind::Serial(Serial { backing: SerialBacking::File(file), .. }) => Some(file.clone()),
        _ => None,
    }));
}

/// The files of a VM that are there: those of its directory that are its own, and its disks. Blocking.
pub(super) fn own_files(datastores: &Datastores, home: &FileRef, disks: &BTreeSet<FileRef>) -> Vec<OwnFile> {
    let mut found = Vec::new();
    let directory = home.directory();
    let entries = datastores.of(home).ok().and_then(|on| on.store.list(&directory.path).ok());
    let entries = entries.unwrap_or_default();
    let vms: Vec<&str> = entries.iter().filter_map(|entry| entry.name.strip_suffix(".vmx")).collect();
    for entry in entries.iter().filter(|entry| !entry.is_folder()) {
        let own = is_own(&entry.name, home.path.stem(), &vms);
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

/// Whether a file belongs to the VM whose files begin with `stem`, beside those of the other `vms` in the directory:
/// `web-2.nvram` belongs to the VM `web-2` if it exists, else to the VM `web`.
fn is_own(name: &str, stem: &str, vms: &[&str]) -> bool {
    let begins = |stem: &str| name.strip_prefix(stem).is_some_and(|rest| rest.starts_with(['.', '-']));
    if name == OWNER_TOKEN {
        return true;
    }
    if !OWN_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return false;
    }
    let nearer = vms.iter().any(|other| other.len() > stem.len() && begins(other));
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
