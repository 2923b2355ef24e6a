//! Methods of the TaskManager and of tasks.

use std::sync::Arc;

use vim::{
    DateTime, Fault, Kind, List, ManagedId, MoRef, Object, Value, arg, fault, field, managed_id, method,
    prop, props, ty, vim, vim_enum,
};

use super::task_collector::{self as collector, TaskCollector};
use super::{blocking, too_many_collectors};
use crate::common::Common;
use crate::history::MAX_COLLECTORS;
use crate::task::ClientTask;
use crate::{Call, Guard, Manager, Methods, Node, Service, Session, Snapshot};

type Reply = Result<Option<Value>, Fault>;

const MANAGER: ManagedId = managed_id!(TaskManager);
const TASK: ManagedId = managed_id!(Task);

/// The TaskManager.
pub(crate) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.task_manager.clone(),
    named: Some(field!(ServiceContent.taskManager).number()),
    properties: |_| {
        Ok(props!(TaskManager {
            description: description(),
            maxCollector: i32::try_from(MAX_COLLECTORS).unwrap_or(i32::MAX),
        }))
    },
    register: |table| {
        let methods = &mut *table.methods;
        methods.on(MANAGER, method!(CreateTask), create_task);
        methods.on(MANAGER, method!(CreateCollectorForTasks), |call| async move { create_collector(&call) });
        methods.compute(MANAGER, prop!(TaskManager.recentTask).number(), recent);
        // A user may stop the tasks that he began.
        let stop = Guard::Asks(&["Global.CancelTask"]);
        methods.guarded(TASK, method!(CancelTask), stop, |call| async move { cancel(&call) });
        methods.on(TASK, method!(UpdateProgress), |call| async move { update_progress(&call) });
        methods.on(TASK, method!(SetTaskDescription), |call| async move { set_description(&call) });
        methods.on(TASK, method!(SetTaskState), set_state);
        register_collector(methods);
    },
};

fn register_collector(methods: &mut Methods) {
    let mut own = |method, handler: fn(&Call) -> Reply| {
        let ty = managed_id!(TaskHistoryCollector);
        methods.guarded(ty, method, Guard::Open, move |call| blocking(call, handler));
    };
    own(method!(ReadNextTasks), |call| collector::read(call, true));
    own(method!(ReadPreviousTasks), |call| collector::read(call, false));
    own(method!(RewindCollector), collector::rewind);
    own(method!(ResetCollector), collector::reset);
    own(method!(SetCollectorPageSize), collector::resize);
    own(method!(DestroyCollector), |call| {
        call.session()?.remove(&call.this);
        Ok(None)
    });
}

/// `recentTask`: those that the session may see.
fn recent(service: &Service, session: &Session, node: &Node, state: &Snapshot) -> Option<Value> {
    let tasks = node.get(prop!(TaskManager.recentTask))?;
    let sees = |task: &MoRef| service.authority.allows(&session.account, task, "System.View", state);
    let seen: Vec<Value> = tasks.iter().filter(|task| sees(task)).cloned().map(Value::Ref).collect();
    Some(Value::List(List::new(Kind::Ref(TASK), seen)))
}

fn create_collector(call: &Call) -> Reply {
    let session = call.session()?;
    let spec = call.required(arg!(CreateCollectorForTasks.filter))?.clone();
    if session.objects_as::<TaskCollector>().len() >= MAX_COLLECTORS {
        return Err(too_many_collectors());
    }
    let me = MoRef::new(managed_id!(TaskHistoryCollector), session.new_object_id());
    let log = call.service.core.tasks.source();
    session.add(Arc::new(TaskCollector::new(me.clone(), spec, log, call)?))?;
    Ok(Some(Value::Ref(me)))
}

async fn create_task(call: Call) -> Reply {
    let state = call.state();
    let entity = state.require(call.required(arg!(CreateTask.obj))?)?;
    let name = Some(entity).filter(|node| node.me().is_a(managed_id!(ManagedEntity)));
    let task = ClientTask {
        entity: entity.me().clone(),
        entity_name: name.and_then(|node| node.get(prop!(ManagedEntity.name))).map(str::to_owned),
        kind: call.required(arg!(CreateTask.taskTypeId))?.to_owned(),
        user: call.arg(arg!(CreateTask.initiatedBy)).unwrap_or(call.user()).to_owned(),
        cancelable: call.required(arg!(CreateTask.cancelable))?,
        parent_key: call.arg(arg!(CreateTask.parentTaskKey)).map(str::to_owned),
        activation_id: call.arg(arg!(CreateTask.activationId)).map(str::to_owned),
    };
    Ok(Some(Value::Object(call.service.core.tasks.create(task).await?)))
}

/// The user who began a task may stop it; others need a privilege.
fn cancel(call: &Call) -> Reply {
    let tasks = &call.service.core.tasks;
    if tasks.user_of(&call.this).as_deref() != Some(call.user()) {
        call.service.check(call.session()?, &call.this, "Global.CancelTask", &call.state())?;
    }
    tasks.cancel(&call.this)?;
    Ok(None)
}

fn update_progress(call: &Call) -> Reply {
    let percent = call.required(arg!(UpdateProgress.percentDone))?;
    if !(0..=100).contains(&percent) {
        return Err(fault!(
            OutOfBounds { argumentName: "percentDone" },
            "Progress of {percent} percent is out of range (0–100)"
        ));
    }
    call.service.core.tasks.change(&call.this, |info| info.set(field!(TaskInfo.progress), percent))?;
    Ok(None)
}

fn set_description(call: &Call) -> Reply {
    let description = call.required(arg!(SetTaskDescription.description))?;
    let change = |info: &mut Object| info.set(field!(TaskInfo.description), description);
    call.service.core.tasks.change(&call.this, change)?;
    Ok(None)
}

async fn set_state(call: Call) -> Reply {
    let state = call.required(arg!(SetTaskState.state))?;
    let tasks = &call.service.core.tasks;
    if state == vim_enum!(TaskInfoState.success) {
        tasks.end(&call.this, Ok(call.arg(arg!(SetTaskState.result)).cloned())).await?;
    } else if state == vim_enum!(TaskInfoState.error) {
        let fault = call.arg(arg!(SetTaskState.fault)).and_then(|fault| Fault::from_localized(fault));
        let fault = fault.unwrap_or_else(|| fault!(SystemError { reason: "not given" }, "The task failed"));
        tasks.end(&call.this, Err(fault)).await?;
    } else {
        let running = state == vim_enum!(TaskInfoState.running);
        tasks.change(&call.this, |info| {
            info.set(field!(TaskInfo.state), state);
            if running && info.get(field!(TaskInfo.startTime)).is_none() {
                info.set(field!(TaskInfo.startTime), DateTime::now());
            }
        })?;
    }
    Ok(None)
}

/// The meaning of states and reasons.
fn description() -> ty!(TaskDescription) {
    let states = [
        ("queued", "Queued", "The task waits for its turn"),
        ("running", "Running", "The task is under way"),
        ("success", "Completed", "The task has ended successfully"),
        ("error", "Error", "The task has ended with an error"),
    ];
    let states: Vec<_> = states
        .iter()
        .map(|(key, label, summary)| vim!(ElementDescription { key: *key, label: *label, summary: *summary }))
        .collect();
    let methods = vim::schema().methods.iter().filter(|method| method.is_task).map(|method| {
        let ty = vim::schema().managed(method.owner).name;
        let key = format!("{ty}.{}", method.model_name);
        vim!(ElementDescription { key: key, label: method.model_name, summary: method.name })
    });
    let user = "The task was begun by a user";
    vim!(TaskDescription {
        methodInfo: methods.collect::<Vec<_>>(),
        state: states,
        reason: [TypeDescription { key: "TaskReasonUser", label: "User", summary: user }],
    })
}
