//! Tasks that clients make (`CreateTask`), move on and end: the server only shows them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use vim::{DateTime, Fault, MoRef, Object, Value, fault, field, managed_id, vim};

use super::{Live, TaskOptions, Tasks, chain_id, change_info, task_ref};
use crate::stored::store_fault;

/// Tasks that clients have made and not ended.
const MAX_CLIENT_TASKS: usize = 1_000;

/// A task that a client makes.
pub(crate) struct ClientTask {
    pub entity: MoRef,
    pub entity_name: Option<String>,
    /// `descriptionId`.
    pub kind: String,
    pub user: String,
    pub cancelable: bool,
    pub parent_key: Option<String>,
    pub activation_id: Option<String>,
}

impl Tasks {
    /// Makes a queued task that its client moves on, and returns its information.
    ///
    /// # Errors
    /// `OutOfBounds` when clients have too many tasks; `SystemError` if the task cannot be written to the store.
    pub(crate) async fn create(&self, task: ClientTask) -> Result<Arc<Object>, Fault> {
        if self.state().live.values().filter(|live| live.by_client).count() >= MAX_CLIENT_TASKS {
            return Err(fault!(
                OutOfBounds { argumentName: "task" },
                "Clients have made {MAX_CLIENT_TASKS} tasks that have not ended, which is the limit; end some with SetTaskState"
            ));
        }
        let number = self.0.journal.number().await.map_err(|error| store_fault(&error))?;
        let me = task_ref(number);
        let info = vim!(TaskInfo {
            key: me.id(),
            task: &me,
            descriptionId: task.kind,
            entity: Some(task.entity).filter(|entity| entity.is_a(managed_id!(ManagedEntity))),
            entityName: task.entity_name,
            state: "queued",
            cancelled: false,
            cancelable: task.cancelable,
            reason: TaskReasonUser { userName: task.user },
            queueTime: DateTime::now(),
            eventChainId: chain_id(number),
            parentTaskKey: task.parent_key,
            activationId: task.activation_id,
        });
        let live = Live { number, cancel: CancellationToken::new(), lock: None, by_client: true };
        self.claim(&me, live, &TaskOptions::default())?;
        let info = Arc::new(Object::from(info));
        if let Err(error) = self.0.journal.begin(number, &info).await {
            self.release(&me);
            return Err(store_fault(&error));
        }
        self.show(&me, &info);
        Ok(info)
    }

    /// Changes the information of a client's task.
    ///
    /// # Errors
    /// `InvalidState` if it has ended, `NotSupported` if the server runs it.
    pub(crate) fn change(&self, task: &MoRef, change: impl FnOnce(&mut Object)) -> Result<(), Fault> {
        self.of_client(task)?;
        change_info(&self.0.tree, task, change);
        Ok(())
    }

    /// Ends a client's task.
    ///
    /// # Errors
    /// As for [`Tasks::change`].
    pub(crate) async fn end(&self, task: &MoRef, result: Result<Option<Value>, Fault>) -> Result<(), Fault> {
        self.of_client(task)?;
        self.finish(task, result).await;
        Ok(())
    }

    fn of_client(&self, task: &MoRef) -> Result<(), Fault> {
        match self.state().live.get(task) {
            Some(live) if live.by_client => Ok(()),
            Some(_) => {
                Err(fault!(NotSupported {}, "The server runs this task itself and reports its progress"))
            }
            None => Err(fault!(InvalidState {}, "The task has ended")),
        }
    }

    /// The user who began the task.
    pub(crate) fn user_of(&self, task: &MoRef) -> Option<String> {
        let info = self.info(task)?;
        let reason = info.get(field!(TaskInfo.reason))?;
        let by = Some(reason).filter(|reason| reason.is_a(vim::data_id!(TaskReasonUser)))?;
        by.get(field!(TaskReasonUser.userName)).map(str::to_owned)
    }
}
