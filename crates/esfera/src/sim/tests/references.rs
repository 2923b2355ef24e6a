//! Every reference that an object shows leads to an object.

use std::cell::RefCell;
use std::collections::BTreeSet;

use vim::{Record as _, schema};

use super::*;

/// The references of all objects to objects that are not there, as `Type.property: reference`.
fn dangling(who: &Insider) -> BTreeSet<String> {
    let state = who.service.core.tree.snapshot();
    let mut lost = BTreeSet::new();
    for node in state.iter() {
        let ty = schema().managed(node.me().ty());
        for (number, member) in (0..).zip(ty.members()) {
            let object = who.service.find(node.me(), Some(&who.session), &state).unwrap();
            let Some(value) = who.service.property(&object, number, &who.session, &state) else { continue };
            let named = RefCell::new(Vec::new());
            value.map_refs(&|reference| {
                named.borrow_mut().push(reference.clone());
                None
            });
            for reference in named.into_inner() {
                if who.service.find(&reference, Some(&who.session), &state).is_err() {
                    lost.insert(format!("{}.{}: {reference}", ty.name, member.name));
                }
            }
        }
    }
    lost
}

async fn with_a_snapshot(who: &Insider) {
    let snapshot = call!(CreateSnapshot_Task { name: "s", memory: false, quiesce: false });
    who.task(&who.vm(), snapshot).await.unwrap();
}

#[tokio::test]
async fn every_reference_of_a_host_leads_to_an_object() {
    let host = lone().await;
    with_a_snapshot(&host).await;
    assert_eq!(dangling(&host), BTreeSet::new());
}

#[tokio::test]
async fn every_reference_of_a_center_leads_to_an_object() {
    let (_center, client) = managed().await;
    with_a_snapshot(&client).await;
    assert_eq!(dangling(&client), BTreeSet::new());
    let host = client.first(managed_id!(HostSystem));
    client.task(&host, call!(DisconnectHost_Task {})).await.unwrap();
    assert_eq!(dangling(&client), BTreeSet::new(), "of a host that is disconnected");
}

#[tokio::test]
async fn a_vm_that_is_removed_leaves_no_reference_behind_but_in_the_history() {
    let (_center, client) = managed().await;
    with_a_snapshot(&client).await;
    client.task(&client.vm(), call!(PowerOffVM_Task {})).await.unwrap();
    client.task(&client.vm(), call!(Destroy_Task {})).await.unwrap();
    let history = ["Task.", "EventManager."];
    let lost =
        dangling(&client).into_iter().filter(|lost| !history.iter().any(|kind| lost.starts_with(kind)));
    assert_eq!(lost.collect::<Vec<_>>(), Vec::<String>::new());
}
