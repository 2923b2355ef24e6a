//! A datastore cluster: its settings, and the sums over its datastores.

use api::Writer;
use vim::{MoRef, data_id, field, prop, props};

use crate::estate::records::Pod;
use crate::estate::stored;

pub(crate) fn show(w: &mut Writer, me: &MoRef, pod: &Pod, new: bool) {
    w.set(me, props!(Folder { name: &pod.name, parent: &pod.parent }));
    if new {
        w.set(me, props!(Folder { childType: ["Datastore"] }));
    }
    let config = stored::decode(data_id!(StorageDrsPodConfigInfo), &pod.config);
    w.set(
        me,
        props!(StoragePod {
            podStorageDrsEntry: PodStorageDrsEntry {
                storageDrsConfig: StorageDrsConfigInfo { podConfig: config }
            }
        }),
    );
    refresh(w, me);
}

/// Computes the sums over the datastores.
pub(crate) fn refresh(w: &mut Writer, me: &MoRef) {
    let Some(node) = w.find(me).cloned() else { return };
    let (mut capacity, mut free) = (0i64, 0i64);
    for datastore in node.get(prop!(Folder.childEntity)).into_iter().flatten() {
        let summary = w.find(datastore).and_then(|node| node.get(prop!(Datastore.summary)).cloned());
        let Some(summary) = summary else { continue };
        capacity = capacity.saturating_add(summary.get(field!(DatastoreSummary.capacity)).unwrap_or(0));
        free = free.saturating_add(summary.get(field!(DatastoreSummary.freeSpace)).unwrap_or(0));
    }
    let name = node.get(prop!(Folder.name)).unwrap_or_default();
    w.set(
        me,
        props!(StoragePod { summary: StoragePodSummary { name: name, capacity: capacity, freeSpace: free } }),
    );
}
