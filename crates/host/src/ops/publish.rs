//! Showing what has changed: a machine's properties in the tree, and who refers to it.

use vim::{MoRef, prop};
use vm::show;

use crate::vms::Vm;
use crate::{Host, ids};

impl Host {
    /// Brings the tree up to date with a machine, all at once.
    pub(crate) fn publish(&self, vm: &Vm) {
        // The state stays locked until the tree has it, so that two changes are shown in their order.
        let state = vm.state();
        let now = state.shown(&vm.me);
        let on = show::machine::On {
            me: ids::host(),
            folder: ids::vm_folder(),
            environment_browser: ids::environment_browser(),
            mhz: self.hardware.cpu.mhz,
            storage: &*self.datastores,
        };
        let shown = show::machine::props(&on, &now);
        let (datastores, networks) = show::config::uses(&state.config, &state.home);
        let snapshots: Vec<(MoRef, vim::Props)> = state
            .snapshots
            .snapshots
            .iter()
            .map(|s| (ids::snapshot(&vm.me, s.uid), show::machine::snapshot(&on, &now, s.uid)))
            .collect();
        let pool = state.pool.clone();
        let template = state.config.template;
        self.core.tree.write(|w| {
            let before = w.find(&vm.me).cloned();
            let refs = |number: u16| -> Vec<MoRef> {
                let value = before.as_ref().and_then(|node| node.at(number));
                value
                    .map(|value| value.items().iter().filter_map(|item| item.as_ref().cloned()).collect())
                    .unwrap_or_default()
            };
            for gone in
                refs(prop!(VirtualMachine.datastore).number()).iter().filter(|me| !datastores.contains(me))
            {
                w.remove_ref(gone, prop!(Datastore.vm), &vm.me);
            }
            for gone in
                refs(prop!(VirtualMachine.network).number()).iter().filter(|me| !networks.contains(me))
            {
                w.remove_ref(gone, prop!(Network.vm), &vm.me);
            }
            let known =
                before.as_ref().and_then(|node| node.get(prop!(VirtualMachine.resourcePool)).cloned());
            if let Some(gone) = known.filter(|known| *known != pool || template) {
                w.remove_ref(&gone, prop!(ResourcePool.vm), &vm.me);
            }
            remove_snapshots(w, &vm.me, &snapshots.iter().map(|(me, _)| me.clone()).collect::<Vec<_>>());
            w.create(&vm.me, shown);
            for (me, props) in snapshots {
                w.create(&me, props);
            }
            for datastore in &datastores {
                w.add_ref(datastore, prop!(Datastore.vm), &vm.me);
            }
            for network in &networks {
                w.add_ref(network, prop!(Network.vm), &vm.me);
            }
            if !template {
                w.add_ref(&pool, prop!(ResourcePool.vm), &vm.me);
            }
            w.add_ref(&ids::vm_folder(), prop!(Folder.childEntity), &vm.me);
            w.add_ref(&ids::host(), prop!(HostSystem.vm), &vm.me);
        });
        drop(state);
    }

    /// Takes a machine out of the tree.
    pub(crate) fn unpublish(&self, vm: &Vm) {
        self.core.tree.write(|w| {
            remove_snapshots(w, &vm.me, &[]);
            let Some(node) = w.find(&vm.me).cloned() else { return };
            let refs = |number: u16| -> Vec<MoRef> {
                let value = node.at(number);
                value
                    .map(|value| value.items().iter().filter_map(|item| item.as_ref().cloned()).collect())
                    .unwrap_or_default()
            };
            for datastore in refs(prop!(VirtualMachine.datastore).number()) {
                w.remove_ref(&datastore, prop!(Datastore.vm), &vm.me);
            }
            for network in refs(prop!(VirtualMachine.network).number()) {
                w.remove_ref(&network, prop!(Network.vm), &vm.me);
            }
            for pool in refs(prop!(VirtualMachine.resourcePool).number()) {
                w.remove_ref(&pool, prop!(ResourcePool.vm), &vm.me);
            }
            w.remove_ref(&ids::vm_folder(), prop!(Folder.childEntity), &vm.me);
            w.remove_ref(&ids::host(), prop!(HostSystem.vm), &vm.me);
            w.remove(&vm.me);
        });
    }
}

/// Removes the snapshot objects of a machine but those of `keep`.
fn remove_snapshots(w: &mut api::Writer, vm: &MoRef, keep: &[MoRef]) {
    let roots: Vec<MoRef> = w
        .find(vm)
        .and_then(|node| node.at(prop!(VirtualMachine.rootSnapshot).number()).cloned())
        .map(|value| value.items().iter().filter_map(|item| item.as_ref().cloned()).collect())
        .unwrap_or_default();
    let mut open = roots;
    while let Some(me) = open.pop() {
        let below = w
            .find(&me)
            .and_then(|node| node.at(prop!(VirtualMachineSnapshot.childSnapshot).number()).cloned());
        if let Some(below) = below {
            open.extend(below.items().iter().filter_map(|item| item.as_ref().cloned()));
        }
        if !keep.contains(&me) {
            w.remove(&me);
        }
    }
}
