//! Chooses the place of the files of a new VM. Blocking: it looks at the datastores.

use datastore::{DatastorePath, FilePath};
use vim::{Fault, Object, fault, field};
use vm::FileRef;
use vm::faults::invalid_config;

use crate::datastores::Datastores;

/// Directory names that are tried for one VM.
const MOST_DIRECTORIES: usize = 1000;

/// The `.vmx` of the VM that a specification describes, and whether its directory is to be made.
///
/// # Errors
/// `InvalidVmConfig` if the specification names no datastore, `InvalidDatastorePath`, `InvalidDatastore`, `InvalidName`,
/// `FileAlreadyExists`.
pub(super) fn choose(datastores: &Datastores, spec: &Object) -> Result<(FileRef, bool), Fault> {
    let name = spec.get(field!(VirtualMachineConfigSpec.name)).unwrap_or_default();
    let files = spec.get(field!(VirtualMachineConfigSpec.files));
    let asked = files
        .and_then(|files| files.get(field!(VirtualMachineFileInfo.vmPathName)))
        .map(str::trim)
        .filter(|path| !path.is_empty())
        .ok_or_else(|| {
            invalid_config("files.vmPathName", "Say on which datastore the VM is to be: \"[datastore]\"")
        })?;
    let path = DatastorePath::parse(asked)
        .map_err(|error| fault!(InvalidDatastorePath { datastorePath: asked }, "{error}"))?;
    let home = datastores.parse(asked)?;
    let on = datastores.of(&home)?;
    let exists = |path: &FilePath| on.store.exists(path).map_err(|error| on.fault(&error));
    let in_directory = |directory: FilePath, stem: &str| {
        let path = directory.join(&format!("{stem}.vmx")).map_err(|error| bad_name(name, &error));
        path.map(|path| FileRef { datastore: home.datastore, path })
    };
    let stem = file_stem(name);
    if path.path().is_root() {
        for number in 0..MOST_DIRECTORIES {
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

/// The name of a VM as the name of files.
fn file_stem(name: &str) -> String {
    let stem: String =
        name.chars().map(|c| if c == '/' || c == '\\' || c.is_control() { '_' } else { c }).collect();
    let stem = stem.trim().trim_start_matches('.').to_owned();
    if stem.is_empty() { "vm".into() } else { stem }
}

fn bad_name(name: &str, error: &dyn std::fmt::Display) -> Fault {
    fault!(InvalidName { name: name }, "\"{name}\" cannot be the name of a directory: {error}")
}
