//! The replies of a collector: what its filters have to tell, numbered, with the last one kept.

use std::collections::VecDeque;
use std::sync::Arc;

use vim::{Fault, Kind, List, Value, data_id, fault, vim};

use super::collector::Filter;
use super::filter::{Known, Lost};
use super::read::Reader;
use super::share::FollowedShare;
use crate::tree::Interest;

/// A reply about no more objects is kept even when the client has it.
pub(super) const MAX_KEPT_UPDATES: usize = 100;

#[derive(Default)]
pub(super) struct Inner {
    version: u64,
    pub filters: VecDeque<Active>,
    pub last: Option<Last>,
    /// A large reply has been confirmed, and no other has taken its place.
    pub confirmed: bool,
}

pub(super) struct Active {
    pub filter: Arc<Filter>,
    pub known: Known,
    share: FollowedShare,
}

/// The last reply, and the version that the client sent for it.
pub(super) struct Last {
    asked: Option<u64>,
    /// The objects in it.
    pub updates: usize,
    reply: Value,
}

impl Active {
    pub fn new(filter: Arc<Filter>) -> Self {
        Self { filter, known: Known::default(), share: FollowedShare::default() }
    }
}

/// The reply that a client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Nothing.
    Anew,
    /// The reply with this version.
    Since(u64),
    /// The same as when the wait began.
    Again,
}

impl Ask {
    pub fn parse(version: &str) -> Result<Self, Fault> {
        match version.trim() {
            "" => Ok(Self::Anew),
            text => text.parse().map(Self::Since).map_err(|_| unknown_version(text)),
        }
    }
}

fn unknown_version(version: &str) -> Fault {
    fault!(
        InvalidCollectorVersion {},
        "The version {version:?} is unknown or too old; begin again with an empty one"
    )
}

impl Inner {
    /// The next reply, if anything has changed.
    pub fn updates(&mut self, reader: Reader<'_>, ask: Ask, most: usize) -> Result<Option<Value>, Fault> {
        let asked = match ask {
            Ask::Anew => {
                self.begin_anew();
                None
            }
            Ask::Since(version) => {
                if let Some(last) = self.last.as_ref().filter(|last| last.asked == Some(version)) {
                    return Ok(Some(last.reply.clone()));
                }
                if version == 0 || version != self.version {
                    return Err(unknown_version(&version.to_string()));
                }
                // The client has the last reply; a small one may stay for a client that asks strangely.
                if self.last.take_if(|last| last.updates > MAX_KEPT_UPDATES).is_some() {
                    self.confirmed = true;
                }
                Some(version)
            }
            Ask::Again => (self.version > 0).then_some(self.version),
        };
        // Updates that are taken from a filter must reach the client: so all that fails for want of room comes first.
        for active in &mut self.filters {
            let filter = &active.filter;
            match active.known.refresh(&filter.spec, reader) {
                Ok(()) => {
                    if let Some(session) = reader.session {
                        active.share.resize(session, active.known.followed())?;
                    }
                }
                Err(Lost::Fault(fault)) => return Err(fault),
                Err(Lost::TooOld) => {
                    self.begin_anew();
                    // The client's version ends here.
                    self.version += 1;
                    return Err(unknown_version(&(self.version - 1).to_string()));
                }
            }
        }
        let mut sets: Vec<Value> = Vec::new();
        let (mut left, mut updates) = (most, 0);
        for active in &mut self.filters {
            let filter = &active.filter;
            let objects = active.known.take(&filter.spec, left, reader)?;
            left -= objects.len();
            updates += objects.len();
            let missing = active.known.take_missing();
            if !objects.is_empty() || !missing.is_empty() {
                let objects = List::new(Kind::Data(data_id!(ObjectUpdate)), objects);
                let missing = List::new(Kind::Data(data_id!(MissingObject)), missing);
                let update = vim!(PropertyFilterUpdate {
                    filter: &filter.me,
                    objectSet: objects,
                    missingSet: missing
                });
                sets.push(update.into());
            }
        }
        if sets.is_empty() {
            return Ok(None);
        }
        self.version += 1;
        let truncated = self.filters.iter().any(|active| active.known.has_more()).then_some(true);
        let sets = List::new(Kind::Data(data_id!(PropertyFilterUpdate)), sets);
        let reply =
            vim!(UpdateSet { version: self.version.to_string(), filterSet: sets, truncated: truncated });
        let reply = Value::from(reply);
        self.last = Some(Last { asked, updates, reply: reply.clone() });
        Ok(Some(reply))
    }

    /// The changes that may give the filters something to tell.
    pub fn interest(&self) -> Interest {
        let mut interest = Interest::default();
        self.filters.iter().for_each(|active| active.known.interest(&mut interest));
        interest
    }

    fn begin_anew(&mut self) {
        self.last = None;
        for active in &mut self.filters {
            active.known = Known::default();
        }
    }
}
