use proptest::prelude::*;

use super::*;
use crate::MAX_ON_OBJECT;

fn vm(number: usize) -> Object {
    Object::new("VirtualMachine", &format!("vm-{number}"))
}

#[allow(clippy::unnecessary_wraps)]
fn exists(object: &Object) -> Option<Vec<&'static str>> {
    match object.ty() {
        "VirtualMachine" => Some(vec!["VirtualMachine", "ManagedEntity"]),
        "Folder" => Some(vec!["Folder", "ManagedEntity"]),
        _ => None,
    }
}

async fn category(tags: &Arc<Tags>, name: &str, cardinality: Cardinality, types: &[&str]) -> String {
    let types = types.iter().map(|ty| (*ty).to_owned()).collect();
    let spec = CategorySpec { id: None, name: name.into(), description: String::new(), cardinality, types };
    tags.add_category(spec).await.unwrap()
}

async fn tag(tags: &Arc<Tags>, category: &str, name: &str) -> String {
    let spec = TagSpec { id: None, category: category.into(), name: name.into(), description: String::new() };
    tags.add_tag(spec).await.unwrap()
}

async fn attach(tags: &Arc<Tags>, tag: &str, object: Object) -> std::result::Result<(), TagError> {
    let failures = tags.attach(&[tag.to_owned()], &[object], &exists).await.unwrap();
    failures.into_iter().next().map_or(Ok(()), |failure| Err(failure.0))
}

#[tokio::test]
async fn tags_are_attached_as_their_category_says_and_are_there_after_a_restart() {
    let store = Store::in_memory().unwrap();
    let tags = Tags::open(store.clone()).unwrap();
    let tier = category(&tags, "tier", Cardinality::Single, &["urn:vim25:VirtualMachine"]).await;
    let (gold, silver) = (tag(&tags, &tier, "gold").await, tag(&tags, &tier, "silver").await);
    let any = category(&tags, "any", Cardinality::Multiple, &[]).await;
    let (a, b) = (tag(&tags, &any, "a").await, tag(&tags, &any, "b").await);

    attach(&tags, &gold, vm(1)).await.unwrap();
    attach(&tags, &gold, vm(1)).await.expect("it is there already");
    assert!(matches!(attach(&tags, &silver, vm(1)).await, Err(TagError::Invalid(_))), "one is allowed");
    let folder = Object::new("Folder", "group-v1");
    assert!(matches!(attach(&tags, &gold, folder.clone()).await, Err(TagError::Invalid(_))), "not for it");
    assert!(matches!(attach(&tags, "x", vm(1)).await, Err(TagError::NoTag(_))));
    let gone = Object::new("HostSystem", "host-1");
    assert!(matches!(attach(&tags, &a, gone).await, Err(TagError::NoObject(_))));
    for (one, object) in [(&a, vm(1)), (&b, vm(1)), (&b, vm(2)), (&b, folder.clone())] {
        attach(&tags, one, object).await.unwrap();
    }
    assert_eq!(tags.attachable(&vm(1), &["VirtualMachine"]), Vec::<String>::new());
    assert_eq!(tags.attachable(&vm(2), &["VirtualMachine"]).len(), 3);

    let again = Tags::open(store).unwrap();
    assert_eq!((again.categories(), again.tags()), (tags.categories(), tags.tags()));
    assert_eq!(again.objects(&b).unwrap(), [folder, vm(1), vm(2)]);
    assert_eq!(again.on(&vm(1)).len(), 3);
}

#[tokio::test]
async fn a_tag_goes_from_all_objects_with_its_category_and_from_an_object_that_is_gone() {
    let store = Store::in_memory().unwrap();
    let tags = Tags::open(store.clone()).unwrap();
    let any = category(&tags, "any", Cardinality::Multiple, &[]).await;
    let (a, b) = (tag(&tags, &any, "a").await, tag(&tags, &any, "b").await);
    for number in 1..=3 {
        attach(&tags, &a, vm(number)).await.unwrap();
        attach(&tags, &b, vm(number)).await.unwrap();
    }
    tags.forget(&[vm(1)]).await.unwrap();
    assert_eq!((tags.on(&vm(1)).len(), tags.objects(&a).unwrap().len()), (0, 2));
    tags.prune(|object| *object == vm(2)).await.unwrap();
    assert_eq!(tags.objects(&a).unwrap(), [vm(3)]);
    tags.drop_tag(&a).await.unwrap();
    assert_eq!(tags.on(&vm(3)), [b]);
    tags.drop_category(&any).await.unwrap();
    assert!(tags.tags().is_empty() && tags.on(&vm(3)).is_empty());
    let attached = store.read(|view| view.count("tag-attached")).unwrap();
    assert_eq!(attached, 0, "nothing is left in the store");
}

#[tokio::test]
async fn names_are_unique_and_a_category_is_only_widened() {
    let tags = Tags::open(Store::in_memory().unwrap()).unwrap();
    let tier = category(&tags, "tier", Cardinality::Single, &["VirtualMachine"]).await;
    let other = category(&tags, "other", Cardinality::Multiple, &[]).await;
    tag(&tags, &tier, "gold").await;
    tag(&tags, &other, "gold").await;
    let twice = TagSpec { id: None, category: tier.clone(), name: "gold".into(), description: String::new() };
    assert!(matches!(tags.add_tag(twice).await, Err(TagError::Exists(_))));
    let update = |update: CategoryUpdate| tags.update_category(&tier, update);
    let name = CategoryUpdate { name: Some("other".into()), ..CategoryUpdate::default() };
    assert!(matches!(update(name).await, Err(TagError::Exists(_))));
    let types = |types: &[&str]| CategoryUpdate {
        types: Some(types.iter().map(|ty| (*ty).to_owned()).collect()),
        ..CategoryUpdate::default()
    };
    assert!(matches!(update(types(&["Folder"])).await, Err(TagError::Invalid(_))));
    update(types(&["Folder", "VirtualMachine"])).await.unwrap();
    let cardinality = |to| CategoryUpdate { cardinality: Some(to), ..CategoryUpdate::default() };
    update(cardinality(Cardinality::Multiple)).await.unwrap();
    assert!(matches!(update(cardinality(Cardinality::Single)).await, Err(TagError::Invalid(_))));
    let renamed = CategoryUpdate { name: Some("level".into()), ..CategoryUpdate::default() };
    update(renamed).await.unwrap();
    category(&tags, "tier", Cardinality::Single, &[]).await;
}

#[tokio::test]
async fn an_object_has_a_limited_number_of_tags() {
    let tags = Tags::open(Store::in_memory().unwrap()).unwrap();
    let any = category(&tags, "any", Cardinality::Multiple, &[]).await;
    let mut all = Vec::new();
    for number in 0..=MAX_ON_OBJECT {
        all.push(tag(&tags, &any, &format!("t{number}")).await);
    }
    let failures = tags.attach(&all, &[vm(1)], &exists).await.unwrap();
    assert!(matches!(failures.as_slice(), [Failure(TagError::Full(_))]), "{failures:?}");
    assert_eq!(tags.on(&vm(1)).len(), MAX_ON_OBJECT);
    let many: Vec<Object> = (0..1_000).map(vm).collect();
    assert!(matches!(tags.attach(&all, &many, &exists).await, Err(TagError::Full(_))), "too large a request");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Both indexes and the store say the same, whatever is attached, detached and removed.
    #[test]
    fn both_indexes_and_the_store_agree(steps in prop::collection::vec((0..4_u8, 0..5_usize, 0..6_usize), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = Store::in_memory().unwrap();
            let tags = Tags::open(store.clone()).unwrap();
            let any = category(&tags, "any", Cardinality::Multiple, &[]).await;
            let mut known = Vec::new();
            for number in 0..5 {
                known.push(tag(&tags, &any, &format!("t{number}")).await);
            }
            for (what, at, object) in steps {
                let (one, object) = (std::slice::from_ref(&known[at]), [vm(object)]);
                match what {
                    0 | 1 => drop(tags.attach(one, &object, &exists).await.unwrap()),
                    2 => drop(tags.detach(one, &object).await.unwrap()),
                    _ => tags.forget(&object).await.unwrap(),
                }
            }
            for tags in [&tags, &Tags::open(store).unwrap()] {
                let pairs = |(at, object): (usize, usize)| {
                    let there = tags.objects(&known[at]).unwrap().contains(&vm(object));
                    (there, tags.on(&vm(object)).contains(&known[at]))
                };
                for at in 0..5 {
                    for object in 0..6 {
                        let (one, other) = pairs((at, object));
                        assert_eq!(one, other);
                    }
                }
            }
        });
    }
}
