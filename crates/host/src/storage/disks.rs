//! Disks on datastores that no VM runs on: looking at them, copying them, their identities, and the faults of work on them.

use api::Running;
use datastore::disk_image::{self, Extent, Facts};
use uuid::Uuid;
use vim::{Fault, data_id, fault};
use vm::FileRef;
use vm::limits::MAX_DISK_BYTES;

use super::Storage;
use super::in_use::locked;
use super::place::{Percents, Place};
use crate::blocking::blocking;
use crate::engine::{self, CopyError, CopyOptions, Room};
use crate::error::about_file;

/// The use of room that a specification of a new disk asks for.
///
/// # Errors
/// `InvalidArgument`.
pub(super) fn room(kind: &str) -> Result<Room, Fault> {
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

/// Copies a disk with every layer under it.
pub(super) async fn copy_disk(
    storage: &Storage,
    from: &Place,
    to: &Place,
    options: CopyOptions,
    running: Running,
) -> Result<(), Fault> {
    must_be_disk(to)?;
    let facts = look(storage, from, Use::Read).await?;
    let onto_itself = |extent: &Extent| extent.path == to.file.path;
    if from.file.datastore == to.file.datastore && facts.header.extents.iter().any(onto_itself) {
        let error = datastore::Error::IntoItself { from: from.file.path.clone(), to: to.file.path.clone() };
        return Err(from.fault(&error));
    }
    let source = from.clone();
    blocking(move || {
        let fit = disk_image::fit_to_copy(&source.on.store, &source.file.path);
        fit.map(drop).map_err(|error| source.fault(&error))
    })
    .await?;
    let (in_use, target) = (storage.in_use.clone(), to.clone());
    let needed = match options.room {
        Room::Thin => facts.allocated_bytes,
        Room::Thick | Room::EagerThick => facts.header.capacity_bytes,
    };
    blocking(move || {
        if options.overwrite {
            in_use.refuse_open(&target)?;
        }
        let fits = target.on.store.require_space(&target.file.path, needed);
        fits.map_err(|error| target.fault(&error))
    })
    .await?;
    let percents = Percents::new(running.clone());
    let show = |percent| percents.show(percent);
    let copied = storage.images.copy(&from.file, &to.file, options, &show, running.cancelled()).await;
    copied.map_err(|error| match error {
        CopyError::Cancelled => fault!(RequestCanceled {}, "Copying {} was cancelled", from.show()),
        CopyError::Storage(error) => to.fault(&error),
        CopyError::Engine(error @ engine::Error::NoSpace { .. }) => disk_fault(to, &error),
        CopyError::Engine(error) => disk_fault(from, &error),
    })
}

/// The purpose of a look at a disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// To read it.
    Read,
    /// To change it.
    Alone,
}

/// A disk that was looked at.
pub(super) struct Known {
    pub(super) header: Facts,
    /// Room of the disk and every layer under it.
    allocated_bytes: u64,
    pub(super) thin: bool,
}

/// Looks at a disk. Its chain must stay on its datastore, and no VM may have it open in a way that forbids the use.
///
/// # Errors
/// `FileLocked`, or the fault of a file that cannot be read.
pub(super) async fn look(storage: &Storage, place: &Place, to: Use) -> Result<Known, Fault> {
    let (in_use, place) = (storage.in_use.clone(), place.clone());
    blocking(move || {
        let store = &place.on.store;
        let fault = |error: datastore::Error| place.fault(&error);
        let header = disk_image::facts(store, &place.file.path).map_err(fault)?;
        let layers = disk_image::parents(store, &place.file.path).map_err(fault)?;
        match to {
            Use::Read => in_use.refuse_written(&place, &layers)?,
            Use::Alone => in_use.refuse_open(&place)?,
        }
        let mut allocated_bytes = 0;
        let extents = header.extents.iter().map(|extent| &extent.path);
        for path in std::iter::once(&place.file.path).chain(extents).chain(&layers) {
            allocated_bytes += store.entry(path).map_err(fault)?.allocated_bytes;
        }
        let thin = allocated_bytes < header.capacity_bytes;
        Ok(Known { header, allocated_bytes, thin })
    })
    .await
}

/// The place of a file that a descriptor names.
pub(super) fn beside(place: &Place, extent: &Extent) -> Place {
    let file = FileRef { datastore: place.file.datastore, path: extent.path.clone() };
    Place { on: place.on.clone(), file }
}

/// Deletes the extents of a descriptor that was deleted or replaced. Blocking.
///
/// # Errors
/// The fault of a file that cannot be deleted.
pub(super) fn delete_extents(place: &Place, extents: &[Extent]) -> Result<(), Fault> {
    for extent in extents {
        match place.on.store.delete(&extent.path) {
            Ok(()) | Err(datastore::Error::NotFound(_)) => {}
            Err(error) => return Err(place.fault(&error)),
        }
    }
    Ok(())
}

/// The identity of a disk. A disk gets one when it is first asked for.
pub(super) fn identity(place: &Place) -> Result<Uuid, Fault> {
    must_be_disk(place)?;
    let (store, path) = (&place.on.store, &place.file.path);
    let fault = |error: datastore::Error| place.fault(&error);
    if let Some(uuid) = disk_image::uuid(store, path).map_err(fault)? {
        return Ok(uuid);
    }
    // The one that VMware gave it, if it did.
    let uuid = disk_image::facts(store, path).map_err(fault)?.uuid.unwrap_or_else(Uuid::new_v4);
    store.identify(path, uuid).map_err(fault)?;
    Ok(uuid)
}

/// An identity as vSphere writes it: `60 00 c2 9c 46 48 8b 11-2d 3a 49 7d 7a 8b a2 c3`.
pub(super) fn show_uuid(uuid: Uuid) -> String {
    let part = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let (first, second) = uuid.as_bytes().split_at(8);
    format!("{}-{}", part(first), part(second))
}

/// Reads an identity in that form or in the usual one.
///
/// # Errors
/// `InvalidArgument`.
pub(super) fn read_uuid(text: &str) -> Result<Uuid, Fault> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    Uuid::parse_str(&digits).map_err(|error| {
        fault!(InvalidArgument { invalidProperty: "uuid" }, "\"{text}\" is not a UUID: {error}")
    })
}

/// Refuses a name by which the browser would not know a disk.
///
/// # Errors
/// `InvalidDatastorePath`.
pub(super) fn must_be_disk(place: &Place) -> Result<(), Fault> {
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
///
/// # Errors
/// `InvalidArgument` for a capacity out of range.
pub(super) fn capacity(kib: i64, property: &str) -> Result<u64, Fault> {
    let bytes = u64::try_from(kib).ok().and_then(|kib| kib.checked_mul(1024));
    bytes.filter(|bytes| (1..=MAX_DISK_BYTES).contains(bytes)).ok_or_else(|| {
        fault!(
            InvalidArgument { invalidProperty: property },
            "Capacity {kib} KiB is out of range (1–{})",
            MAX_DISK_BYTES / 1024
        )
    })
}

/// The fault for an error of the program that works on disks.
pub(super) fn disk_fault(place: &Place, error: &engine::Error) -> Fault {
    let shown = place.show();
    if error.is_lock_conflict() {
        return locked(&shown, "a VM has it open");
    }
    tracing::warn!(%error, disk = shown, "work on a disk failed");
    match error {
        engine::Error::NoSpace { .. } => place.fault(&datastore::Error::NoSpace(place.file.path.clone())),
        engine::Error::Timeout { .. } => {
            about_file(data_id!(CannotAccessFile), &shown, format!("Work on {shown} took too long"))
        }
        // The reason names paths of the host, so it stays in the log.
        _ => about_file(
            data_id!(CannotAccessFile),
            &shown,
            format!("{shown} cannot be read or written as a disk"),
        ),
    }
}
