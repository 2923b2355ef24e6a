//! Scheduled tasks: methods that the center calls at given times, with the rights that their maker has then.
//!
//! [`Schedule`] keeps them: each change is in the store before it is acknowledged. [`timing`] decides when a task runs, [`action`] what
//! it may do (both pure), [`run`] does it. A run that was due while the center was down is not made up for.

mod action;
mod change;
mod clock;
mod events;
mod methods;
mod records;
mod run;
mod show;
mod targets;
mod timing;

pub use clock::Clock;
pub(crate) use methods::{MANAGERS, register};

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use api::accounts::Accounts;
use api::{Core, Service};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use vim::{DateTime, Fault, MoRef, Object, managed_id, props};

use crate::estate::store_fault;
use action::MethodCall;
use events::Occasion;
use records::{Stored, TASKS};
use show::Live;
use timing::{Since, Timing};

/// Scheduled tasks of a center.
const MAX_TASKS: usize = 5_000;
/// Scheduled tasks that run at the same time; others wait for their turn.
const MAX_RUNNING: usize = 64;

pub(crate) struct Schedule {
    core: Arc<Core>,
    accounts: Arc<Accounts>,
    clock: Clock,
    /// When the center was started.
    started: DateTime,
    service: OnceLock<Weak<Service>>,
    tasks: Mutex<BTreeMap<MoRef, Entry>>,
    /// Held during a change.
    changing: tokio::sync::Mutex<()>,
    /// Told when the next run may be another one than before.
    changed: Notify,
    turns: Semaphore,
    closing: CancellationToken,
}

struct Entry {
    stored: Stored,
    /// None if this version of the program does not understand the specification: it is shown, and does not run.
    plan: Option<Plan>,
    live: Live,
    running: bool,
}

/// A specification, checked.
#[derive(Clone)]
struct Plan {
    timing: Timing,
    call: MethodCall,
    enabled: bool,
}

impl Plan {
    fn next(&self, modified: i64, started: DateTime, after: DateTime) -> Option<DateTime> {
        let since = Since { submitted: DateTime::from_micros(modified), started };
        self.timing.next(since, after).filter(|_| self.enabled)
    }
}

impl Schedule {
    /// Reads the scheduled tasks. None runs before [`Schedule::start`].
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn open(core: Arc<Core>, accounts: Arc<Accounts>, clock: Clock) -> store::Result<Arc<Self>> {
        let started = clock.now();
        let mut tasks = BTreeMap::new();
        for (id, stored) in TASKS.all(&core.store)? {
            let plan = change::plan(&stored.spec());
            if let Err(fault) = &plan {
                tracing::error!(id, %fault, "a stored scheduled task is not understood and does not run");
            }
            let plan = plan.ok();
            // Runs that were due while the center was down are not made up for.
            let before = DateTime::from_micros(started.as_micros().saturating_sub(1));
            let next = plan.as_ref().and_then(|plan| plan.next(stored.modified_us, started, before));
            let live = Live { next, ..Live::default() };
            tasks.insert(reference(&id), Entry { stored, plan, live, running: false });
        }
        Ok(Arc::new(Self {
            core,
            accounts,
            clock,
            started,
            service: OnceLock::new(),
            tasks: Mutex::new(tasks),
            changing: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            turns: Semaphore::new(MAX_RUNNING),
            closing: CancellationToken::new(),
        }))
    }

    /// Shows the tasks, ends the runs that a restart interrupted, and begins to keep time. The center has ended its own tasks before.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn start(self: &Arc<Self>, service: &Arc<Service>) -> store::Result<()> {
        let _ = self.service.set(Arc::downgrade(service));
        self.end_interrupted().await?;
        let all: Vec<(MoRef, Object)> =
            self.tasks().iter().map(|(me, entry)| (me.clone(), entry.info(me))).collect();
        let manager = methods::manager();
        self.core.tree.write(|w| {
            let listed: Vec<MoRef> = all.iter().map(|(me, _)| me.clone()).collect();
            for (me, info) in all {
                w.create(&me, props!(ScheduledTask { info: info }));
            }
            w.set(&manager, props!(ScheduledTaskManager { scheduledTask: listed }));
        });
        tokio::spawn(keep_time(Arc::downgrade(self), self.clock.clone(), self.closing.clone()));
        tokio::spawn(change::follow_removals(Arc::downgrade(self), self.closing.clone()));
        Ok(())
    }

    /// No task runs any more.
    pub(crate) fn halt(&self) {
        self.closing.cancel();
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<MoRef, Entry>> {
        self.tasks.lock()
    }

    /// Shows a task as it is now.
    fn show(&self, me: &MoRef) {
        let Some(info) = self.tasks().get(me).map(|entry| entry.info(me)) else { return };
        self.core.tree.write(|w| w.set(me, props!(ScheduledTask { info: info })));
    }

    /// Writes a task to the store.
    async fn keep(&self, me: &MoRef, stored: &Stored) -> Result<(), Fault> {
        let mut batch = store::Batch::new();
        TASKS.put(&mut batch, me.id(), stored).map_err(|error| store_fault(&error))?;
        self.core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
        Ok(())
    }

    /// The tasks that are due, and the time of the next one after them.
    fn due(&self, now: DateTime) -> (Vec<MoRef>, Option<DateTime>) {
        let tasks = self.tasks();
        let times = || tasks.iter().filter_map(|(me, entry)| Some((me, entry.live.next?)));
        let due = times().filter(|(_, at)| *at <= now).map(|(me, _)| me.clone()).collect();
        (due, times().map(|(_, at)| at).filter(|at| *at > now).min())
    }

    async fn tell(&self, occasion: Occasion<'_>, me: &MoRef, stored: &Stored, user: &str) {
        let event = events::event(occasion, me, stored, user, &self.core.tree.snapshot());
        self.core.events.post(event).await;
    }
}

impl Entry {
    fn info(&self, me: &MoRef) -> Object {
        show::info(me, &self.stored, &self.live)
    }
}

fn reference(id: &str) -> MoRef {
    MoRef::new(managed_id!(ScheduledTask), id)
}

/// Begins the runs that are due, until the center closes.
async fn keep_time(schedule: Weak<Schedule>, clock: Clock, closing: CancellationToken) {
    loop {
        let Some(alive) = schedule.upgrade() else { return };
        let (due, next) = alive.due(clock.now());
        for me in due {
            alive.run_when_due(&me).await;
        }
        let wait = async {
            match next {
                Some(at) => clock.until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = closing.cancelled() => return,
            () = alive.changed.notified() => {}
            () = wait => {}
        }
    }
}
