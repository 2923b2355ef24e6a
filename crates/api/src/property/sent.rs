//! The objects that a filter's client has been sent.
//!
//! Of few objects a filter keeps the nodes that it has sent. Of many it keeps one earlier state of the tree, in which all of them are as
//! they were sent: that costs only the changes since, and next to nothing while the client has everything.

use std::sync::Arc;

use vim::{MoRef, Value};

use super::members::Members;
use super::read::Denied;
use super::spec::Planned;
use crate::hash::RefMap;
use crate::tree::Nodes;
use crate::{Node, Snapshot};

/// From so many objects on a filter keeps a state.
pub(super) const MANY: usize = if cfg!(test) { 4 } else { 256 };

/// An object as it was sent.
pub(super) struct Sent {
    pub state: SentState,
    pub denied: Denied,
}

pub(super) enum SentState {
    /// Everything that was sent can be read again from the node.
    Node(Arc<Node>),
    /// One for each path of the plan.
    Values(Box<[Option<Value>]>),
}

impl Sent {
    pub fn value(&self, at: usize, planned: &Planned) -> Option<Value> {
        match &self.state {
            _ if self.denied.is_denied(planned) => None,
            SentState::Node(node) => planned.path.compiled.get(node.at(planned.property)?),
            SentState::Values(values) => values.get(at)?.clone(),
        }
    }
}

/// The objects without unsent changes.
pub(super) enum Book {
    Each(RefMap<Sent>),
    All {
        nodes: Nodes,
        /// Objects of which the reader may not see all.
        denied: RefMap<Denied>,
    },
}

impl Default for Book {
    fn default() -> Self {
        Self::Each(RefMap::default())
    }
}

impl Book {
    /// A book for these objects, of which none has been sent.
    pub fn of(members: &Members, state: &Snapshot) -> Self {
        if Self::is_for_many(members) {
            Self::All { nodes: state.nodes(), denied: RefMap::default() }
        } else {
            Self::default()
        }
    }

    fn is_for_many(members: &Members) -> bool {
        members.len() >= MANY && !members.personal
    }

    /// Notes what was sent of an object, which is as it is in the present state.
    pub fn note(&mut self, me: MoRef, sent: Sent) {
        match self {
            Self::Each(each) => drop(each.insert(me, sent)),
            Self::All { denied, .. } if sent.denied.any() => drop(denied.insert(me, sent.denied)),
            Self::All { denied, .. } => drop(denied.remove(&me)),
        }
    }

    /// Takes out an object that it has.
    pub fn take(&mut self, me: &MoRef) -> Option<Sent> {
        match self {
            Self::Each(each) => each.remove(me),
            Self::All { nodes, denied } => {
                let node = nodes.find(me)?.clone();
                let denied = denied.remove(me).unwrap_or_default();
                Some(Sent { state: SentState::Node(node), denied })
            }
        }
    }

    /// An object has a new node that is the same to the client: the old one need not stay alive.
    pub fn renew(&mut self, me: &MoRef, state: &Snapshot) {
        if let Self::Each(each) = self
            && let Some(Sent { state: SentState::Node(kept), .. }) = each.get_mut(me)
            && let Some(node) = state.find(me)
        {
            *kept = node.clone();
        }
    }

    /// All objects that it has are the same to the client in this state.
    pub fn move_to(&mut self, state: &Snapshot) {
        if let Self::All { nodes, .. } = self {
            *nodes = state.nodes();
        }
    }

    /// Changes the form if there are now many objects, or few. `known` are those that it has.
    pub fn suit<'a>(&mut self, members: &Members, known: impl Iterator<Item = &'a MoRef>, state: &Snapshot) {
        match self {
            Self::Each(each) if Self::is_for_many(members) => {
                // The present nodes are the same to the client.
                let denied = each.drain().filter(|(_, sent)| sent.denied.any());
                let denied = denied.map(|(me, sent)| (me, sent.denied)).collect();
                *self = Self::All { nodes: state.nodes(), denied };
            }
            Self::All { .. } if !Self::is_for_many(members) => {
                let each = known.filter_map(|me| Some((me.clone(), self.take(me)?))).collect();
                *self = Self::Each(each);
            }
            _ => {}
        }
    }

    #[cfg(test)]
    pub fn kept_objects(&self) -> usize {
        match self {
            Self::Each(each) => each.len(),
            Self::All { denied, .. } => denied.len(),
        }
    }

    #[cfg(test)]
    pub fn outdated_nodes(&self, members: &Members, state: &Snapshot) -> usize {
        let is_old = |node: &Arc<Node>| state.find(node.me()).is_none_or(|now| !Arc::ptr_eq(now, node));
        match self {
            Self::Each(each) => each
                .values()
                .filter(|sent| matches!(&sent.state, SentState::Node(node) if is_old(node)))
                .count(),
            Self::All { nodes, .. } => {
                members.from(0).iter().filter_map(|me| nodes.find(me)).filter(|node| is_old(node)).count()
            }
        }
    }
}
