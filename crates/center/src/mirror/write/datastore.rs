//! A datastore from one of the hosts that mount it.

use api::Writer;
use vim::{MoRef, Value, field, prop};

use super::{Map, is_centers};
use crate::estate::show;
use crate::mirror::facts::Properties;

/// Writes the datastore's properties and the host's mount. If the mount is among them, returns whether the host can
/// access the datastore.
pub(super) fn datastore(
    w: &mut Writer,
    me: &MoRef,
    host: &MoRef,
    properties: Properties,
    map: Map,
) -> Option<bool> {
    let own = [prop!(Datastore.vm).number(), prop!(Datastore.browser).number()];
    let mut mount = None;
    for (number, value) in properties {
        if is_centers(number) || own.contains(&number) {
            continue;
        }
        if number == prop!(Datastore.host).number() {
            let first = value.as_ref().and_then(|list| list.items().first()).and_then(Value::as_object);
            mount = first.and_then(|mount| mount.get(field!(DatastoreHostMount.mountInfo))).cloned();
            continue;
        }
        w.put(me, number, value.map(|value| value.map_refs(map)));
    }
    let Some(mount) = mount else {
        show::datastore::refresh_access(w, me);
        return None;
    };
    show::datastore::set_mount(w, me, host, Some(&mount));
    Some(mount.get(field!(HostMountInfo.accessible)).unwrap_or(true))
}
