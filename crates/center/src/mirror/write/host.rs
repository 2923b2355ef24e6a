//! The host itself.

use api::Writer;
use vim::{MoRef, Object, Props, Value, field, prop, vim_enum};

use super::{Batch, custom_values, is_centers, refs_of};
use crate::estate::Edges;
use crate::estate::show;
use crate::mirror::facts::Properties;

impl Batch {
    /// Writes the host's properties and `systems`, which are in the center's references.
    pub(super) fn host(
        &self,
        w: &mut Writer,
        edges: &mut Edges,
        me: &MoRef,
        properties: Properties,
        systems: impl Iterator<Item = MoRef>,
    ) {
        let before = w.find(me).cloned();
        // A system that `configManager` names is there at once; the host does not report one without properties.
        for system in systems {
            if w.find(&system).is_none() {
                w.create(&system, Props { ty: system.ty(), values: Vec::new() });
            }
        }
        for (number, mut value) in properties {
            if is_centers(number) || number == prop!(HostSystem.vm).number() {
                continue;
            }
            let object = value.as_ref().and_then(Value::as_object);
            if number == prop!(HostSystem.runtime).number() {
                value = object.map(|runtime| self.runtime(runtime).into());
            } else if number == prop!(HostSystem.summary).number() {
                let custom = before.as_ref().and_then(|node| custom_values(node));
                value = object.map(|summary| self.summary(summary, custom).into());
            }
            w.put(me, number, value);
        }
        relink(w, edges, me, before.as_deref());
    }

    fn runtime(&self, runtime: &Object) -> Object {
        let connected = vim_enum!(HostSystemConnectionState.connected);
        show::host::correct_runtime(runtime, connected, self.maintenance)
    }

    /// The host's summary with the center's parts of it.
    fn summary(&self, summary: &Object, custom: Option<Value>) -> Object {
        let mut summary = Object::clone(summary);
        if let Some(runtime) = summary.get(field!(HostListSummary.runtime)).cloned() {
            summary.set(field!(HostListSummary.runtime), self.runtime(&runtime));
        }
        summary.put(field!(HostListSummary.customValue).number(), custom);
        if let Some(address) = &self.address {
            summary.set(field!(HostListSummary.managementServerIp), address);
        }
        summary
    }
}

/// Updates the objects that show the host: its compute resource, its networks, the datastores that it has lost.
fn relink(w: &mut Writer, edges: &mut Edges, me: &MoRef, before: Option<&api::Node>) {
    let Some(after) = w.find(me).cloned() else { return };
    let parent = after.get(prop!(HostSystem.parent)).cloned();
    let summed = [
        prop!(HostSystem.summary).number(),
        prop!(HostSystem.datastore).number(),
        prop!(HostSystem.network).number(),
    ];
    let same = |at: u16| before.and_then(|node| node.at(at)) == after.at(at);
    if let (Some(parent), false) = (parent, summed.into_iter().all(same)) {
        edges.refresh(&parent);
    }
    let at = prop!(HostSystem.network).number();
    let (old, new) = (refs_of(before, at), refs_of(Some(&after), at));
    for network in old.difference(&new) {
        edges.remove(network, prop!(Network.host), me);
    }
    for network in new.difference(&old) {
        edges.add(network, prop!(Network.host), me);
    }
    let at = prop!(HostSystem.datastore).number();
    let (old, new) = (refs_of(before, at), refs_of(Some(&after), at));
    for datastore in old.difference(&new) {
        show::datastore::set_mount(w, datastore, me, None);
    }
}
