//! Tasks: work that goes on after the call that began it has been answered.
//!
//! A task is an object of the tree like any other; clients follow its `info`. [`Tasks::start`] makes it, runs the work
//! and records how it ended.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use vim::{
    DateTime, Fault, MethodId, MoRef, Object, Value, data_id, fault, field, managed_id, prop, props, schema,
    ty, vim, vim_enum,
};

use crate::Tree;

/// Finished tasks that stay in the tree; older ones are in the history.
pub const MAX_FINISHED: usize = 1_000;

/// How a task is to run.
#[derive(Clone, Debug, Default)]
pub struct TaskOptions {
    /// The object that it works on.
    pub entity: Option<MoRef>,
    pub entity_name: Option<String>,
    /// Nothing else exclusive may work on the object at the same time.
    pub exclusive: bool,
    /// Whether the work heeds [`Running::cancelled`].
    pub cancelable: bool,
}

impl TaskOptions {
    /// Work on one object, alone.
    pub fn exclusive(entity: &MoRef, name: impl Into<String>) -> Self {
        let entity_name = Some(name.into());
        Self { entity: Some(entity.clone()), entity_name, exclusive: true, cancelable: false }
    }
}

/// What the work of a task holds.
#[derive(Clone)]
pub struct Running {
    pub task: MoRef,
    tree: Arc<Tree>,
    cancelled: CancellationToken,
}

impl Running {
    /// Says how far it has come, in percent.
    pub fn progress(&self, percent: u8) {
        let percent = i32::from(percent.min(100));
        change_info(&self.tree, &self.task, |info| info.set(field!(TaskInfo.progress), percent));
    }

    /// Done when somebody has asked the task to stop; the work then ends with `RequestCanceled`.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }
}

/// All tasks of the daemon.
pub struct Tasks {
    tree: Arc<Tree>,
    next: AtomicU64,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    cancel: HashMap<MoRef, CancellationToken>,
    /// The exclusive task on each object.
    locks: HashMap<MoRef, MoRef>,
    finished: VecDeque<MoRef>,
}

impl Tasks {
    pub(crate) fn new(tree: Arc<Tree>) -> Self {
        Self { tree, next: AtomicU64::new(1), state: Arc::default() }
    }

    /// Makes the task and lets the work run; gives the task's reference.
    ///
    /// # Errors
    /// `TaskInProgress` if `options.exclusive` and another exclusive task works on the same object.
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
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let task = MoRef::new(managed_id!(Task), format!("task-{number}"));
        let cancelled = CancellationToken::new();
        let lock = options.entity.clone().filter(|_| options.exclusive);
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(entity) = &lock {
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
            state.cancel.insert(task.clone(), cancelled.clone());
        }
        let info = initial_info(&task, number, method, user, &options);
        self.tree.write(|w| w.create(&task, props!(Task { info: info })));
        let running = Running { task: task.clone(), tree: self.tree.clone(), cancelled };
        let (tree, state) = (self.tree.clone(), self.state.clone());
        let work = work(running);
        let me = task.clone();
        tokio::spawn(async move {
            let result = match tokio::spawn(work).await {
                Ok(result) => result,
                Err(_panicked) => Err(fault!(
                    SystemError { reason: "internal error" },
                    "The task failed by an internal error"
                )),
            };
            finish(&tree, &state, &me, lock.as_ref(), result);
        });
        Ok(task)
    }

    /// Asks a task to stop.
    ///
    /// # Errors
    /// `NotSupported` if it cannot be stopped, `InvalidState` if it has ended.
    pub fn cancel(&self, task: &MoRef) -> Result<(), Fault> {
        let state = self.tree.snapshot();
        let info = state.find(task).and_then(|node| node.get(prop!(Task.info)).cloned());
        let cancelable =
            info.as_ref().and_then(|info| info.get(field!(TaskInfo.cancelable))).unwrap_or(false);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.cancel.get(task) {
            Some(token) if cancelable => token.cancel(),
            Some(_) => return Err(fault!(NotSupported {}, "This task cannot be cancelled")),
            None => return Err(fault!(InvalidState {}, "The task has ended")),
        }
        drop(state);
        change_info(&self.tree, task, |info| info.set(field!(TaskInfo.cancelled), true));
        Ok(())
    }
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
        reason: TaskReasonUser { userName: user },
        queueTime: now,
        startTime: now,
        eventChainId: i32::try_from(number & 0x7fff_ffff).unwrap_or(0),
    })
}

fn finish(
    tree: &Tree,
    state: &Mutex<State>,
    task: &MoRef,
    lock: Option<&MoRef>,
    result: Result<Option<Value>, Fault>,
) {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(entity) = lock {
        state.locks.remove(entity);
    }
    state.cancel.remove(task);
    state.finished.push_back(task.clone());
    let forgotten = if state.finished.len() > MAX_FINISHED { state.finished.pop_front() } else { None };
    drop(state);
    change_info(tree, task, |info| {
        info.set(field!(TaskInfo.completeTime), DateTime::now());
        match result {
            Ok(value) => {
                info.set(field!(TaskInfo.state), vim_enum!(TaskInfoState.success));
                info.set(field!(TaskInfo.result), value);
            }
            Err(fault) => {
                tracing::warn!(task = task.id(), fault = fault.type_name(), "{fault}");
                info.set(field!(TaskInfo.state), vim_enum!(TaskInfoState.error));
                info.set(field!(TaskInfo.error), fault.localized());
            }
        }
    });
    if let Some(forgotten) = forgotten {
        tree.write(|w| w.remove(&forgotten));
    }
}

fn change_info(tree: &Tree, task: &MoRef, change: impl FnOnce(&mut Object)) {
    tree.write(|w| {
        let Some(info) = w.find(task).and_then(|node| node.get(prop!(Task.info)).cloned()) else { return };
        debug_assert!(info.is_a(data_id!(TaskInfo)));
        let mut info = Object::clone(&info);
        change(&mut info);
        w.set(task, props!(Task { info: info }));
    });
}
