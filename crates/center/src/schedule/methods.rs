//! The methods of the ScheduledTaskManager and of scheduled tasks.

use std::sync::Arc;

use api::managers::Singletons;
use api::{Call, Manager, Methods, Node, Service, Session, Snapshot, Table};
use vim::{Kind, List, ManagedId, MoRef, Value, arg, field, managed_id, method, prop, props};

use super::{Schedule, show};
use crate::reply::Reply;

const MANAGER: ManagedId = managed_id!(ScheduledTaskManager);
const TASK: ManagedId = managed_id!(ScheduledTask);

/// The ScheduledTaskManager.
pub(crate) const MANAGERS: [Manager<Arc<Schedule>>; 1] = [Manager {
    me: |_| manager(),
    named: Some(field!(ServiceContent.scheduledTaskManager).number()),
    properties: |_| Ok(props!(ScheduledTaskManager { description: show::description() })),
    register: |table| {
        table.on(MANAGER, method!(CreateScheduledTask), |schedule, call| async move {
            let object = call.required(arg!(CreateScheduledTask.entity))?.clone();
            let spec = call.required(arg!(CreateScheduledTask.spec))?.clone();
            schedule.create(&call, &object, spec).await
        });
        table.on(MANAGER, method!(CreateObjectScheduledTask), |schedule, call| async move {
            let object = call.required(arg!(CreateObjectScheduledTask.obj))?.clone();
            let spec = call.required(arg!(CreateObjectScheduledTask.spec))?.clone();
            schedule.create(&call, &object, spec).await
        });
        table.on(MANAGER, method!(RetrieveEntityScheduledTask), |schedule, call| async move {
            let entity = call.arg(arg!(RetrieveEntityScheduledTask.entity));
            schedule.of(&call, entity, |task, entity| task.entity == *entity)
        });
        table.on(MANAGER, method!(RetrieveObjectScheduledTask), |schedule, call| async move {
            let object = call.arg(arg!(RetrieveObjectScheduledTask.obj));
            schedule.of(&call, object, |task, object| task.object == *object)
        });
        table.methods.compute(MANAGER, prop!(ScheduledTaskManager.scheduledTask).number(), visible);
        table.on(TASK, method!(ReconfigureScheduledTask), |schedule, call| async move {
            let spec = call.required(arg!(ReconfigureScheduledTask.spec))?.clone();
            schedule.reconfigure(&call, spec).await
        });
        table.on(TASK, method!(RemoveScheduledTask), |schedule, call| async move {
            schedule.remove(&call.this, call.user()).await.map(|()| None)
        });
        table.on(TASK, method!(RunScheduledTask), |schedule, call| async move {
            schedule.run(&call.this, call.user()).await.map(|()| None)
        });
    },
}];

pub(crate) fn register(methods: &mut Methods, schedule: &Arc<Schedule>) {
    Table { methods, daemon: schedule }.register(&MANAGERS);
}

pub(super) fn manager() -> MoRef {
    Singletons::center().scheduled_task_manager
}

/// `scheduledTask`: those that the session may see.
fn visible(service: &Service, session: &Session, node: &Node, state: &Snapshot) -> Option<Value> {
    let all = node.get(prop!(ScheduledTaskManager.scheduledTask))?;
    let sees = |task: &MoRef| service.authority.allows(&session.account, task, "System.View", state);
    Some(list(all.iter().filter(|task| sees(task)).cloned()))
}

fn list(tasks: impl Iterator<Item = MoRef>) -> Value {
    Value::List(List::new(Kind::Ref(TASK), tasks.map(Value::Ref).collect::<Vec<_>>()))
}

impl Schedule {
    /// The tasks of an entity or object, or all, that the caller may see.
    fn of(&self, call: &Call, about: Option<&MoRef>, is: fn(&super::Stored, &MoRef) -> bool) -> Reply {
        let state = call.state();
        if let Some(about) = about {
            call.check(state.require(about)?.me(), "System.View")?;
        }
        let account = &call.session()?.account;
        let tasks = self.tasks();
        let asked = tasks.iter().filter(|(_, entry)| about.is_none_or(|about| is(&entry.stored, about)));
        let sees = |task: &MoRef| call.service.authority.allows(account, task, "System.View", &state);
        let seen: Vec<MoRef> = asked.map(|(me, _)| me).filter(|me| sees(me)).cloned().collect();
        Ok((!seen.is_empty()).then(|| list(seen.into_iter())))
    }
}
