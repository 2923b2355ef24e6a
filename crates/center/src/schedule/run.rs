//! Runs a scheduled task: begins it, calls the method with its maker's rights of now, follows the task that the method becomes, and
//! records how it ended.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use api::session::Peer;
use api::{Call, Service, Session};
use futures_util::StreamExt;
use vim::{Fault, MoRef, Object, Value, fault, field, schema, vim};

use super::events::Occasion;
use super::records::{Run, State, Stored};
use super::{Plan, Schedule, targets};
use crate::estate::not_found;
use crate::mirror::outcome;

/// Objects of a container on which one run works at a time.
const MAX_AT_ONCE: usize = 8;

type Outcome = Result<Option<Value>, Fault>;

impl Schedule {
    /// Runs a task now, because a user says so.
    ///
    /// # Errors
    /// `InvalidState` if it runs already.
    pub(super) async fn run(self: &Arc<Self>, me: &MoRef, user: &str) -> Result<(), Fault> {
        let (schedule, at, asked_by) = (self.clone(), me.clone(), user.to_owned());
        let begun = tokio::spawn(async move { schedule.begin(&at, &asked_by).await });
        begun.await.unwrap_or_else(|_| Err(super::change::internal()))
    }

    /// Runs a task whose time has come.
    pub(super) async fn run_when_due(self: &Arc<Self>, me: &MoRef) {
        if let Err(fault) = self.begin(me, "").await {
            tracing::warn!(task = me.id(), %fault, "a scheduled task did not begin");
            // It still has to have another time, or it would be due again at once.
            self.postpone(me);
            let stored = self.tasks().get(me).map(|entry| entry.stored.clone());
            if let Some(stored) = stored {
                self.tell(Occasion::Failed(None, &fault), me, &stored, "").await;
            }
        }
    }

    fn postpone(&self, me: &MoRef) {
        let now = self.clock.now();
        if let Some(entry) = self.tasks().get_mut(me) {
            let modified = entry.stored.modified_us;
            entry.live.next = entry.plan.as_ref().and_then(|plan| plan.next(modified, self.started, now));
        }
        self.show(me);
    }

    /// Records that the task runs, and lets it run.
    async fn begin(self: &Arc<Self>, me: &MoRef, user: &str) -> Result<(), Fault> {
        let turn = self.changing.lock().await;
        let now = self.clock.now();
        let (mut stored, plan) = {
            let tasks = self.tasks();
            let entry = tasks.get(me).ok_or_else(|| not_found(me))?;
            if entry.running {
                return Err(fault!(InvalidState {}, "The scheduled task is still running"));
            }
            let plan = entry.plan.clone().ok_or_else(|| {
                fault!(NotSupported {}, "This version of the center does not understand the scheduled task")
            })?;
            (entry.stored.clone(), plan)
        };
        stored.last = Some(Run::begin(now));
        self.keep(me, &stored).await?;
        if let Some(entry) = self.tasks().get_mut(me) {
            entry.stored = stored.clone();
            entry.running = true;
            entry.live.next = plan.next(stored.modified_us, self.started, now);
        }
        self.show(me);
        drop(turn);
        let (schedule, me) = (self.clone(), me.clone());
        let user = if user.is_empty() { stored.user.clone() } else { user.to_owned() };
        tokio::spawn(async move { schedule.carry_out(&me, &plan, &user).await });
        Ok(())
    }

    async fn carry_out(self: &Arc<Self>, me: &MoRef, plan: &Plan, user: &str) {
        let Some(stored) = self.tasks().get(me).map(|entry| entry.stored.clone()) else { return };
        let Ok(_turn) = self.turns.acquire().await else { return };
        let mut chain = None;
        let outcome = self.call(me, plan, &stored, user, &mut chain).await;
        if let Err(fault) = &outcome {
            tracing::warn!(task = me.id(), %fault, "a scheduled task failed");
        }
        self.end(me, &outcome).await;
        let occasion = match &outcome {
            Ok(_) => Occasion::Completed(chain),
            Err(fault) => Occasion::Failed(chain, fault),
        };
        self.tell(occasion, me, &stored, user).await;
    }

    async fn call(
        &self,
        me: &MoRef,
        plan: &Plan,
        stored: &Stored,
        user: &str,
        chain: &mut Option<i32>,
    ) -> Outcome {
        let begun = self.calls(me, plan, stored);
        let (calls, service) = match begun {
            Ok(begun) => begun,
            Err(fault) => {
                self.tell(Occasion::Started(None), me, stored, user).await;
                return Err(fault);
            }
        };
        if let [only] = calls.as_slice() {
            let answer = service.invoke(only.clone()).await;
            let task = answer.as_ref().ok().and_then(|answer| self.task_of(plan, answer.as_ref()));
            if let Some(task) = &task {
                *chain = self.chain(task);
                self.note(me, task).await;
            }
            self.tell(Occasion::Started(*chain), me, stored, user).await;
            return match task {
                Some(task) => self.follow(&task, Some(me)).await,
                None => answer,
            };
        }
        self.tell(Occasion::Started(None), me, stored, user).await;
        let each = calls.into_iter().map(|call| {
            let service = service.clone();
            async move {
                let answer = service.invoke(call).await?;
                match self.task_of(plan, answer.as_ref()) {
                    Some(task) => self.follow(&task, None).await,
                    None => Ok(answer),
                }
            }
        });
        let ended: Vec<Outcome> =
            futures_util::stream::iter(each).buffer_unordered(MAX_AT_ONCE).collect().await;
        let many = ended.len();
        let mut failed = ended.into_iter().filter_map(Result::err);
        match failed.next() {
            None => Ok(None),
            Some(first) => {
                let message = format!("{} of {many} objects failed; the first: {first}", failed.count() + 1);
                Err(Fault::new(Object::clone(first.object()), message))
            }
        }
    }

    /// The calls of a run, in a session with the rights that the task's maker has now.
    fn calls(&self, me: &MoRef, plan: &Plan, stored: &Stored) -> Result<(Vec<Call>, Arc<Service>), Fault> {
        let gone = || fault!(RuntimeFault {}, "The center is closing");
        let service = self.service.get().and_then(std::sync::Weak::upgrade).ok_or_else(gone)?;
        let account = self.accounts.find(&stored.user).ok_or_else(|| {
            fault!(
                NoPermission { object: &stored.object, privilegeId: "System.View" },
                "{} made this scheduled task and no longer exists; a user who may run it has to change it",
                stored.user
            )
        })?;
        let session = Session::internal(account, "scheduled task");
        let peer = Arc::new(Peer {
            address: IpAddr::V6(Ipv6Addr::LOCALHOST),
            user_agent: "scheduled task".into(),
            certificate: None,
        });
        let spec = stored.spec();
        let name = spec.get(field!(ScheduledTaskSpec.name)).unwrap_or_default();
        let reason: Arc<Object> = Arc::new(vim!(TaskReasonSchedule { name: name, scheduledTask: me }).into());
        let targets = targets::targets(&stored.object, &plan.call, &self.core.tree.snapshot())?;
        let calls = targets.into_iter().map(|target| {
            let args = plan.call.args.clone();
            let mut call = Call::new(service.clone(), peer.clone(), Some(session.clone()), target, args);
            call.reason = Some(reason.clone());
            call
        });
        Ok((calls.collect(), service.clone()))
    }

    /// The task that the method has become.
    fn task_of(&self, plan: &Plan, answer: Option<&Value>) -> Option<MoRef> {
        answer.and_then(Value::as_ref).filter(|_| schema().method(plan.call.method).is_task).cloned()
    }

    fn chain(&self, task: &MoRef) -> Option<i32> {
        self.core.tasks.find(task)?.get(field!(TaskInfo.eventChainId))
    }

    /// Records which task the run has become, so that a restart knows how it ended.
    async fn note(&self, me: &MoRef, task: &MoRef) {
        let stored = {
            let mut tasks = self.tasks();
            let Some(entry) = tasks.get_mut(me) else { return };
            entry.live.task = Some(task.clone());
            if let Some(last) = &mut entry.stored.last {
                last.task = Some(task.id().to_owned());
            }
            entry.stored.clone()
        };
        if let Err(fault) = self.keep(me, &stored).await {
            tracing::warn!(task = me.id(), %fault, "the task of a run could not be noted");
        }
        self.show(me);
    }

    /// Waits for the end of a task, and shows its progress as that of `shown`.
    async fn follow(&self, task: &MoRef, shown: Option<&MoRef>) -> Outcome {
        let mut versions = self.core.tree.versions();
        loop {
            versions.borrow_and_update();
            let info = self.core.tasks.find(task).ok_or_else(|| not_found(task))?;
            if let Some(outcome) = outcome(&info) {
                return outcome;
            }
            if let Some(me) = shown {
                self.progress(me, info.get(field!(TaskInfo.progress)));
            }
            if versions.changed().await.is_err() {
                return Err(fault!(RuntimeFault {}, "The center is closing"));
            }
        }
    }

    fn progress(&self, me: &MoRef, progress: Option<i32>) {
        let is_new = match self.tasks().get_mut(me) {
            Some(entry) if entry.live.progress != progress => {
                entry.live.progress = progress;
                true
            }
            _ => false,
        };
        if is_new {
            self.show(me);
        }
    }

    async fn end(&self, me: &MoRef, outcome: &Outcome) {
        let _turn = self.changing.lock().await;
        let Some(mut stored) = self.tasks().get(me).map(|entry| entry.stored.clone()) else { return };
        if let Some(last) = &mut stored.last {
            last.end(outcome);
        }
        if let Err(fault) = self.keep(me, &stored).await {
            tracing::error!(task = me.id(), %fault, "the end of a scheduled task could not be stored");
        }
        if let Some(entry) = self.tasks().get_mut(me) {
            entry.stored = stored;
            entry.running = false;
            entry.live.task = None;
            entry.live.progress = None;
        }
        self.show(me);
    }

    /// Ends the runs that the last stop of the center interrupted, by the outcome of their tasks.
    pub(super) async fn end_interrupted(&self) -> store::Result<()> {
        let interrupted: Vec<(MoRef, Run)> = {
            let tasks = self.tasks();
            let runs = tasks.iter().filter_map(|(me, entry)| Some((me.clone(), entry.stored.last.clone()?)));
            runs.filter(|(_, run)| run.state == State::Running).collect()
        };
        for (me, run) in interrupted {
            let info = run.task().and_then(|task| self.core.tasks.find(&task));
            let outcome = info.and_then(|info| outcome(&info)).unwrap_or_else(|| {
                Err(fault!(
                    SystemError { reason: "the center was restarted" },
                    "The center was restarted while the scheduled task was running"
                ))
            });
            self.end(&me, &outcome).await;
            let Some(stored) = self.tasks().get(&me).map(|entry| entry.stored.clone()) else { continue };
            let user = stored.user.clone();
            match &outcome {
                Ok(_) => self.tell(Occasion::Completed(None), &me, &stored, &user).await,
                Err(fault) => self.tell(Occasion::Failed(None, fault), &me, &stored, &user).await,
            }
        }
        Ok(())
    }
}
