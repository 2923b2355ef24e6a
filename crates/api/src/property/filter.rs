//! The objects of one filter as the client knows them, and the changes since.
//!
//! The filter keeps the last node that it has sent for each object (shared with states of the tree, not copied; a newer one that is the
//! same to the client takes its place). The change log says which objects and properties to compare. The walk is repeated only when a property changed that it had read, or an object that it had
//! met was created or removed.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use vim::{Fault, Kind, List, MoRef, Value, data_id, vim, vim_enum};

use super::read::{Denied, Reader};
use super::select::{OwnSource, select};
use super::spec::{Plan, Planned, Spec};
use crate::hash::{RefMap, RefSet};
use crate::service::Object;
use crate::tree::{TooOld, not_found};
use crate::{Change, Node, What};

/// A filter's state between two calls.
#[derive(Default)]
pub(super) struct Known {
    /// The version of the tree up to which all changes have been considered; none before the first walk.
    seen: Option<u64>,
    walk: u32,
    entries: RefMap<Entry>,
    /// Objects with unsent changes, oldest first.
    pending: VecDeque<MoRef>,
    traversed: RefSet,
    own: Vec<OwnSource>,
    /// Reported objects of the session's own: their properties change without an entry in the log.
    own_entries: Vec<MoRef>,
    dangling: HashSet<Box<str>>,
    /// An update that did not fit into the last reply.
    left_over: Option<Value>,
    missing: RefSet,
    missing_to_tell: Vec<MoRef>,
}

struct Entry {
    plan: Arc<Plan>,
    /// The node that the client has; none if it does not know the object.
    sent: Option<Sent>,
    /// The number of the last walk that met the object.
    walk: u32,
    present: bool,
    queued: bool,
    changed: Changed,
}

struct Sent {
    state: SentState,
    denied: Denied,
}

enum SentState {
    /// Everything that was sent can be read again from the node.
    Node(Arc<Node>),
    /// One for each path of the plan.
    Values(Box<[Option<Value>]>),
}

/// Properties that may differ from what was sent.
enum Changed {
    None,
    // A table of many objects is mostly of those without changes.
    #[allow(clippy::box_collection)]
    Some(Box<Vec<u16>>),
    All,
}

impl Changed {
    fn add(&mut self, numbers: impl Iterator<Item = u16>) {
        match self {
            Self::All => {}
            Self::None => *self = Self::Some(Box::new(numbers.collect())),
            Self::Some(known) => {
                for number in numbers {
                    if !known.contains(&number) {
                        known.push(number);
                    }
                }
            }
        }
    }

    fn has(&self, number: u16) -> bool {
        match self {
            Self::None => false,
            Self::Some(numbers) => numbers.contains(&number),
            Self::All => true,
        }
    }
}

/// Why the changes cannot be told.
pub(super) enum Lost {
    /// The change log does not reach back: the client must begin again.
    TooOld,
    Fault(Fault),
}

impl From<TooOld> for Lost {
    fn from(_: TooOld) -> Self {
        Self::TooOld
    }
}

impl From<Fault> for Lost {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Known {
    /// Considers all changes up to the reader's state.
    pub fn refresh(&mut self, spec: &Spec, reader: Reader<'_>) -> Result<(), Lost> {
        let mut walk_again = self.seen.is_none();
        let mut replaced = Vec::new();
        if let Some(seen) = self.seen {
            for commit in reader.state.since(seen)? {
                for change in &commit.changes {
                    walk_again |= self.consider(spec, change, &mut replaced);
                }
            }
        }
        for me in replaced {
            if let Some(entry) = self.entries.get_mut(&me) {
                entry.renew(reader);
            }
        }
        walk_again |= self.own.iter().any(|own| {
            let session = reader.session.filter(|session| session.object(own.object.me()).is_some());
            let now = session.and_then(|session| own.object.property(own.property, session, reader.state));
            session.is_none() || !same(now.as_ref(), own.value.as_ref())
        });
        for me in &self.own_entries {
            if let Some(entry) = self.entries.get_mut(me) {
                entry.changed = Changed::All;
                queue(&mut self.pending, me, entry);
            }
        }
        if walk_again {
            self.walk(spec, reader)?;
        }
        self.seen = Some(reader.state.version());
        Ok(())
    }

    /// Notes a change, and returns whether it may change the result of the walk. `replaced` gets the objects that have a new node which is
    /// the same to the client.
    fn consider(&mut self, spec: &Spec, change: &Change, replaced: &mut Vec<MoRef>) -> bool {
        let me = &change.object;
        match &change.what {
            What::Created => {
                // Removed and created again within one commit.
                if let Some(entry) = self.entries.get_mut(me) {
                    entry.changed = Changed::All;
                    queue(&mut self.pending, me, entry);
                }
                self.dangling.contains(me.id()) || self.traversed.contains(me)
            }
            What::Removed => self.entries.contains_key(me) || self.traversed.contains(me),
            What::Set(numbers) => {
                if let Some(entry) = self.entries.get_mut(me) {
                    let plan = entry.plan.clone();
                    let planned = |number: &u16| plan.paths.iter().any(|path| path.property == *number);
                    if numbers.iter().any(planned) {
                        entry.changed.add(numbers.iter().copied().filter(planned));
                        queue(&mut self.pending, me, entry);
                    } else if matches!(entry.changed, Changed::None) {
                        replaced.push(me.clone());
                    }
                }
                let read = |number: &u16| {
                    spec.traversals.iter().any(|t| t.path.property() == *number && me.is_a(t.ty))
                };
                numbers.iter().any(read) && self.traversed.contains(me)
            }
        }
    }

    fn walk(&mut self, spec: &Spec, reader: Reader<'_>) -> Result<(), Fault> {
        let selected = select(spec, reader)?;
        self.walk = self.walk.wrapping_add(1);
        self.own_entries.clear();
        let mut entering = Vec::new();
        for (object, plan) in selected.objects {
            let me = object.me().clone();
            if matches!(object, Object::Own(_)) {
                self.own_entries.push(me.clone());
            }
            let entry = self.entries.entry(me.clone()).or_insert_with(|| Entry {
                plan,
                sent: None,
                walk: 0,
                present: false,
                queued: false,
                changed: Changed::None,
            });
            entry.walk = self.walk;
            if !entry.present {
                entry.present = true;
                entry.changed = Changed::All;
                entering.push(me);
            }
        }
        let walk = self.walk;
        let pending = &mut self.pending;
        self.entries.retain(|me, entry| {
            if entry.walk != walk {
                entry.present = false;
                if entry.sent.is_none() {
                    return false;
                }
                queue(pending, me, entry);
            }
            true
        });
        // After those that leave: an object of another type may have taken an id over.
        for me in entering {
            if let Some(entry) = self.entries.get_mut(&me) {
                queue(&mut self.pending, &me, entry);
            }
        }
        for me in &selected.missing {
            if spec.report_missing && !self.missing.contains(me) {
                self.missing_to_tell.push(me.clone());
            }
        }
        self.missing = selected.missing.into_iter().collect();
        (self.traversed, self.own, self.dangling) = (selected.traversed, selected.own, selected.dangling);
        Ok(())
    }

    /// Takes up to `limit` of the unsent updates. The next call takes the rest.
    pub fn take(&mut self, limit: usize, reader: Reader<'_>) -> Result<Vec<Value>, Fault> {
        let mut updates = Vec::new();
        loop {
            let next = match self.left_over.take() {
                Some(update) => Some(update),
                None => self.next(reader)?,
            };
            match next {
                Some(update) if updates.len() < limit => updates.push(update),
                over => {
                    self.left_over = over;
                    if self.pending.is_empty() {
                        self.pending = VecDeque::new();
                    }
                    return Ok(updates);
                }
            }
        }
    }

    fn next(&mut self, reader: Reader<'_>) -> Result<Option<Value>, Fault> {
        while let Some(me) = self.pending.pop_front() {
            let Some(entry) = self.entries.get_mut(&me) else { continue };
            entry.queued = false;
            let object = if entry.present { reader.find(&me) } else { None };
            match object {
                Some(object) => {
                    if let Some(update) = entry.tell(&object, reader)? {
                        return Ok(Some(update));
                    }
                }
                None => {
                    let known = entry.sent.is_some();
                    self.entries.remove(&me);
                    if known {
                        let leave = vim!(ObjectUpdate { kind: vim_enum!(ObjectUpdateKind.leave), obj: me });
                        return Ok(Some(leave.into()));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Takes the start objects that are newly missing.
    pub fn take_missing(&mut self) -> Vec<Value> {
        let missing = self.missing_to_tell.drain(..);
        missing.map(|me| vim!(MissingObject { obj: &me, fault: not_found(&me).localized() }).into()).collect()
    }

    /// The number of objects that the filter follows.
    pub fn followed(&self) -> usize {
        self.entries.len()
    }

    #[cfg(test)]
    pub fn outdated_nodes(&self, state: &crate::Snapshot) -> usize {
        let kept = self.entries.values().filter_map(|entry| match &entry.sent.as_ref()?.state {
            SentState::Node(node) => Some(node),
            SentState::Values(_) => None,
        });
        kept.filter(|node| state.find(node.me()).is_none_or(|now| !Arc::ptr_eq(now, node))).count()
    }

    /// Whether updates remain.
    pub fn has_more(&self) -> bool {
        self.left_over.is_some()
    }
}

fn queue(pending: &mut VecDeque<MoRef>, me: &MoRef, entry: &mut Entry) {
    if !std::mem::replace(&mut entry.queued, true) {
        pending.push_back(me.clone());
    }
}

/// Compares two nodes, quickly where they are the same.
fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(Value::List(a)), Some(Value::List(b))) if Arc::ptr_eq(&a.items, &b.items) => true,
        (Some(Value::Object(a)), Some(Value::Object(b))) if Arc::ptr_eq(a, b) => true,
        _ => a == b,
    }
}

impl Entry {
    /// Keeps the present node in place of an older one with the same values, so that this filter does not keep the old one alive.
    fn renew(&mut self, reader: Reader<'_>) {
        let Some(Sent { state: SentState::Node(kept), .. }) = &mut self.sent else { return };
        // A later change in the same round may have come: what was sent is in the old node.
        if matches!(self.changed, Changed::None)
            && let Some(node) = reader.state.find(kept.me())
        {
            *kept = node.clone();
        }
    }

    /// The update that brings the client up to date; none if it is up to date.
    fn tell(&mut self, object: &Object, reader: Reader<'_>) -> Result<Option<Value>, Fault> {
        let denied = reader.denied(object, &self.plan)?;
        let changed = std::mem::replace(&mut self.changed, Changed::None);
        let entering = self.sent.is_none();
        let mut changes: Vec<Value> = Vec::new();
        let mut missing = None;
        let denied_before = self.sent.as_ref().map(|sent| sent.denied);
        if denied_before.map_or(denied.any(), |before| before != denied) {
            missing = reader.missing(object, &self.plan, denied);
        }
        let mut values: Vec<Option<Value>> = Vec::new();
        let keep_values = self.plan.has_computed || matches!(object, Object::Own(_));
        for (at, planned) in self.plan.paths.iter().enumerate() {
            let may_differ = entering || changed.has(planned.property) || denied_before != Some(denied);
            if !may_differ && !keep_values {
                continue;
            }
            let now = if denied.is_denied(planned) { None } else { reader.planned(object, planned) };
            if may_differ {
                let before = self.sent.as_ref().and_then(|sent| sent.value(at, planned));
                let unset_now = entering && now.is_none();
                if !unset_now && !same(now.as_ref(), before.as_ref()) {
                    changes.push(change(planned, now.clone()));
                }
            }
            if keep_values {
                values.push(now);
            }
        }
        let state = match object {
            Object::Shared(node) if !keep_values => SentState::Node(node.clone()),
            _ => SentState::Values(values.into()),
        };
        self.sent = Some(Sent { state, denied });
        if !entering && changes.is_empty() && missing.is_none() {
            return Ok(None);
        }
        let kind =
            if entering { vim_enum!(ObjectUpdateKind.enter) } else { vim_enum!(ObjectUpdateKind.modify) };
        let changes = List::new(Kind::Data(data_id!(PropertyChange)), changes);
        Ok(Some(
            vim!(ObjectUpdate { kind: kind, obj: object.me(), changeSet: changes, missingSet: missing })
                .into(),
        ))
    }
}

impl Sent {
    fn value(&self, at: usize, planned: &Planned) -> Option<Value> {
        match &self.state {
            _ if self.denied.is_denied(planned) => None,
            SentState::Node(node) => planned.path.compiled.get(node.at(planned.property)?),
            SentState::Values(values) => values.get(at)?.clone(),
        }
    }
}

fn change(planned: &Planned, value: Option<Value>) -> Value {
    vim!(PropertyChange { name: planned.name(), op: vim_enum!(PropertyChangeOp.assign), val: value }).into()
}
