//! Everything that a host shows has the fields that the schema requires, and refers only to what is there.

#![allow(clippy::unwrap_used)]

mod common;

use common::{simulated, small};
use vim::{Kind, MoRef, Record, Value, call, schema};

/// Walks a value; names each required field that is unset.
fn missing(value: &Value, place: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            let ty = schema().data(object.ty());
            for (number, member) in ty.members().iter().enumerate() {
                let at = format!("{place}.{}", member.name);
                match object.at(u16::try_from(number).unwrap()) {
                    Some(value) => missing(value, &at, found),
                    // An empty list is an absent one.
                    None if !member.optional && !member.list => found.push(format!("{at} ({})", ty.name)),
                    None => {}
                }
            }
        }
        Value::List(list) => {
            for (n, item) in list.items().iter().enumerate() {
                missing(item, &format!("{place}[{n}]"), found);
            }
        }
        _ => {}
    }
}

fn references(value: &Value, found: &mut Vec<MoRef>) {
    match value {
        Value::Ref(reference) => found.push(reference.clone()),
        Value::Object(object) => object.fields().iter().for_each(|(_, value)| references(value, found)),
        Value::List(list) => list.items().iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Properties that the service computes for each session.
const COMPUTED: [&str; 4] = ["effectiveRole", "serverClock", "currentSession", "sessionList"];
/// The same of resource pools, of which other types have properties with these names.
const COMPUTED_OF_POOLS: [&str; 2] = ["ResourcePool.runtime", "ResourcePool.summary"];

#[tokio::test]
async fn all_objects_are_complete_and_refer_to_objects_that_exist() {
    let c = simulated().await;
    let vm = c.create(small("shape")).await.unwrap();
    c.power_on(&vm).await.unwrap();
    let args = call!(CreateSnapshot_Task { name: "s", memory: false, quiesce: false });
    c.task(&vm, args).await.unwrap();
    let state = c.host.core.tree.snapshot();
    let (mut lacking, mut dangling) = (Vec::new(), Vec::new());
    for node in state.iter() {
        let ty = schema().managed(node.me().ty());
        for (number, member) in ty.members().iter().enumerate() {
            let place = format!("{}.{}", ty.name, member.name);
            match node.at(u16::try_from(number).unwrap()) {
                Some(value) => {
                    missing(value, &place, &mut lacking);
                    let mut refs = Vec::new();
                    references(value, &mut refs);
                    dangling.extend(
                        refs.into_iter()
                            .filter(|me| state.find(me).is_none())
                            .map(|me| format!("{place} -> {me}")),
                    );
                    if let (Kind::Enum(ty), Value::Enum(value)) = (member.kind, value) {
                        assert_eq!(value.ty(), ty);
                    }
                }
                None if !member.optional
                    && !member.list
                    && !COMPUTED.contains(&member.name)
                    && !COMPUTED_OF_POOLS.contains(&place.as_str()) =>
                {
                    lacking.push(place);
                }
                None => {}
            }
        }
    }
    lacking.sort();
    lacking.dedup();
    dangling.sort();
    dangling.dedup();
    assert_eq!((lacking, dangling), (Vec::<String>::new(), Vec::<String>::new()));
}
