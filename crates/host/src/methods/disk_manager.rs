//! The VirtualDiskManager: disks that no machine runs on. What copies data goes through the engine, which flattens chains
//! and lets a disk appear only when it is whole.

use std::sync::Arc;

use api::{Call, Manager, Running};
use uuid::Uuid;
use vim::{Fault, ManagedId, Object, Value, arg, data_id, fault, field, managed_id, method, props};
use vm::limits::MAX_DISK_BYTES;

use super::place::{BROWSE, MANAGE, Percents, Place, blocking};
use super::{Table, in_use};
use crate::engine::{CopyError, CopyOptions, Room};
use crate::error::{about_file, not_supported};
use crate::{Host, engine, ids};
use datastore::disk_image::{self, Facts};

const MANAGER: ManagedId = managed_id!(VirtualDiskManager);

type Reply = Result<Option<Value>, Fault>;

/// The VirtualDiskManager.
pub(super) const ROW: Manager<Arc<Host>> = Manager {
    me: |_| ids::virtual_disk_manager(),
    named: Some(field!(ServiceContent.virtualDiskManager).number()),
    properties: |_| Ok(props!(VirtualDiskManager {})),
    register,
};

fn register(table: &mut Table<'_>) {
    table.on(MANAGER, method!(CreateVirtualDisk_Task), create);
    table.on(MANAGER, method!(CopyVirtualDisk_Task), copy);
    table.on(MANAGER, method!(MoveVirtualDisk_Task), relocate);
    table.on(MANAGER, method!(DeleteVirtualDisk_Task), |host, call| async move {
        let name = call.required(arg!(DeleteVirtualDisk_Task.name))?.to_owned();
        super::file_manager::delete(host, call, name).await
    });
    table.on(MANAGER, method!(ExtendVirtualDisk_Task), extend);
    table.on(MANAGER, method!(InflateVirtualDisk_Task), |host, call| async move {
        let name = call.required(arg!(InflateVirtualDisk_Task.name))?;
        let place = Place::of(&host, &call, name, MANAGE)?;
        rewrite(host, &call, place, Room::Thick).await
    });
    table.on(MANAGER, method!(EagerZeroVirtualDisk_Task), |host, call| async move {
        let name = call.required(arg!(EagerZeroVirtualDisk_Task.name))?;
        let place = Place::of(&host, &call, name, MANAGE)?;
        rewrite(host, &call, place, Room::EagerThick).await
    });
    table.on(MANAGER, method!(ShrinkVirtualDisk_Task), |host, call| async move {
        let name = call.required(arg!(ShrinkVirtualDisk_Task.name))?;
        if call.arg(arg!(ShrinkVirtualDisk_Task.copy)) == Some(false) {
            return Err(not_supported("A disk is shrunk by copying it; call without copy=false"));
        }
        let place = Place::of(&host, &call, name, MANAGE)?;
        rewrite(host, &call, place, Room::Thin).await
    });
    for method in [method!(ZeroFillVirtualDisk_Task), method!(DefragmentVirtualDisk_Task)] {
        table.on(MANAGER, method, |_, _| async {
            Err(not_supported(
                "Disks are not filled with zeros or defragmented in place; copy the disk instead",
            ))
        });
    }
    table.on(MANAGER, method!(QueryVirtualDiskUuid), |host, call| async move {
        let place = Place::of(&host, &call, call.required(arg!(QueryVirtualDiskUuid.name))?, BROWSE)?;
        let uuid = blocking(move || identity(&place)).await?;
        Ok(Some(Value::from(show_uuid(uuid))))
    });
    table.on(MANAGER, method!(SetVirtualDiskUuid), |host, call| async move {
        let text = call.required(arg!(SetVirtualDiskUuid.uuid))?;
        let uuid = read_uuid(text)?;
        let place = Place::of(&host, &call, call.required(arg!(SetVirtualDiskUuid.name))?, MANAGE)?;
        must_be_disk(&place)?;
        blocking(move || {
            in_use::refuse_open(&host, &place)?;
            place.on.store.identify(&place.file.path, uuid).map_err(|error| place.fault(&error))
        })
        .await?;
        Ok(None)
    });
    table.on(MANAGER, method!(QueryVirtualDiskFragmentation), |_, _| async {
        Err(not_supported("The fragmentation of disks is not known"))
    });
}

/// What a specification of a new disk says of its room.
fn room(kind: &str) -> Result<Room, Fault> {
    match kind {
        "thin" | "seSparse" | "sparseMonolithic" => Ok(Room::Thin),
        "preallocated" | "thick" | "flatMonolithic" => Ok(Room::Thick),
        "eagerZeroedThick" => Ok(Room::EagerThick),
        other => Err(fault!(
            InvalidArgument { invalidProperty: "spec.diskType" },
            "Disks of type {other} are not supported; use thin, preallocated or eagerZeroedThick"
        )),
    }
}

async fn create(host: Arc<Host>, call: Call) -> Reply {
    let place = Place::of(&host, &call, call.required(arg!(CreateVirtualDisk_Task.name))?, MANAGE)?;
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
        must_be_disk(&place)?;
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
        let created = host.engine.images().create(&place.file, bytes, thin, eager).await;
        created.map_err(|error| disk_fault(&place, &error))?;
        host.refresh_space(&[place.datastore()]).await;
        Ok(Some(Value::from(place.show())))
    };
    call.task(options, work).await
}

async fn copy(host: Arc<Host>, call: Call) -> Reply {
    let from = Place::of(&host, &call, call.required(arg!(CopyVirtualDisk_Task.sourceName))?, MANAGE)?;
    let to = Place::of(&host, &call, call.required(arg!(CopyVirtualDisk_Task.destName))?, MANAGE)?;
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
        copy_disk(&host, &from, &to, CopyOptions { room, overwrite }, running).await?;
        host.refresh_space(&[to.datastore()]).await;
        Ok(Some(Value::from(to.show())))
    };
    call.task(options, work).await
}

/// Moves a disk: by renaming on its datastore, else by copying it whole.
async fn relocate(host: Arc<Host>, call: Call) -> Reply {
    let from = Place::of(&host, &call, call.required(arg!(MoveVirtualDisk_Task.sourceName))?, MANAGE)?;
    let to = Place::of(&host, &call, call.required(arg!(MoveVirtualDisk_Task.destName))?, MANAGE)?;
    let overwrite = call.arg(arg!(MoveVirtualDisk_Task.force)).unwrap_or(false);
    let options = to.task(true);
    let work = async move |running: Running| {
        must_be_disk(&to)?;
        let (facts, _) = look(&host, &from, Use::Alone).await?;
        let room = if facts.thin { Room::Thin } else { Room::Thick };
        // A layer names what is under it by its place: elsewhere it would not find it.
        if from.file.datastore == to.file.datastore && facts.header.backing.is_none() {
            let (on, source, target) = (host.clone(), from.clone(), to.clone());
            blocking(move || {
                if overwrite {
                    in_use::refuse_open(&on, &target)?;
                }
                let store = &source.on.store;
                let moved = store.rename(&source.file.path, &target.file.path, overwrite);
                moved.map_err(|error| source.fault(&error))
            })
            .await?;
        } else {
            copy_disk(&host, &from, &to, CopyOptions { room, overwrite }, running).await?;
            let (source, target) = (from.clone(), to.clone());
            blocking(move || {
                let (old, new) = (&source.on.store, &target.on.store);
                if let Some(uuid) =
                    old.identity_of(&source.file.path).map_err(|error| source.fault(&error))?
                {
                    new.identify(&target.file.path, uuid).map_err(|error| target.fault(&error))?;
                }
                old.delete(&source.file.path).map_err(|error| source.fault(&error))
            })
            .await?;
        }
        host.refresh_space(&[from.datastore(), to.datastore()]).await;
        Ok(Some(Value::from(to.show())))
    };
    call.task(options, work).await
}

async fn extend(host: Arc<Host>, call: Call) -> Reply {
    let place = Place::of(&host, &call, call.required(arg!(ExtendVirtualDisk_Task.name))?, MANAGE)?;
    let bytes = capacity(call.required(arg!(ExtendVirtualDisk_Task.newCapacityKb))?, "newCapacityKb")?;
    if call.arg(arg!(ExtendVirtualDisk_Task.eagerZero)) == Some(true) {
        return Err(not_supported(
            "The new part of a disk is zeroed when it is first used; call without eagerZero",
        ));
    }
    let options = place.task(false);
    let work = async move |_| {
        let (facts, _) = look(&host, &place, Use::Alone).await?;
        if bytes < facts.header.capacity_bytes {
            return Err(fault!(
                InvalidArgument { invalidProperty: "newCapacityKb" },
                "{} has {} KiB already, and disks are not cut",
                place.show(),
                facts.header.capacity_bytes / 1024
            ));
        }
        let grown = host.engine.images().grow(&place.file, bytes).await;
        grown.map_err(|error| disk_fault(&place, &error))?;
        host.refresh_space(&[place.datastore()]).await;
        Ok(None)
    };
    call.task(options, work).await
}

/// Writes a disk anew in its place, with another use of room.
async fn rewrite(host: Arc<Host>, call: &Call, place: Place, room: Room) -> Reply {
    let options = place.task(true);
    let work = async move |running: Running| {
        let (facts, _) = look(&host, &place, Use::Alone).await?;
        if facts.header.backing.is_some() {
            return Err(not_supported(
                "The disk is a layer of a snapshot; its room cannot be changed without those under it",
            ));
        }
        let at = place.clone();
        let uuid = blocking(move || identity(&at)).await.ok();
        copy_disk(&host, &place, &place, CopyOptions { room, overwrite: true }, running).await?;
        if let Some(uuid) = uuid {
            let at = place.clone();
            blocking(move || at.on.store.identify(&at.file.path, uuid).map_err(|error| at.fault(&error)))
                .await?;
        }
        host.refresh_space(&[place.datastore()]).await;
        Ok(None)
    };
    call.task(options, work).await
}

/// Copies a disk with all that is under it.
async fn copy_disk(
    host: &Arc<Host>,
    from: &Place,
    to: &Place,
    options: CopyOptions,
    running: Running,
) -> Result<(), Fault> {
    must_be_disk(to)?;
    let (facts, _) = look(host, from, Use::Read).await?;
    let (on, target) = (host.clone(), to.clone());
    let needed = match options.room {
        Room::Thin => facts.allocated_bytes,
        Room::Thick | Room::EagerThick => facts.header.capacity_bytes,
    };
    blocking(move || {
        if options.overwrite {
            in_use::refuse_open(&on, &target)?;
        }
        let fits = target.on.store.require_space(&target.file.path, needed);
        fits.map_err(|error| target.fault(&error))
    })
    .await?;
    let percents = Percents::new(running.clone());
    let show = |percent| percents.show(percent);
    let images = host.engine.images();
    let copied = images.copy(&from.file, &to.file, options, &show, running.cancelled()).await;
    copied.map_err(|error| match error {
        CopyError::Cancelled => fault!(RequestCanceled {}, "Copying {} was cancelled", from.show()),
        CopyError::Storage(error) => to.fault(&error),
        CopyError::Engine(error @ engine::Error::NoSpace { .. }) => disk_fault(to, &error),
        CopyError::Engine(error) => disk_fault(from, &error),
    })
}

/// What a disk is looked at for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// To read it.
    Read,
    /// To change it.
    Alone,
}

/// What is known of a disk.
struct Known {
    header: Facts,
    /// Room of the disk and all that is under it.
    allocated_bytes: u64,
    thin: bool,
}

/// Looks at a disk, whose chain must stay on its datastore and which nobody may have open in a way that forbids the
/// use; gives what is known of it and the layers under it.
async fn look(host: &Arc<Host>, place: &Place, to: Use) -> Result<(Known, Vec<datastore::FilePath>), Fault> {
    let (host, place) = (host.clone(), place.clone());
    blocking(move || {
        let store = &place.on.store;
        let fault = |error: datastore::Error| place.fault(&error);
        let header = disk_image::facts(store, &place.file.path).map_err(fault)?;
        let layers = disk_image::parents(store, &place.file.path).map_err(fault)?;
        match to {
            Use::Read => in_use::refuse_written(&host, &place, &layers)?,
            Use::Alone => in_use::refuse_open(&host, &place)?,
        }
        let mut allocated_bytes = 0;
        for path in std::iter::once(&place.file.path).chain(&layers) {
            allocated_bytes += store.entry(path).map_err(fault)?.allocated_bytes;
        }
        let thin = allocated_bytes < header.capacity_bytes;
        Ok((Known { header, allocated_bytes, thin }, layers))
    })
    .await
}

/// The identity of a disk, which it is given when it is first asked for.
fn identity(place: &Place) -> Result<Uuid, Fault> {
    must_be_disk(place)?;
    let (store, path) = (&place.on.store, &place.file.path);
    let fault = |error: datastore::Error| place.fault(&error);
    if let Some(uuid) = store.identity_of(path).map_err(fault)? {
        return Ok(uuid);
    }
    let uuid = Uuid::new_v4();
    store.identify(path, uuid).map_err(fault)?;
    Ok(uuid)
}

/// As vSphere writes identities of disks: `60 00 c2 9c 46 48 8b 11-2d 3a 49 7d 7a 8b a2 c3`.
fn show_uuid(uuid: Uuid) -> String {
    let part = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let (first, second) = uuid.as_bytes().split_at(8);
    format!("{}-{}", part(first), part(second))
}

/// Reads an identity in that form or in the usual one.
fn read_uuid(text: &str) -> Result<Uuid, Fault> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    Uuid::parse_str(&digits).map_err(|error| {
        fault!(InvalidArgument { invalidProperty: "uuid" }, "\"{text}\" is no UUID: {error}")
    })
}

/// Refuses a name that the browser would not know as a disk's.
fn must_be_disk(place: &Place) -> Result<(), Fault> {
    if datastore::is_disk(&place.file.path) {
        return Ok(());
    }
    let shown = place.show();
    Err(fault!(
        InvalidDatastorePath { name: &place.on.name, datastorePath: &shown },
        "\"{shown}\" cannot be the name of a disk; it must end in .vmdk"
    ))
}

/// Bytes of a capacity in KiB.
fn capacity(kib: i64, property: &str) -> Result<u64, Fault> {
    let bytes = u64::try_from(kib).ok().and_then(|kib| kib.checked_mul(1024));
    bytes.filter(|bytes| (1..=MAX_DISK_BYTES).contains(bytes)).ok_or_else(|| {
        fault!(
            InvalidArgument { invalidProperty: property },
            "A disk has between 1 KiB and {} KiB, not {kib} KiB",
            MAX_DISK_BYTES / 1024
        )
    })
}

/// The fault for an error of the machinery that works on disks.
fn disk_fault(place: &Place, error: &engine::Error) -> Fault {
    let shown = place.show();
    if error.is_lock_conflict() {
        return in_use::locked(&shown, "a virtual machine has it open");
    }
    tracing::warn!(%error, disk = shown, "work on a disk failed");
    match error {
        engine::Error::NoSpace { .. } => place.fault(&datastore::Error::NoSpace(place.file.path.clone())),
        engine::Error::Timeout { .. } => {
            about_file(data_id!(CannotAccessFile), &shown, format!("Work on {shown} took too long"))
        }
        // The reason names paths of this machine: it is in the log.
        _ => about_file(
            data_id!(CannotAccessFile),
            &shown,
            format!("{shown} cannot be read or written as a disk"),
        ),
    }
}
