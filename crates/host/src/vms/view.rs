//! Shows VMs in the tree of managed objects. The tree is output only: a VM's own [`Last`] says what was shown of it.

use std::sync::Arc;

use api::{Tree, Writer};
use vim::{MoRef, Props, prop};
use vm::show;

use super::index::Index;
use super::state::State;
use crate::datastores::Datastores;
use crate::ids;

/// Shows VMs.
pub(crate) struct View {
    tree: Arc<Tree>,
    datastores: Arc<Datastores>,
    /// Speed of one processor, MHz.
    mhz: u32,
    /// The things that VMs use.
    pub(super) index: Arc<Index>,
}

/// The last that was shown of a VM.
pub(super) enum Last {
    NotYet,
    Shown(Uses),
    Gone,
}

/// The objects that refer to a VM, or that belong to it.
pub(super) struct Uses {
    datastores: Vec<MoRef>,
    networks: Vec<MoRef>,
    /// None for a template.
    pool: Option<MoRef>,
    snapshots: Vec<MoRef>,
}

impl View {
    pub(super) fn new(tree: Arc<Tree>, datastores: Arc<Datastores>, mhz: u32, index: Arc<Index>) -> Self {
        Self { tree, datastores, mhz, index }
    }

    /// Shows a VM for the first time.
    pub(super) fn appear(&self, me: &MoRef, state: &State, last: &mut Last) {
        let (uses, shown, snapshots) = self.render(me, state);
        self.tree.write(|w| {
            put(w, me, shown, snapshots);
            refer(w, me, &uses);
            w.add_ref(&ids::vm_folder(), prop!(Folder.childEntity), me);
            w.add_ref(&ids::host(), prop!(HostSystem.vm), me);
        });
        *last = Last::Shown(uses);
    }

    /// Shows the present state of a VM that is shown, all at once.
    pub(super) fn show(&self, me: &MoRef, state: &State, last: &mut Last) {
        let Last::Shown(before) = last else { return };
        let (uses, shown, snapshots) = self.render(me, state);
        self.tree.write(|w| {
            for gone in before.datastores.iter().filter(|before| !uses.datastores.contains(before)) {
                w.remove_ref(gone, prop!(Datastore.vm), me);
            }
            for gone in before.networks.iter().filter(|before| !uses.networks.contains(before)) {
                w.remove_ref(gone, prop!(Network.vm), me);
            }
            if let Some(gone) = before.pool.as_ref().filter(|before| uses.pool.as_ref() != Some(before)) {
                w.remove_ref(gone, prop!(ResourcePool.vm), me);
            }
            for gone in before.snapshots.iter().filter(|before| !uses.snapshots.contains(before)) {
                w.remove(gone);
            }
            put(w, me, shown, snapshots);
            refer(w, me, &uses);
        });
        *before = uses;
    }

    /// Takes a VM out of the tree for good.
    pub(super) fn vanish(&self, me: &MoRef, last: &mut Last) {
        let Last::Shown(before) = std::mem::replace(last, Last::Gone) else { return };
        self.tree.write(|w| {
            for snapshot in &before.snapshots {
                w.remove(snapshot);
            }
            for datastore in &before.datastores {
                w.remove_ref(datastore, prop!(Datastore.vm), me);
            }
            for network in &before.networks {
                w.remove_ref(network, prop!(Network.vm), me);
            }
            if let Some(pool) = &before.pool {
                w.remove_ref(pool, prop!(ResourcePool.vm), me);
            }
            w.remove_ref(&ids::vm_folder(), prop!(Folder.childEntity), me);
            w.remove_ref(&ids::host(), prop!(HostSystem.vm), me);
            w.remove(me);
        });
    }

    /// The references of a VM, its properties, and the properties of its snapshots in the order of `Uses::snapshots`.
    fn render(&self, me: &MoRef, state: &State) -> (Uses, Props, Vec<(MoRef, Props)>) {
        let on = show::machine::On {
            me: ids::host(),
            folder: ids::vm_folder(),
            environment_browser: ids::environment_browser(),
            mhz: self.mhz,
            storage: &*self.datastores,
        };
        let now = state.shown(me);
        let snapshot = |uid: u32| (ids::snapshot(me, uid), show::machine::snapshot(&on, &now, uid));
        let snapshots: Vec<_> = state.snapshots.snapshots.iter().map(|one| snapshot(one.uid)).collect();
        let (datastores, networks) = show::config::uses(&state.config, &state.home);
        let uses = Uses {
            datastores,
            networks,
            pool: (!state.config.template).then(|| state.pool.clone()),
            snapshots: snapshots.iter().map(|(snapshot, _)| snapshot.clone()).collect(),
        };
        (uses, show::machine::props(&on, &now), snapshots)
    }
}

fn put(w: &mut Writer<'_>, me: &MoRef, shown: Props, snapshots: Vec<(MoRef, Props)>) {
    w.create(me, shown);
    for (snapshot, props) in snapshots {
        w.create(&snapshot, props);
    }
}

/// Lists the VM where datastores, networks and pools list their VMs. A network may have been made since the last time.
fn refer(w: &mut Writer<'_>, me: &MoRef, uses: &Uses) {
    for datastore in &uses.datastores {
        w.add_ref(datastore, prop!(Datastore.vm), me);
    }
    for network in &uses.networks {
        w.add_ref(network, prop!(Network.vm), me);
    }
    if let Some(pool) = &uses.pool {
        w.add_ref(pool, prop!(ResourcePool.vm), me);
    }
}
