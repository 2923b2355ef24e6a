use std::time::Duration;

use vim::{Fault, Value, call, data_id, field, managed_id, props, vim};

use super::*;
use crate::testing::{add_vm, folder, pool, remove_vm, vm};

fn vms_of_pool() -> vim::ty!(PropertyFilterSpec) {
    let down = vec![traversal(None, "ResourcePool", "vm", vec![])];
    spec(&pool(), true, down, vec![paths("VirtualMachine", &["name", "guest.ipAddress"])])
}

async fn filter(toy: &Toy, spec: vim::ty!(PropertyFilterSpec)) -> MoRef {
    toy.reference(&toy.ids.property_collector, call!(CreateFilter { spec: spec, partialUpdates: false }))
        .await
}

/// Asks for changes without waiting.
async fn check(toy: &Toy, version: &str) -> Result<Option<Value>, Fault> {
    let options = vim!(WaitOptions { maxWaitSeconds: 0 });
    toy.call(&toy.ids.property_collector, call!(WaitForUpdatesEx { version: version, options: options }))
        .await
}

fn version(set: &Value) -> String {
    set.as_object().unwrap().get(field!(UpdateSet.version)).unwrap().to_owned()
}

/// Each update as `enter vm-1 name=web1 ...`.
fn told(set: &Value) -> Vec<String> {
    let set = set.as_object().unwrap();
    let mut lines = Vec::new();
    for filter in set.get(field!(UpdateSet.filterSet)).into_iter().flatten() {
        for update in filter.get(field!(PropertyFilterUpdate.objectSet)).into_iter().flatten() {
            let kind = update.get(field!(ObjectUpdate.kind)).unwrap().name();
            let mut line = format!("{kind} {}", update.get(field!(ObjectUpdate.obj)).unwrap().id());
            for change in update.get(field!(ObjectUpdate.changeSet)).into_iter().flatten() {
                let value = change.get(field!(PropertyChange.val)).and_then(Value::as_str);
                let name = change.get(field!(PropertyChange.name)).unwrap();
                line.push_str(&format!(" {name}={}", value.unwrap_or("-")));
            }
            lines.push(line);
        }
    }
    lines.sort();
    lines
}

#[tokio::test]
async fn updates_tell_who_came_what_changed_and_who_left() {
    let toy = Toy::new();
    filter(&toy, vms_of_pool()).await;
    let first = check(&toy, "").await.unwrap().unwrap();
    assert_eq!(told(&first).len(), 3);
    assert_eq!(told(&first)[0], "enter vm-1 name=web1 guest.ipAddress=10.0.0.1");
    assert!(check(&toy, &version(&first)).await.unwrap().is_none(), "without changes the result is unset");
    toy.write(|w| {
        w.set(&vm(1), props!(VirtualMachine { name: "renamed", guest: None::<vim::ty!(GuestInfo)> }));
        w.set(&vm(2), props!(VirtualMachine { overallStatus: "red" }));
        remove_vm(w, 3);
        add_vm(w, 4, &folder("group-v1"));
    });
    let second = check(&toy, &version(&first)).await.unwrap().unwrap();
    assert_eq!(
        told(&second),
        [
            "enter vm-4 name=web4 guest.ipAddress=10.0.0.4",
            "leave vm-3",
            "modify vm-1 name=renamed guest.ipAddress=-"
        ]
    );
    toy.write(|w| w.set(&vm(1), props!(VirtualMachine { name: "again" })));
    toy.write(|w| w.set(&vm(1), props!(VirtualMachine { name: "renamed" })));
    assert!(check(&toy, &version(&second)).await.unwrap().is_none(), "back to what it was");
    let lost = check(&toy, &version(&first)).await.unwrap().unwrap();
    assert_eq!(lost, second, "a client that has lost a reply gets it again");
    assert!(check(&toy, "77").await.unwrap_err().is_a(data_id!(InvalidCollectorVersion)));
    assert!(check(&toy, "x").await.unwrap_err().is_a(data_id!(InvalidCollectorVersion)));
    assert_eq!(told(&check(&toy, "").await.unwrap().unwrap()).len(), 3, "an empty version begins again");
}

#[tokio::test]
async fn a_client_that_waits_costs_no_more_than_what_it_has_not_been_sent() {
    const MANY: u32 = 500;
    let toy = Toy::new();
    toy.write(|w| (10..10 + MANY).for_each(|n| add_vm(w, n, &folder("group-v1"))));
    filter(&toy, vms_of_pool()).await;
    let collector = &toy.ids.property_collector;
    let kept = |toy: &Toy| super::super::collector::kept_updates(&toy.session, collector);
    let first = check(&toy, "").await.unwrap().unwrap();
    assert_eq!(kept(&toy), 3 + MANY as usize, "the client may have lost it");
    assert_eq!(check(&toy, "").await.unwrap().map(|set| told(&set)), Some(told(&first)));
    let at = version(&check(&toy, "").await.unwrap().unwrap());
    assert!(check(&toy, &at).await.unwrap().is_none());
    assert_eq!(kept(&toy), 0, "the client has it");
    // Other properties than those that the client follows.
    for status in ["red", "yellow", "green"] {
        let status = vim::EnumOf::parse(status).unwrap();
        toy.write(|w| {
            (10..10 + MANY).for_each(|n| w.set(&vm(n), props!(VirtualMachine { overallStatus: status })));
        });
        assert!(check(&toy, &at).await.unwrap().is_none());
    }
    let outdated = super::super::collector::outdated_nodes(&toy.session, collector, &toy.state());
    assert_eq!(outdated, 0, "no old state of an object is kept alive");
    toy.write(|w| {
        w.set(&vm(11), props!(VirtualMachine { overallStatus: vim::EnumOf::parse("red").unwrap() }))
    });
    toy.write(|w| w.set(&vm(11), props!(VirtualMachine { name: "renamed" })));
    let next = check(&toy, &at).await.unwrap().unwrap();
    assert_eq!(told(&next), ["modify vm-11 name=renamed"]);
}

/// A filter on the names of all VMs, by a view of the session's own, whose client has everything; its version.
async fn follow_all(toy: &Toy) -> String {
    let container = call!(CreateContainerView {
        container: &toy.ids.root_folder,
        type: ["VirtualMachine"],
        recursive: true
    });
    let view = toy.reference(&toy.ids.view_manager, container).await;
    let follow = traversal(None, "ContainerView", "view", vec![]);
    filter(toy, spec(&view, true, vec![follow], vec![paths("VirtualMachine", &["name"])])).await;
    version(&check(toy, "").await.unwrap().unwrap())
}

#[tokio::test]
async fn sessions_that_follow_the_same_share_it_and_each_learns_every_change() {
    let toy = Toy::new();
    toy.write(|w| (10..20).for_each(|n| add_vm(w, n, &folder("group-v1"))));
    let others = [toy.other_session("root"), toy.other_session("root"), toy.other_session("another")];
    let at = follow_all(&toy).await;
    let mut versions = vec![at];
    for other in &others {
        versions.push(follow_all(other).await);
    }
    let collector = &toy.ids.property_collector;
    let members = |toy: &Toy| {
        let (members, kept) = super::super::collector::members(&toy.session, collector);
        assert_eq!(kept, 0, "the session keeps nothing of what it follows");
        members[0].clone()
    };
    let same = |a: &Toy, b: &Toy| Arc::ptr_eq(&members(a), &members(b));
    assert!(same(&toy, &others[0]) && same(&toy, &others[1]));
    assert!(!same(&toy, &others[2]), "another account may see other objects");
    let clients: Vec<&Toy> = std::iter::once(&toy).chain(&others).collect();
    // The last one to ask learns of both changes at once.
    for asking in [&clients[..3], &clients[..]] {
        toy.write(|w| w.set(&vm(11), props!(VirtualMachine { name: format!("n{}", asking.len()) })));
        toy.write(|w| {
            remove_vm(w, 10 + u32::try_from(asking.len()).unwrap());
            add_vm(w, 20 + u32::try_from(asking.len()).unwrap(), &folder("group-v2"));
        });
        for (client, at) in asking.iter().zip(&mut versions) {
            let set = check(client, at).await.unwrap().unwrap();
            *at = version(&set);
            let now = format!("modify vm-11 name=n{}", asking.len());
            assert!(told(&set).contains(&now), "{:?}", told(&set));
            assert_eq!(told(&set).iter().filter(|line| line.starts_with("leave")).count(), {
                if asking.len() == 4 && std::ptr::eq(*client, &others[2]) { 2 } else { 1 }
            });
        }
        assert!(same(&toy, &others[0]) && same(&toy, &others[1]));
    }
    for (client, at) in clients.iter().zip(&versions) {
        assert!(check(client, at).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_new_filter_joins_and_a_destroyed_one_is_silent() {
    let toy = Toy::new();
    let one = filter(&toy, vms_of_pool()).await;
    let first = check(&toy, "").await.unwrap().unwrap();
    let two = filter(&toy, spec(&vm(1), false, vec![], vec![paths("VirtualMachine", &["name"])])).await;
    assert_eq!(toy.fetch(&toy.ids.property_collector, "filter").unwrap().items().len(), 2);
    assert_eq!(toy.fetch(&two, "partialUpdates"), Some(Value::Boolean(false)));
    let second = check(&toy, &version(&first)).await.unwrap().unwrap();
    assert_eq!(told(&second), ["enter vm-1 name=web1"]);
    toy.call(&one, call!(DestroyPropertyFilter {})).await.unwrap();
    toy.write(|w| w.set(&vm(2), props!(VirtualMachine { name: "x" })));
    assert!(check(&toy, &version(&second)).await.unwrap().is_none());
    let fault = toy.call(&one, call!(DestroyPropertyFilter {})).await.unwrap_err();
    assert!(fault.is_a(data_id!(ManagedObjectNotFound)));
}

#[tokio::test]
async fn truncated_replies_add_up_and_say_when_there_is_more() {
    let toy = Toy::new();
    filter(&toy, vms_of_pool()).await;
    let (mut seen, mut at, mut replies) = (Vec::new(), String::new(), 0);
    loop {
        let options = vim!(WaitOptions { maxWaitSeconds: 0, maxObjectUpdates: 2 });
        let args = call!(WaitForUpdatesEx { version: &at, options: options });
        let set = toy.get(&toy.ids.property_collector, args).await;
        (at, replies) = (version(&set), replies + 1);
        seen.extend(told(&set));
        if set.as_object().unwrap().get(field!(UpdateSet.truncated)) != Some(true) {
            break;
        }
    }
    assert_eq!((seen.len(), replies), (3, 2));
    assert!(check(&toy, &at).await.unwrap().is_none());
}

#[tokio::test]
async fn what_the_log_has_forgotten_must_be_read_anew() {
    let toy = Toy::new();
    filter(&toy, vms_of_pool()).await;
    let first = check(&toy, "").await.unwrap().unwrap();
    for n in 0..2 {
        toy.write(|w| {
            for i in 0..u32::try_from(crate::tree::LOG_CHANGES).unwrap() {
                w.create(&vm(1_000_000 * (n + 1) + i), props!(VirtualMachine {}));
            }
        });
    }
    let lost = check(&toy, &version(&first)).await.unwrap_err();
    assert!(lost.is_a(data_id!(InvalidCollectorVersion)));
    assert!(check(&toy, &version(&first)).await.is_err(), "and stays so");
    assert_eq!(told(&check(&toy, "").await.unwrap().unwrap()).len(), 3);
}

#[tokio::test]
async fn a_missing_object_is_told_if_the_filter_says_so_and_enters_when_it_comes() {
    let toy = Toy::new();
    let mut absent = spec(&vm(9), false, vec![], vec![paths("VirtualMachine", &["name"])]);
    let refused = call!(CreateFilter { spec: absent.clone(), partialUpdates: false });
    let fault = toy.call(&toy.ids.property_collector, refused).await.unwrap_err();
    assert!(fault.is_a(data_id!(ManagedObjectNotFound)));
    absent.set(field!(PropertyFilterSpec.reportMissingObjectsInResults), true);
    filter(&toy, absent).await;
    let first = check(&toy, "").await.unwrap().unwrap();
    let sets = first.as_object().unwrap().get(field!(UpdateSet.filterSet)).unwrap();
    let missing = sets.iter().next().unwrap().get(field!(PropertyFilterUpdate.missingSet)).unwrap();
    assert_eq!(missing.iter().next().unwrap().get(field!(MissingObject.obj)), Some(&vm(9)));
    toy.write(|w| add_vm(w, 9, &folder("group-v1")));
    let second = check(&toy, &version(&first)).await.unwrap().unwrap();
    assert_eq!(told(&second), ["enter vm-9 name=web9"]);
}

#[tokio::test]
async fn permissions_that_end_show_as_missing_properties() {
    let toy = Toy::new();
    filter(&toy, spec(&vm(1), false, vec![], vec![paths("VirtualMachine", &["name"])])).await;
    let first = check(&toy, "").await.unwrap().unwrap();
    toy.deny("vm-1", "System.View");
    toy.write(|w| w.set(&vm(1), props!(VirtualMachine { name: "hidden" })));
    let second = check(&toy, &version(&first)).await.unwrap().unwrap();
    let text = format!("{second:?}");
    assert!(!text.contains("hidden"), "the new value stays hidden");
    assert_eq!(told(&second), ["modify vm-1 name=-"]);
    let sets = second.as_object().unwrap().get(field!(UpdateSet.filterSet)).unwrap();
    let update = sets.iter().next().unwrap().get(field!(PropertyFilterUpdate.objectSet)).unwrap();
    let missing = update.iter().next().unwrap().get(field!(ObjectUpdate.missingSet)).unwrap();
    assert_eq!(missing.iter().next().unwrap().get(field!(MissingProperty.path)), Some("name"));
}

/// Starts a wait without end, and gives it time to be waiting.
async fn begin_wait(toy: &Toy, at: &str) -> tokio::task::JoinHandle<Result<Option<Value>, Fault>> {
    let call = toy.make_call(&toy.ids.property_collector, call!(WaitForUpdates { version: at }));
    let service = toy.service.clone();
    let wait = tokio::spawn(async move { service.invoke(call).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!wait.is_finished());
    wait
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_by_a_change_a_new_filter_its_time_or_the_end_of_the_session() {
    let toy = Toy::new();
    filter(&toy, vms_of_pool()).await;
    let first = check(&toy, "").await.unwrap().unwrap();
    let at = version(&first);

    let wait = begin_wait(&toy, &at).await;
    toy.write(|w| w.set(&vm(2), props!(VirtualMachine { overallStatus: "red" })));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!wait.is_finished(), "other properties than the filter's do not end the wait");
    toy.write(|w| w.set(&vm(2), props!(VirtualMachine { name: "woken" })));
    let second = wait.await.unwrap().unwrap().unwrap();
    assert_eq!(told(&second), ["modify vm-2 name=woken"]);
    let at = version(&second);

    let wait = begin_wait(&toy, &at).await;
    filter(&toy, spec(&vm(1), false, vec![], vec![paths("VirtualMachine", &["name"])])).await;
    let third = wait.await.unwrap().unwrap().unwrap();
    assert_eq!(told(&third), ["enter vm-1 name=web1"]);
    let at = version(&third);

    let options = vim!(WaitOptions { maxWaitSeconds: 5 });
    let begun = tokio::time::Instant::now();
    let args = call!(WaitForUpdatesEx { version: &at, options: options });
    assert!(toy.call(&toy.ids.property_collector, args).await.unwrap().is_none());
    assert!(begun.elapsed() >= Duration::from_secs(5));

    let wait = begin_wait(&toy, &at).await;
    let other = begin_wait(&toy, &at).await;
    assert!(
        wait.await.unwrap().unwrap_err().is_a(data_id!(RequestCanceled)),
        "the second wait ends the first"
    );
    toy.call(&toy.ids.property_collector, call!(CancelWaitForUpdates {})).await.unwrap();
    assert!(other.await.unwrap().unwrap_err().is_a(data_id!(RequestCanceled)));

    let wait = begin_wait(&toy, &at).await;
    wait.abort();
    assert!(wait.await.unwrap_err().is_cancelled(), "a client that hangs up leaves nothing behind");
    let wait = begin_wait(&toy, &at).await;
    toy.service.core.sessions.close(&toy.session.key);
    assert!(wait.await.unwrap().unwrap_err().is_a(data_id!(NotAuthenticated)));
}

#[tokio::test]
async fn each_collector_has_its_own_filters_and_versions() {
    let toy = Toy::new();
    let own = toy.reference(&toy.ids.property_collector, call!(CreatePropertyCollector {})).await;
    assert_eq!(own.ty(), managed_id!(PropertyCollector));
    let args = call!(CreateFilter { spec: vms_of_pool(), partialUpdates: true });
    let filter = toy.reference(&own, args).await;
    assert!(check(&toy, "").await.unwrap().is_none(), "the session's first collector has no filter");
    let set = toy.get(&own, call!(CheckForUpdates {})).await;
    assert_eq!(told(&set).len(), 3);
    assert_eq!(toy.fetch(&own, "filter").unwrap().items(), [Value::Ref(filter.clone())]);
    toy.call(&own, call!(DestroyPropertyCollector {})).await.unwrap();
    assert!(toy.call(&filter, call!(DestroyPropertyFilter {})).await.is_err(), "its filters go with it");
    assert!(toy.call(&own, call!(CheckForUpdates {})).await.is_err());
    let first = toy.call(&toy.ids.property_collector, call!(DestroyPropertyCollector {})).await;
    assert!(first.unwrap_err().is_a(data_id!(NotSupported)));
}

#[tokio::test(start_paused = true)]
async fn a_live_view_is_followed() {
    let toy = Toy::new();
    let container = call!(CreateContainerView {
        container: &toy.ids.root_folder,
        type: ["VirtualMachine"],
        recursive: true
    });
    let view = toy.reference(&toy.ids.view_manager, container).await;
    let list = toy.reference(&toy.ids.view_manager, call!(CreateListView {})).await;
    for view in [&view, &list] {
        let follow = traversal(None, "ManagedObjectView", "view", vec![]);
        filter(&toy, spec(view, true, vec![follow], vec![paths("ManagedEntity", &["name"])])).await;
    }
    let first = check(&toy, "").await.unwrap().unwrap();
    assert_eq!(told(&first).len(), 3);
    toy.write(|w| {
        remove_vm(w, 1);
        add_vm(w, 5, &folder("group-v2"));
    });
    let second = check(&toy, &version(&first)).await.unwrap().unwrap();
    assert_eq!(told(&second), ["enter vm-5 name=web5", "leave vm-1"]);
    let wait = begin_wait(&toy, &version(&second)).await;
    toy.call(&list, call!(ModifyListView { add: [crate::testing::host(1)] })).await.unwrap();
    let third = wait.await.unwrap().unwrap().unwrap();
    assert_eq!(told(&third), ["enter host-1 name=h1"]);
    toy.call(&list, call!(DestroyView {})).await.unwrap();
    let fourth = check(&toy, &version(&third)).await.unwrap().unwrap();
    assert_eq!(told(&fourth), ["leave host-1"]);
}

#[tokio::test]
async fn a_filter_without_room_costs_another_one_none_of_its_updates() {
    use super::super::share::{FollowedShare, MAX_FOLLOWED};
    let toy = Toy::new();
    filter(&toy, vms_of_pool()).await;
    let first = check(&toy, "").await.unwrap().unwrap();
    let mut others = FollowedShare::default();
    assert!(others.resize(&toy.session, MAX_FOLLOWED).is_err());
    toy.write(|w| w.set(&vm(1), props!(VirtualMachine { name: "renamed" })));
    filter(&toy, vms_of_pool()).await;
    let fault = check(&toy, &version(&first)).await.unwrap_err();
    assert_eq!(fault.type_name(), "OutOfBounds");
    let fault = check(&toy, &version(&first)).await.unwrap_err();
    assert_eq!(fault.type_name(), "OutOfBounds", "again, as long as room is missing");
    drop(others);
    let second = told(&check(&toy, &version(&first)).await.unwrap().unwrap());
    assert!(second.iter().any(|line| line.starts_with("modify vm-1 name=renamed")), "{second:?}");
    assert_eq!(second.iter().filter(|line| line.starts_with("enter")).count(), 3, "{second:?}");
}
