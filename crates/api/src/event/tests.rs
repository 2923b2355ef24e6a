use std::sync::Arc;

use vim::{DateTime, Object, Value, call, data_id, field, vim};

use crate::testing::{Toy, datacenter, folder, host, vm};

fn powered_on(n: u32) -> vim::ty!(VmPoweredOnEvent) {
    vim!(VmPoweredOnEvent {
        userName: "root",
        vm: VmEventArgument { name: format!("web{n}"), vm: vm(n) },
        host: HostEventArgument { name: "h1", host: host(1) },
        datacenter: DatacenterEventArgument { name: "DC1", datacenter: datacenter() },
        template: false,
    })
}

fn keys(value: Option<&Value>) -> Vec<i32> {
    let events = value.into_iter().flat_map(Value::items).filter_map(Value::as_object);
    events.map(|event| event.get(field!(Event.key)).unwrap()).collect()
}

async fn query(toy: &Toy, filter: vim::ty!(EventFilterSpec)) -> Vec<i32> {
    let args = call!(QueryEvents { filter: filter });
    keys(toy.call(&toy.ids.event_manager, args).await.unwrap().as_ref())
}

#[tokio::test]
async fn a_posted_event_is_completed_and_becomes_the_latest() {
    let toy = Toy::new();
    let events = &toy.service.core.events;
    assert_eq!(events.post(powered_on(1)).await, 1);
    assert_eq!(events.post(vim!(VmPoweredOffEvent { chainId: 1, fullFormattedMessage: "off" })).await, 2);
    let latest = toy.fetch(&toy.ids.event_manager, "latestEvent").unwrap();
    let latest = latest.as_object().unwrap();
    assert_eq!((latest.get(field!(Event.key)), latest.get(field!(Event.chainId))), (Some(2), Some(1)));
    let all = toy.get(&toy.ids.event_manager, call!(QueryEvents { filter: EventFilterSpec {} })).await;
    let first = all.items()[0].as_object().unwrap();
    assert_eq!(first.get(field!(Event.chainId)), Some(1), "an event without a chain begins one");
    assert_eq!(first.get(field!(Event.fullFormattedMessage)), Some("web1 on h1 in DC1 is powered on"));
    assert!(first.get(field!(Event.createdTime)).is_some());
    assert_eq!(first.get(field!(Event.userName)), Some("root"));
    assert!(first.is_a(data_id!(VmPoweredOnEvent)));
}

#[tokio::test]
async fn filters_find_by_entity_time_user_type_category_and_chain() {
    let toy = Toy::new();
    let events = &toy.service.core.events;
    events.post(powered_on(1)).await;
    let middle = DateTime::now();
    events.post(powered_on(3)).await;
    events
        .post(vim!(EventEx {
            eventTypeId: "esx.problem.disk",
            severity: "error",
            objectId: "vm-2",
            chainId: 2
        }))
        .await;
    events
        .post(vim!(UserLoginSessionEvent {
            userName: "eve",
            ipAddress: "10.0.0.1",
            locale: "en",
            sessionId: "x"
        }))
        .await;
    let of = |entity: vim::MoRef, recursion: &str| {
        let recursion = vim::EnumOf::parse(recursion).unwrap();
        vim!(EventFilterSpec { entity: EventFilterSpecByEntity { entity: entity, recursion: recursion } })
    };
    let users = |system, list: &[&str]| {
        let list = list.to_vec();
        vim!(EventFilterSpec { userName: EventFilterSpecByUsername { systemUser: system, userList: list } })
    };
    let cases: Vec<(&str, vim::ty!(EventFilterSpec), Vec<i32>)> = vec![
        ("all", vim!(EventFilterSpec {}), vec![1, 2, 3, 4]),
        ("a VM", of(vm(1), "self"), vec![1]),
        ("a VM by an EventEx", of(vm(2), "self"), vec![3]),
        ("the folder itself", of(folder("group-v1"), "self"), vec![]),
        ("a folder's children", of(folder("group-v1"), "children"), vec![1, 3]),
        ("all below a folder", of(folder("group-v1"), "all"), vec![1, 2, 3]),
        ("all below the root", of(toy.ids.root_folder.clone(), "all"), vec![1, 2, 3]),
        ("since", vim!(EventFilterSpec { time: EventFilterSpecByTime { beginTime: middle } }), vec![2, 3, 4]),
        ("until", vim!(EventFilterSpec { time: EventFilterSpecByTime { endTime: middle } }), vec![1]),
        ("a user", users(false, &["EVE"]), vec![4]),
        ("the system", users(true, &[]), vec![3]),
        ("a type", vim!(EventFilterSpec { type: ["VmEvent"] }), vec![1, 2]),
        (
            "type ids",
            vim!(EventFilterSpec { eventTypeId: ["esx.problem.disk", "vim.event.UserLoginSessionEvent"] }),
            vec![3, 4],
        ),
        ("a category", vim!(EventFilterSpec { category: ["error"] }), vec![3]),
        ("a chain", vim!(EventFilterSpec { eventChainId: 2 }), vec![2, 3]),
        ("the newest", vim!(EventFilterSpec { maxCount: 2 }), vec![3, 4]),
        ("a tag", vim!(EventFilterSpec { tag: ["x"] }), vec![]),
    ];
    for (what, filter, expected) in cases {
        assert_eq!(query(&toy, filter).await, expected, "{what}");
    }
    let unknown = call!(QueryEvents { filter: EventFilterSpec { type: ["Nothing"] } });
    assert!(toy.call(&toy.ids.event_manager, unknown).await.unwrap_err().is_a(data_id!(InvalidType)));
    let short = call!(QueryEvents { filter: EventFilterSpec { disableFullMessage: true } });
    let short = toy.get(&toy.ids.event_manager, short).await;
    assert!(short.items()[0].as_object().unwrap().get(field!(Event.fullFormattedMessage)).is_none());
}

#[tokio::test]
async fn a_collector_moves_through_the_log() {
    let toy = Toy::new();
    for n in 0..30 {
        toy.service.core.events.post(powered_on(n % 2 + 1)).await;
    }
    let of_vm =
        vim!(EventFilterSpec { entity: EventFilterSpecByEntity { entity: vm(1), recursion: "self" } });
    let create = call!(CreateCollectorForEvents { filter: of_vm });
    let collector = toy.reference(&toy.ids.event_manager, create).await;
    let latest = toy.fetch(&collector, "latestPage");
    assert_eq!(keys(latest.as_ref()), [29, 27, 25, 23, 21, 19, 17, 15, 13, 11]);
    let next = call!(ReadNextEvents { maxCount: 2 });
    let read = async |args| keys(toy.call(&collector, args).await.unwrap().as_ref());
    assert_eq!(read(next.clone()).await, [1, 3]);
    assert_eq!(read(next.clone()).await, [5, 7]);
    assert_eq!(read(call!(ReadPreviousEvents { maxCount: 9 })).await, [7, 5, 3, 1]);
    assert_eq!(read(call!(ReadPreviousEvents { maxCount: 9 })).await, Vec::<i32>::new());
    toy.call(&collector, call!(ResetCollector {})).await.unwrap();
    assert_eq!(read(call!(ReadPreviousEvents { maxCount: 1 })).await, [9]);
    toy.call(&collector, call!(RewindCollector {})).await.unwrap();
    assert_eq!(read(next).await, [1, 3]);
    toy.service.core.events.post(powered_on(1)).await;
    toy.call(&collector, call!(SetCollectorPageSize { maxCount: 2 })).await.unwrap();
    assert_eq!(keys(toy.fetch(&collector, "latestPage").as_ref()), [31, 29]);
    assert!(toy.fetch(&collector, "filter").is_some());
}

#[tokio::test]
async fn clients_may_post_events_of_their_own_only() {
    let toy = Toy::new();
    let manager = &toy.ids.event_manager;
    toy.call(manager, call!(LogUserEvent { entity: vm(1), msg: "look here" })).await.unwrap();
    let posted =
        vim!(EventEx { eventTypeId: "com.example.done", message: "done", key: 99, chainId: 0, userName: "" });
    toy.call(manager, call!(PostEvent { eventToPost: posted })).await.unwrap();
    let forged = toy.call(manager, call!(PostEvent { eventToPost: powered_on(1) })).await.unwrap_err();
    assert!(forged.is_a(data_id!(InvalidEvent)));
    let all = toy.get(manager, call!(QueryEvents { filter: EventFilterSpec {} })).await;
    let read = |at: usize| -> (i32, String, String) {
        let event: &Arc<Object> = all.items()[at].as_object().unwrap();
        let text = |value: Option<&str>| value.unwrap().to_owned();
        (
            event.get(field!(Event.key)).unwrap(),
            text(event.get(field!(Event.userName))),
            text(event.get(field!(Event.fullFormattedMessage))),
        )
    };
    assert_eq!(read(0), (1, "root".into(), "look here".into()));
    assert_eq!(read(1), (2, "root".into(), "done".into()));
    let described = toy
        .get(manager, call!(RetrieveArgumentDescription { eventTypeId: "vim.event.VmRenamedEvent" }))
        .await;
    assert_eq!(described.items().len(), 3);
    let description = toy.fetch(manager, "description").unwrap();
    let info = description.as_object().unwrap().get(field!(EventDescription.eventInfo)).unwrap();
    assert!(info.len() > 40);
}

#[tokio::test]
async fn events_outlive_a_restart_and_keys_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    {
        let toy = Toy::over(store::Store::open(&path).unwrap());
        toy.service.core.events.post(powered_on(1)).await;
        toy.service.core.events.post(powered_on(2)).await;
    }
    let toy = Toy::over(store::Store::open(&path).unwrap());
    let latest = toy.fetch(&toy.ids.event_manager, "latestEvent").unwrap();
    assert_eq!(latest.as_object().unwrap().get(field!(Event.key)), Some(2));
    assert_eq!(toy.service.core.events.post(powered_on(3)).await, 3);
    assert_eq!(query(&toy, vim!(EventFilterSpec {})).await, [1, 2, 3]);
}

#[tokio::test]
async fn many_at_once_have_keys_of_their_own_and_the_latest_is_the_last() {
    let toy = Toy::new();
    let posts = (0..100).map(|_| {
        let service = toy.service.clone();
        tokio::spawn(async move { service.core.events.post(powered_on(1)).await })
    });
    let mut keys = Vec::new();
    for post in posts.collect::<Vec<_>>() {
        keys.push(post.await.unwrap());
    }
    keys.sort_unstable();
    assert_eq!(keys, (1..=100).collect::<Vec<_>>());
    let latest = toy.fetch(&toy.ids.event_manager, "latestEvent").unwrap();
    assert_eq!(latest.as_object().unwrap().get(field!(Event.key)), Some(100));
}

#[tokio::test]
async fn a_property_filter_follows_the_latest_page() {
    let toy = Toy::new();
    toy.service.core.events.post(powered_on(1)).await;
    let create = call!(CreateCollectorForEvents { filter: EventFilterSpec { type: ["VmPoweredOnEvent"] } });
    let collector = toy.reference(&toy.ids.event_manager, create).await;
    let spec = vim!(PropertyFilterSpec {
        propSet: [PropertySpec { type: "EventHistoryCollector", pathSet: ["latestPage"] }],
        objectSet: [ObjectSpec { obj: collector }],
    });
    let pc = &toy.ids.property_collector;
    toy.reference(pc, call!(CreateFilter { spec: spec, partialUpdates: false })).await;
    let told = |set: &Value| {
        let set = set.as_object().unwrap();
        let filters = set.get(field!(UpdateSet.filterSet)).unwrap();
        let updates = filters.iter().next().unwrap().get(field!(PropertyFilterUpdate.objectSet)).unwrap();
        let changes = updates.iter().next().unwrap().get(field!(ObjectUpdate.changeSet)).unwrap();
        let page = changes.iter().next().unwrap().get(field!(PropertyChange.val)).cloned();
        (set.get(field!(UpdateSet.version)).unwrap().to_owned(), keys(page.as_ref()))
    };
    let (version, page) = told(&toy.get(pc, call!(CheckForUpdates {})).await);
    assert_eq!(page, [1]);
    toy.service.core.events.post(vim!(VmPoweredOffEvent {})).await;
    assert!(toy.call(pc, call!(CheckForUpdates { version: &version })).await.unwrap().is_none());
    toy.service.core.events.post(powered_on(2)).await;
    let (_, page) = told(&toy.get(pc, call!(CheckForUpdates { version: &version })).await);
    assert_eq!(page, [3, 1]);
}

#[test]
fn a_log_is_trimmed_in_small_steps_and_keeps_what_it_should() {
    use super::{MAX_EVENTS, TRIMMED_AT_ONCE, trim_step};
    let at_once = u64::try_from(TRIMMED_AT_ONCE).unwrap();
    let ms = |n: u64| i64::try_from(n).unwrap();
    // An event each millisecond from number 11 on.
    let oldest: Vec<(u64, i64)> = (0..=at_once).map(|n| (11 + n, ms(n))).collect();
    let last = |count: u64| 10 + count;
    assert_eq!(trim_step(&[], 0, Some(5)), None);
    assert_eq!(trim_step(&oldest, last(MAX_EVENTS), None), None, "as many as are kept");
    assert_eq!(trim_step(&oldest, last(MAX_EVENTS + 3), None), Some((Some(MAX_EVENTS), None)));
    let many = MAX_EVENTS + 10 * at_once;
    assert_eq!(trim_step(&oldest, last(many), None), Some((Some(many - at_once), None)));
    assert_eq!(trim_step(&oldest, last(5_000), Some(0)), None, "none is too old");
    assert_eq!(trim_step(&oldest, last(5_000), Some(3)), Some((None, Some(3))));
    assert_eq!(trim_step(&oldest, last(5_000), Some(1_000_000)), Some((None, Some(ms(at_once)))));
    let same: Vec<(u64, i64)> = (0..=at_once).map(|n| (1 + n, 7)).collect();
    assert_eq!(trim_step(&same, 5_000, Some(9)), Some((None, Some(8))), "a step always drops some");
}
