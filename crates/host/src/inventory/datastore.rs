//! `Datastore` objects: local directories.

use datastore::Space;
use vim::{DateTime, MoRef, Object, Props, prop, props, vim};
use vm::limits::MAX_DISK_BYTES;

use crate::datastores::Mounted;
use crate::{Host, ids};

/// What clients are told of a datastore's type: `VMFS` and `NFS` are promises that a directory does not keep.
const TYPE: &str = "OTHER";

/// A datastore as it is now. One that does not answer is shown as inaccessible.
pub(crate) fn props(mounted: &Mounted) -> Props {
    let me = mounted.me();
    let space = mounted.store.space();
    let accessible = space.is_ok();
    let space = space.unwrap_or(Space { capacity_bytes: 0, free_bytes: 0 });
    props!(Datastore {
        summary: summary(mounted, space, accessible),
        info: info(mounted, space),
        capability: capability(),
        browser: ids::browser_of(&me),
        host: [DatastoreHostMount {
            key: ids::host(),
            mountInfo: HostMountInfo {
                path: format!("/vmfs/volumes/{}", mounted.store.uuid()),
                accessMode: "readWrite",
                mounted: true,
                accessible: accessible,
            },
        }],
    })
}

impl Host {
    /// Shows how much room these datastores have now.
    pub(crate) async fn refresh_space(&self, datastores: &[MoRef]) {
        let mounted: Vec<Mounted> =
            datastores.iter().filter_map(|me| self.datastores.by_ref(me).ok()).collect();
        let look = move || mounted.iter().map(|on| (on.me(), props(on))).collect::<Vec<_>>();
        let Ok(looked) = tokio::task::spawn_blocking(look).await else { return };
        let summary = prop!(Datastore.summary).number();
        self.core.tree.write(|w| {
            for (me, props) in looked {
                let now = props.values.iter().find(|(number, _)| *number == summary);
                let shown = w.find(&me).map(|node| node.at(summary).cloned());
                // The rest has the time in it: alone it is no news.
                if let (Some((_, now)), Some(shown)) = (now, shown)
                    && *now != shown
                {
                    w.set(&me, props);
                }
            }
        });
    }
}

/// `DatastoreSummary` as it is now.
pub(crate) fn current_summary(mounted: &Mounted) -> Object {
    let space = mounted.store.space();
    let accessible = space.is_ok();
    summary(mounted, space.unwrap_or(Space { capacity_bytes: 0, free_bytes: 0 }), accessible)
}

fn summary(mounted: &Mounted, space: Space, accessible: bool) -> Object {
    vim!(DatastoreSummary {
        datastore: mounted.me(),
        name: &mounted.name,
        url: mounted.store.url(),
        capacity: signed(space.capacity_bytes),
        freeSpace: signed(space.free_bytes),
        accessible: accessible,
        multipleHostAccess: false,
        type: TYPE,
        maintenanceMode: "normal",
    })
    .into()
}

fn info(mounted: &Mounted, space: Space) -> Object {
    vim!(LocalDatastoreInfo {
        name: &mounted.name,
        url: mounted.store.url(),
        freeSpace: signed(space.free_bytes),
        maxFileSize: signed(MAX_DISK_BYTES),
        maxVirtualDiskCapacity: signed(MAX_DISK_BYTES),
        maxMemoryFileSize: signed(MAX_DISK_BYTES),
        timestamp: DateTime::now(),
        path: mounted.store.root_path().map(|path| path.display().to_string()),
    })
    .into()
}

/// What all datastores of this host can do.
pub(crate) fn capability() -> Object {
    vim!(DatastoreCapability {
        directoryHierarchySupported: true,
        rawDiskMappingsSupported: false,
        perFileThinProvisioningSupported: true,
        storageIORMSupported: false,
        nativeSnapshotSupported: false,
        topLevelDirectoryCreateSupported: true,
        seSparseSupported: false,
        vmfsSparseSupported: false,
        vsanSparseSupported: false,
    })
    .into()
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
