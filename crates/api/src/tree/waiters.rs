//! Those who wait for changes of certain objects. A change wakes them and nobody else, so a wait costs nothing for what it is not about.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use vim::MoRef;

use super::{Change, Commit, LOG_CHANGES};
use crate::hash::RefMap;

/// After so many changes everybody is woken, so that nobody falls behind the change log.
const WAKE_ALL: usize = LOG_CHANGES / 8;

/// Decides which changes concern many objects at once.
pub(crate) trait Concerns: Send + Sync {
    fn concerns(&self, change: &Change) -> bool;
}

/// The changes that a wait is about.
#[derive(Default)]
pub(crate) struct Interest {
    all: bool,
    objects: Vec<MoRef>,
    concerned: Vec<Arc<dyn Concerns>>,
}

impl Interest {
    /// All changes.
    pub fn all(&mut self) {
        self.all = true;
    }

    /// Those of one object.
    pub fn object(&mut self, me: &MoRef) {
        self.objects.push(me.clone());
    }

    pub fn concerned(&mut self, concerned: Arc<dyn Concerns>) {
        self.concerned.push(concerned);
    }
}

#[derive(Default)]
pub(super) struct Waiters {
    table: Mutex<Table>,
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Table {
    next: u64,
    by_object: RefMap<Vec<(u64, Arc<Notify>)>>,
    /// Waits that share what concerns them are asked about once. By the address of that.
    crowds: HashMap<usize, Crowd>,
    all: HashMap<u64, Arc<Notify>>,
    /// Changes since everybody was woken.
    changes: usize,
}

struct Crowd {
    concerned: Arc<dyn Concerns>,
    waiting: HashMap<u64, Arc<Notify>>,
}

fn address(concerned: &Arc<dyn Concerns>) -> usize {
    Arc::as_ptr(concerned).cast::<()>().addr()
}

/// A place among those who wait; left when it is dropped.
pub(crate) struct Waiting {
    waiters: Arc<Waiters>,
    number: u64,
    interest: Interest,
    notify: Arc<Notify>,
}

impl Waiters {
    pub fn enter(self: &Arc<Self>, interest: Interest) -> Waiting {
        let notify = Arc::new(Notify::new());
        let mut table = self.table.lock();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let number = table.next;
        table.next += 1;
        if interest.all {
            table.all.insert(number, notify.clone());
        }
        for me in &interest.objects {
            table.by_object.entry(me.clone()).or_default().push((number, notify.clone()));
        }
        for concerned in &interest.concerned {
            let new = || Crowd { concerned: concerned.clone(), waiting: HashMap::new() };
            let crowd = table.crowds.entry(address(concerned)).or_insert_with(new);
            crowd.waiting.insert(number, notify.clone());
        }
        drop(table);
        Waiting { waiters: self.clone(), number, interest, notify }
    }

    /// Wakes those whom a commit concerns, which readers see already.
    pub fn tell(&self, commit: &Commit) {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut table = self.table.lock();
        table.changes += commit.changes.len();
        if table.changes >= WAKE_ALL {
            table.changes = 0;
            let objects = table.by_object.values().flatten().map(|(_, notify)| notify);
            let crowds = table.crowds.values().flat_map(|crowd| crowd.waiting.values());
            objects.chain(crowds).for_each(|notify| notify.notify_one());
        } else {
            for change in &commit.changes {
                let waiting = table.by_object.get(&change.object).into_iter().flatten();
                waiting.for_each(|(_, notify)| notify.notify_one());
            }
            for crowd in table.crowds.values() {
                if commit.changes.iter().any(|change| crowd.concerned.concerns(change)) {
                    crowd.waiting.values().for_each(|notify| notify.notify_one());
                }
            }
        }
        table.all.values().for_each(|notify| notify.notify_one());
    }
}

impl Waiting {
    /// Waits for the next commit that is of interest. One that came since the place was taken counts.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut table = self.waiters.table.lock();
        table.all.remove(&self.number);
        for me in &self.interest.objects {
            if let Some(waiting) = table.by_object.get_mut(me) {
                waiting.retain(|(number, _)| *number != self.number);
                if waiting.is_empty() {
                    table.by_object.remove(me);
                }
            }
        }
        for concerned in &self.interest.concerned {
            let at = address(concerned);
            if let Some(crowd) = table.crowds.get_mut(&at) {
                crowd.waiting.remove(&self.number);
                if crowd.waiting.is_empty() {
                    table.crowds.remove(&at);
                }
            }
        }
        self.waiters.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use vim::{managed_id, props};

    use super::*;
    use crate::Tree;

    fn vm(n: u32) -> MoRef {
        MoRef::new(managed_id!(VirtualMachine), format!("vm-{n}"))
    }

    struct Even;

    impl Concerns for Even {
        fn concerns(&self, change: &Change) -> bool {
            change.object.id().ends_with(['0', '2', '4', '6', '8'])
        }
    }

    #[test]
    fn a_change_wakes_those_whom_it_concerns_and_nobody_else() {
        let tree = Tree::new();
        let even: Arc<dyn Concerns> = Arc::new(Even);
        let (mut one, mut all) = (Interest::default(), Interest::default());
        one.object(&vm(1));
        all.all();
        let concerned = || {
            let mut interest = Interest::default();
            interest.concerned(even.clone());
            interest
        };
        let waits = [one, concerned(), concerned(), all].map(|interest| tree.wait(interest));
        let woken = || waits.each_ref().map(|wait| wait.changed().now_or_never().is_some());
        let name =
            |n: u32, name: &str| tree.write(|w| w.create(&vm(n), props!(VirtualMachine { name: name })));
        name(1, "a");
        assert_eq!(woken(), [true, false, false, true]);
        assert_eq!(woken(), [false; 4]);
        name(2, "b");
        assert_eq!(woken(), [false, true, true, true]);
        name(3, "c");
        assert_eq!(woken(), [false, false, false, true]);
        drop(waits);
        let table = tree.waiters.table.lock();
        assert!(table.by_object.is_empty() && table.crowds.is_empty() && table.all.is_empty());
    }

    #[test]
    fn everybody_is_woken_before_the_log_forgets() {
        let tree = Tree::new();
        let mut interest = Interest::default();
        interest.object(&vm(0));
        let wait = tree.wait(interest);
        let many = u32::try_from(WAKE_ALL).unwrap();
        tree.write(|w| (1..many).for_each(|n| w.create(&vm(n), props!(VirtualMachine {}))));
        assert!(wait.changed().now_or_never().is_none());
        tree.write(|w| w.create(&vm(many), props!(VirtualMachine {})));
        assert!(wait.changed().now_or_never().is_some());
    }
}
