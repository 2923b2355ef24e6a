//! A host without files: datastores by name, disks of one size, paths for QEMU.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::PathBuf;

use datastore::{Dictionary, FilePath};
use qemu::spec::ImageFormat;
use uuid::Uuid;
use vim::{DateTime, Fault, MoRef, Object, fault};
use vm::config::VmConfig;
use vm::device::{Step, Surroundings};
use vm::machine::Files;
use vm::{FileRef, Storage, plan};

/// The datastore `ds`, on which the VM is, and another one, `iso`.
pub const DS: Uuid = Uuid::from_u128(0xa);
pub const ISO: Uuid = Uuid::from_u128(0xb);
const NAMES: [(Uuid, &str); 2] = [(DS, "ds"), (ISO, "iso")];

pub struct World;

impl Storage for World {
    fn parse(&self, text: &str) -> Result<FileRef, Fault> {
        let path = datastore::DatastorePath::parse(text)
            .map_err(|error| fault!(InvalidDatastorePath { datastorePath: text }, "{error}"))?;
        let datastore =
            self.by_name(path.datastore()).ok_or_else(|| fault!(InvalidDatastore {}, "{text}"))?;
        Ok(FileRef { datastore, path: path.into_path() })
    }

    fn show(&self, file: &FileRef) -> String {
        format!("[{}] {}", self.name(file.datastore).unwrap_or_default(), file.path.as_str())
    }

    fn by_ref(&self, me: &MoRef) -> Result<Uuid, Fault> {
        me.id().parse().map_err(|_| fault!(ManagedObjectNotFound { obj: me }, "no {me}"))
    }

    fn by_name(&self, name: &str) -> Option<Uuid> {
        NAMES.iter().find(|known| known.1 == name).map(|known| known.0)
    }

    fn name(&self, datastore: Uuid) -> Option<String> {
        NAMES.iter().find(|known| known.0 == datastore).map(|known| known.1.to_owned())
    }

    fn url(&self, _datastore: Uuid) -> Option<String> {
        None
    }

    fn capacity_bytes(&self, _image: &FileRef) -> Option<u64> {
        Some(1 << 30)
    }

    /// The images on `iso` know who they are.
    fn uuid(&self, image: &FileRef) -> Option<Uuid> {
        (image.datastore == ISO).then_some(Uuid::from_u128(0x150))
    }

    fn parents(&self, _image: &FileRef) -> Result<Vec<FileRef>, datastore::Error> {
        Ok(Vec::new())
    }
}

impl Files for World {
    fn own(&self, file: &FileRef) -> qemu::Result<PathBuf> {
        Ok(format!("/{}", file.path.as_str()).into())
    }

    fn shared(&self, file: &FileRef) -> qemu::Result<PathBuf> {
        self.own(file)
    }

    fn output(&self, file: &FileRef) -> qemu::Result<PathBuf> {
        self.own(file)
    }

    fn parents(&self, _image: &FileRef) -> qemu::Result<Vec<FileRef>> {
        Ok(Vec::new())
    }

    fn format(&self, _image: &FileRef) -> qemu::Result<ImageFormat> {
        Ok(ImageFormat::Qcow2)
    }
}

pub fn file(datastore: Uuid, path: &str) -> FileRef {
    FileRef { datastore, path: FilePath::parse(path).unwrap() }
}

pub fn home() -> FileRef {
    file(DS, "web01/web01.vmx")
}

pub fn now() -> DateTime {
    DateTime::parse("2026-01-02T03:04:05Z").unwrap()
}

/// Plans with this world, where every disk exists, every ISO image too, and nothing else.
pub fn planned<T>(running: bool, decide: impl FnOnce(&Surroundings<'_>) -> T) -> T {
    decide(&Surroundings {
        storage: &World,
        home: home(),
        running,
        has_snapshots: false,
        network: &|me, name| {
            let id = me.map(|me| me.id().trim_start_matches("HaNetwork-").to_owned());
            Some(id.unwrap_or_else(|| name.to_owned()))
        },
        capacity_bytes: &|_| Ok(1 << 30),
        parents: &|_| Ok(Vec::new()),
        exists: &|file| Ok(file.path.as_str().ends_with(".iso")),
        unfit_for_output: &|_| Ok(None),
        new_mac: &|| "00:50:56:80:00:01".into(),
        now: now(),
    })
}

pub fn reconfigured(config: &VmConfig, running: bool, spec: &Object) -> Result<(VmConfig, Vec<Step>), Fault> {
    planned(running, |around| plan::reconfigure(spec, config, around)).map(|plan| (plan.config, plan.steps))
}

pub fn read(text: &Dictionary) -> Result<VmConfig, vm::vmx::ReadError> {
    vm::vmx::read(&World, &home(), text, now())
}

pub fn written(config: &VmConfig, before: &Dictionary) -> Dictionary {
    vm::vmx::write(config, &home(), None, before).unwrap()
}
