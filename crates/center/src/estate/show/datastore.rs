//! A datastore. Several hosts may mount it: one object with a mount of each.

use api::Writer;
use vim::{List, MoRef, Object, Value, field, managed_id, prop, props, vim};

use crate::estate::records::Datastore;

pub(crate) fn browser(datastore: &MoRef) -> MoRef {
    MoRef::new(managed_id!(HostDatastoreBrowser), format!("datastoreBrowser-{}", datastore.id()))
}

pub(crate) fn show(w: &mut Writer, me: &MoRef, datastore: &Datastore, new: bool) {
    w.set(me, props!(Datastore { name: &datastore.name, parent: &datastore.folder }));
    if !new {
        return;
    }
    let (name, url) = (&datastore.name, &datastore.url);
    w.set(
        me,
        props!(Datastore {
            browser: browser(me),
            summary: DatastoreSummary {
                datastore: me,
                name: name,
                url: url,
                capacity: 0,
                freeSpace: 0,
                accessible: false,
                type: "VMFS",
                maintenanceMode: "normal",
            },
            info: DatastoreInfo {
                name: name,
                url: url,
                freeSpace: 0,
                maxFileSize: 0,
                maxMemoryFileSize: 0,
            },
            capability: DatastoreCapability {
                directoryHierarchySupported: true,
                rawDiskMappingsSupported: false,
                perFileThinProvisioningSupported: true,
                storageIORMSupported: false,
                nativeSnapshotSupported: false,
            },
        }),
    );
}

/// Shows in the summary whether any host reaches the datastore, and whether more than one mounts it.
pub(crate) fn refresh_access(w: &mut Writer, me: &MoRef) {
    let Some(node) = w.find(me) else { return };
    let Some(summary) = node.get(prop!(Datastore.summary)) else { return };
    let mounts: Vec<&Object> = match node.get(prop!(Datastore.host)) {
        Some(mounts) => mounts.iter().map(|mount| &**mount).collect(),
        None => Vec::new(),
    };
    let accessible = |mount: &&&Object| {
        let info = mount.get(field!(DatastoreHostMount.mountInfo));
        info.and_then(|info| info.get(field!(HostMountInfo.accessible))).unwrap_or(true)
    };
    let any = mounts.iter().any(|mount| accessible(&mount));
    let several = mounts.len() > 1;
    let known = (
        summary.get(field!(DatastoreSummary.accessible)),
        summary.get(field!(DatastoreSummary.multipleHostAccess)),
    );
    if known == (Some(any), Some(several)) {
        return;
    }
    let mut summary = Object::clone(summary);
    summary.set(field!(DatastoreSummary.accessible), any);
    summary.set(field!(DatastoreSummary.multipleHostAccess), several);
    w.set(me, props!(Datastore { summary: summary }));
}

/// Sets (or, with none, removes) one host's mount of the datastore.
pub(crate) fn set_mount(w: &mut Writer, me: &MoRef, host: &MoRef, mount: Option<&std::sync::Arc<Object>>) {
    let Some(node) = w.find(me) else { return };
    let old = node.get(prop!(Datastore.host));
    let mut mounts: Vec<Value> = Vec::new();
    let mut mount = mount.map(|info| Value::from(vim!(DatastoreHostMount { key: host, mountInfo: info })));
    for known in old.iter().flat_map(|known| known.iter()) {
        if known.get(field!(DatastoreHostMount.key)) == Some(host) {
            mounts.extend(mount.take());
        } else {
            mounts.push(Value::Object(known.clone()));
        }
    }
    mounts.extend(mount);
    let kind = vim::Kind::Data(vim::data_id!(DatastoreHostMount));
    let list = (!mounts.is_empty()).then(|| List::new(kind, mounts));
    w.set(me, props!(Datastore { host: list }));
    refresh_access(w, me);
}

/// Shows whether the host can reach the datastore by its mount.
pub(crate) fn set_mount_accessible(w: &mut Writer, me: &MoRef, host: &MoRef, accessible: bool) {
    let Some(node) = w.find(me) else { return };
    let Some(mounts) = node.get(prop!(Datastore.host)) else { return };
    let mine = mounts.iter().find(|mount| mount.get(field!(DatastoreHostMount.key)) == Some(host));
    let Some(info) = mine.and_then(|mount| mount.get(field!(DatastoreHostMount.mountInfo))) else { return };
    let mut info = Object::clone(info);
    info.set(field!(HostMountInfo.accessible), accessible);
    set_mount(w, me, host, Some(&std::sync::Arc::new(info)));
}
