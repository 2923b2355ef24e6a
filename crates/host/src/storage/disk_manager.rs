//! The VirtualDiskManager: disks that no VM runs on. The engine copies their data: it flattens chains, and lets a disk
//! appear only when it is whole.

use std::sync::Arc;

use api::{Call, Manager, Running, Table};
use datastore::disk_image;
use vim::{Fault, ManagedId, MoRef, Object, Value, arg, data_id, fault, field, managed_id, method, props};
use vm::faults::not_supported;

use super::Storage;
use super::disks::{
    Use, beside, capacity, copy_disk, delete_extents, disk_fault, identity, look, must_be_disk, read_uuid,
    room, show_uuid,
};
use super::place::{BROWSE, MANAGE, Place};
use crate::blocking::blocking;
use crate::engine::{CopyOptions, Room};

const MANAGER: ManagedId = managed_id!(VirtualDiskManager);

type Reply = Result<Option<Value>, Fault>;

/// The host's VirtualDiskManager.
pub fn me() -> MoRef {
    MoRef::new(MANAGER, "ha-vdiskmanager")
}

pub(super) const ROW: Manager<Arc<Storage>> = Manager {
    me: |_| me(),
    named: Some(field!(ServiceContent.virtualDiskManager).number()),
    properties: |_| Ok(props!(VirtualDiskManager {})),
    register,
};

fn register(table: &mut Table<'_, Arc<Storage>>) {
    table.on(MANAGER, method!(CreateVirtualDisk_Task), create);
    table.on(MANAGER, method!(CopyVirtualDisk_Task), copy);
    table.on(MANAGER, method!(MoveVirtualDisk_Task), relocate);
    table.on(MANAGER, method!(DeleteVirtualDisk_Task), |storage, call| async move {
        let name = call.required(arg!(DeleteVirtualDisk_Task.name))?.to_owned();
        let place = Place::of(&storage, &call, &name, MANAGE)?;
        let options = place.task(false);
        let work = async move |_| {
            storage.changing(&[place.datastore()], delete(&storage, &place)).await?;
            Ok(None)
        };
        call.task(options, work).await
    });
    table.on(MANAGER, method!(ExtendVirtualDisk_Task), extend);
    table.on(MANAGER, method!(InflateVirtualDisk_Task), |storage, call| async move {
        let name = call.required(arg!(InflateVirtualDisk_Task.name))?;
        let place = Place::of(&storage, &call, name, MANAGE)?;
        rewrite(storage, &call, place, Room::Thick).await
    });
    table.on(MANAGER, method!(EagerZeroVirtualDisk_Task), |storage, call| async move {
        let name = call.required(arg!(EagerZeroVirtualDisk_Task.name))?;
        let place = Place::of(&storage, &call, name, MANAGE)?;
        rewrite(storage, &call, place, Room::EagerThick).await
    });
    table.on(MANAGER, method!(ShrinkVirtualDisk_Task), |storage, call| async move {
        let name = call.required(arg!(ShrinkVirtualDisk_Task.name))?;
        if call.arg(arg!(ShrinkVirtualDisk_Task.copy)) == Some(false) {
            return Err(not_supported("A disk is shrunk by copying it; call without copy=false"));
        }
        let place = Place::of(&storage, &call, name, MANAGE)?;
        rewrite(storage, &call, place, Room::Thin).await
    });
    for method in [method!(ZeroFillVirtualDisk_Task), method!(DefragmentVirtualDisk_Task)] {
        table.on(MANAGER, method, |_, _| async {
            Err(not_supported(
                "Disks are not filled with zeros or defragmented in place; copy the disk instead",
            ))
        });
    }
    table.on(MANAGER, method!(QueryVirtualDiskUuid), |storage, call| async move {
        let place = Place::of(&storage, &call, call.required(arg!(QueryVirtualDiskUuid.name))?, BROWSE)?;
        let uuid = blocking(move || identity(&place)).await?;
        Ok(Some(Value::from(show_uuid(uuid))))
    });
    table.on(MANAGER, method!(SetVirtualDiskUuid), |storage, call| async move {
        let place = Place::of(&storage, &call, call.required(arg!(SetVirtualDiskUuid.name))?, MANAGE)?;
        let uuid = read_uuid(call.required(arg!(SetVirtualDiskUuid.uuid))?)?;
        must_be_disk(&place)?;
        blocking(move || {
            storage.in_use.refuse_open(&place)?;
            place.on.store.identify(&place.file.path, uuid).map_err(|error| place.fault(&error))?;
            storage.in_use.vms().disk_was_identified(&place.file, uuid);
            Ok(())
        })
        .await?;
        Ok(None)
    });
    table.on(MANAGER, method!(QueryVirtualDiskFragmentation), |_, _| async {
        Err(not_supported("The fragmentation of disks is not known"))
    });
}

async fn create(storage: Arc<Storage>, call: Call) -> Reply {
    let place = Place::of(&storage, &call, call.required(arg!(CreateVirtualDisk_Task.name))?, MANAGE)?;
    let spec = call.required(arg!(CreateVirtualDisk_Task.spec))?;
    let kib = Object::get(spec, field!(FileBackedVirtualDiskSpec.capacityKb))
        .filter(|_| spec.is_a(data_id!(FileBackedVirtualDiskSpec)));
    let Some(kib) = kib else {
        return Err(not_supported(
            "Only disks that are files are supported: give a FileBackedVirtualDiskSpec",
        ));
    };
    let bytes = capacity(kib, "spec.capacityKb")?;
    let room = room(spec.get(field!(VirtualDiskSpec.diskType)).unwrap_or("thin"))?;
    let options = place.task(false);
    let work = async move |_| {
        storage.changing(&[place.datastore()], create_disk(&storage, &place, bytes, room)).await?;
        Ok(Some(Value::from(place.show())))
    };
    call.task(options, work).await
}

async fn create_disk(storage: &Storage, place: &Place, bytes: u64, room: Room) -> Result<(), Fault> {
    must_be_disk(place)?;
    let at = place.clone();
    blocking(move || {
        let store = &at.on.store;
        let there = store.exists(&at.file.path).map_err(|error| at.fault(&error))?;
        if there {
            return Err(at.fault(&datastore::Error::AlreadyExists(at.file.path.clone())));
        }
        let parent = at.file.path.parent().unwrap_or_default();
        store.entry(&parent).map_err(|error| at.fault(&error))?;
        if room != Room::Thin {
            store.require_space(&at.file.path, bytes).map_err(|error| at.fault(&error))?;
        }
        Ok(())
    })
    .await?;
    let (thin, eager) = (room == Room::Thin, room == Room::EagerThick);
    let created = storage.images.create(&place.file, bytes, thin, eager).await;
    created.map_err(|error| disk_fault(place, &error))
}

/// Deletes a disk with the files that its descriptor names.
async fn delete(storage: &Storage, place: &Place) -> Result<(), Fault> {
    let (in_use, place) = (storage.in_use.clone(), place.clone());
    blocking(move || {
        in_use.refuse_open(&place)?;
        // A file that cannot be read as a disk goes alone.
        let extents = disk_image::facts(&place.on.store, &place.file.path).map(|facts| facts.extents);
        let extents = extents.unwrap_or_default();
        for extent in &extents {
            in_use.refuse_open(&beside(&place, extent))?;
        }
        place.on.store.delete(&place.file.path).map_err(|error| place.fault(&error))?;
        delete_extents(&place, &extents)
    })
    .await
}

async fn copy(storage: Arc<Storage>, call: Call) -> Reply {
    let from = Place::of(&storage, &call, call.required(arg!(CopyVirtualDisk_Task.sourceName))?, MANAGE)?;
    let to = Place::of(&storage, &call, call.required(arg!(CopyVirtualDisk_Task.destName))?, MANAGE)?;
    let overwrite = call.arg(arg!(CopyVirtualDisk_Task.force)).unwrap_or(false);
    let kind = call
        .arg(arg!(CopyVirtualDisk_Task.destSpec))
        .and_then(|spec| spec.get(field!(VirtualDiskSpec.diskType)).map(str::to_owned));
    let room = kind.map_or(Ok(Room::Thin), |kind| room(&kind))?;
    let options = to.task(true);
    let work = async move |running: Running| {
        if from.file == to.file {
            let error =
                datastore::Error::IntoItself { from: from.file.path.clone(), to: to.file.path.clone() };
            return Err(from.fault(&error));
        }
        let copied = copy_disk(&storage, &from, &to, CopyOptions { room, overwrite }, running);
        storage.changing(&[to.datastore()], copied).await?;
        Ok(Some(Value::from(to.show())))
    };
    call.task(options, work).await
}

async fn relocate(storage: Arc<Storage>, call: Call) -> Reply {
    let from = Place::of(&storage, &call, call.required(arg!(MoveVirtualDisk_Task.sourceName))?, MANAGE)?;
    let to = Place::of(&storage, &call, call.required(arg!(MoveVirtualDisk_Task.destName))?, MANAGE)?;
    let overwrite = call.arg(arg!(MoveVirtualDisk_Task.force)).unwrap_or(false);
    let options = to.task(true);
    let work = async move |running: Running| {
        let datastores = [from.datastore(), to.datastore()];
        storage.changing(&datastores, move_disk(&storage, &from, &to, overwrite, running)).await?;
        Ok(Some(Value::from(to.show())))
    };
    call.task(options, work).await
}

/// Moves a disk: by renaming on its datastore, else by copying it whole.
async fn move_disk(
    storage: &Storage,
    from: &Place,
    to: &Place,
    overwrite: bool,
    running: Running,
) -> Result<(), Fault> {
    must_be_disk(to)?;
    let facts = look(storage, from, Use::Alone).await?;
    let room = if facts.thin { Room::Thin } else { Room::Thick };
    let (source, target) = (from.clone(), to.clone());
    // A layer or a descriptor names other files by their places: elsewhere it would not find them.
    let alone = facts.header.backing.is_none() && facts.header.extents.is_empty();
    if from.file.datastore == to.file.datastore && alone {
        let in_use = storage.in_use.clone();
        return blocking(move || {
            if overwrite {
                in_use.refuse_open(&target)?;
            }
            let moved = source.on.store.rename(&source.file.path, &target.file.path, overwrite);
            moved.map_err(|error| source.fault(&error))
        })
        .await;
    }
    copy_disk(storage, from, to, CopyOptions { room, overwrite }, running).await?;
    blocking(move || {
        let (old, new) = (&source.on.store, &target.on.store);
        if let Some(uuid) = disk_image::uuid(old, &source.file.path).map_err(|error| source.fault(&error))? {
            new.identify(&target.file.path, uuid).map_err(|error| target.fault(&error))?;
        }
        old.delete(&source.file.path).map_err(|error| source.fault(&error))?;
        delete_extents(&source, &facts.header.extents)
    })
    .await
}

async fn extend(storage: Arc<Storage>, call: Call) -> Reply {
    let place = Place::of(&storage, &call, call.required(arg!(ExtendVirtualDisk_Task.name))?, MANAGE)?;
    let bytes = capacity(call.required(arg!(ExtendVirtualDisk_Task.newCapacityKb))?, "newCapacityKb")?;
    if call.arg(arg!(ExtendVirtualDisk_Task.eagerZero)) == Some(true) {
        return Err(not_supported(
            "The new part of a disk is zeroed when it is first used; call without eagerZero",
        ));
    }
    let options = place.task(false);
    let work = async move |_| {
        let grown = async {
            let facts = look(&storage, &place, Use::Alone).await?;
            if !facts.header.format.runs() {
                return Err(place.fault(&facts.header.format.unfit(&place.file.path)));
            }
            if bytes < facts.header.capacity_bytes {
                return Err(fault!(
                    InvalidArgument { invalidProperty: "newCapacityKb" },
                    "{} has {} KiB already, and disks are not cut",
                    place.show(),
                    facts.header.capacity_bytes / 1024
                ));
            }
            let grown = storage.images.grow(&place.file, bytes).await;
            grown.map_err(|error| disk_fault(&place, &error))
        };
        storage.changing(&[place.datastore()], grown).await?;
        Ok(None)
    };
    call.task(options, work).await
}

async fn rewrite(storage: Arc<Storage>, call: &Call, place: Place, room: Room) -> Reply {
    let options = place.task(true);
    let work = async move |running: Running| {
        storage.changing(&[place.datastore()], rewrite_disk(&storage, &place, room, running)).await?;
        Ok(None)
    };
    call.task(options, work).await
}

/// Writes a disk anew in its place, with another use of room. The disk keeps its identity.
async fn rewrite_disk(storage: &Storage, place: &Place, room: Room, running: Running) -> Result<(), Fault> {
    let facts = look(storage, place, Use::Alone).await?;
    if facts.header.backing.is_some() {
        return Err(not_supported(
            "The disk is a layer of a snapshot; its room cannot be changed without those under it",
        ));
    }
    let at = place.clone();
    let uuid = blocking(move || identity(&at)).await.ok();
    copy_disk(storage, place, place, CopyOptions { room, overwrite: true }, running).await?;
    let at = place.clone();
    blocking(move || {
        delete_extents(&at, &facts.header.extents)?;
        let Some(uuid) = uuid else { return Ok(()) };
        at.on.store.identify(&at.file.path, uuid).map_err(|error| at.fault(&error))
    })
    .await
}
