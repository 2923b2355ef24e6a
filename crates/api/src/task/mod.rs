//! Tasks: work that continues after the call that began it has been answered.
//!
//! A task is an object of the tree like any other; clients follow its `info`. [`Tasks::start`] writes it to the store,
//! makes the object, runs the work and records how it ended: in the store first, then in the tree. After a restart
//! [`Tasks::recover`] ends the tasks that were under way.

mod client;
mod journal;
mod recover;
#[cfg(test)]
mod tests;

pub(crate) use client::ClientTask;
pub use journal::MAX_KEPT;
pub(crate) use journal::{INFO, TaskLog};
pub use recover::{Outcome, UnfinishedTask};

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vim::{
    DateTime, Fault, MethodId, MoRef, Object, Value, data_id, fault, field, managed_id, prop, props, schema,
    ty, vim, vim_enum,
};

use crate::retention::Retention;
use crate::stored::store_fault;
use crate::{Actor, Tree, Writer};
use journal::Journal;

/// Finished tasks that stay in the tree; older ones are in the history.
pub const MAX_FINISHED: usize = 1_000;
/// How long a finished task stays in the tree.
pub const KEPT_FINISHED: Duration = Duration::from_secs(10 * 60);

/// Reports of progress while a task takes its time.
const SPENT_STEPS: u32 = 10;

/// How a task is to run.
#[derive(Clone, Debug, Default)]
pub struct TaskOptions {
    /// The object that it works on.
    pub entity: Option<MoRef>,
    pub entity_name: Option<String>,
    /// No other exclusive task may work on the object at the same time.
    pub exclusive: bool,
    /// Whether the work stops on [`Running::cancelled`].
    pub cancelable: bool,
    /// The `TaskReason`; none if a user called.
    pub reason: Option<Arc<Object>>,
    /// The key of the task that this one is a part of.
    pub parent: Option<String>,
}

impl TaskOptions {
    /// Exclusive work on one object.
    pub fn exclusive(entity: &MoRef, name: impl Into<String>) -> Self {
        let entity_name = Some(name.into());
        Self { entity: Some(entity.clone()), entity_name, exclusive: true, ..Self::default() }
    }
}

/// The work's handle to its task.
#[derive(Clone)]
pub struct Running {
    pub task: MoRef,
    /// The `chainId` for events of this work.
    pub chain_id: i32,
    /// The user who began the task.
    pub user: Arc<str>,
    tree: Arc<Tree>,
    cancelled: CancellationToken,
}

impl Running {
    /// Reports progress, in percent.
    pub fn progress(&self, percent: u8) {
        let percent = i32::from(percent.min(100));
        change_info(&self.tree, &self.task, |info| info.set(field!(TaskInfo.progress), percent));
    }

    /// Spends time, with progress.
    ///
    /// # Errors
    /// `RequestCanceled` when a user has asked the task to stop.
    async fn spend(&self, time: Duration) -> Result<(), Fault> {
        for step in 1..=SPENT_STEPS {
            let wait = tokio::time::sleep(time / SPENT_STEPS);
            if self.cancelled.run_until_cancelled(wait).await.is_none() {
                return Err(fault!(RequestCanceled {}, "The task was cancelled"));
            }
            let percent = step * 100 / SPENT_STEPS;
            self.progress(u8::try_from(percent).unwrap_or(100).min(99));
        }
        Ok(())
    }

    /// Says whether the task can be cancelled from now on, which its work finds out only while it runs.
    pub fn set_cancelable(&self, cancelable: bool) {
        change_info(&self.tree, &self.task, |info| info.set(field!(TaskInfo.cancelable), cancelable));
    }

    /// Cancelled when a user has asked the task to stop; the work then ends with `RequestCanceled`.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }
}

/// All tasks of the daemon. Cloning shares them.
#[derive(Clone)]
pub struct Tasks(Arc<Inner>);

struct Inner {
    tree: Arc<Tree>,
    journal: Journal,
    manager: OnceLock<MoRef>,
    /// The time that each task takes before its work, on a simulator that is asked to be slow.
    pace: OnceLock<Duration>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: HashMap<MoRef, Live>,
    /// The exclusive task on each object.
    locks: HashMap<MoRef, MoRef>,
    /// Oldest first, with the time when each leaves the tree.
    finished: VecDeque<(Instant, MoRef)>,
    reaping: bool,
}

/// A task that has not ended.
struct Live {
    number: u64,
    cancel: CancellationToken,
    lock: Option<MoRef>,
    /// The client that made it (`CreateTask`) sets its state, instead of work in this daemon.
    by_client: bool,
}

impl Tasks {
    pub(crate) fn new(tree: Arc<Tree>, store: store::Store, retention: Arc<Retention>) -> Self {
        let journal = Journal::new(store, retention);
        Self(Arc::new(Inner {
            tree,
            journal,
            manager: OnceLock::new(),
            pace: OnceLock::new(),
            state: Mutex::default(),
        }))
    }

    /// Sets the object that lists the tasks.
    pub(crate) fn shown_by(&self, manager: &MoRef) {
        let _ = self.0.manager.set(manager.clone());
    }

    /// Lets each task from now on take this long, with progress, before its work is done. To be set once.
    pub fn set_pace(&self, pace: Duration) {
        let _ = self.0.pace.set(pace);
    }

    /// Drops tasks from the history that are too old, in the background.
    pub(crate) fn trim(&self) {
        self.0.journal.trim();
    }

    /// The history of tasks.
    pub(crate) fn source(&self) -> TaskLog {
        self.0.journal.source()
    }

    /// Makes the task and runs the work. Returns the task's reference once the task is durable.
    ///
    /// # Errors
    /// `TaskInProgress` if `options.exclusive` and another exclusive task works on the same object; `SystemError` if
    /// the task cannot be written to the store.
    pub async fn start<F, R>(
        &self,
        method: MethodId,
        user: &str,
        options: TaskOptions,
        work: F,
    ) -> Result<MoRef, Fault>
    where
        F: FnOnce(Running) -> R + Send + 'static,
        R: Future<Output = Result<Option<Value>, Fault>> + Send + 'static,
    {
        let (tasks, user) = (self.clone(), user.to_owned());
        // In a task of its own, so that a caller that is dropped in between does not leave a half-begun task.
        let begun = tokio::spawn(async move {
            let running = tasks.begin(method, &user, &options).await?;
            let task = running.task.clone();
            let me = task.clone();
            tokio::spawn(async move {
                let pace = tasks.0.pace.get().copied();
                let actor = Actor::new(&running.user, Some(running.chain_id));
                let work = AssertUnwindSafe(actor.does(async move {
                    if let Some(pace) = pace {
                        running.spend(pace).await?;
                    }
                    work(running).await
                }));
                let result = work.catch_unwind().await.unwrap_or_else(|_panic| {
                    Err(fault!(
                        SystemError { reason: "internal error" },
                        "The task failed because of an internal error"
                    ))
                });
                tasks.finish(&me, result).await;
            });
            Ok(task)
        });
        begun.await.unwrap_or_else(|_| {
            Err(fault!(
                SystemError { reason: "internal error" },
                "The task could not begin because of an internal error"
            ))
        })
    }

    async fn begin(&self, method: MethodId, user: &str, options: &TaskOptions) -> Result<Running, Fault> {
        let number = self.0.journal.number().await.map_err(|error| store_fault(&error))?;
        let task = task_ref(number);
        let lock = options.entity.clone().filter(|_| options.exclusive);
        let cancel = CancellationToken::new();
        self.claim(&task, Live { number, cancel: cancel.clone(), lock, by_client: false }, options)?;
        let info = Arc::new(Object::from(initial_info(&task, number, method, user, options)));
        if let Err(error) = self.0.journal.begin(number, &info).await {
            self.release(&task);
            return Err(store_fault(&error));
        }
        let chain_id = chain_id(number);
        self.show(&task, &info);
        Ok(Running { task, chain_id, user: user.into(), tree: self.0.tree.clone(), cancelled: cancel })
    }

    fn claim(&self, task: &MoRef, live: Live, options: &TaskOptions) -> Result<(), Fault> {
        let mut state = self.state();
        if let Some(entity) = &live.lock {
            if let Some(other) = state.locks.get(entity) {
                return Err(fault!(
                    TaskInProgress { task: other },
                    "Another task ({}) is already in progress on {}",
                    other.id(),
                    options.entity_name.as_deref().unwrap_or(entity.id())
                ));
            }
            state.locks.insert(entity.clone(), task.clone());
        }
        state.live.insert(task.clone(), live);
        Ok(())
    }

    fn release(&self, task: &MoRef) -> Option<Live> {
        let mut state = self.state();
        let live = state.live.remove(task)?;
        if let Some(entity) = &live.lock {
            state.locks.remove(entity);
        }
        Some(live)
    }

    /// Makes the object, and lists it at its entity and the TaskManager.
    fn show(&self, task: &MoRef, info: &Arc<Object>) {
        let entity = info.get(field!(TaskInfo.entity));
        self.0.tree.write(|w| {
            w.create(task, props!(Task { info: info }));
            if let Some(entity) = entity {
                w.add_ref(entity, prop!(ManagedEntity.recentTask), task);
            }
            if let Some(manager) = self.0.manager.get() {
                w.add_ref(manager, prop!(TaskManager.recentTask), task);
            }
        });
    }

    /// Ends a task: first in the store, then in the tree. Until then no other exclusive task may begin on the object.
    async fn finish(&self, task: &MoRef, result: Result<Option<Value>, Fault>) {
        let Some(number) = self.state().live.get(task).map(|live| live.number) else { return };
        let Some(mut info) = self.info(task) else { return };
        end(&mut info, &result);
        let mut info = Arc::new(info);
        if let Err(error) = self.0.journal.write(number, &info).await {
            tracing::error!(task = task.id(), %error, "the end of a task could not be written");
            if result.is_ok() {
                let mut failed = Object::clone(&info);
                let fault = fault!(
                    SystemError { reason: error.to_string() },
                    "The operation was done, but the server's database could not record it: {error}"
                );
                failed.set(field!(TaskInfo.result), None::<Value>);
                end(&mut failed, &Err(fault));
                info = Arc::new(failed);
            }
        }
        if let Err(fault) = &result {
            tracing::warn!(task = task.id(), fault = fault.type_name(), "{fault}");
        }
        self.release(task);
        self.0.tree.write(|w| w.set(task, props!(Task { info: &info })));
        self.keep_finished(task.clone());
    }

    /// The information of a task: of one that is shown, or of an older one from the history.
    pub fn find(&self, task: &MoRef) -> Option<Arc<Object>> {
        let state = self.0.tree.snapshot();
        let shown = state.find(task).and_then(|node| node.get(prop!(Task.info)).cloned());
        shown.or_else(|| self.0.journal.find(task.id().strip_prefix("task-")?.parse().ok()?))
    }

    fn info(&self, task: &MoRef) -> Option<Object> {
        let state = self.0.tree.snapshot();
        let info = state.find(task)?.get(prop!(Task.info))?;
        Some(Object::clone(info))
    }

    /// Leaves an ended task in the tree for a while.
    fn keep_finished(&self, task: MoRef) {
        let mut state = self.state();
        state.finished.push_back((Instant::now() + KEPT_FINISHED, task));
        let forgotten = if state.finished.len() > MAX_FINISHED { state.finished.pop_front() } else { None };
        let reap = !std::mem::replace(&mut state.reaping, true);
        drop(state);
        if let Some((_, forgotten)) = forgotten {
            self.forget(&[forgotten]);
        }
        if reap {
            // It does not keep the tasks alive: it ends at the next turn after the daemon has dropped them.
            let tasks = Arc::downgrade(&self.0);
            tokio::spawn(async move {
                loop {
                    let Some(wait) = tasks.upgrade().and_then(|inner| Self(inner).reap()) else { return };
                    tokio::time::sleep_until(wait).await;
                }
            });
        }
    }

    /// Removes the tasks that are due, and returns when the next one is; none if no other waits.
    fn reap(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.state();
        let due = state.finished.partition_point(|(at, _)| *at <= now);
        let gone: Vec<MoRef> = state.finished.drain(..due).map(|(_, task)| task).collect();
        let next = state.finished.front().map(|(at, _)| *at);
        state.reaping = next.is_some();
        drop(state);
        self.forget(&gone);
        next
    }

    fn forget(&self, tasks: &[MoRef]) {
        if tasks.is_empty() {
            return;
        }
        self.0.tree.write(|w| {
            for task in tasks {
                let info = w.find(task).and_then(|node| node.get(prop!(Task.info)).cloned());
                if let Some(entity) = info.as_ref().and_then(|info| info.get(field!(TaskInfo.entity))) {
                    w.remove_ref(entity, prop!(ManagedEntity.recentTask), task);
                }
                if let Some(manager) = self.0.manager.get() {
                    w.remove_ref(manager, prop!(TaskManager.recentTask), task);
                }
                w.remove(task);
            }
        });
    }

    /// Asks a task to stop.
    ///
    /// # Errors
    /// `NotSupported` if it cannot be stopped, `InvalidState` if it has ended.
    pub fn cancel(&self, task: &MoRef) -> Result<(), Fault> {
        let cancelable =
            self.info(task).and_then(|info| info.get(field!(TaskInfo.cancelable))).unwrap_or(false);
        match self.state().live.get(task) {
            Some(live) if cancelable => live.cancel.cancel(),
            Some(_) => return Err(fault!(NotSupported {}, "This task cannot be cancelled")),
            None => return Err(fault!(InvalidState {}, "The task has ended")),
        }
        change_info(&self.0.tree, task, |info| info.set(field!(TaskInfo.cancelled), true));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

fn task_ref(number: u64) -> MoRef {
    MoRef::new(managed_id!(Task), format!("task-{number}"))
}

fn chain_id(number: u64) -> i32 {
    i32::try_from(number & 0x7fff_ffff).unwrap_or(0)
}

fn initial_info(
    task: &MoRef,
    number: u64,
    method: MethodId,
    user: &str,
    options: &TaskOptions,
) -> ty!(TaskInfo) {
    let method = schema().method(method);
    let now = DateTime::now();
    vim!(TaskInfo {
        key: task.id(),
        task: task,
        name: method.name,
        descriptionId: format!("{}.{}", schema().managed(method.owner).name, method.model_name),
        entity: options.entity.as_ref().filter(|entity| entity.is_a(managed_id!(ManagedEntity))).cloned(),
        entityName: options.entity_name.clone(),
        state: "running",
        cancelled: false,
        cancelable: options.cancelable,
        reason: options
            .reason
            .clone()
            .unwrap_or_else(|| Arc::new(vim!(TaskReasonUser { userName: user }).into())),
        queueTime: now,
        startTime: now,
        eventChainId: chain_id(number),
        parentTaskKey: options.parent.clone(),
    })
}

/// Writes into a task's information how it ended.
fn end(info: &mut Object, result: &Result<Option<Value>, Fault>) {
    info.set(field!(TaskInfo.completeTime), DateTime::now());
    match result {
        Ok(value) => {
            info.set(field!(TaskInfo.state), vim_enum!(TaskInfoState.success));
            info.set(field!(TaskInfo.result), value.clone());
        }
        Err(fault) => {
            info.set(field!(TaskInfo.state), vim_enum!(TaskInfoState.error));
            info.set(field!(TaskInfo.error), fault.localized());
        }
    }
}

fn change_info(tree: &Tree, task: &MoRef, change: impl FnOnce(&mut Object)) {
    tree.write(|w| change_info_in(w, task, change));
}

fn change_info_in(w: &mut Writer, task: &MoRef, change: impl FnOnce(&mut Object)) {
    let Some(info) = w.find(task).and_then(|node| node.get(prop!(Task.info)).cloned()) else { return };
    debug_assert!(info.is_a(data_id!(TaskInfo)));
    let mut info = Object::clone(&info);
    change(&mut info);
    w.set(task, props!(Task { info: info }));
}
