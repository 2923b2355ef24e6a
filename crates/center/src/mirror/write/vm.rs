//! A VM from its host.

use std::collections::HashSet;

use api::Writer;
use vim::{Field, MoRef, Object, Value, field, prop};

use super::{custom_values, is_centers, refs_in, refs_of};
use crate::estate::Edges;
use crate::mirror::facts::Properties;

/// Writes the VM's properties, which are in the center's references.
pub(super) fn vm(w: &mut Writer, edges: &mut Edges, me: &MoRef, properties: Properties) {
    let own = [prop!(VirtualMachine.resourcePool).number(), prop!(VirtualMachine.parentVApp).number()];
    let mut relinked = false;
    for (number, mut value) in properties {
        if is_centers(number) || own.contains(&number) {
            continue;
        }
        if number == prop!(VirtualMachine.summary).number() {
            let custom = w.find(me).and_then(|node| custom_values(node));
            value = value.as_ref().and_then(Value::as_object).map(|summary| {
                let mut summary = Object::clone(summary);
                summary.put(field!(VirtualMachineSummary.customValue).number(), custom);
                summary.into()
            });
        }
        relinked |= [prop!(VirtualMachine.datastore).number(), prop!(VirtualMachine.network).number()]
            .contains(&number);
        if number == prop!(VirtualMachine.datastore).number() {
            relist(w, edges, me, number, value.as_ref(), prop!(Datastore.vm));
        }
        if number == prop!(VirtualMachine.network).number() {
            relist(w, edges, me, number, value.as_ref(), prop!(Network.vm));
        }
        w.put(me, number, value);
    }
    // A vApp shows the datastores and networks of its VMs.
    let vapp = w.find(me).and_then(|node| node.get(prop!(VirtualMachine.parentVApp)).cloned());
    if let Some(vapp) = vapp.filter(|_| relinked) {
        edges.refresh(&vapp);
    }
}

/// Updates the lists `back` of the objects that a list of the VM gains or loses.
fn relist<K: vim::kind::Marker>(
    w: &Writer,
    edges: &mut Edges,
    me: &MoRef,
    number: u16,
    value: Option<&Value>,
    back: Field<vim::kind::ListOf<K>>,
) {
    let old = refs_of(w.find(me).map(|node| &**node), number);
    let new: HashSet<MoRef> = refs_in(value);
    for lost in old.difference(&new) {
        edges.remove(lost, back, me);
    }
    for gained in new.difference(&old) {
        edges.add(gained, back, me);
    }
}
