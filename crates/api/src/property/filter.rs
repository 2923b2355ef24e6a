//! The objects of one filter as the client knows them, and the changes since.
//!
//! The objects are the [`Members`] that a walk has found, which equal filters share. The change log says which objects and properties to
//! compare with what was sent ([`Book`]); those with unsent changes are debts. The walk is repeated only when a property changed that it
//! had read, or an object that it had met was created or removed.

use std::collections::VecDeque;
use std::sync::Arc;

use vim::{Fault, Kind, List, MoRef, Value, data_id, managed_id, vim, vim_enum};

use super::members::Members;
use super::read::Reader;
use super::select::OwnSource;
use super::sent::{Book, Sent, SentState};
use super::spec::{Plan, Planned, Spec};
use super::walks::{Walk, Walks, alters};
use crate::hash::{RefMap, RefSet};
use crate::service::Object;
use crate::tree::{Interest, TooOld, not_found};
use crate::{Change, What};

/// Up to so many objects, a filter that waits names each of them; a filter of more is asked about each change.
const FEW: usize = 64;

/// A filter's state between two calls.
#[derive(Default)]
pub(super) struct Known {
    /// The version of the tree up to which all changes have been considered; none before the first walk.
    seen: Option<u64>,
    members: Arc<Members>,
    /// The members from this place on have not been sent yet.
    sent_up_to: usize,
    /// The members before that place, except those with debts.
    book: Book,
    /// Each is once in the queue.
    debts: RefMap<Debt>,
    /// Objects with unsent changes, oldest first.
    queue: VecDeque<MoRef>,
    own: Vec<OwnSource>,
    /// An update that did not fit into the last reply.
    left_over: Option<Value>,
    missing: RefSet,
    missing_to_tell: Vec<MoRef>,
}

/// An object with unsent changes, or one that has left.
struct Debt {
    /// The object as the client has it; none if the client does not know it.
    sent: Option<Sent>,
    changed: Changed,
}

/// Properties that may differ from what was sent.
enum Changed {
    None,
    Some(Vec<u16>),
    All,
}

impl Changed {
    fn add(&mut self, numbers: impl Iterator<Item = u16>) {
        match self {
            Self::All => {}
            Self::None => *self = Self::Some(numbers.collect()),
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
                    walk_again |= self.consider(spec, change, reader, &mut replaced);
                }
            }
        }
        for me in replaced {
            // A later change in the same round may have come: what was sent is in the old node.
            if !self.debts.contains_key(&me) {
                self.book.renew(&me, reader.state);
            }
        }
        walk_again |= self.own.iter().any(|own| {
            let session = reader.session.filter(|session| session.object(own.object.me()).is_some());
            let now = session.and_then(|session| own.object.property(own.property, session, reader.state));
            session.is_none() || now != own.value
        });
        let members = self.members.clone();
        for me in &members.own {
            self.owe(me, |changed| *changed = Changed::All);
        }
        if walk_again {
            self.walk(spec, reader)?;
        }
        self.book.move_to(reader.state);
        self.seen = Some(reader.state.version());
        Ok(())
    }

    /// Whether the client has the object, and nothing else than it is.
    fn has_sent(&self, me: &MoRef) -> bool {
        self.members.place(me).is_some_and(|place| place < self.sent_up_to) && !self.debts.contains_key(me)
    }

    /// Notes unsent changes of an object that the client has, or is being told of.
    fn owe(&mut self, me: &MoRef, note: impl FnOnce(&mut Changed)) {
        if self.has_sent(me) {
            let mut debt = Debt { sent: self.book.take(me), changed: Changed::None };
            note(&mut debt.changed);
            self.debts.insert(me.clone(), debt);
            self.queue.push_back(me.clone());
        } else if let Some(debt) = self.debts.get_mut(me) {
            note(&mut debt.changed);
        }
    }

    /// Notes a change, and returns whether it may change the result of the walk. `replaced` gets the objects that have a new node which is
    /// the same to the client.
    fn consider(
        &mut self,
        spec: &Spec,
        change: &Change,
        reader: Reader<'_>,
        replaced: &mut Vec<MoRef>,
    ) -> bool {
        let me = &change.object;
        let known = self.members.has(me) || self.debts.contains_key(me);
        match &change.what {
            // Removed and created again within one commit.
            What::Created if known => self.owe(me, |changed| *changed = Changed::All),
            What::Set(numbers) if known => {
                if let Some(plan) = spec.plan(me.ty(), reader.service) {
                    let planned = |number: &u16| plan.paths.iter().any(|path| path.property == *number);
                    if numbers.iter().any(planned) {
                        self.owe(me, |changed| changed.add(numbers.iter().copied().filter(planned)));
                    } else if !self.debts.contains_key(me) {
                        replaced.push(me.clone());
                    }
                }
            }
            _ => {}
        }
        alters(&self.members, spec, me, &change.what)
    }

    fn walk(&mut self, spec: &Spec, reader: Reader<'_>) -> Result<(), Fault> {
        let Walk { members, own } = Walks::walk(spec, reader)?;
        self.own = own;
        if self.seen.is_none() {
            self.book = Book::of(&members, reader.state);
            self.sent_up_to = 0;
        } else if !Arc::ptr_eq(&members, &self.members) {
            self.change_members(&members, reader);
        }
        for me in &members.missing {
            if spec.report_missing && !self.missing.contains(me) {
                self.missing_to_tell.push(me.clone());
            }
        }
        self.missing = members.missing.iter().cloned().collect();
        self.members = members;
        Ok(())
    }

    fn change_members(&mut self, members: &Arc<Members>, reader: Reader<'_>) {
        let before = self.members.clone();
        let difference = members.since(&before);
        for me in difference.left {
            if self.has_sent(&me) {
                let debt = Debt { sent: self.book.take(&me), changed: Changed::None };
                self.debts.insert(me.clone(), debt);
                self.queue.push_back(me);
            }
        }
        // Those that were still to come keep their turn; the new ones come after those that leave: an object of another type may
        // have taken an id over.
        let still = before.from(self.sent_up_to).iter().filter(|me| members.has(me)).cloned();
        let entering: Vec<MoRef> = still.chain(difference.entered).collect();
        for me in entering {
            if let Some(debt) = self.debts.get_mut(&me) {
                debt.changed = Changed::All;
                continue;
            }
            self.debts.insert(me.clone(), Debt { sent: None, changed: Changed::All });
            self.queue.push_back(me);
        }
        self.sent_up_to = members.len();
        let debts = &self.debts;
        let known = members.from(0).iter().filter(|me| !debts.contains_key(me));
        self.book.suit(members, known, reader.state);
    }

    /// Takes up to `limit` of the unsent updates. The next call takes the rest.
    pub fn take(&mut self, spec: &Spec, limit: usize, reader: Reader<'_>) -> Result<Vec<Value>, Fault> {
        let mut updates = Vec::new();
        loop {
            let next = match self.left_over.take() {
                Some(update) => Some(update),
                None => self.next(spec, reader)?,
            };
            match next {
                Some(update) if updates.len() < limit => updates.push(update),
                over => {
                    self.left_over = over;
                    if self.debts.is_empty() {
                        (self.debts, self.queue) = (RefMap::default(), VecDeque::new());
                    }
                    return Ok(updates);
                }
            }
        }
    }

    fn next(&mut self, spec: &Spec, reader: Reader<'_>) -> Result<Option<Value>, Fault> {
        while let Some(me) = self.queue.pop_front() {
            let Some(debt) = self.debts.remove(&me) else { continue };
            let object = if self.members.has(&me) { self.find(spec, &me, reader) } else { None };
            match object {
                Some((object, plan)) => {
                    if let Some(update) = self.tell(&object, &plan, debt, reader)? {
                        return Ok(Some(update));
                    }
                }
                None if debt.sent.is_some() => {
                    let leave = vim!(ObjectUpdate { kind: vim_enum!(ObjectUpdateKind.leave), obj: me });
                    return Ok(Some(leave.into()));
                }
                None => {}
            }
        }
        while let Some(me) = self.members.get(self.sent_up_to).cloned() {
            self.sent_up_to += 1;
            let Some((object, plan)) = self.find(spec, &me, reader) else { continue };
            let debt = Debt { sent: None, changed: Changed::All };
            if let Some(update) = self.tell(&object, &plan, debt, reader)? {
                return Ok(Some(update));
            }
        }
        Ok(None)
    }

    fn find(&self, spec: &Spec, me: &MoRef, reader: Reader<'_>) -> Option<(Object, Arc<Plan>)> {
        let object = reader.find(me)?;
        let plan = spec.plan(object.me().ty(), reader.service)?;
        Some((object, plan))
    }

    /// The update that brings the client up to date; none if it is up to date.
    fn tell(
        &mut self,
        object: &Object,
        plan: &Plan,
        debt: Debt,
        reader: Reader<'_>,
    ) -> Result<Option<Value>, Fault> {
        let denied = reader.denied(object, plan)?;
        let Debt { sent, changed } = debt;
        let entering = sent.is_none();
        let mut changes: Vec<Value> = Vec::new();
        let mut missing = None;
        let denied_before = sent.as_ref().map(|sent| sent.denied);
        if denied_before.map_or(denied.any(), |before| before != denied) {
            missing = reader.missing(object, plan, denied);
        }
        let mut values: Vec<Option<Value>> = Vec::new();
        let keep_values = plan.has_computed || matches!(object, Object::Own(_));
        for (at, planned) in plan.paths.iter().enumerate() {
            let may_differ = entering || changed.has(planned.property) || denied_before != Some(denied);
            if !may_differ && !keep_values {
                continue;
            }
            let now = if denied.is_denied(planned) { None } else { reader.planned(object, planned) };
            if may_differ {
                let before = sent.as_ref().and_then(|sent| sent.value(at, planned));
                let unset_now = entering && now.is_none();
                if !unset_now && now != before {
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
        self.book.note(object.me().clone(), Sent { state, denied });
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

    /// Takes the start objects that are newly missing.
    pub fn take_missing(&mut self) -> Vec<Value> {
        let missing = self.missing_to_tell.drain(..);
        missing.map(|me| vim!(MissingObject { obj: &me, fault: not_found(&me).localized() }).into()).collect()
    }

    /// The number of objects that the filter follows.
    pub fn followed(&self) -> usize {
        self.members.len()
    }

    /// Adds the changes that this filter waits for.
    pub fn interest(&self, interest: &mut Interest) {
        let views = |own: &OwnSource| own.object.me().is_a(managed_id!(ManagedObjectView));
        if !self.members.own.is_empty() || !self.own.iter().all(views) {
            interest.all();
        } else if let Some(few) = self.members.few(FEW) {
            few.for_each(|me| interest.object(me));
        } else {
            interest.concerned(self.members.clone());
        }
    }

    #[cfg(test)]
    pub fn outdated_nodes(&self, state: &crate::Snapshot) -> usize {
        self.book.outdated_nodes(&self.members, state)
    }

    #[cfg(test)]
    pub fn members(&self) -> &Arc<Members> {
        &self.members
    }

    #[cfg(test)]
    pub fn kept_objects(&self) -> usize {
        self.book.kept_objects() + self.debts.len()
    }

    /// Whether updates remain.
    pub fn has_more(&self) -> bool {
        self.left_over.is_some()
    }
}

fn change(planned: &Planned, value: Option<Value>) -> Value {
    vim!(PropertyChange { name: planned.name(), op: vim_enum!(PropertyChangeOp.assign), val: value }).into()
}
