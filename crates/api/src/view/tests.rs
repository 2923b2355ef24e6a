use vim::{MoRef, Value, call, data_id};

use crate::testing::{Toy, add_vm, cluster, datacenter, folder, host, pool, remove_vm, vm};

fn seen(toy: &Toy, view: &MoRef) -> Vec<String> {
    let view = toy.fetch(view, "view");
    let mut ids: Vec<String> = view
        .iter()
        .flat_map(Value::items)
        .filter_map(Value::as_ref)
        .map(|object| object.id().to_owned())
        .collect();
    ids.sort();
    ids
}

async fn container(toy: &Toy, object: &MoRef, types: &[&str], recursive: bool) -> MoRef {
    let args = call!(CreateContainerView { container: object, type: types.to_vec(), recursive: recursive });
    toy.reference(&toy.ids.view_manager, args).await
}

/// A name, the container, types, whether it is recursive, and the expected objects.
type Case = (&'static str, MoRef, &'static [&'static str], bool, &'static [&'static str]);

#[tokio::test]
async fn each_kind_of_container_shows_what_lies_in_it() {
    let toy = Toy::new();
    let root = toy.ids.root_folder.clone();
    let vms = ["vm-1", "vm-2", "vm-3"].as_slice();
    let cases: [Case; 11] = [
        ("all VMs, each once", root.clone(), &["VirtualMachine"], true, vms),
        ("a base type", root.clone(), &["ComputeResource"], true, &["domain-c1"]),
        (
            "two types",
            root.clone(),
            &["HostSystem", "Datacenter"],
            true,
            &["datacenter-1", "host-1", "host-2"],
        ),
        ("children of the root", root, &[], false, &["datacenter-1"]),
        ("a datacenter", datacenter(), &[], false, &["group-h1", "group-n1", "group-s1", "group-v1"]),
        ("a folder", folder("group-v1"), &["VirtualMachine"], false, &["vm-1", "vm-2"]),
        ("a folder and below", folder("group-v1"), &["VirtualMachine"], true, vms),
        ("a cluster", cluster(), &[], false, &["host-1", "host-2", "resgroup-1"]),
        ("a cluster and below", cluster(), &["VirtualMachine"], true, vms),
        ("a host", host(1), &[], false, vms),
        ("a pool", pool(), &[], true, vms),
    ];
    for (what, object, types, recursive, expected) in cases {
        let view = container(&toy, &object, types, recursive).await;
        assert_eq!(seen(&toy, &view), expected, "{what}");
        assert_eq!(toy.fetch(&view, "container"), Some(Value::Ref(object)));
        assert_eq!(toy.fetch(&view, "recursive"), Some(Value::Boolean(recursive)));
    }
    let empty = call!(CreateContainerView { container: vm(1), recursive: true });
    let fault = toy.call(&toy.ids.view_manager, empty).await.unwrap_err();
    assert!(fault.is_a(data_id!(InvalidArgument)), "a VM contains nothing");
    let unknown = call!(CreateContainerView { container: datacenter(), type: ["Nothing"], recursive: true });
    assert!(toy.call(&toy.ids.view_manager, unknown).await.is_err());
}

#[tokio::test]
async fn a_container_view_is_live() {
    let toy = Toy::new();
    let view = container(&toy, &datacenter(), &["VirtualMachine"], true).await;
    assert_eq!(seen(&toy, &view).len(), 3);
    toy.write(|w| w.set(&vm(1), vim::props!(VirtualMachine { name: "new" })));
    assert_eq!(seen(&toy, &view).len(), 3);
    toy.write(|w| add_vm(w, 4, &folder("group-v2")));
    assert_eq!(seen(&toy, &view).len(), 4);
    toy.write(|w| {
        remove_vm(w, 1);
        remove_vm(w, 2);
    });
    assert_eq!(seen(&toy, &view), ["vm-3", "vm-4"]);
    assert_eq!(toy.fetch(&toy.ids.view_manager, "viewList").unwrap().items().len(), 1);
    toy.call(&view, call!(DestroyView {})).await.unwrap();
    assert!(toy.call(&view, call!(DestroyView {})).await.unwrap_err().is_a(data_id!(ManagedObjectNotFound)));
}

#[tokio::test]
async fn a_list_view_holds_what_the_client_puts_in() {
    let toy = Toy::new();
    let create = call!(CreateListView { obj: [vm(1), vm(2), vm(1), vm(9)] });
    let list = toy.reference(&toy.ids.view_manager, create).await;
    assert_eq!(seen(&toy, &list), ["vm-1", "vm-2"]);
    let modify = call!(ModifyListView { add: [vm(3), vm(2), vm(8)], remove: [vm(1)] });
    let missing = toy.get(&list, modify).await;
    assert_eq!(missing.items(), [Value::Ref(vm(8))]);
    assert_eq!(seen(&toy, &list), ["vm-2", "vm-3"]);
    toy.write(|w| remove_vm(w, 2));
    assert_eq!(seen(&toy, &list), ["vm-3"], "deleted objects are no longer seen");
    let copy = call!(CreateListViewFromView { view: &list });
    let copy = toy.reference(&toy.ids.view_manager, copy).await;
    toy.call(&list, call!(ResetListView { obj: [host(1)] })).await.unwrap();
    assert_eq!((seen(&toy, &list), seen(&toy, &copy)), (vec!["host-1".into()], vec!["vm-3".into()]));
    toy.call(&copy, call!(ResetListViewFromView { view: &list })).await.unwrap();
    assert_eq!(seen(&toy, &copy), ["host-1"]);
    toy.call(&list, call!(ResetListView {})).await.unwrap();
    assert!(toy.fetch(&list, "view").is_none());
}

#[tokio::test]
async fn an_inventory_view_opens_and_closes_folders() {
    let toy = Toy::new();
    let view = toy.reference(&toy.ids.view_manager, call!(CreateInventoryView {})).await;
    assert_eq!(seen(&toy, &view), ["group-d1"]);
    let open = |object: MoRef| call!(OpenInventoryViewFolder { entity: [object] });
    for object in [toy.ids.root_folder.clone(), datacenter(), folder("group-v1")] {
        assert!(toy.call(&view, open(object)).await.unwrap().is_none());
    }
    assert!(
        seen(&toy, &view).contains(&"vm-1".to_owned()) && !seen(&toy, &view).contains(&"vm-3".to_owned())
    );
    let close = call!(CloseInventoryViewFolder { entity: [datacenter()] });
    toy.call(&view, close).await.unwrap();
    assert_eq!(seen(&toy, &view), ["datacenter-1", "group-d1"]);
    let gone = toy.get(&view, open(folder("group-v9"))).await;
    assert_eq!(gone.items().len(), 1);
}
