//! The center takes the events of its hosts over: each once, in order, at a cost that does not grow with the history.

#![allow(clippy::unwrap_used)]

mod common;

use center::Place;
use common::toy::Toy;
use common::{Client, center, root};
use vim::{MoRef, Value, call, field, managed_id, prop};

/// The messages of the removals of VMs in the center's log, oldest first.
async fn removals(client: &Client) -> Vec<String> {
    let manager = MoRef::new(managed_id!(EventManager), "EventManager");
    let query = call!(QueryEvents { filter: EventFilterSpec { eventTypeId: ["VmRemovedEvent"] } });
    let found = client.call(&manager, query).await.unwrap();
    let found = found.iter().flat_map(Value::items).filter_map(Value::as_object);
    found.map(|event| event.get(field!(Event.fullFormattedMessage)).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_center_catches_up_with_a_host_without_reading_the_hosts_history() {
    const BEFORE: i32 = 5_000;
    const ROUNDS: i32 = 50;
    let center = center().await;
    let client = Client::of(&center);
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    let hosts = client.reference(&dc, prop!(Datacenter.hostFolder).number());
    let toy = Toy::new("h1");
    toy.add_vm("1", "web", "u");
    (1..BEFORE).for_each(|key| toy.say_unseen(key, "1"));
    toy.say(BEFORE, "1");
    center.attach(toy.link(), &Place::Standalone { folder: hosts }).await.unwrap();
    let manager = MoRef::new(managed_id!(EventManager), "EventManager");
    let latest = |client: &Client| {
        let event = client.get(&manager, prop!(EventManager.latestEvent).number());
        let event = event.as_ref().and_then(Value::as_object).cloned();
        event.and_then(|event| event.get(field!(Event.fullFormattedMessage)).map(str::to_owned))
    };
    let mut key = BEFORE;
    for _ in 0..ROUNDS {
        for _ in 0..3 {
            key += 1;
            toy.say_unseen(key, "1");
        }
        key += 1;
        toy.say(key, "1");
        let newest = format!("gone {key}");
        client.until(|client| latest(client).as_deref() == Some(&newest)).await;
    }
    let expected: Vec<String> = (BEFORE + 1..=key).map(|key| format!("gone {key}")).collect();
    assert_eq!(removals(&client).await, expected, "each once, in order");
    let looked_at = toy.past.take_looked_at();
    assert!(looked_at <= 12 * usize::try_from(ROUNDS).unwrap(), "{looked_at} events of the host were read");
}
