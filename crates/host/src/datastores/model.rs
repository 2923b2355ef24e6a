//! The host's datastores as the model of a VM asks for them.

use datastore::disk_image;
use uuid::Uuid;
use vim::{Fault, MoRef};
use vm::{FileRef, Storage};

use super::Datastores;

impl Storage for Datastores {
    fn parse(&self, text: &str) -> Result<FileRef, Fault> {
        self.parse(text)
    }

    fn show(&self, file: &FileRef) -> String {
        self.show(file)
    }

    fn by_ref(&self, me: &MoRef) -> Result<Uuid, Fault> {
        self.by_ref(me).map(|on| on.store.uuid())
    }

    fn by_name(&self, name: &str) -> Option<Uuid> {
        self.by_name(name).map(|on| on.store.uuid())
    }

    fn name(&self, datastore: Uuid) -> Option<String> {
        self.by_uuid(datastore).map(|on| on.name)
    }

    fn url(&self, datastore: Uuid) -> Option<String> {
        self.by_uuid(datastore).map(|on| on.store.url().to_owned())
    }

    fn capacity_bytes(&self, image: &FileRef) -> Option<u64> {
        let on = self.by_uuid(image.datastore)?;
        disk_image::facts(&on.store, &image.path).ok().map(|facts| facts.capacity_bytes)
    }

    fn uuid(&self, image: &FileRef) -> Option<Uuid> {
        let on = self.by_uuid(image.datastore)?;
        disk_image::uuid(&on.store, &image.path).ok().flatten()
    }

    fn parents(&self, image: &FileRef) -> Result<Vec<FileRef>, datastore::Error> {
        let Some(on) = self.by_uuid(image.datastore) else { return Ok(Vec::new()) };
        let found = disk_image::parents(&on.store, &image.path)?;
        Ok(found.into_iter().map(|path| FileRef { datastore: image.datastore, path }).collect())
    }
}
