//! For random changes of the tree, a client that applies the updates knows the same as a retrieval returns.

use proptest::prelude::*;
use vim::{call, field, props, vim};

use super::*;
use crate::testing::{add_vm, folder, host, pool, remove_vm, vm};

#[derive(Clone, Debug)]
enum Step {
    Add {
        vm: u32,
        inner: bool,
    },
    Remove(u32),
    Rename(u32, u8),
    Unset(u32),
    /// Into the other folder.
    Move(u32),
    Detach(u32),
    Attach(u32),
    /// Removed and created again in one commit.
    Replace(u32),
    RemoveFolder,
    MakeFolder,
    /// The client asks, and takes this many updates.
    Ask(u8),
    AskAnew,
}

fn step() -> impl Strategy<Value = Step> {
    let vm = 1..8u32;
    prop_oneof![
        (vm.clone(), any::<bool>()).prop_map(|(vm, inner)| Step::Add { vm, inner }),
        vm.clone().prop_map(Step::Remove),
        (vm.clone(), 0..3u8).prop_map(|(vm, name)| Step::Rename(vm, name)),
        vm.clone().prop_map(Step::Unset),
        vm.clone().prop_map(Step::Move),
        vm.clone().prop_map(Step::Detach),
        vm.clone().prop_map(Step::Attach),
        vm.prop_map(Step::Replace),
        Just(Step::RemoveFolder),
        Just(Step::MakeFolder),
        (1..5u8).prop_map(Step::Ask),
        (1..5u8).prop_map(Step::Ask),
        Just(Step::AskAnew),
    ]
}

fn change(toy: &Toy, step: &Step) {
    let (outer, inner) = (folder("group-v1"), folder("group-v2"));
    let children = vim::prop!(Folder.childEntity);
    toy.write(|w| match step {
        Step::Add { vm: n, inner: deep } if w.find(&vm(*n)).is_none() => {
            let parent = if *deep { &inner } else { &outer };
            add_vm(w, *n, parent);
        }
        Step::Remove(n) => remove_vm(w, *n),
        Step::Rename(n, name) => w.set(&vm(*n), props!(VirtualMachine { name: format!("n{name}") })),
        Step::Unset(n) => w.set(&vm(*n), props!(VirtualMachine { guest: None::<vim::ty!(GuestInfo)> })),
        Step::Move(n) if w.find(&vm(*n)).is_some() => {
            let node = w.find(&vm(*n)).unwrap();
            let from = node.get(vim::prop!(ManagedEntity.parent)).unwrap().clone();
            let to = if from == outer { &inner } else { &outer };
            w.remove_ref(&from, children, &vm(*n));
            w.add_ref(to, children, &vm(*n));
            w.set(&vm(*n), props!(VirtualMachine { parent: to }));
        }
        Step::Detach(n) => w.remove_ref(&host(1), vim::prop!(HostSystem.vm), &vm(*n)),
        Step::Attach(n) => w.add_ref(&host(1), vim::prop!(HostSystem.vm), &vm(*n)),
        Step::Replace(n) if w.find(&vm(*n)).is_some() => {
            remove_vm(w, *n);
            add_vm(w, *n, &outer);
        }
        Step::RemoveFolder => {
            w.remove(&inner);
            w.remove_ref(&outer, children, &inner);
        }
        Step::MakeFolder => {
            w.create(&inner, props!(Folder { name: "again", parent: &outer }));
            w.add_ref(&outer, children, &inner);
        }
        _ => {}
    });
}

/// The filters: by folders and recursion, by the host, and single objects.
fn specs(view: &MoRef) -> Vec<vim::ty!(PropertyFilterSpec)> {
    let vm_paths = || vec![paths("VirtualMachine", &["name", "guest.ipAddress", "parent", "effectiveRole"])];
    let deep = || {
        let down = vec![named("down"), traversal(None, "HostSystem", "vm", vec![])];
        vec![traversal(Some("down"), "Folder", "childEntity", down)]
    };
    let mut single = spec(&vm(2), false, vec![], vm_paths());
    single.set(field!(PropertyFilterSpec.reportMissingObjectsInResults), true);
    vec![
        spec(
            &folder("group-v1"),
            false,
            deep(),
            [vm_paths(), vec![paths("Folder", &["name", "childEntity"])]].concat(),
        ),
        spec(&host(1), true, vec![traversal(None, "HostSystem", "vm", vec![])], vm_paths()),
        spec(
            &pool(),
            false,
            vec![traversal(None, "ResourcePool", "vm", vec![])],
            vec![paths("ManagedEntity", &["name"])],
        ),
        spec(
            view,
            true,
            vec![traversal(None, "ManagedObjectView", "view", vec![])],
            vec![paths("ManagedEntity", &["name"])],
        ),
        single,
    ]
}

/// A client: what it knows by filter, and the version that it has.
#[derive(Default)]
struct Client {
    known: BTreeMap<String, Contents>,
    version: String,
}

impl Client {
    async fn ask(&mut self, toy: &Toy, most: i32) -> bool {
        let options = vim!(WaitOptions { maxWaitSeconds: 0, maxObjectUpdates: most });
        let args = call!(WaitForUpdatesEx { version: &self.version, options: options });
        if self.version.is_empty() {
            self.known.clear();
        }
        let Some(set) = toy.call(&toy.ids.property_collector, args).await.unwrap() else { return false };
        let set = set.as_object().unwrap();
        self.version = set.get(field!(UpdateSet.version)).unwrap().to_owned();
        let mut count = 0;
        for filter in set.get(field!(UpdateSet.filterSet)).into_iter().flatten() {
            let id = filter.get(field!(PropertyFilterUpdate.filter)).unwrap().id().to_owned();
            let known = self.known.entry(id).or_default();
            for update in filter.get(field!(PropertyFilterUpdate.objectSet)).into_iter().flatten() {
                count += 1;
                apply(known, update);
            }
        }
        assert!(count <= most, "{count} updates where {most} were asked for");
        set.get(field!(UpdateSet.truncated)) == Some(true)
    }
}

fn apply(known: &mut Contents, update: &Object) {
    let id = update.get(field!(ObjectUpdate.obj)).unwrap().id().to_owned();
    match update.get(field!(ObjectUpdate.kind)).unwrap().name() {
        "enter" => assert!(known.insert(id.clone(), BTreeMap::new()).is_none(), "{id} enters twice"),
        "leave" => return assert!(known.remove(&id).is_some(), "{id} leaves without having entered"),
        _ => {}
    }
    let object = known.get_mut(&id).expect("only what has entered is modified");
    for change in update.get(field!(ObjectUpdate.changeSet)).into_iter().flatten() {
        let name = change.get(field!(PropertyChange.name)).unwrap().to_owned();
        match change.get(field!(PropertyChange.val)) {
            Some(value) => drop(object.insert(name, value.clone())),
            None => drop(object.remove(&name)),
        }
    }
}

async fn run(steps: Vec<Step>) {
    let toy = Toy::new();
    let container = call!(CreateContainerView {
        container: &toy.ids.root_folder,
        type: ["VirtualMachine", "Folder"],
        recursive: true
    });
    let view = toy.reference(&toy.ids.view_manager, container).await;
    let mut filters = Vec::new();
    for spec in specs(&view) {
        let args = call!(CreateFilter { spec: spec.clone(), partialUpdates: false });
        filters.push((toy.reference(&toy.ids.property_collector, args).await, spec));
    }
    let mut client = Client::default();
    for step in &steps {
        match step {
            Step::Ask(most) => drop(client.ask(&toy, i32::from(*most)).await),
            Step::AskAnew => client.version.clear(),
            step => change(&toy, step),
        }
    }
    while client.ask(&toy, 3).await {}
    while client.ask(&toy, i32::MAX).await {}
    for (filter, spec) in filters {
        let expected = super::retrieve(&toy, spec).await;
        let known = client.known.remove(filter.id()).unwrap_or_default();
        assert_eq!(known, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn updates_add_up_to_what_a_retrieval_tells(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
