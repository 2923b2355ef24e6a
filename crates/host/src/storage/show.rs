//! Datastores in the tree: each with its browser, and listed wherever datastores are listed.

use api::Writer;
use datastore::Space;
use vim::{DateTime, MoRef, Object, Props, prop, props, vim, vim_enum};
use vm::limits::MAX_DISK_BYTES;

use super::{Storage, browser_props, datastore_system};
use crate::datastores::Mounted;
use crate::ids;

/// The type that clients see: `VMFS` and `NFS` are promises that a directory does not keep.
const TYPE: &str = "OTHER";

impl Storage {
    /// Puts all datastores into the tree, where the objects that list them must be already.
    pub(crate) fn show_all(&self, w: &mut Writer<'_>) {
        w.create(&ids::datastore_browser(), browser_props(Vec::new()));
        for mounted in self.datastores.all() {
            let shown = props(&mounted);
            add(w, &mounted, shown);
        }
    }

    pub(super) fn show_added(&self, mounted: &Mounted) {
        let shown = props(mounted);
        self.core.tree.write(|w| add(w, mounted, shown));
    }

    pub(super) fn show_renamed(&self, mounted: &Mounted) {
        let shown = props(mounted);
        self.core.tree.write(|w| {
            w.set(&mounted.me(), shown);
            w.set(&mounted.me(), props!(ManagedEntity { name: &mounted.name }));
        });
    }

    pub(super) fn show_removed(&self, me: &MoRef) {
        self.core.tree.write(|w| remove(w, me));
    }

    /// Shows how much room these datastores have now.
    pub(super) async fn show_space(&self, datastores: &[MoRef]) {
        let mounted: Vec<Mounted> =
            datastores.iter().filter_map(|me| self.datastores.by_ref(me).ok()).collect();
        let look = move || mounted.iter().map(|on| (on.me(), props(on))).collect::<Vec<_>>();
        let Ok(looked) = tokio::task::spawn_blocking(look).await else { return };
        let summary = prop!(Datastore.summary).number();
        self.core.tree.write(|w| {
            for (me, props) in looked {
                let now = props.values.iter().find(|(number, _)| *number == summary);
                let shown = w.find(&me).map(|node| node.at(summary).cloned());
                // The other properties hold the time of the look, which alone is not a change.
                if let (Some((_, now)), Some(shown)) = (now, shown)
                    && *now != shown
                {
                    w.set(&me, props);
                }
            }
        });
    }

    /// Shows how much room a datastore has now, and when it was looked at.
    pub(super) async fn show_looked_at(&self, me: &MoRef) {
        let Ok(mounted) = self.datastores.by_ref(me) else { return };
        let Ok(shown) = tokio::task::spawn_blocking(move || props(&mounted)).await else { return };
        self.core.tree.write(|w| w.set(me, shown));
    }
}

fn add(w: &mut Writer<'_>, mounted: &Mounted, shown: Props) {
    let me = mounted.me();
    w.create(
        &me,
        props!(ManagedEntity {
            name: &mounted.name,
            parent: ids::datastore_folder(),
            overallStatus: vim_enum!(ManagedEntityStatus.green),
            configStatus: vim_enum!(ManagedEntityStatus.green),
            alarmActionsEnabled: true,
        }),
    );
    w.set(&me, shown);
    w.create(&ids::browser_of(&me), browser_props(vec![me.clone()]));
    w.add_ref(&ids::datastore_folder(), prop!(Folder.childEntity), &me);
    w.add_ref(&ids::datacenter(), prop!(Datacenter.datastore), &me);
    w.add_ref(&ids::compute_resource(), prop!(ComputeResource.datastore), &me);
    w.add_ref(&ids::host(), prop!(HostSystem.datastore), &me);
    w.add_ref(&ids::datastore_browser(), prop!(HostDatastoreBrowser.datastore), &me);
    w.add_ref(&datastore_system(), prop!(HostDatastoreSystem.datastore), &me);
}

fn remove(w: &mut Writer<'_>, me: &MoRef) {
    w.remove_ref(&ids::datastore_folder(), prop!(Folder.childEntity), me);
    w.remove_ref(&ids::datacenter(), prop!(Datacenter.datastore), me);
    w.remove_ref(&ids::compute_resource(), prop!(ComputeResource.datastore), me);
    w.remove_ref(&ids::host(), prop!(HostSystem.datastore), me);
    w.remove_ref(&ids::datastore_browser(), prop!(HostDatastoreBrowser.datastore), me);
    w.remove_ref(&datastore_system(), prop!(HostDatastoreSystem.datastore), me);
    w.remove(&ids::browser_of(me));
    w.remove(me);
}

/// A datastore as it is now. One that does not answer is shown as inaccessible.
fn props(mounted: &Mounted) -> Props {
    let me = mounted.me();
    let (space, accessible) = look(mounted);
    props!(Datastore {
        summary: summary_of(mounted, space, accessible),
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

fn look(mounted: &Mounted) -> (Space, bool) {
    let space = mounted.store.space();
    let accessible = space.is_ok();
    (space.unwrap_or(Space { capacity_bytes: 0, free_bytes: 0 }), accessible)
}

/// The `DatastoreSummary` as it is now.
pub(crate) fn summary(mounted: &Mounted) -> Object {
    let (space, accessible) = look(mounted);
    summary_of(mounted, space, accessible)
}

fn summary_of(mounted: &Mounted, space: Space, accessible: bool) -> Object {
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

/// The capability of every datastore of this host.
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
