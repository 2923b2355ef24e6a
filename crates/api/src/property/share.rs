//! The memory that a session's filters take: the objects that they follow, and the replies that the client has not confirmed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use vim::{Fault, fault};

use crate::Session;

/// Objects that all filters of one session follow; an object of several filters counts in each.
pub const MAX_FOLLOWED: usize = 1_000_000;
/// Objects in the unconfirmed replies of one session. Beyond that it forgets the oldest reply, except the last one.
pub const MAX_UNCONFIRMED: usize = 100_000;

/// The objects that a session's filters follow.
#[derive(Default)]
struct Followed(AtomicUsize);

/// One filter's part of the objects that its session follows; given back when it is dropped.
#[derive(Default)]
pub(super) struct FollowedShare {
    mine: Option<(Arc<Followed>, usize)>,
    /// There was no room for them, and there may still be none.
    refused: bool,
}

impl FollowedShare {
    /// The filter follows this many objects from now on.
    ///
    /// # Errors
    /// `OutOfBounds` when the session follows too many.
    pub fn resize(&mut self, session: &Session, objects: usize) -> Result<(), Fault> {
        let (total, mine) = self.mine.get_or_insert_with(|| (session.local::<Followed>(), 0));
        // A filter that does not grow fails for no other's growth.
        let grows = objects > *mine || self.refused;
        let before = total.0.fetch_add(objects, Ordering::Relaxed);
        let others = before.saturating_sub(*mine);
        total.0.fetch_sub(*mine, Ordering::Relaxed);
        *mine = objects;
        // One filter may follow any inventory.
        self.refused = grows && others > 0 && others + objects > MAX_FOLLOWED;
        if self.refused {
            return Err(fault!(
                OutOfBounds { argumentName: "session" },
                "The filters of a session may follow {MAX_FOLLOWED} objects; destroy those that you do not use"
            ));
        }
        Ok(())
    }
}

impl Drop for FollowedShare {
    fn drop(&mut self) {
        if let Some((total, mine)) = &self.mine {
            total.0.fetch_sub(*mine, Ordering::Relaxed);
        }
    }
}

/// A collector that keeps its last reply.
pub(super) trait Keeps: Send + Sync {
    fn forget_reply(&self);
}

/// The collectors of a session that keep large replies, in the order of these, each with the number of objects.
#[derive(Default)]
pub(super) struct Unconfirmed(Mutex<VecDeque<(Weak<dyn Keeps>, usize)>>);

impl Unconfirmed {
    /// The client has the collector's large reply.
    pub fn release(&self, collector: &Arc<dyn Keeps>) {
        self.0.lock().retain(|(known, _)| !std::ptr::addr_eq(known.as_ptr(), Arc::as_ptr(collector)));
    }

    /// The collector keeps a reply about this many objects. Others may have to forget theirs.
    pub fn keep(&self, collector: &Arc<dyn Keeps>, objects: usize) {
        let mut kept = self.0.lock();
        kept.retain(|(known, _)| {
            known.strong_count() > 0 && !std::ptr::addr_eq(known.as_ptr(), Arc::as_ptr(collector))
        });
        kept.push_back((Arc::downgrade(collector), objects));
        let mut total: usize = kept.iter().map(|(_, objects)| objects).sum();
        let mut forgotten = Vec::new();
        while total > MAX_UNCONFIRMED && kept.len() > 1 {
            let Some((oldest, objects)) = kept.pop_front() else { break };
            total -= objects;
            forgotten.extend(oldest.upgrade());
        }
        drop(kept);
        forgotten.iter().for_each(|collector| collector.forget_reply());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Toy;

    #[derive(Default)]
    struct Forgets(AtomicUsize);

    impl Keeps for Forgets {
        fn forget_reply(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_session_keeps_few_unconfirmed_replies_and_always_the_last() {
        let unconfirmed = Unconfirmed::default();
        let collectors: Vec<Arc<Forgets>> = (0..4).map(|_| Arc::default()).collect();
        let forgotten = || collectors.iter().map(|one| one.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let keep = |at: usize, objects| {
            let collector: Arc<dyn Keeps> = collectors[at].clone();
            unconfirmed.keep(&collector, objects);
        };
        keep(0, MAX_UNCONFIRMED / 2);
        keep(1, MAX_UNCONFIRMED / 2);
        keep(0, MAX_UNCONFIRMED / 2);
        assert_eq!(forgotten(), [0; 4]);
        keep(2, 1);
        assert_eq!(forgotten(), [0, 1, 0, 0], "the oldest");
        keep(3, 3 * MAX_UNCONFIRMED);
        assert_eq!(forgotten(), [1, 1, 1, 0]);
    }

    #[test]
    fn a_confirmed_reply_takes_no_room_of_others() {
        let unconfirmed = Unconfirmed::default();
        let collectors: Vec<Arc<Forgets>> = (0..3).map(|_| Arc::default()).collect();
        let of = |at: usize| -> Arc<dyn Keeps> { collectors[at].clone() };
        unconfirmed.keep(&of(0), MAX_UNCONFIRMED / 2);
        unconfirmed.keep(&of(1), MAX_UNCONFIRMED / 2);
        unconfirmed.release(&of(1));
        unconfirmed.keep(&of(2), MAX_UNCONFIRMED / 2);
        assert_eq!(collectors[0].0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_session_follows_a_bounded_number_of_objects() {
        let toy = Toy::new();
        let (mut one, mut two) = (FollowedShare::default(), FollowedShare::default());
        one.resize(&toy.session, 2 * MAX_FOLLOWED).unwrap();
        let fault = two.resize(&toy.session, 1).unwrap_err();
        assert_eq!(fault.type_name(), "OutOfBounds");
        one.resize(&toy.session, MAX_FOLLOWED - 1).unwrap();
        two.resize(&toy.session, 1).unwrap();
        drop(one);
        two.resize(&toy.session, MAX_FOLLOWED).unwrap();
    }
}
