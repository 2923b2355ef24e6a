//! The results of walks, shared by all filters of a service that select the same: a thousand clients that follow all VMs hold one list
//! of them, and one of them walks when the inventory has changed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use vim::{Fault, MoRef, Object as Data, Value};

use super::members::Members;
use super::read::Reader;
use super::select::{OwnSource, Selected, select};
use super::spec::Spec;
use crate::service::Object;
use crate::{Account, Session, What};

/// Results of one specification that are kept for clients that are a little behind.
const MAX_RECENT: usize = 8;
/// Specifications with more start objects are hardly ever equal.
const MAX_STARTS: usize = 16;
/// Specifications, at which those that nobody uses any more are dropped.
const MAX_GROUPS: usize = 256;

/// The results, by specification.
#[derive(Default)]
pub(super) struct Walks(Mutex<Groups>);

#[derive(Default)]
struct Groups {
    by_spec: HashMap<Arc<str>, Vec<Arc<Group>>>,
    count: usize,
}

/// The filters that select the same.
struct Group {
    account: Account,
    /// The version of the authority.
    rights: u64,
    /// Oldest first.
    recent: Mutex<VecDeque<Walked>>,
}

/// A result, and the versions of the tree in which a walk has it.
struct Walked {
    from: u64,
    until: u64,
    own: Vec<Option<Value>>,
    members: Weak<Members>,
}

/// A walk as a filter sees it.
pub(super) struct Walk {
    pub members: Arc<Members>,
    pub own: Vec<OwnSource>,
}

impl Walks {
    /// Walks, unless another filter has done so.
    ///
    /// # Errors
    /// Those of `select`.
    pub fn walk(spec: &Spec, reader: Reader<'_>) -> Result<Walk, Fault> {
        let (Some(text), Some(session)) = (&spec.text, reader.session) else { return walk(spec, reader) };
        let rights = reader.service.authority.version();
        let group = reader.service.local::<Self>().group(text, &session.account, rights);
        let own = sources(spec, reader, session);
        let values: Vec<Option<Value>> = own.iter().map(|source| source.value.clone()).collect();
        // The others of the group wait for the first one's result.
        let mut recent = group.recent.lock();
        recent.retain(|walked| walked.members.strong_count() > 0);
        let version = reader.state.version();
        if let Some(walked) = recent.iter_mut().rev().find(|walked| walked.from <= version)
            && walked.is_still(spec, &values, reader)
            && let Some(members) = walked.members.upgrade()
        {
            return Ok(Walk { members, own });
        }
        let mut selected = select(spec, reader)?;
        let found = std::mem::take(&mut selected.own);
        let same =
            |(a, b): (&OwnSource, &OwnSource)| a.property == b.property && a.object.me() == b.object.me();
        let is_shared = found.len() == own.len() && found.iter().zip(&own).all(same);
        selected.own = found;
        let mut members = Members::new(&mut selected);
        if !is_shared || !members.own.is_empty() {
            return Ok(Walk { members: Arc::new(members), own: selected.own });
        }
        let at = recent.iter().rposition(|walked| walked.from < version).map_or(0, |at| at + 1);
        if let Some(before) = at.checked_sub(1).and_then(|at| recent[at].members.upgrade()) {
            members = members.after(&before);
        }
        let members = Arc::new(members);
        let walked = Walked { from: version, until: version, own: values, members: Arc::downgrade(&members) };
        recent.insert(at, walked);
        if recent.len() > MAX_RECENT {
            recent.pop_front();
        }
        Ok(Walk { members, own: selected.own })
    }

    fn group(&self, text: &Arc<str>, account: &Account, rights: u64) -> Arc<Group> {
        let mut groups = self.0.lock();
        let known = groups.by_spec.get(text).into_iter().flatten();
        let mut known = known.filter(|group| group.rights == rights && group.account == *account);
        if let Some(group) = known.next() {
            return group.clone();
        }
        if groups.count >= MAX_GROUPS {
            let used = |group: &Arc<Group>| {
                Arc::strong_count(group) > 1
                    || group.recent.lock().iter().any(|walked| walked.members.strong_count() > 0)
            };
            groups.by_spec.values_mut().for_each(|groups| groups.retain(used));
            groups.by_spec.retain(|_, groups| !groups.is_empty());
            groups.count = groups.by_spec.values().map(Vec::len).sum();
        }
        let group = Arc::new(Group { account: account.clone(), rights, recent: Mutex::default() });
        if groups.count < MAX_GROUPS {
            groups.count += 1;
            groups.by_spec.entry(text.clone()).or_default().push(group.clone());
        }
        group
    }
}

impl Walked {
    /// Whether a walk in the reader's state, which is not older, has the same result.
    fn is_still(&mut self, spec: &Spec, own: &[Option<Value>], reader: Reader<'_>) -> bool {
        let same = self.own.len() == own.len() && self.own.iter().zip(own).all(|(a, b)| is_one(a, b));
        if !same {
            return false;
        }
        let version = reader.state.version();
        if version <= self.until {
            return true;
        }
        let Some(members) = self.members.upgrade() else { return false };
        let Ok(mut commits) = reader.state.since(self.until) else { return false };
        let still = !commits.any(|commit| {
            commit.changes.iter().any(|change| alters(&members, spec, &change.object, &change.what))
        });
        if still {
            self.until = version;
        }
        still
    }
}

/// Whether a change may alter the result of the walk. Changes of what the session's own objects show are not among these.
pub(super) fn alters(members: &Members, spec: &Spec, me: &MoRef, what: &What) -> bool {
    match what {
        What::Created => members.is_dangling(me) || members.is_traversed(me),
        What::Removed => members.has(me) || members.is_traversed(me),
        What::Set(numbers) => {
            let read =
                |number: &u16| spec.traversals.iter().any(|t| t.path.property() == *number && me.is_a(t.ty));
            numbers.iter().any(read) && members.is_traversed(me)
        }
    }
}

fn walk(spec: &Spec, reader: Reader<'_>) -> Result<Walk, Fault> {
    let mut selected: Selected = select(spec, reader)?;
    let members = Arc::new(Members::new(&mut selected));
    Ok(Walk { members, own: selected.own })
}

/// The properties of the session's own objects that a walk reads at its start.
fn sources(spec: &Spec, reader: Reader<'_>, session: &Session) -> Vec<OwnSource> {
    let mut found: Vec<OwnSource> = Vec::new();
    for start in &spec.starts {
        let Some(Object::Own(object)) = reader.find(&start.object) else { continue };
        for traversal in start.next.iter().map(|at| &spec.traversals[*at]) {
            if object.me().is_a(traversal.ty) {
                let property = traversal.path.property();
                let value = object.property(property, session, reader.state);
                found.push(OwnSource { object: object.clone(), property, value });
            }
        }
    }
    found
}

/// Whether both are one value, without comparing long lists.
fn is_one(a: &Option<Value>, b: &Option<Value>) -> bool {
    match (a, b) {
        (Some(a @ Value::List(_)), Some(b @ Value::List(_))) => a.is_same(b),
        (None, None) => true,
        _ => false,
    }
}

/// The specification as equal ones have it, whatever the session calls its own objects; none if it is not likely to have equals.
pub(super) fn text(spec: &Spec, shown: &Arc<Data>, session: &Session) -> Option<Arc<str>> {
    if spec.starts.len() > MAX_STARTS {
        return None;
    }
    let own: Vec<&MoRef> =
        spec.starts.iter().map(|start| &start.object).filter(|me| session.object(me).is_some()).collect();
    let named = |me: &MoRef| {
        let at = own.iter().position(|own| *own == me)?;
        Some(MoRef::new(me.ty(), format!("own {at}")))
    };
    Some(format!("{:?}", Value::Object(shown.clone()).map_refs(&named)).into())
}
