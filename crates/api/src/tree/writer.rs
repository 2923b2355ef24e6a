//! Changing the tree.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::MutexGuard;
use vim::kind::Marker;
use vim::{Field, MoRef, Props, Value, schema};

use super::by_id::ById;
use super::shared::share;
use super::{Change, Commit, LOG_CHANGES, Node, Snapshot, What};

/// A change of the tree under way. Reads through it see what it has written so far.
pub struct Writer<'t> {
    /// One writer at a time.
    _turn: &'t MutexGuard<'t, ()>,
    state: Snapshot,
    changed: HashMap<MoRef, Touched>,
    /// The objects of `changed` in the order in which they were first touched.
    order: Vec<MoRef>,
}

#[derive(Default)]
struct Touched {
    created: bool,
    removed: bool,
    properties: Vec<u16>,
}

impl<'t> Writer<'t> {
    pub(super) fn new(turn: &'t MutexGuard<'t, ()>, state: Snapshot) -> Self {
        Self { _turn: turn, state, changed: HashMap::new(), order: Vec::new() }
    }

    pub fn find(&self, reference: &MoRef) -> Option<&Arc<Node>> {
        self.state.find(reference)
    }

    /// The tree as it stands with the changes so far.
    pub fn state(&self) -> &Snapshot {
        &self.state
    }

    /// Adds an object, or sets the properties of an existing one.
    pub fn create(&mut self, me: &MoRef, props: Props) {
        if self.state.find(me).is_none() {
            self.state.nodes.insert(ById(me.clone()), Arc::new(Node::new(me.clone())));
            let touched = self.touch(me);
            touched.created = true;
            touched.removed = false;
        }
        self.set(me, props);
    }

    /// Sets properties of an object, and does nothing if it does not exist. `props` may name a base type's properties.
    pub fn set(&mut self, me: &MoRef, props: Props) {
        debug_assert!(me.is_a(props.ty), "{me} has no properties of that type");
        for (number, value) in props.values {
            self.put(me, number, value);
        }
    }

    /// Sets one property by number.
    pub fn put(&mut self, me: &MoRef, number: u16, value: Option<Value>) {
        let Some(node) = self.state.nodes.get_mut(me.id()) else { return };
        if node.at(number) == value.as_ref() {
            return;
        }
        let value = value.as_ref().map(share);
        let me = node.me().clone();
        if Arc::make_mut(node).put(number, value) {
            let touched = self.touch(&me);
            if !touched.properties.contains(&number) {
                touched.properties.push(number);
            }
        }
    }

    /// Adds a reference to a list property, unless it is there. The length of the list does not matter.
    pub fn add_ref<K: Marker>(&mut self, me: &MoRef, list: Field<vim::kind::ListOf<K>>, item: &MoRef) {
        self.edit(me, list.number(), item, false, |node, number, item| {
            node.add_reference(number, K::kind(), item);
        });
    }

    /// [`Writer::add_ref`] by the number of the list.
    pub fn add_ref_at(&mut self, me: &MoRef, list: u16, item: &MoRef) {
        let element = schema().managed(me.ty()).properties[usize::from(list)].kind;
        self.edit(me, list, item, false, |node, number, item| node.add_reference(number, element, item));
    }

    /// Takes a reference out of a list property. The length of the list does not matter.
    pub fn remove_ref<K: Marker>(&mut self, me: &MoRef, list: Field<vim::kind::ListOf<K>>, item: &MoRef) {
        self.remove_ref_at(me, list.number(), item);
    }

    /// [`Writer::remove_ref`] by the number of the list.
    pub fn remove_ref_at(&mut self, me: &MoRef, list: u16, item: &MoRef) {
        self.edit(me, list, item, true, Node::remove_reference);
    }

    /// Changes a list property of an object that exists, if it has the reference or lacks it as `has` says.
    fn edit(
        &mut self,
        me: &MoRef,
        number: u16,
        item: &MoRef,
        has: bool,
        change: impl FnOnce(&mut Node, u16, &MoRef),
    ) {
        let Some(node) = self.state.nodes.get_mut(me.id()) else { return };
        if node.is_long(number) {
            // The value stays the same, so this is not a change.
            Arc::make_mut(node).keep_as_references(number);
        }
        if node.lists(number, item) != has {
            return;
        }
        change(Arc::make_mut(node), number, item);
        let me = node.me().clone();
        let touched = self.touch(&me);
        if !touched.properties.contains(&number) {
            touched.properties.push(number);
        }
    }

    /// Removes an object. The caller removes the references to it in other objects.
    pub fn remove(&mut self, me: &MoRef) {
        if let Some(node) = self.state.nodes.remove(me.id()) {
            self.touch(node.me()).removed = true;
        }
    }

    fn touch(&mut self, me: &MoRef) -> &mut Touched {
        if !self.changed.contains_key(me) {
            self.order.push(me.clone());
        }
        self.changed.entry(me.clone()).or_default()
    }

    /// The next state, or none if nothing has changed.
    pub(super) fn finish(mut self) -> Option<Snapshot> {
        let mut changes = Vec::with_capacity(self.order.len());
        for object in self.order {
            let touched = self.changed.remove(&object).unwrap_or_default();
            let what = match (touched.created, touched.removed) {
                (true, true) => continue,
                (true, false) => What::Created,
                (false, true) => What::Removed,
                (false, false) => What::Set(touched.properties.into()),
            };
            changes.push(Change { object, what });
        }
        if changes.is_empty() {
            return None;
        }
        let mut next = self.state;
        next.version += 1;
        next.log_changes += changes.len();
        next.log.push_back(Arc::new(Commit { version: next.version, changes }));
        while next.log_changes > LOG_CHANGES && next.log.len() > 1 {
            if let Some(oldest) = next.log.pop_front() {
                next.log_changes -= oldest.changes.len();
            }
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tree;
    use super::super::references::counted;
    use super::*;
    use vim::{managed_id, prop, props};

    fn vm(n: u32) -> MoRef {
        MoRef::new(managed_id!(VirtualMachine), format!("vm-{n}"))
    }

    #[test]
    fn a_reader_keeps_its_state_and_the_log_tells_what_happened_since() {
        let tree = Tree::new();
        tree.write(|w| w.create(&vm(1), props!(VirtualMachine { name: "a" })));
        let before = tree.snapshot();
        tree.write(|w| w.set(&vm(1), props!(VirtualMachine { name: "b" })));
        tree.write(|w| w.set(&vm(1), props!(VirtualMachine { name: "b" })));
        tree.write(|w| w.remove(&vm(1)));
        assert_eq!(before.find(&vm(1)).unwrap().get(prop!(VirtualMachine.name)), Some("a"));
        let after = tree.snapshot();
        assert!(after.find(&vm(1)).is_none());
        let whats: Vec<_> =
            after.since(before.version()).unwrap().flat_map(|c| &c.changes).map(|c| c.what.clone()).collect();
        let name = prop!(VirtualMachine.name).number();
        assert_eq!(
            whats,
            [What::Set([name].into()), What::Removed],
            "an equal value does not count as a change"
        );
    }

    #[test]
    fn a_base_type_finds_the_object_and_a_sibling_type_does_not() {
        let tree = Tree::new();
        tree.write(|w| w.create(&vm(1), props!(ManagedEntity { name: "a" })));
        let seen = tree.snapshot();
        assert!(seen.find(&MoRef::new(managed_id!(ManagedEntity), "vm-1")).is_some());
        assert!(seen.find(&MoRef::new(managed_id!(Folder), "vm-1")).is_none());
    }

    #[test]
    fn what_is_new_is_found_at_once_in_a_long_log() {
        let tree = Tree::new();
        for n in 0..50_000 {
            tree.write(|w| w.create(&vm(1), props!(VirtualMachine { name: format!("{n}") })));
        }
        let seen = tree.snapshot();
        let last = seen.version() - 1;
        // Ten billion steps, if each look passed by the whole log.
        for _ in 0..200_000 {
            assert_eq!(seen.since(last).unwrap().count(), 1);
        }
        let versions: Vec<u64> = seen.since(last - 2).unwrap().map(|commit| commit.version).collect();
        assert_eq!(versions, [last - 1, last, last + 1]);
    }

    #[test]
    fn a_forgotten_version_is_too_old() {
        let tree = Tree::new();
        for n in 0..3 {
            tree.write(|w| {
                for i in 0..u32::try_from(LOG_CHANGES).unwrap() / 2 {
                    w.create(&vm(n * 1_000_000 + i), props!(VirtualMachine {}));
                }
            });
        }
        let seen = tree.snapshot();
        assert!(seen.since(0).is_err() && seen.since(1).is_ok() && seen.since(4).is_err());
        assert_eq!(seen.since(3).unwrap().count(), 0);
    }

    #[test]
    fn references_in_lists_are_added_once_and_the_last_one_unsets_the_list() {
        let tree = Tree::new();
        let folder = MoRef::new(managed_id!(Folder), "group-v1");
        let children = prop!(Folder.childEntity);
        tree.write(|w| {
            w.create(&folder, props!(Folder {}));
            w.add_ref(&folder, children, &vm(1));
            w.add_ref(&folder, children, &vm(1));
        });
        assert_eq!(tree.snapshot().find(&folder).unwrap().get(children).unwrap().len(), 1);
        tree.write(|w| w.remove_ref(&folder, children, &vm(1)));
        assert!(tree.snapshot().find(&folder).unwrap().get(children).is_none());
    }

    #[test]
    fn a_long_list_grows_and_shrinks_by_one_without_being_copied() {
        const MANY: u32 = 4_000;
        let tree = Tree::new();
        let folder = MoRef::new(managed_id!(Folder), "group-v1");
        let children = prop!(Folder.childEntity);
        let listed = |tree: &Tree| -> Vec<MoRef> {
            let seen = tree.snapshot();
            let list = seen.find(&folder).unwrap().get(children);
            list.into_iter().flatten().cloned().collect()
        };
        tree.write(|w| w.create(&folder, props!(Folder {})));
        counted::take();
        for n in 0..MANY {
            tree.write(|w| w.add_ref(&folder, children, &vm(n)));
            let version = tree.snapshot().version();
            tree.write(|w| w.add_ref(&folder, children, &vm(n)));
            assert_eq!(tree.snapshot().version(), version, "it is there already");
        }
        assert!(counted::take() < 10 * MANY as usize, "as many as a few for each addition");
        assert_eq!(listed(&tree), (0..MANY).map(vm).collect::<Vec<_>>());
        let before = tree.snapshot();
        counted::take();
        for n in (0..MANY).filter(|n| n % 2 == 0) {
            tree.write(|w| w.remove_ref(&folder, children, &vm(n)));
        }
        assert_eq!(counted::take(), 0, "nobody has read the list meanwhile");
        assert_eq!(listed(&tree), (0..MANY).filter(|n| n % 2 == 1).map(vm).collect::<Vec<_>>());
        assert_eq!(before.find(&folder).unwrap().get(children).unwrap().len(), MANY as usize);
        tree.write(|w| (0..MANY).for_each(|n| w.remove_ref(&folder, children, &vm(n))));
        assert!(tree.snapshot().find(&folder).unwrap().get(children).is_none());
    }
}
