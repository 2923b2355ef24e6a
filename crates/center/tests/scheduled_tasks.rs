//! Scheduled tasks run at their times, with their maker's rights of then, and survive a restart.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use center::{Center, Clock, Options};
use common::{Client, root};
use store::Store;
use vim::{DateTime, MoRef, Object, Value, call, field, managed_id, prop, ty, vim};

const BEGIN: &str = "2026-12-01T10:00:00Z";

fn at(text: &str) -> DateTime {
    DateTime::parse(text).unwrap()
}

fn manager() -> MoRef {
    MoRef::new(managed_id!(ScheduledTaskManager), "ScheduledTaskManager")
}

async fn open(store: Store, clock: &Clock) -> (Arc<Center>, Client) {
    let mut options = Options::new(store);
    options.password = Some("Test!123".into());
    options.clock = clock.clone();
    let center = Center::open(options).await.unwrap();
    let client = Client::of(&center);
    (center, client)
}

/// Renames the object, every hour at half past.
fn renaming(name: &str, to: &str) -> ty!(ScheduledTaskSpec) {
    vim!(ScheduledTaskSpec {
        name: name,
        description: "",
        enabled: true,
        scheduler: HourlyTaskScheduler { interval: 1, minute: 30 },
        action: MethodAction { name: "Rename_Task", argument: [MethodActionArgument { value: to }] },
    })
}

fn info(client: &Client, task: &MoRef) -> Arc<Object> {
    let info = client.get(task, prop!(ScheduledTask.info).number());
    info.as_ref().and_then(Value::as_object).cloned().unwrap()
}

fn state(client: &Client, task: &MoRef) -> &'static str {
    info(client, task).get(field!(ScheduledTaskInfo.state)).unwrap().name()
}

/// The types of the events about scheduled tasks, oldest first.
async fn events(client: &Client) -> Vec<&'static str> {
    let events = MoRef::new(managed_id!(EventManager), "EventManager");
    let query = call!(QueryEvents { filter: EventFilterSpec { eventTypeId: ["ScheduledTaskEvent"] } });
    let found = client.call(&events, query).await.unwrap();
    found.iter().flat_map(Value::items).filter_map(Value::as_object).map(|event| event.type_name()).collect()
}

#[tokio::test]
async fn a_task_runs_when_it_is_time_and_says_what_became_of_it() {
    let clock = Clock::standing(at(BEGIN));
    let (_center, client) = open(Store::in_memory().unwrap(), &clock).await;
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    let create = call!(CreateScheduledTask { entity: &dc, spec: renaming("hourly", "DC-new") });
    let task = client.make(&manager(), create).await;
    let before = info(&client, &task);
    assert_eq!(before.get(field!(ScheduledTaskInfo.nextRunTime)), Some(at("2026-12-01T10:30:00Z")));
    assert_eq!(state(&client, &task), "queued");
    clock.set(at("2026-12-01T10:30:01Z"));
    client.until(|client| state(client, &task) == "success").await;
    assert_eq!(client.name(&dc), "DC-new");
    let after = info(&client, &task);
    assert_eq!(after.get(field!(ScheduledTaskInfo.nextRunTime)), Some(at("2026-12-01T11:30:00Z")));
    assert_eq!(after.get(field!(ScheduledTaskInfo.prevRunTime)), Some(at("2026-12-01T10:30:01Z")));
    assert!(after.get(field!(ScheduledTaskInfo.activeTask)).is_none());
    let made = client.all(managed_id!(Task)).into_iter().map(|(_, task)| task);
    let by_schedule = made.filter(|made| {
        let found = client.get(made, prop!(Task.info).number());
        let reason = found.as_ref().and_then(Value::as_object).unwrap().get(field!(TaskInfo.reason)).cloned();
        reason.is_some_and(|reason| reason.type_name() == "TaskReasonSchedule")
    });
    assert_eq!(by_schedule.count(), 1, "its task names it as the reason");
    while events(&client).await.len() < 3 {
        tokio::task::yield_now().await;
    }
    let expected = ["ScheduledTaskCreatedEvent", "ScheduledTaskStartedEvent", "ScheduledTaskCompletedEvent"];
    assert_eq!(events(&client).await, expected);
}

#[tokio::test]
async fn a_task_runs_with_the_rights_that_its_maker_has_then() {
    let clock = Clock::standing(at(BEGIN));
    let (center, admin) = open(Store::in_memory().unwrap(), &clock).await;
    let dc = admin.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    center.accounts().create("user", "", Some("Test!123")).await.unwrap();
    let account = center.accounts().find("user").unwrap();
    let user = Client::new(center.service(), account.clone());
    let authorization = MoRef::new(managed_id!(AuthorizationManager), "AuthorizationManager");
    let privileges = ["ScheduledTask.Create", "ScheduledTask.Run", "Datacenter.Rename", "System.View"];
    let add = call!(AddAuthorizationRole { name: "renamer", privIds: privileges.to_vec() });
    let Some(Value::Int(role)) = admin.call(&authorization, add).await.unwrap() else { panic!("a role") };
    let create = || call!(CreateScheduledTask { entity: &dc, spec: renaming("hourly", "DC-new") });
    assert_eq!(user.call(&manager(), create()).await.unwrap_err().type_name(), "NoPermission");
    let rule = vim!(Permission { principal: &account.name, group: false, roleId: role, propagate: true });
    admin
        .call(&authorization, call!(SetEntityPermissions { entity: &dc, permission: [rule] }))
        .await
        .unwrap();
    let task = user.make(&manager(), create()).await;
    // He loses his rights before it runs; the administrator's word does not replace them.
    let remove = call!(RemoveEntityPermission { entity: &dc, user: &account.name, isGroup: false });
    admin.call(&authorization, remove).await.unwrap();
    admin.call(&task, call!(RunScheduledTask {})).await.unwrap();
    admin.until(|client| state(client, &task) == "error").await;
    let failed = info(&admin, &task);
    let error = failed.get(field!(ScheduledTaskInfo.error)).unwrap();
    assert_eq!(vim::Fault::from_localized(error).unwrap().type_name(), "NoPermission");
    assert_eq!(admin.name(&dc), "DC");
    // An account that is gone has no rights at all.
    center.accounts().remove("user").await.unwrap();
    clock.set(at("2026-12-01T10:30:00Z"));
    let ran_at = at("2026-12-01T10:30:00Z");
    admin
        .until(|client| {
            info(client, &task).get(field!(ScheduledTaskInfo.prevRunTime)) == Some(ran_at)
                && state(client, &task) == "error"
        })
        .await;
    assert_eq!(admin.name(&dc), "DC");
    // The user who changes it takes it over: it runs with his rights from then on.
    let change = call!(ReconfigureScheduledTask { spec: renaming("hourly", "DC-new") });
    admin.call(&task, change).await.unwrap();
    admin.call(&task, call!(RunScheduledTask {})).await.unwrap();
    admin.until(|client| state(client, &task) == "success").await;
    assert_eq!(admin.name(&dc), "DC-new");
}

#[tokio::test]
async fn a_task_outlives_a_restart_and_a_missed_run_is_not_made_up_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let clock = Clock::standing(at(BEGIN));
    let (dc, task) = {
        let (center, client) = open(Store::open(&path).unwrap(), &clock).await;
        let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
        let create = call!(CreateScheduledTask { entity: &dc, spec: renaming("hourly", "DC-new") });
        let task = client.make(&manager(), create).await;
        drop(center);
        (dc, task)
    };
    let clock = Clock::standing(at("2026-12-01T12:45:00Z"));
    let store = loop {
        match Store::open(&path) {
            Ok(store) => break store,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    };
    let (_center, client) = open(store, &clock).await;
    let shown = info(&client, &task);
    assert_eq!(shown.get(field!(ScheduledTaskInfo.nextRunTime)), Some(at("2026-12-01T13:30:00Z")));
    assert_eq!(client.name(&dc), "DC");
    clock.set(at("2026-12-01T13:30:00Z"));
    client.until(|client| state(client, &task) == "success").await;
    assert_eq!(client.name(&dc), "DC-new");
}

#[tokio::test]
async fn a_task_on_a_folder_is_done_on_what_is_in_it_and_goes_with_it() {
    let clock = Clock::standing(at(BEGIN));
    let (_center, client) = open(Store::in_memory().unwrap(), &clock).await;
    let folder = client.make(&root(), call!(CreateFolder { name: "f" })).await;
    for name in ["a", "b"] {
        client.make(&folder, call!(CreateDatacenter { name: name })).await;
    }
    let modify = vim!(ScheduledTaskSpec {
        name: "all",
        description: "",
        enabled: true,
        scheduler: OnceTaskScheduler { runAt: at("2026-12-01T11:00:00Z") },
        action: MethodAction {
            name: "ReconfigureDatacenter_Task",
            argument: [
                MethodActionArgument {
                    value: Object::from(vim!(DatacenterConfigSpec { defaultHardwareVersionKey: "vmx-13" }))
                },
                MethodActionArgument { value: true },
            ],
        },
    });
    let task = client.make(&manager(), call!(CreateScheduledTask { entity: &folder, spec: modify })).await;
    clock.set(at("2026-12-01T11:00:00Z"));
    client.until(|client| state(client, &task) == "success").await;
    for (name, dc) in client.all(managed_id!(Datacenter)) {
        let config = client.get(&dc, prop!(Datacenter.configuration).number());
        let config = config.as_ref().and_then(Value::as_object).cloned().unwrap();
        assert_eq!(
            config.get(field!(DatacenterConfigInfo.defaultHardwareVersionKey)),
            Some("vmx-13"),
            "{name}"
        );
    }
    assert!(info(&client, &task).get(field!(ScheduledTaskInfo.nextRunTime)).is_none());
    client.task(&folder, call!(Destroy_Task {})).await.unwrap();
    client.until(|client| !client.exists(&task)).await;
    assert!(client.refs(&manager(), prop!(ScheduledTaskManager.scheduledTask).number()).is_empty());
}

#[tokio::test]
async fn what_cannot_be_scheduled_is_refused() {
    let clock = Clock::standing(at(BEGIN));
    let (_center, client) = open(Store::in_memory().unwrap(), &clock).await;
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    let with = |change: &dyn Fn(&mut Object)| {
        let mut spec = Object::from(renaming("t", "x"));
        change(&mut spec);
        spec
    };
    let refused = async |spec: Object| {
        let create = call!(CreateScheduledTask { entity: &dc, spec: spec });
        client.call(&manager(), create).await.unwrap_err().type_name()
    };
    let past = vim!(OnceTaskScheduler { runAt: at("2026-12-01T09:00:00Z") });
    assert_eq!(
        refused(with(&|spec| spec.set(field!(ScheduledTaskSpec.scheduler), past.clone()))).await,
        "InvalidArgument"
    );
    assert_eq!(refused(with(&|spec| spec.set(field!(ScheduledTaskSpec.name), "a\nb"))).await, "InvalidName");
    assert_eq!(
        refused(with(&|spec| spec.set(field!(ScheduledTaskSpec.notification), "a@b"))).await,
        "NotSupported"
    );
    let script = vim!(RunScriptAction { script: "rm -rf /" });
    assert_eq!(
        refused(with(&|spec| spec.set(field!(ScheduledTaskSpec.action), script.clone()))).await,
        "NotSupported"
    );
    let other = vim!(MethodAction { name: "PowerOnVM_Task" });
    assert_eq!(
        refused(with(&|spec| spec.set(field!(ScheduledTaskSpec.action), other.clone()))).await,
        "InvalidArgument"
    );
    let create = || call!(CreateScheduledTask { entity: &dc, spec: renaming("t", "x") });
    let task = client.make(&manager(), create()).await;
    assert_eq!(client.call(&manager(), create()).await.unwrap_err().type_name(), "DuplicateName");
    client.call(&task, call!(RemoveScheduledTask {})).await.unwrap();
    assert!(!client.exists(&task));
    assert_eq!(events(&client).await, ["ScheduledTaskCreatedEvent", "ScheduledTaskRemovedEvent"]);
}
