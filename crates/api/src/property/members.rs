//! The objects that a filter reports, as a walk over its specification has found them.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use vim::MoRef;

use super::select::Selected;
use crate::hash::{RefMap, RefSet};
use crate::service::Object;
use crate::tree::{Concerns, is_structural};
use crate::{Change, What};

/// The result of a walk. It never changes, so filters that select the same share it.
#[derive(Default)]
pub(super) struct Members {
    /// The reported objects in the order in which the walk met them.
    order: Box<[MoRef]>,
    places: RefMap<u32>,
    /// Start objects that do not exist.
    pub missing: Vec<MoRef>,
    /// Objects of the tree whose properties the walk has read.
    traversed: RefSet,
    /// Ids in references to objects that do not exist or are hidden from the session.
    dangling: HashSet<Box<str>>,
    /// Reported objects of the session's own: their properties change without an entry in the log.
    pub own: Vec<MoRef>,
    /// The walk has read views, whose contents follow the structure of the inventory.
    by_views: bool,
    /// The properties of some of the objects cannot be read again from a state of the tree.
    pub personal: bool,
    before: Option<(Weak<Self>, Difference)>,
}

/// The objects that left and those that entered between two walks.
#[derive(Clone, Default)]
pub(super) struct Difference {
    pub left: Vec<MoRef>,
    pub entered: Vec<MoRef>,
}

impl Members {
    pub fn new(selected: &mut Selected) -> Self {
        let objects = std::mem::take(&mut selected.objects);
        let own = objects.iter().filter(|(object, _)| matches!(object, Object::Own(_)));
        let own: Vec<MoRef> = own.map(|(object, _)| object.me().clone()).collect();
        let personal = !own.is_empty() || objects.iter().any(|(_, plan)| plan.has_computed);
        let order: Box<[MoRef]> = objects.into_iter().map(|(object, _)| object.me().clone()).collect();
        let places = order.iter().zip(0..).map(|(me, at)| (me.clone(), at)).collect();
        Self {
            order,
            places,
            missing: std::mem::take(&mut selected.missing),
            traversed: std::mem::take(&mut selected.traversed),
            dangling: std::mem::take(&mut selected.dangling),
            own,
            by_views: !selected.own.is_empty(),
            personal,
            before: None,
        }
    }

    /// The same, remembering how it differs from an earlier result.
    pub fn after(mut self, before: &Arc<Self>) -> Self {
        let difference = self.compare(before);
        self.before = Some((Arc::downgrade(before), difference));
        self
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn get(&self, place: usize) -> Option<&MoRef> {
        self.order.get(place)
    }

    pub fn from(&self, place: usize) -> &[MoRef] {
        self.order.get(place..).unwrap_or_default()
    }

    /// The object's place in the order, if it is reported.
    pub fn place(&self, me: &MoRef) -> Option<usize> {
        self.places.get(me).map(|place| *place as usize)
    }

    pub fn has(&self, me: &MoRef) -> bool {
        self.places.contains_key(me)
    }

    /// Whether an object has been read by the walk, or would have been.
    pub fn is_traversed(&self, me: &MoRef) -> bool {
        self.traversed.contains(me)
    }

    pub fn is_dangling(&self, me: &MoRef) -> bool {
        self.dangling.contains(me.id())
    }

    /// How the objects differ from those of an earlier result.
    pub fn since(&self, earlier: &Arc<Self>) -> Difference {
        match &self.before {
            Some((before, difference)) if std::ptr::eq(before.as_ptr(), Arc::as_ptr(earlier)) => {
                difference.clone()
            }
            _ => self.compare(earlier),
        }
    }

    fn compare(&self, earlier: &Self) -> Difference {
        Difference {
            left: earlier.order.iter().filter(|me| !self.has(me)).cloned().collect(),
            entered: self.order.iter().filter(|me| !earlier.has(me)).cloned().collect(),
        }
    }

    /// The objects whose changes concern the filter, if these are few and nothing else does.
    pub fn few(&self, most: usize) -> Option<impl Iterator<Item = &MoRef>> {
        let few = self.order.len() + self.traversed.len() <= most;
        (few && !self.by_views && self.dangling.is_empty() && self.own.is_empty())
            .then(|| self.order.iter().chain(&self.traversed))
    }
}

impl Concerns for Members {
    fn concerns(&self, change: &Change) -> bool {
        let me = &change.object;
        self.has(me)
            || self.is_traversed(me)
            || self.by_views && is_structural(change)
            || change.what == What::Created && self.is_dangling(me)
    }
}
