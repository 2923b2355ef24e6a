//! A ContainerView's contents: the objects below its container, kept until the structure of the inventory changes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use vim::{Fault, Kind, List, ManagedId, MoRef, Value, fault, prop, schema};

use super::references;
use crate::Snapshot;
use crate::tree::{is_structural, ways};

/// A container keeps this many of its contents, for clients that look at an older state.
const MAX_RECENT: usize = 4;

/// The containers that sessions look into. Views of the same contents share them.
#[derive(Default)]
pub(super) struct Containers(Mutex<HashMap<Key, Weak<Container>>>);

/// The container, names of types, and whether it is recursive.
type Key = (MoRef, Vec<String>, bool);

impl Containers {
    /// The contents that a view with these settings shows.
    ///
    /// # Errors
    /// Those of [`Container::new`].
    pub fn get(
        &self,
        container: MoRef,
        names: Vec<String>,
        recursive: bool,
    ) -> Result<Arc<Container>, Fault> {
        let mut known = self.0.lock();
        let key = (container, names, recursive);
        if let Some(container) = known.get(&key).and_then(Weak::upgrade) {
            return Ok(container);
        }
        let container = Arc::new(Container::new(key.0.clone(), key.1.clone(), key.2)?);
        if known.len() == known.capacity() {
            known.retain(|_, container| container.strong_count() > 0);
        }
        known.insert(key, Arc::downgrade(&container));
        Ok(container)
    }
}

pub(super) struct Container {
    container: MoRef,
    /// Names as the client sent them.
    names: Vec<String>,
    /// Empty for all types.
    types: Vec<ManagedId>,
    recursive: bool,
    /// Oldest first.
    recent: Mutex<VecDeque<Contents>>,
}

/// The contents, and the versions of the tree in which they are these.
struct Contents {
    from: u64,
    until: u64,
    view: Option<Value>,
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
        Ok(Self { container, names, types, recursive, recent: Mutex::default() })
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
        let mut recent = self.recent.lock();
        let version = state.version();
        if let Some(known) = recent.iter_mut().rev().find(|known| known.from <= version) {
            let mut is_still = version <= known.until;
            if !is_still && let Ok(mut commits) = state.since(known.until) {
                is_still = !commits.any(|commit| commit.changes.iter().any(is_structural));
            }
            if is_still {
                known.until = known.until.max(version);
                return known.view.clone();
            }
        }
        let view = references(self.walk(state));
        let at = recent.iter().rposition(|known| known.from < version).map_or(0, |at| at + 1);
        recent.insert(at, Contents { from: version, until: version, view: view.clone() });
        if recent.len() > MAX_RECENT {
            recent.pop_front();
        }
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
