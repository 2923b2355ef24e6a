//! Names of files in a `.vmx`.

use datastore::vmx::FileName;
use uuid::Uuid;

use crate::file::FileRef;
use crate::storage::Storage;

/// The file that a name in the `.vmx` `home` means; `None` if its datastore is not mounted or the name is not valid.
pub fn resolve(storage: &dyn Storage, home: &FileRef, name: &str) -> Option<FileRef> {
    let directory = home.path.parent().unwrap_or_default();
    match FileName::parse(name, &directory).ok()? {
        FileName::Here(path) => Some(FileRef { datastore: home.datastore, path }),
        FileName::Volume { volume, path } => {
            let known = Uuid::parse_str(&volume).ok().filter(|uuid| storage.name(*uuid).is_some());
            let datastore = known.or_else(|| storage.by_name(&volume))?;
            Some(FileRef { datastore, path })
        }
        FileName::Datastore(path) => {
            let datastore = storage.by_name(path.datastore())?;
            Some(FileRef { datastore, path: path.into_path() })
        }
    }
}

/// How the `.vmx` `home` names a file: without a directory if both are in the same one.
pub fn file_name(home: &FileRef, file: &FileRef) -> String {
    let directory = home.path.parent().unwrap_or_default();
    FileName::write(&file.path, &file.datastore.to_string(), file.datastore == home.datastore, &directory)
}
