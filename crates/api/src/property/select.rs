//! The objects that a specification selects: it walks from its start objects along its traversals.
//!
//! The walk is a work list of (object, traversal), each done once, so recursive specifications end in every graph.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use vim::{Fault, ManagedId, MoRef, Value};

use super::read::Reader;
use super::spec::{Plan, Spec};
use crate::hash::{RefMap, RefSet};
use crate::service::Object;
use crate::session::SessionObject;

/// The result of the walk.
#[derive(Default)]
pub(super) struct Selected {
    /// The objects to report, in the order in which they were met.
    pub objects: Vec<(Object, Arc<Plan>)>,
    /// Start objects that do not exist.
    pub missing: Vec<MoRef>,
    /// Objects of the tree whose properties a traversal has read.
    pub traversed: RefSet,
    /// The same for the session's own objects, with the values.
    pub own: Vec<OwnSource>,
    /// Ids in references to objects that do not exist or are hidden from the session.
    pub dangling: HashSet<Box<str>>,
}

/// A property of a session's own object that a traversal has read.
pub(super) struct OwnSource {
    pub object: Arc<dyn SessionObject>,
    pub property: u16,
    pub value: Option<Value>,
}

struct Walk<'a> {
    reader: Reader<'a>,
    spec: &'a Spec,
    /// Whether each met object is reported.
    met: RefMap<bool>,
    /// The last plan that was looked up: neighbours are mostly of one type.
    plan: Option<(ManagedId, Option<Arc<Plan>>)>,
    queue: VecDeque<(Object, usize)>,
    queued: HashSet<(MoRef, usize)>,
    selected: Selected,
}

/// Walks the specification over the reader's state.
///
/// # Errors
/// `NotAuthenticated` if a start object is hidden from clients without a session.
pub(super) fn select(spec: &Spec, reader: Reader<'_>) -> Result<Selected, Fault> {
    let mut walk = Walk {
        reader,
        spec,
        met: RefMap::default(),
        plan: None,
        queue: VecDeque::new(),
        queued: HashSet::new(),
        selected: Selected::default(),
    };
    for start in &spec.starts {
        match reader.find(&start.object) {
            Some(object) => walk.meet(object, start.skip, &start.next),
            None => {
                walk.selected.dangling.insert(start.object.id().into());
                walk.selected.missing.push(start.object.clone());
            }
        }
    }
    while let Some((object, traversal)) = walk.queue.pop_front() {
        walk.traverse(&object, traversal)?;
    }
    Ok(walk.selected)
}

impl Walk<'_> {
    fn meet(&mut self, object: Object, skip: bool, next: &[usize]) {
        for traversal in next {
            if object.me().is_a(self.spec.traversals[*traversal].ty)
                && self.queued.insert((object.me().clone(), *traversal))
            {
                self.queue.push_back((clone(&object), *traversal));
            }
        }
        if skip {
            return;
        }
        let reported = self.met.entry(object.me().clone()).or_default();
        if !*reported {
            *reported = true;
            if let Some(plan) = self.plan(object.me().ty()) {
                self.selected.objects.push((object, plan));
            }
        }
    }

    fn plan(&mut self, ty: ManagedId) -> Option<Arc<Plan>> {
        if let Some((last, plan)) = &self.plan
            && *last == ty
        {
            return plan.clone();
        }
        let plan = self.spec.plan(ty, self.reader.service);
        self.plan = Some((ty, plan.clone()));
        plan
    }

    fn traverse(&mut self, object: &Object, number: usize) -> Result<(), Fault> {
        let traversal = &self.spec.traversals[number];
        if self.reader.refusal(object, traversal.privilege)?.is_some() {
            return Ok(());
        }
        let property = traversal.path.property();
        let targets = match object {
            Object::Shared(node) => {
                self.selected.traversed.insert(node.me().clone());
                let computed = self.reader.service.computed(node.me().ty(), property);
                self.reader.value(object, &traversal.path, computed)
            }
            Object::Own(own) => {
                let session = self.reader.session;
                let value = session.and_then(|session| own.property(property, session, self.reader.state));
                let targets = value.as_ref().and_then(|value| traversal.path.get(value));
                self.selected.own.push(OwnSource { object: own.clone(), property, value });
                targets
            }
        };
        let Some(targets) = targets else { return Ok(()) };
        self.met.reserve(targets.items().len());
        for target in targets.items().iter().filter_map(Value::as_ref) {
            match self.reader.find(target).filter(|object| self.reader.sees(object)) {
                Some(object) => self.meet(object, traversal.skip, &traversal.next),
                None => {
                    self.selected.dangling.insert(target.id().into());
                }
            }
        }
        Ok(())
    }
}

fn clone(object: &Object) -> Object {
    match object {
        Object::Shared(node) => Object::Shared(node.clone()),
        Object::Own(own) => Object::Own(own.clone()),
    }
}
