//! A `.vmx` file that a user put on a datastore.

use datastore::{FilePath, vmx};
use uuid::Uuid;
use vim::{DateTime, Fault, MoRef, fault};
use vm::{FileRef, Storage};

/// One datastore, `ds`, of which every file is a disk of 1 MiB.
struct OneDatastore;

const DS: Uuid = Uuid::from_u128(1);

impl Storage for OneDatastore {
    fn parse(&self, text: &str) -> Result<FileRef, Fault> {
        Err(fault!(InvalidDatastorePath { datastorePath: text }, "nothing is asked for by path"))
    }

    fn show(&self, file: &FileRef) -> String {
        file.path.to_string()
    }

    fn by_ref(&self, me: &MoRef) -> Result<Uuid, Fault> {
        Err(fault!(ManagedObjectNotFound { obj: me }, "nothing is asked for by reference"))
    }

    fn by_name(&self, name: &str) -> Option<Uuid> {
        (name == "ds").then_some(DS)
    }

    fn name(&self, datastore: Uuid) -> Option<String> {
        (datastore == DS).then(|| "ds".into())
    }

    fn url(&self, _datastore: Uuid) -> Option<String> {
        None
    }

    fn capacity_bytes(&self, _image: &FileRef) -> Option<u64> {
        Some(1 << 20)
    }

    fn uuid(&self, _image: &FileRef) -> Option<Uuid> {
        None
    }

    fn parents(&self, _image: &FileRef) -> Result<Vec<FileRef>, datastore::Error> {
        Ok(Vec::new())
    }
}

pub(crate) fn run(text: &[u8]) {
    let Ok(file) = vmx::parse(text) else { return };
    if let Ok(written) = file.to_text() {
        let again = vmx::parse(written.as_bytes()).expect("our own file");
        assert_eq!(again.to_text().expect("it was written before"), written);
    }
    let home = FileRef { datastore: DS, path: FilePath::parse("vm/vm.vmx").expect("a path") };
    let now = DateTime::from_micros(1_700_000_000_000_000);
    let Ok(config) = vm::vmx::read(&OneDatastore, &home, &file, now) else { return };
    let Ok(written) = vm::vmx::write(&config, &home, None, &file) else { return };
    let again = vm::vmx::read(&OneDatastore, &home, &written, now).expect("our own configuration");
    let rewritten = vm::vmx::write(&again, &home, None, &written).expect("it was written before");
    assert_eq!(rewritten, written);
}
