use vim::{Args, Value, call, data_id};

use crate::testing::{Toy, cluster, datacenter, folder, host, vm};

async fn find(toy: &Toy, args: Args) -> String {
    let found = toy.call(&toy.ids.search_index, args).await.unwrap();
    let ids: Vec<&str> =
        found.iter().flat_map(Value::items).filter_map(Value::as_ref).map(vim::MoRef::id).collect();
    ids.join(" ")
}

#[tokio::test]
async fn entities_are_found_by_what_is_known_of_them() {
    let toy = Toy::new();
    let bios = "42000000-0000-0000-0000-000000000002";
    let cases: Vec<(&str, Args, &str)> = vec![
        ("BIOS UUID", call!(FindByUuid { uuid: bios, vmSearch: true }), "vm-2"),
        ("in capitals, no dashes", call!(FindByUuid { uuid: bios.replace('-', ""), vmSearch: true }), "vm-2"),
        ("not as an instance UUID", call!(FindByUuid { uuid: bios, vmSearch: true, instanceUuid: true }), ""),
        (
            "instance UUID",
            call!(FindAllByUuid { uuid: bios.replace("42", "52"), vmSearch: true, instanceUuid: true }),
            "vm-2",
        ),
        ("host", call!(FindByUuid { uuid: bios.replace("42", "62"), vmSearch: false }), "host-2"),
        (
            "in its datacenter",
            call!(FindByUuid { datacenter: datacenter(), uuid: bios, vmSearch: true }),
            "vm-2",
        ),
        ("address", call!(FindByIp { ip: "10.0.0.3", vmSearch: true }), "vm-3"),
        ("addresses", call!(FindAllByIp { ip: "10.0.0.3", vmSearch: true }), "vm-3"),
        ("no such address", call!(FindByIp { ip: "10.0.0.9", vmSearch: true }), ""),
        ("guest's name", call!(FindByDnsName { dnsName: "GUEST1.lab", vmSearch: true }), "vm-1"),
        ("host's name", call!(FindAllByDnsName { dnsName: "h2", vmSearch: false }), "host-2"),
        (
            "datastore path",
            call!(FindByDatastorePath { datacenter: datacenter(), path: "[ds] web1/web1.vmx" }),
            "vm-1",
        ),
        ("child", call!(FindChild { entity: folder("group-v1"), name: "web1" }), "vm-1"),
        ("child by its plain name", call!(FindChild { entity: folder("group-v1"), name: "a/b" }), "group-v2"),
        ("no such child", call!(FindChild { entity: host(1), name: "x" }), ""),
        ("child of a cluster", call!(FindChild { entity: cluster(), name: "h1" }), "host-1"),
    ];
    for (what, args, expected) in cases {
        assert_eq!(find(&toy, args).await, expected, "{what}");
    }
    let path = call!(FindByDatastorePath { datacenter: datacenter(), path: "web1.vmx" });
    let fault = toy.call(&toy.ids.search_index, path).await.unwrap_err();
    assert!(fault.is_a(data_id!(InvalidDatastorePath)));
}

#[tokio::test]
async fn inventory_paths_lead_down_from_the_root() {
    let toy = Toy::new();
    for (path, expected) in [
        ("DC1", "datacenter-1"),
        ("/DC1/vm/", "group-v1"),
        ("DC1/vm/web1", "vm-1"),
        ("DC1/vm/a%2fb/web3", "vm-3"),
        ("DC1/vm/a%2Fb", "group-v2"),
        ("DC1/host/C1/h1", "host-1"),
        ("DC1/host/C1/Resources", "resgroup-1"),
        ("DC1/vm/nobody", ""),
        ("", ""),
        ("/", ""),
    ] {
        assert_eq!(find(&toy, call!(FindByInventoryPath { inventoryPath: path })).await, expected, "{path}");
    }
    toy.deny(vm(1).id(), "System.View");
    assert_eq!(find(&toy, call!(FindByInventoryPath { inventoryPath: "DC1/vm/web1" })).await, "");
    assert_eq!(find(&toy, call!(FindByIp { ip: "10.0.0.1", vmSearch: true })).await, "");
}
