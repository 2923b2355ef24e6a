//! Users read the history only of objects that they may view.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use vim::{MoRef, Object, Value, call, field, method, prop, vim};

use super::{MAX_SCANNED, Source, backward};
use crate::TaskOptions;
use crate::testing::{Toy, host, remove_vm, vm};

const VIEW: &str = "System.View";

fn powered_on(n: u32, user: &str) -> vim::ty!(VmPoweredOnEvent) {
    vim!(VmPoweredOnEvent {
        userName: user,
        vm: VmEventArgument { name: format!("web{n}"), vm: vm(n) },
        host: HostEventArgument { name: "h1", host: host(1) },
    })
}

/// Keys of events, or the numbers of tasks.
fn keys(value: Option<Value>) -> Vec<i32> {
    let items = value.iter().flat_map(Value::items).filter_map(Value::as_object);
    let key = |item: &std::sync::Arc<vim::Object>| match item.get(field!(TaskInfo.key)) {
        Some(task) if item.is_a(vim::data_id!(TaskInfo)) => {
            task.trim_start_matches("task-").parse().expect("a number")
        }
        _ => item.get(field!(Event.key)).expect("a key"),
    };
    items.map(key).collect()
}

async fn ended(toy: &Toy, entity: Option<MoRef>, user: &str) -> MoRef {
    let tasks = &toy.service.core.tasks;
    let options = TaskOptions { entity, ..TaskOptions::default() };
    let task = tasks.start(method!(PowerOnVM_Task), user, options, |_| async { Ok(None) }).await.unwrap();
    let mut versions = toy.service.core.tree.versions();
    let is_running = || {
        let info = toy.state().find(&task).and_then(|node| node.get(prop!(Task.info)).cloned());
        info.unwrap().get(field!(TaskInfo.completeTime)).is_none()
    };
    while is_running() {
        versions.changed().await.unwrap();
    }
    task
}

#[tokio::test]
async fn events_are_shown_to_who_views_what_they_are_about() {
    let toy = Toy::new();
    let (events, manager) = (&toy.service.core.events, toy.ids.event_manager.clone());
    events.post(powered_on(1, "eve")).await;
    let create = call!(CreateCollectorForEvents { filter: EventFilterSpec {} });
    let collector = toy.reference(&manager, create).await;
    events.post(powered_on(2, "root")).await;
    events.post(vim!(EventEx { eventTypeId: "x", objectId: "vm-2" })).await;
    events.post(vim!(UserLogoutSessionEvent { userName: "eve" })).await;
    events.post(vim!(UserLogoutSessionEvent { userName: "root" })).await;
    events.post(powered_on(3, "eve")).await;
    toy.write(|w| remove_vm(w, 3));
    assert_eq!(keys(toy.fetch(&collector, "latestPage")), [6, 5, 4, 3, 2, 1]);
    // The events that were shown before are hidden now.
    toy.deny("vm-2", VIEW);
    assert_eq!(keys(toy.fetch(&collector, "latestPage")), [6, 5, 4, 1]);
    assert!(toy.fetch(&manager, "latestEvent").is_some());
    toy.deny(toy.ids.root_folder.id(), VIEW);
    assert_eq!(keys(toy.fetch(&collector, "latestPage")), [5, 1], "of no entity, or of one that is gone");
    assert!(toy.fetch(&manager, "latestEvent").is_none());
    let query = call!(QueryEvents { filter: EventFilterSpec {} });
    assert_eq!(keys(toy.call(&manager, query).await.unwrap()), [1, 5]);
    let read = async |args| keys(toy.call(&collector, args).await.unwrap());
    assert_eq!(read(call!(ReadNextEvents { maxCount: 9 })).await, [1, 5]);
    assert_eq!(read(call!(ReadPreviousEvents { maxCount: 9 })).await, [5, 1]);
}

#[tokio::test]
async fn tasks_are_shown_to_who_began_them_and_who_views_their_entity() {
    let toy = Toy::new();
    let manager = toy.ids.task_manager.clone();
    let create = call!(CreateCollectorForTasks { filter: TaskFilterSpec {} });
    let collector = toy.reference(&manager, create).await;
    let mut tasks = Vec::new();
    for (entity, user) in
        [(Some(vm(1)), "eve"), (Some(vm(2)), "eve"), (Some(vm(2)), "root"), (None, "eve"), (None, "root")]
    {
        tasks.push(ended(&toy, entity, user).await);
    }
    assert_eq!(keys(toy.fetch(&collector, "latestPage")), [5, 4, 3, 2, 1]);
    toy.deny("vm-2", VIEW);
    assert_eq!(keys(toy.fetch(&collector, "latestPage")), [5, 4, 3, 1]);
    toy.deny(toy.ids.root_folder.id(), VIEW);
    assert_eq!(keys(toy.fetch(&collector, "latestPage")), [5, 3, 1]);
    let read = async |args| keys(toy.call(&collector, args).await.unwrap());
    assert_eq!(read(call!(ReadNextTasks { maxCount: 9 })).await, [1, 3, 5]);
    assert_eq!(read(call!(ReadPreviousTasks { maxCount: 9 })).await, [5, 3, 1]);
    toy.deny(tasks[1].id(), VIEW);
    let recent = toy.fetch(&manager, "recentTask").unwrap();
    assert!(!recent.items().contains(&Value::Ref(tasks[1].clone())));
    assert_eq!(recent.items().len(), 4);
}

/// A million events, which counts those that are read.
#[derive(Default)]
struct Long(AtomicUsize);

impl Source for Long {
    fn bounds(&self) -> Result<(u64, u64), store::Error> {
        Ok((1, 1_000_001))
    }

    fn stamp(&self) -> Result<u64, store::Error> {
        Ok(0)
    }

    fn read(&self, from: u64, limit: usize) -> Result<Vec<(u64, Arc<Object>)>, store::Error> {
        self.0.fetch_add(limit, Ordering::Relaxed);
        let event: Arc<Object> = Arc::new(powered_on(1, "root").into());
        Ok((from..from + limit as u64).map(|number| (number, event.clone())).collect())
    }
}

#[test]
fn the_newest_items_cost_the_same_however_long_the_history_is() {
    for count in [1, 3, 10, 700] {
        let long = Long::default();
        let page = backward(&long, u64::MAX, count, MAX_SCANNED, &|_| true).unwrap();
        assert_eq!(page.items.len(), count);
        assert_eq!(page.items.last().map(|(number, _)| *number), Some(1_000_000));
        assert_eq!(long.0.load(Ordering::Relaxed), count);
    }
    let (long, looked_at) = (Long::default(), Cell::new(0));
    let third = |_: &Object| {
        looked_at.set(looked_at.get() + 1);
        looked_at.get() % 3 == 0
    };
    assert_eq!(backward(&long, u64::MAX, 5, MAX_SCANNED, &third).unwrap().items.len(), 5);
    assert!(long.0.load(Ordering::Relaxed) < 40);
}
