//! Making, changing and removing scheduled tasks.

use std::sync::{Arc, Weak};

use api::{Call, What};
use tokio_util::sync::CancellationToken;
use vim::{DateTime, Fault, MoRef, Object, Value, fault, field, managed_id, prop, props};

use super::action::MethodCall;
use super::events::Occasion;
use super::records::{IDS, Stored, TASKS};
use super::show::Live;
use super::timing::Timing;
use super::{Entry, MAX_TASKS, Plan, Schedule, methods, reference, targets};
use crate::estate::{not_found, root, store_fault, stored};
use crate::reply::Reply;

const MAX_NAME_CHARS: usize = 80;
/// A specification in VI-JSON.
const MAX_SPEC_BYTES: usize = 256 << 10;

/// A specification, checked without regard to its object.
///
/// # Errors
/// `InvalidName`, `InvalidArgument`, or `NotSupported` for what a scheduled task cannot do here.
pub(super) fn plan(spec: &Object) -> Result<Plan, Fault> {
    let name = spec.get(field!(ScheduledTaskSpec.name)).unwrap_or_default();
    if name.trim().is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        return Err(fault!(
            InvalidName { name: name },
            "A scheduled task's name has 1 to {MAX_NAME_CHARS} characters, none of them a control character"
        ));
    }
    if spec.get(field!(ScheduledTaskSpec.notification)).is_some_and(|mail| !mail.trim().is_empty()) {
        return Err(fault!(NotSupported {}, "The center sends no mail yet; leave notification empty"));
    }
    let missing = |field: &str| {
        fault!(InvalidArgument { invalidProperty: format!("spec.{field}") }, "The {field} is missing")
    };
    let scheduler = spec.get(field!(ScheduledTaskSpec.scheduler)).ok_or_else(|| missing("scheduler"))?;
    let action = spec.get(field!(ScheduledTaskSpec.action)).ok_or_else(|| missing("action"))?;
    Ok(Plan {
        timing: Timing::parse(scheduler)?,
        call: MethodCall::parse(action)?,
        enabled: spec.get(field!(ScheduledTaskSpec.enabled)).unwrap_or_default(),
    })
}

impl Schedule {
    pub(super) async fn create(self: &Arc<Self>, call: &Call, object: &MoRef, spec: Arc<Object>) -> Reply {
        let object = call.state().require(object)?.me().clone();
        let entity = if object.is_a(managed_id!(ManagedEntity)) { object.clone() } else { root() };
        let plan = self.checked(call, &object, &spec)?;
        let stored = self.stored(call, &spec, entity, object)?;
        let (schedule, user) = (self.clone(), call.user().to_owned());
        // In a task of its own, so that a client that hangs up leaves nothing half made.
        let made = tokio::spawn(async move { schedule.add(plan, stored, &user).await });
        let me = made.await.unwrap_or_else(|_| Err(internal()))?;
        Ok(Some(Value::Ref(me)))
    }

    async fn add(&self, plan: Plan, stored: Stored, user: &str) -> Result<MoRef, Fault> {
        let turn = self.changing.lock().await;
        self.free_name(&stored, None)?;
        if self.tasks().len() >= MAX_TASKS {
            return Err(fault!(
                RuntimeFault {},
                "The center has {MAX_TASKS} scheduled tasks, which is the limit; remove some"
            ));
        }
        let mut batch = store::Batch::new();
        batch.reserve(IDS, 1);
        let reserved = self.core.store.commit(batch).await.map_err(|error| store_fault(&error))?.reserved;
        let number = reserved.first().map_or(0, |range| range.start);
        let me = reference(&format!("schedule-{number}"));
        self.keep(&me, &stored).await?;
        let live = Live { next: self.first(&plan, &stored), ..Live::default() };
        let entry = Entry { stored: stored.clone(), plan: Some(plan), live, running: false };
        let info = entry.info(&me);
        self.tasks().insert(me.clone(), entry);
        self.core.tree.write(|w| {
            w.create(&me, props!(ScheduledTask { info: info }));
            w.add_ref(&methods::manager(), prop!(ScheduledTaskManager.scheduledTask), &me);
        });
        drop(turn);
        self.tell(Occasion::Created, &me, &stored, user).await;
        self.changed.notify_one();
        Ok(me)
    }

    pub(super) async fn reconfigure(self: &Arc<Self>, call: &Call, spec: Arc<Object>) -> Reply {
        let me = call.this.clone();
        let (entity, object) = match self.tasks().get(&me) {
            Some(entry) => (entry.stored.entity.clone(), entry.stored.object.clone()),
            None => return Err(not_found(&me)),
        };
        let plan = self.checked(call, &object, &spec)?;
        let stored = self.stored(call, &spec, entity, object)?;
        let (schedule, user) = (self.clone(), call.user().to_owned());
        let changed = tokio::spawn(async move { schedule.replace(&me, plan, stored, &user).await });
        changed.await.unwrap_or_else(|_| Err(internal())).map(|()| None)
    }

    async fn replace(&self, me: &MoRef, plan: Plan, mut stored: Stored, user: &str) -> Result<(), Fault> {
        let turn = self.changing.lock().await;
        self.free_name(&stored, Some(me))?;
        stored.last = self.idle(me)?.last;
        self.keep(me, &stored).await?;
        let next = self.first(&plan, &stored);
        if let Some(entry) = self.tasks().get_mut(me) {
            entry.stored = stored.clone();
            entry.plan = Some(plan);
            entry.live.next = next;
        }
        self.show(me);
        drop(turn);
        self.tell(Occasion::Reconfigured, me, &stored, user).await;
        self.changed.notify_one();
        Ok(())
    }

    /// Removes a task that does not run.
    ///
    /// # Errors
    /// `InvalidState` if it runs, `ManagedObjectNotFound`, `SystemError` if the store failed.
    pub(super) async fn remove(self: &Arc<Self>, me: &MoRef, user: &str) -> Result<(), Fault> {
        let (schedule, me, user) = (self.clone(), me.clone(), user.to_owned());
        let removed = tokio::spawn(async move {
            let turn = schedule.changing.lock().await;
            let stored = schedule.idle(&me)?;
            let mut batch = store::Batch::new();
            TASKS.delete(&mut batch, me.id());
            schedule.core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
            schedule.tasks().remove(&me);
            schedule.core.tree.write(|w| {
                w.remove_ref(&methods::manager(), prop!(ScheduledTaskManager.scheduledTask), &me);
                w.remove(&me);
            });
            drop(turn);
            schedule.tell(Occasion::Removed, &me, &stored, &user).await;
            schedule.changed.notify_one();
            Ok(())
        });
        removed.await.unwrap_or_else(|_| Err(internal()))
    }

    /// Checks a specification for its object and its maker.
    fn checked(&self, call: &Call, object: &MoRef, spec: &Object) -> Result<Plan, Fault> {
        let plan = plan(spec)?;
        targets::check(object, &plan.call)?;
        targets::may(call, object, &plan.call)?;
        if plan.enabled && plan.timing.is_past(self.clock.now()) {
            return Err(fault!(
                InvalidArgument { invalidProperty: "spec.scheduler" },
                "The time of the schedule has passed, so the task would never run"
            ));
        }
        Ok(plan)
    }

    fn stored(&self, call: &Call, spec: &Arc<Object>, entity: MoRef, object: MoRef) -> Result<Stored, Fault> {
        // A client may send the task's information, which is a specification with more fields.
        let only_spec = Arc::new(specification(spec));
        let text = stored::encode(&only_spec);
        if text.to_string().len() > MAX_SPEC_BYTES {
            return Err(fault!(
                InvalidArgument { invalidProperty: "spec" },
                "The specification is larger than {MAX_SPEC_BYTES} bytes"
            ));
        }
        let account = &call.session()?.account;
        if account.narrowed.is_some() {
            return Err(fault!(
                NoPermission { object: &object, privilegeId: "ScheduledTask.Create" },
                "A session of a token makes and changes no scheduled tasks: they would run with all rights of its user"
            ));
        }
        let user = account.name.clone();
        Ok(Stored { spec: text, entity, object, user, modified_us: self.clock.now().as_micros(), last: None })
    }

    /// The first run after a change.
    fn first(&self, plan: &Plan, stored: &Stored) -> Option<DateTime> {
        let before = DateTime::from_micros(stored.modified_us.saturating_sub(1));
        plan.next(stored.modified_us, self.started, before)
    }

    /// Names are unique among the tasks of an entity.
    fn free_name(&self, stored: &Stored, me: Option<&MoRef>) -> Result<(), Fault> {
        let name = |stored: &Stored| stored.spec().get(field!(ScheduledTaskSpec.name)).map(str::to_owned);
        let wanted = name(stored);
        let tasks = self.tasks();
        let of_entity = tasks.iter().filter(|(at, entry)| {
            Some(*at) != me && entry.stored.entity == stored.entity && name(&entry.stored) == wanted
        });
        let wanted = wanted.as_deref().unwrap_or_default();
        match of_entity.map(|(at, _)| at).next() {
            None => Ok(()),
            Some(other) => Err(fault!(
                DuplicateName { name: wanted, object: other },
                "The object has a scheduled task named '{wanted}' already"
            )),
        }
    }

    /// A task that does not run.
    fn idle(&self, me: &MoRef) -> Result<Stored, Fault> {
        match self.tasks().get(me) {
            None => Err(not_found(me)),
            Some(entry) if entry.running => Err(fault!(
                InvalidState {},
                "The scheduled task is running; wait for its end, or cancel its task"
            )),
            Some(entry) => Ok(entry.stored.clone()),
        }
    }
}

/// The fields of a specification alone.
fn specification(spec: &Object) -> Object {
    let ty = vim::data_id!(ScheduledTaskSpec);
    let known = vim::schema().data(ty).fields.len();
    let fields = spec.fields().iter().filter(|(number, _)| usize::from(*number) < known).cloned().collect();
    Object::from_fields(ty, fields)
}

pub(super) fn internal() -> Fault {
    fault!(SystemError { reason: "internal error" }, "The request failed because of an internal error")
}

/// Removes the tasks of objects that are removed, until the center closes.
pub(super) async fn follow_removals(schedule: Weak<Schedule>, closing: CancellationToken) {
    let Some(alive) = schedule.upgrade() else { return };
    let tree = alive.core.tree.clone();
    drop(alive);
    let mut versions = tree.versions();
    let mut seen = tree.snapshot().version();
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            changed = versions.changed() => if changed.is_err() { return },
        }
        let Some(alive) = schedule.upgrade() else { return };
        let state = tree.snapshot();
        let from = std::mem::replace(&mut seen, state.version());
        let orphans: Vec<MoRef> = {
            let tasks = alive.tasks();
            if tasks.is_empty() {
                continue;
            }
            let removed: Option<Vec<MoRef>> = match state.since(from) {
                Ok(commits) => {
                    let changes = commits.flat_map(|commit| &commit.changes);
                    let gone = changes.filter(|change| change.what == What::Removed);
                    Some(gone.map(|change| change.object.clone()).collect())
                }
                // The log no longer reaches back: all are looked up.
                Err(_) => None,
            };
            if removed.as_ref().is_some_and(Vec::is_empty) {
                continue;
            }
            let is_gone = |object: &MoRef| {
                removed.as_ref().is_none_or(|removed| removed.contains(object))
                    && state.find(object).is_none()
            };
            let orphans = tasks.iter().filter(|(_, entry)| {
                !entry.running && (is_gone(&entry.stored.object) || is_gone(&entry.stored.entity))
            });
            orphans.map(|(me, _)| me.clone()).collect()
        };
        for me in orphans {
            if let Err(fault) = alive.remove(&me, "").await {
                tracing::warn!(task = me.id(), %fault, "the scheduled task of a removed object was not removed");
            }
        }
    }
}
