//! `HostDatastoreBrowserSearchSpec`: which files a client wants, and which details of them.

use std::sync::Arc;

use datastore::{FileKind, Pattern, Search};
use vim::{DataId, Fault, Object, data_id, fault, field, vim};

/// The query for each kind of file. Derived types come before their base types, since a query is of its base types too.
const QUERIES: [(DataId, FileKind); 9] = [
    (data_id!(TemplateConfigFileQuery), FileKind::TemplateConfig),
    (data_id!(VmConfigFileQuery), FileKind::VmConfig),
    (data_id!(VmDiskFileQuery), FileKind::Disk),
    (data_id!(FolderFileQuery), FileKind::Folder),
    (data_id!(IsoImageFileQuery), FileKind::Iso),
    (data_id!(FloppyImageFileQuery), FileKind::Floppy),
    (data_id!(VmLogFileQuery), FileKind::Log),
    (data_id!(VmNvramFileQuery), FileKind::Nvram),
    (data_id!(VmSnapshotFileQuery), FileKind::Snapshot),
];

/// A client's search, read.
pub(super) struct Wanted {
    pub(super) search: Search,
    /// Whether a file is shown as the type of its kind, and not as plain `FileInfo`.
    pub(super) types: bool,
    pub(super) size: bool,
    pub(super) modification: bool,
    pub(super) owner: bool,
    pub(super) disks: Disks,
    pub(super) folders_first: bool,
}

/// The details of disks that a client wants, and which disks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Disks {
    pub(super) kind: bool,
    pub(super) capacity: bool,
    pub(super) extents: bool,
    pub(super) thin: bool,
    /// Only thin ones, or only thick ones.
    pub(super) only_thin: Option<bool>,
}

impl Wanted {
    /// # Errors
    /// `InvalidArgument` for patterns over the limits.
    pub(super) fn read(spec: Option<&Arc<Object>>, sub_folders: bool) -> Result<Self, Fault> {
        let mut wanted = Self {
            search: Search { sub_folders, ..Search::default() },
            types: false,
            size: false,
            modification: false,
            owner: false,
            disks: Disks::default(),
            folders_first: false,
        };
        let Some(spec) = spec else { return Ok(wanted) };
        let ignore_case =
            spec.get(field!(HostDatastoreBrowserSearchSpec.searchCaseInsensitive)).unwrap_or(false);
        for pattern in spec.get(field!(HostDatastoreBrowserSearchSpec.matchPattern)).into_iter().flatten() {
            let pattern = Pattern::new(pattern, ignore_case).map_err(|error| {
                fault!(InvalidArgument { invalidProperty: "searchSpec.matchPattern" }, "{error}")
            })?;
            wanted.search.patterns.push(pattern);
        }
        let mut everything = false;
        for query in spec.get(field!(HostDatastoreBrowserSearchSpec.query)).into_iter().flatten() {
            wanted.types = true;
            match QUERIES.iter().find(|(ty, _)| query.is_a(*ty)) {
                Some((_, kind)) => wanted.search.kinds.push(*kind),
                None => everything = true,
            }
            wanted.read_disk_query(query);
        }
        if everything {
            wanted.search.kinds.clear();
        }
        if let Some(details) = spec.get(field!(HostDatastoreBrowserSearchSpec.details)) {
            let flag = |value: Option<bool>| value.unwrap_or(false);
            wanted.types |= flag(details.get(field!(FileQueryFlags.fileType)));
            wanted.size = flag(details.get(field!(FileQueryFlags.fileSize)));
            wanted.modification = flag(details.get(field!(FileQueryFlags.modification)));
            wanted.owner = flag(details.get(field!(FileQueryFlags.fileOwner)));
        }
        wanted.folders_first =
            spec.get(field!(HostDatastoreBrowserSearchSpec.sortFoldersFirst)).unwrap_or(false);
        Ok(wanted)
    }

    fn read_disk_query(&mut self, query: &Object) {
        if !query.is_a(data_id!(VmDiskFileQuery)) {
            return;
        }
        if let Some(flags) = query.get(field!(VmDiskFileQuery.details)) {
            self.disks.kind |= flags.get(field!(VmDiskFileQueryFlags.diskType)).unwrap_or(false);
            self.disks.capacity |= flags.get(field!(VmDiskFileQueryFlags.capacityKb)).unwrap_or(false);
            self.disks.extents |= flags.get(field!(VmDiskFileQueryFlags.diskExtents)).unwrap_or(false);
            self.disks.thin |= flags.get(field!(VmDiskFileQueryFlags.thin)).unwrap_or(false);
        }
        if let Some(filter) = query.get(field!(VmDiskFileQuery.filter)) {
            self.disks.only_thin = filter.get(field!(VmDiskFileQueryFilter.thin));
        }
    }
}

/// The queries that a browser supports.
pub(super) fn supported() -> Vec<Object> {
    vec![
        vim!(FolderFileQuery {}).into(),
        vim!(VmConfigFileQuery {}).into(),
        vim!(TemplateConfigFileQuery {}).into(),
        vim!(VmDiskFileQuery {}).into(),
        vim!(VmSnapshotFileQuery {}).into(),
        vim!(VmNvramFileQuery {}).into(),
        vim!(VmLogFileQuery {}).into(),
        vim!(IsoImageFileQuery {}).into(),
        vim!(FloppyImageFileQuery {}).into(),
    ]
}
