//! A ContainerView's contents: the objects below its container, kept until the structure of the inventory changes.

use std::collections::{HashSet, VecDeque};

use parking_lot::Mutex;
use vim::{Fault, Kind, List, ManagedId, MoRef, Value, fault, managed_id, prop, schema};

use super::references;
use crate::{Change, Snapshot, What};

pub(super) struct Container {
    container: MoRef,
    /// Names as the client sent them.
    names: Vec<String>,
    /// Empty for all types.
    types: Vec<ManagedId>,
    recursive: bool,
    last: Mutex<Option<Last>>,
}

/// The contents at one version of the tree.
struct Last {
    version: u64,
    view: Option<Value>,
}

/// The properties that lead down: the type that has one, its number, and the type that it leads to.
fn ways() -> [(ManagedId, u16); 10] {
    [
        (managed_id!(Folder), prop!(Folder.childEntity).number()),
        (managed_id!(Datacenter), prop!(Datacenter.vmFolder).number()),
        (managed_id!(Datacenter), prop!(Datacenter.hostFolder).number()),
        (managed_id!(Datacenter), prop!(Datacenter.datastoreFolder).number()),
        (managed_id!(Datacenter), prop!(Datacenter.networkFolder).number()),
        (managed_id!(ComputeResource), prop!(ComputeResource.host).number()),
        (managed_id!(ComputeResource), prop!(ComputeResource.resourcePool).number()),
        (managed_id!(ResourcePool), prop!(ResourcePool.resourcePool).number()),
        (managed_id!(ResourcePool), prop!(ResourcePool.vm).number()),
        (managed_id!(HostSystem), prop!(HostSystem.vm).number()),
    ]
}

impl Container {
    /// # Errors
    /// `InvalidArgument` if objects of the container's type contain no others, or a type does not exist.
    pub fn new(container: MoRef, names: Vec<String>, recursive: bool) -> Result<Self, Fault> {
        if !ways().iter().any(|(ty, _)| container.is_a(*ty)) {
            return Err(crate::service::invalid_argument(
                "container",
                &format!("A {} contains no other objects", container.type_name()),
            ));
        }
        let types = names
            .iter()
            .map(|name| {
                schema().find_managed(name).ok_or_else(|| {
                    fault!(
                        InvalidArgument { invalidProperty: "type" },
                        "The managed type {name} does not exist"
                    )
                })
            })
            .collect::<Result<_, Fault>>()?;
        Ok(Self { container, names, types, recursive, last: Mutex::default() })
    }

    pub fn property(&self, number: u16) -> Option<Value> {
        if number == prop!(ContainerView.container).number() {
            Some(Value::Ref(self.container.clone()))
        } else if number == prop!(ContainerView.recursive).number() {
            Some(Value::Boolean(self.recursive))
        } else if number == prop!(ContainerView.type).number() && !self.names.is_empty() {
            let names: Vec<Value> = self.names.iter().map(|name| Value::from(name.as_str())).collect();
            Some(Value::List(List::new(Kind::TypeName, names)))
        } else {
            None
        }
    }

    /// The contents in that state. The list stays the same while the structure does not change.
    pub fn view(&self, state: &Snapshot) -> Option<Value> {
        let mut last = self.last.lock();
        if let Some(known) = last.as_mut()
            && known.version <= state.version()
            && let Ok(mut commits) = state.since(known.version)
            && !commits.any(|commit| commit.changes.iter().any(is_structural))
        {
            known.version = state.version();
            return known.view.clone();
        }
        let view = references(self.walk(state));
        *last = Some(Last { version: state.version(), view: view.clone() });
        view
    }

    fn walk(&self, state: &Snapshot) -> Vec<Value> {
        let ways = ways();
        let mut met: HashSet<MoRef> = HashSet::from([self.container.clone()]);
        let mut queue = VecDeque::from([self.container.clone()]);
        let mut found = Vec::new();
        while let Some(at) = queue.pop_front() {
            let Some(node) = state.find(&at) else { continue };
            for (_, number) in ways.iter().filter(|(ty, _)| at.is_a(*ty)) {
                let Some(children) = node.at(*number) else { continue };
                for child in children.items().iter().filter_map(Value::as_ref) {
                    let Some(child) = state.find(child).map(|node| node.me().clone()) else { continue };
                    if !met.insert(child.clone()) {
                        continue;
                    }
                    if self.types.is_empty() || self.types.iter().any(|ty| child.is_a(*ty)) {
                        found.push(Value::Ref(child.clone()));
                    }
                    if self.recursive && ways.iter().any(|(ty, _)| child.is_a(*ty)) {
                        queue.push_back(child);
                    }
                }
            }
        }
        found
    }
}

/// Whether a change may alter the structure of the inventory.
fn is_structural(change: &Change) -> bool {
    match &change.what {
        What::Created | What::Removed => change.object.is_a(managed_id!(ManagedEntity)),
        What::Set(numbers) => {
            ways().iter().any(|(ty, number)| numbers.contains(number) && change.object.is_a(*ty))
        }
    }
}
