//! The property collector against a small inventory, by its methods only.

mod model;
mod retrieve;
mod traversal;
mod updates;

use std::collections::BTreeMap;
use std::sync::Arc;

use vim::{MoRef, Object, Value, call, field, vim};

use crate::testing::Toy;

/// A specification that starts at `object` with these selections.
fn spec(
    object: &MoRef,
    skip: bool,
    select: Vec<Object>,
    sets: Vec<vim::ty!(PropertySpec)>,
) -> vim::ty!(PropertyFilterSpec) {
    vim!(PropertyFilterSpec {
        propSet: sets,
        objectSet: [ObjectSpec { obj: object, skip: skip, selectSet: select }],
    })
}

fn paths(ty: &str, paths: &[&str]) -> vim::ty!(PropertySpec) {
    vim!(PropertySpec { type: ty, pathSet: paths.to_vec() })
}

fn traversal(name: Option<&str>, ty: &str, path: &str, select: Vec<Object>) -> Object {
    vim!(TraversalSpec { name: name, type: ty, path: path, selectSet: select }).into()
}

fn named(name: &str) -> Object {
    vim!(SelectionSpec { name: name }).into()
}

type Contents = BTreeMap<String, BTreeMap<String, Value>>;

fn to_map(contents: &[Value]) -> Contents {
    let contents = contents.iter().filter_map(Value::as_object);
    contents
        .map(|content| {
            let properties =
                content.get(field!(ObjectContent.propSet)).into_iter().flatten().map(|property| {
                    (
                        property.get(field!(DynamicProperty.name)).unwrap().to_owned(),
                        property.get(field!(DynamicProperty.val)).unwrap().clone(),
                    )
                });
            (content.get(field!(ObjectContent.obj)).unwrap().id().to_owned(), properties.collect())
        })
        .collect()
}

/// All objects that the specification selects, in one reply.
async fn retrieve(toy: &Toy, spec: vim::ty!(PropertyFilterSpec)) -> Contents {
    let args = call!(RetrievePropertiesEx { specSet: [spec], options: RetrieveOptions {} });
    let Some(result) = toy.call(&toy.ids.property_collector, args).await.unwrap() else {
        return Contents::new();
    };
    let result: &Arc<Object> = result.as_object().unwrap();
    assert!(result.get(field!(RetrieveResult.token)).is_none());
    to_map(result.at(field!(RetrieveResult.objects).number()).unwrap().items())
}

fn ids(contents: &Contents) -> Vec<&str> {
    contents.keys().map(String::as_str).collect()
}
