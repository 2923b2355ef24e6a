use std::sync::Arc;
use std::time::Duration;

use vim::{Fault, MoRef, Object, Value, call, data_id, fault, field, method, prop, vim};

use super::*;
use crate::testing::{Toy, add_vm, folder, remove_vm, vm};

fn info_of(toy: &Toy, task: &MoRef) -> Option<Arc<Object>> {
    toy.state().find(task).and_then(|node| node.get(prop!(Task.info)).cloned())
}

fn state_of(toy: &Toy, task: &MoRef) -> String {
    let info = info_of(toy, task).expect("the task is there");
    info.get(field!(TaskInfo.state)).unwrap().name().to_owned()
}

fn error_of(toy: &Toy, task: &MoRef) -> Fault {
    let info = info_of(toy, task).unwrap();
    Fault::from_localized(info.get(field!(TaskInfo.error)).unwrap()).unwrap()
}

/// Waits until the task has ended.
async fn ended(toy: &Toy, task: &MoRef) {
    let mut versions = toy.service.core.tree.versions();
    while !journal::has_ended(&info_of(toy, task).unwrap()) {
        versions.changed().await.unwrap();
    }
}

async fn start<F, R>(toy: &Toy, options: TaskOptions, work: F) -> Result<MoRef, Fault>
where
    F: FnOnce(Running) -> R + Send + 'static,
    R: Future<Output = Result<Option<Value>, Fault>> + Send + 'static,
{
    toy.service.core.tasks.start(method!(PowerOnVM_Task), "root", options, work).await
}

fn stored(toy: &Toy) -> Vec<(u64, Arc<Object>)> {
    toy.service.core.tasks.0.journal.all().unwrap()
}

#[tokio::test]
async fn a_task_is_durable_before_its_reference_and_its_end_before_it_is_seen() {
    let toy = Toy::new();
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let task = start(&toy, TaskOptions::exclusive(&vm(1), "web1"), |running| async move {
        running.progress(40);
        wait.await.unwrap();
        Ok(Some(Value::Ref(vm(1))))
    })
    .await
    .unwrap();
    assert_eq!(stored(&toy).len(), 1);
    assert_eq!(toy.fetch(&vm(1), "recentTask").unwrap().items(), [Value::Ref(task.clone())]);
    assert_eq!(toy.fetch(&toy.ids.task_manager, "recentTask").unwrap().items(), [Value::Ref(task.clone())]);
    let other =
        start(&toy, TaskOptions::exclusive(&vm(1), "web1"), |_| async { Ok(None) }).await.unwrap_err();
    assert_eq!(other.object().named("task"), Some(&Value::Ref(task.clone())));
    assert!(other.is_a(data_id!(TaskInProgress)));
    go.send(()).unwrap();
    ended(&toy, &task).await;
    let info = info_of(&toy, &task).unwrap();
    assert_eq!(info.get(field!(TaskInfo.progress)), Some(40));
    assert_eq!(info.get(field!(TaskInfo.result)), Some(&Value::Ref(vm(1))));
    assert_eq!(stored(&toy).last().unwrap().1, info, "the tree shows the stored information");
    start(&toy, TaskOptions::exclusive(&vm(1), "web1"), |_| async { Ok(None) }).await.unwrap();
}

#[tokio::test]
async fn work_that_fails_or_panics_ends_as_an_error() {
    let toy = Toy::new();
    let failing =
        start(&toy, TaskOptions::default(), |_| async { Err(fault!(InvalidState {}, "no")) }).await.unwrap();
    let panicking = start(&toy, TaskOptions::exclusive(&vm(1), "web1"), |_| async { panic!("on purpose") });
    let panicking = panicking.await.unwrap();
    for (task, expected) in [(&failing, data_id!(InvalidState)), (&panicking, data_id!(SystemError))] {
        ended(&toy, task).await;
        assert_eq!(state_of(&toy, task), "error");
        assert!(error_of(&toy, task).is_a(expected));
    }
    start(&toy, TaskOptions::exclusive(&vm(1), "web1"), |_| async { Ok(None) })
        .await
        .expect("its lock was released");
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_no_lock_behind() {
    let toy = Toy::new();
    for _ in 0..20 {
        let mut begin = Box::pin(start(&toy, TaskOptions::exclusive(&vm(1), "web1"), |_| async { Ok(None) }));
        assert!(futures_util::poll!(&mut begin).is_pending());
        drop(begin);
    }
    while start(&toy, TaskOptions::exclusive(&vm(1), "web1"), |_| async { Ok(None) }).await.is_err() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn cancelling_is_for_tasks_that_can_and_for_those_who_may() {
    let toy = Toy::new();
    let options = TaskOptions { cancelable: true, ..TaskOptions::default() };
    let task = start(&toy, options, |running| async move {
        running.cancelled().cancelled().await;
        Err(fault!(RequestCanceled {}, "stopped"))
    });
    let task = task.await.unwrap();
    toy.call(&task, call!(CancelTask {})).await.unwrap();
    ended(&toy, &task).await;
    assert!(error_of(&toy, &task).is_a(data_id!(RequestCanceled)));
    let fault = toy.call(&task, call!(CancelTask {})).await.unwrap_err();
    assert!(fault.is_a(data_id!(InvalidState)));
    let stubborn = start(&toy, TaskOptions::default(), |_| std::future::pending()).await.unwrap();
    let fault = toy.call(&stubborn, call!(CancelTask {})).await.unwrap_err();
    assert!(fault.is_a(data_id!(NotSupported)));
    let tasks = &toy.service.core.tasks;
    let others =
        tasks.start(method!(PowerOnVM_Task), "somebody", TaskOptions::default(), |_| std::future::pending());
    let others = others.await.unwrap();
    toy.deny(others.id(), "Global.CancelTask");
    let fault = toy.call(&others, call!(CancelTask {})).await.unwrap_err();
    assert!(fault.is_a(data_id!(NoPermission)));
}

#[tokio::test(start_paused = true)]
async fn a_finished_task_stays_ten_minutes_and_then_in_the_history_only() {
    let toy = Toy::new();
    let task = start(&toy, TaskOptions::exclusive(&vm(1), "web1"), |_| async { Ok(None) }).await.unwrap();
    ended(&toy, &task).await;
    tokio::time::sleep(KEPT_FINISHED - Duration::from_secs(1)).await;
    assert!(info_of(&toy, &task).is_some());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(info_of(&toy, &task).is_none());
    assert!(toy.fetch(&vm(1), "recentTask").is_none());
    assert!(toy.fetch(&toy.ids.task_manager, "recentTask").is_none());
    assert_eq!(stored(&toy).len(), 1);
}

#[tokio::test]
async fn a_restart_ends_what_was_under_way_and_numbers_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let (done, open, known);
    {
        let toy = Toy::over(store::Store::open(&path).unwrap());
        done = start(&toy, TaskOptions::default(), |_| async { Ok(Some(Value::Int(7))) }).await.unwrap();
        ended(&toy, &done).await;
        open = start(&toy, TaskOptions::exclusive(&vm(1), "web1"), |_| std::future::pending()).await.unwrap();
        known =
            start(&toy, TaskOptions::exclusive(&vm(2), "web2"), |_| std::future::pending()).await.unwrap();
        // The process ends here: the next one finds the files as they are now.
        std::fs::copy(&path, directory.path().join("copy")).unwrap();
        let wal = directory.path().join("store-wal");
        std::fs::copy(wal, directory.path().join("copy-wal")).unwrap();
    }
    let toy = Toy::over(store::Store::open(directory.path().join("copy")).unwrap());
    let tasks = &toy.service.core.tasks;
    let count = tasks.recover(|unfinished| {
        assert_eq!(unfinished.method(), Some(method!(PowerOnVM_Task)));
        if unfinished.entity() == Some(&vm(2)) { Ok(None) } else { unfinished.interrupted() }
    });
    assert_eq!(count.await.unwrap(), 2);
    assert_eq!(state_of(&toy, &open), "error");
    assert!(error_of(&toy, &open).is_a(data_id!(SystemError)));
    assert_eq!((state_of(&toy, &known), state_of(&toy, &done)), ("success".into(), "success".into()));
    assert_eq!(info_of(&toy, &done).unwrap().get(field!(TaskInfo.result)), Some(&Value::Int(7)));
    let next = start(&toy, TaskOptions::default(), |_| async { Ok(None) }).await.unwrap();
    let number = |task: &MoRef| task.id().strip_prefix("task-").unwrap().parse::<u64>().unwrap();
    assert!(number(&next) > number(&known));
    ended(&toy, &next).await;
    assert!(stored(&toy).iter().all(|(_, info)| journal::has_ended(info)));
}

#[tokio::test]
async fn a_client_runs_a_task_of_its_own() {
    let toy = Toy::new();
    let create = call!(CreateTask { obj: vm(1), taskTypeId: "com.example.backup", cancelable: false });
    let info = toy.object(&toy.ids.task_manager, create).await;
    let task = info.get(field!(TaskInfo.task)).unwrap().clone();
    assert_eq!(state_of(&toy, &task), "queued");
    toy.call(&task, call!(SetTaskState { state: "running" })).await.unwrap();
    toy.call(&task, call!(UpdateProgress { percentDone: 50 })).await.unwrap();
    assert!(toy.call(&task, call!(UpdateProgress { percentDone: 101 })).await.is_err());
    let text = vim!(LocalizableMessage { key: "x", message: "backing up" });
    toy.call(&task, call!(SetTaskDescription { description: text })).await.unwrap();
    let running = info_of(&toy, &task).unwrap();
    assert_eq!(running.get(field!(TaskInfo.progress)), Some(50));
    assert!(running.get(field!(TaskInfo.startTime)).is_some());
    toy.call(&task, call!(SetTaskState { state: "success", result: Value::Int(3) })).await.unwrap();
    let done = info_of(&toy, &task).unwrap();
    assert_eq!(done.get(field!(TaskInfo.result)), Some(&Value::Int(3)));
    assert!(done.get(field!(TaskInfo.description)).is_some());
    let late = toy.call(&task, call!(SetTaskState { state: "running" })).await.unwrap_err();
    assert!(late.is_a(data_id!(InvalidState)));
    let ours = start(&toy, TaskOptions::default(), |_| std::future::pending()).await.unwrap();
    let fault = toy.call(&ours, call!(UpdateProgress { percentDone: 1 })).await.unwrap_err();
    assert!(fault.is_a(data_id!(NotSupported)), "clients cannot report the progress of a task of the server");
}

#[tokio::test]
async fn the_history_is_read_in_pages_and_filtered() {
    let toy = Toy::new();
    for n in 1..=15 {
        let entity = vm(n % 3 + 1);
        let task = start(
            &toy,
            TaskOptions { entity: Some(entity), ..TaskOptions::default() },
            move |_| async move { if n == 15 { Err(fault!(InvalidState {}, "no")) } else { Ok(None) } },
        );
        let task = task.await.unwrap();
        ended(&toy, &task).await;
    }
    let keys = |value: Option<Value>| -> Vec<String> {
        let items = value.iter().flat_map(Value::items).filter_map(Value::as_object);
        items
            .map(|info| info.get(field!(TaskInfo.key)).unwrap().trim_start_matches("task-").to_owned())
            .collect()
    };
    let create = |filter| call!(CreateCollectorForTasks { filter: filter });
    let all = toy.reference(&toy.ids.task_manager, create(vim!(TaskFilterSpec {}))).await;
    let latest = keys(toy.fetch(&all, "latestPage"));
    assert_eq!(latest, ["15", "14", "13", "12", "11", "10", "9", "8", "7", "6"]);
    let next = |n| call!(ReadNextTasks { maxCount: n });
    let previous = |n| call!(ReadPreviousTasks { maxCount: n });
    assert_eq!(keys(toy.call(&all, next(2)).await.unwrap()), ["1", "2"]);
    assert_eq!(keys(toy.call(&all, next(2)).await.unwrap()), ["3", "4"]);
    assert_eq!(keys(toy.call(&all, previous(3)).await.unwrap()), ["4", "3", "2"]);
    toy.call(&all, call!(ResetCollector {})).await.unwrap();
    assert_eq!(keys(toy.call(&all, previous(2)).await.unwrap()), ["5", "4"]);
    toy.call(&all, call!(RewindCollector {})).await.unwrap();
    assert_eq!(keys(toy.call(&all, next(1)).await.unwrap()), ["1"]);
    assert!(toy.call(&all, next(0)).await.is_err());
    toy.call(&all, call!(SetCollectorPageSize { maxCount: 1 })).await.unwrap();
    assert_eq!(keys(toy.fetch(&all, "latestPage")), ["15"]);
    let of_one = vim!(TaskFilterSpec { entity: TaskFilterSpecByEntity { entity: vm(1), recursion: "self" } });
    let one = toy.reference(&toy.ids.task_manager, create(of_one)).await;
    assert_eq!(keys(toy.call(&one, next(9)).await.unwrap()), ["3", "6", "9", "12", "15"]);
    let failed = vim!(TaskFilterSpec {
        entity: TaskFilterSpecByEntity { entity: &toy.ids.root_folder, recursion: "all" },
        state: [vim::vim_enum!(TaskInfoState.error)],
        userName: TaskFilterSpecByUsername { systemUser: false, userList: ["ROOT"] },
    });
    let failed = toy.reference(&toy.ids.task_manager, create(failed)).await;
    assert_eq!(keys(toy.call(&failed, next(9)).await.unwrap()), ["15"]);
    toy.call(&failed, call!(DestroyCollector {})).await.unwrap();
    assert!(toy.call(&failed, next(9)).await.is_err());
    for _ in 0..crate::history::MAX_COLLECTORS - 2 {
        toy.reference(&toy.ids.task_manager, create(vim!(TaskFilterSpec {}))).await;
    }
    let more = toy.call(&toy.ids.task_manager, create(vim!(TaskFilterSpec {}))).await;
    assert!(more.unwrap_err().is_a(data_id!(InvalidState)));
    toy.write(|w| {
        remove_vm(w, 1);
        add_vm(w, 1, &folder("group-v1"));
    });
}
