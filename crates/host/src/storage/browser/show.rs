//! `HostDatastoreBrowserSearchResults`: each file that was found, as the type of `FileInfo` that its kind has.

use datastore::disk_image::{self, Format, Vmdk};
use datastore::{DatastorePath, Entry, FileKind, FilePath, Found};
use vim::{DataId, DateTime, Object, Value, data_id, field, vim};

use super::spec::{Disks, Wanted};
use crate::datastores::Mounted;

/// The results, one for each folder: the first folder, and those below in which something was found.
pub(super) fn results(on: &Mounted, found: Vec<Found>, wanted: &Wanted) -> Vec<Value> {
    let mut results = Vec::new();
    for (at, Found { folder, mut entries }) in found.into_iter().enumerate() {
        if wanted.folders_first {
            entries.sort_by_key(|entry| !entry.is_folder());
        }
        let files: Vec<Object> =
            entries.iter().filter_map(|entry| file(on, &folder, entry, wanted)).collect();
        if at > 0 && files.is_empty() {
            continue;
        }
        let shown = DatastorePath::new(&on.name, folder).map(|path| path.to_folder_string());
        results.push(
            vim!(HostDatastoreBrowserSearchResults {
                datastore: on.me(),
                folderPath: shown.ok(),
                file: files,
            })
            .into(),
        );
    }
    results
}

fn file(on: &Mounted, folder: &FilePath, entry: &Entry, wanted: &Wanted) -> Option<Object> {
    let ty = if wanted.types { info_type(entry.kind) } else { data_id!(FileInfo) };
    let mut info = Object::new(ty);
    info.set(field!(FileInfo.path), entry.name.as_str());
    if wanted.size {
        info.set(field!(FileInfo.fileSize), signed(entry.size_bytes));
    }
    if wanted.modification {
        info.set(field!(FileInfo.modification), DateTime::from(entry.modified));
    }
    if wanted.owner {
        info.set(field!(FileInfo.owner), owner(entry.owner));
    }
    let asks = wanted.disks != Disks::default();
    if entry.kind == FileKind::Disk && info.is_a(data_id!(VmDiskFileInfo)) && asks {
        return disk(on, folder, entry, wanted.disks, info);
    }
    Some(info)
}

/// A disk with the facts of its header; one that cannot be read is shown without them.
fn disk(on: &Mounted, folder: &FilePath, entry: &Entry, wanted: Disks, mut info: Object) -> Option<Object> {
    let facts = folder.join(&entry.name).ok().and_then(|path| disk_image::facts(&on.store, &path).ok());
    let thin = facts.as_ref().map(|facts| entry.allocated_bytes < facts.capacity_bytes);
    if wanted.only_thin.is_some() && wanted.only_thin != thin {
        return None;
    }
    if wanted.kind {
        let flat = facts.as_ref().is_none_or(|facts| facts.format.runs() || is_flat(facts.format));
        let kind = if flat { "VirtualDiskFlatVer2BackingInfo" } else { "VirtualDiskSparseVer2BackingInfo" };
        info.set(field!(VmDiskFileInfo.diskType), kind);
    }
    if wanted.capacity {
        let capacity = facts.as_ref().map(|facts| signed(facts.capacity_bytes.div_ceil(1024)));
        info.set(field!(VmDiskFileInfo.capacityKb), capacity);
    }
    if wanted.extents {
        let beside = facts.iter().flat_map(|facts| &facts.extents).map(|extent| extent.path.name());
        let names: Vec<&str> = std::iter::once(entry.name.as_str()).chain(beside).collect();
        info.set(field!(VmDiskFileInfo.diskExtents), names);
    }
    if wanted.thin {
        info.set(field!(VmDiskFileInfo.thin), thin);
    }
    Some(info)
}

fn is_flat(format: Format) -> bool {
    format == Format::Vmdk(Vmdk::Flat)
}

fn info_type(kind: FileKind) -> DataId {
    match kind {
        FileKind::Folder => data_id!(FolderFileInfo),
        FileKind::VmConfig => data_id!(VmConfigFileInfo),
        FileKind::TemplateConfig => data_id!(TemplateConfigFileInfo),
        FileKind::Disk => data_id!(VmDiskFileInfo),
        FileKind::Iso => data_id!(IsoImageFileInfo),
        FileKind::Floppy => data_id!(FloppyImageFileInfo),
        FileKind::Log => data_id!(VmLogFileInfo),
        FileKind::Nvram => data_id!(VmNvramFileInfo),
        FileKind::Snapshot => data_id!(VmSnapshotFileInfo),
        FileKind::SnapshotList | FileKind::Other => data_id!(FileInfo),
    }
}

/// The name of the owner. The users that VMs run as have a number only.
fn owner(user: u32) -> String {
    if user == 0 { "root".into() } else { user.to_string() }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
