use super::*;
use crate::testing::{cluster, host, vm};

/// The traversals of oslo.vmware: seven kinds of objects, recursive through each other.
fn visit_folders() -> Vec<Object> {
    let to_folders = || vec![named("visitFolders")];
    vec![traversal(
        Some("visitFolders"),
        "Folder",
        "childEntity",
        vec![
            named("visitFolders"),
            traversal(Some("dc_to_hf"), "Datacenter", "hostFolder", to_folders()),
            traversal(Some("dc_to_vmf"), "Datacenter", "vmFolder", to_folders()),
            traversal(Some("dc_to_netf"), "Datacenter", "networkFolder", to_folders()),
            traversal(Some("dc_to_df"), "Datacenter", "datastoreFolder", to_folders()),
            traversal(Some("cr_to_h"), "ComputeResource", "host", vec![]),
            traversal(Some("cr_to_ds"), "ComputeResource", "datastore", vec![]),
            traversal(
                Some("cr_to_rp"),
                "ComputeResource",
                "resourcePool",
                vec![named("rp_to_rp"), named("rp_to_vm")],
            ),
            traversal(Some("ccr_to_h"), "ClusterComputeResource", "host", vec![]),
            traversal(Some("h_to_vm"), "HostSystem", "vm", to_folders()),
            traversal(
                Some("rp_to_rp"),
                "ResourcePool",
                "resourcePool",
                vec![named("rp_to_rp"), named("rp_to_vm")],
            ),
            traversal(Some("rp_to_vm"), "ResourcePool", "vm", to_folders()),
        ],
    )]
}

const EVERYTHING: [&str; 11] = [
    "datacenter-1",
    "domain-c1",
    "group-d1",
    "group-h1",
    "group-n1",
    "group-s1",
    "group-v1",
    "group-v2",
    "host-1",
    "host-2",
    "resgroup-1",
];
const VMS: [&str; 3] = ["vm-1", "vm-2", "vm-3"];

#[tokio::test]
async fn the_traversals_that_clients_send_find_what_they_look_for() {
    let toy = Toy::new();
    let root = toy.ids.root_folder.clone();
    let up = || vec![traversal(Some("up"), "ManagedEntity", "parent", vec![named("up")])];
    let children = || {
        vec![
            traversal(None, "Folder", "childEntity", vec![]),
            traversal(None, "Datacenter", "vmFolder", vec![]),
        ]
    };
    let everything = [EVERYTHING.as_slice(), &VMS].concat();
    let cases: Vec<(&str, vim::ty!(PropertyFilterSpec), Vec<&str>)> = vec![
        (
            "oslo: all VMs",
            spec(&root, false, visit_folders(), vec![paths("VirtualMachine", &["name"])]),
            VMS.to_vec(),
        ),
        (
            "oslo: everything",
            spec(&root, false, visit_folders(), vec![paths("ManagedEntity", &["name"])]),
            everything,
        ),
        (
            "oslo: hosts",
            spec(&root, false, visit_folders(), vec![paths("HostSystem", &["name"])]),
            vec!["host-1", "host-2"],
        ),
        (
            "govc: ancestors",
            spec(&vm(3), false, up(), vec![paths("ManagedEntity", &["name", "parent"])]),
            vec!["datacenter-1", "group-d1", "group-v1", "group-v2", "vm-3"],
        ),
        (
            "govc: children, nine types at once",
            spec(
                &crate::testing::folder("group-v1"),
                true,
                children(),
                [
                    "Folder",
                    "Datacenter",
                    "ComputeResource",
                    "ClusterComputeResource",
                    "ResourcePool",
                    "HostSystem",
                    "VirtualApp",
                    "VirtualMachine",
                    "Datastore",
                ]
                .map(|ty| paths(ty, &["name"]))
                .into(),
            ),
            vec!["group-v2", "vm-1", "vm-2"],
        ),
        (
            "libvirt: hosts of a compute resource",
            spec(
                &cluster(),
                false,
                vec![traversal(Some("computeResourceToHost"), "ComputeResource", "host", vec![])],
                vec![paths("HostSystem", &["name"])],
            ),
            vec!["host-1", "host-2"],
        ),
        (
            "libvirt: VMs of a host",
            spec(
                &host(1),
                false,
                vec![traversal(Some("hostSystemToVm"), "HostSystem", "vm", vec![])],
                vec![paths("VirtualMachine", &["name", "runtime.powerState"])],
            ),
            VMS.to_vec(),
        ),
        (
            "libvirt: up from a host",
            spec(
                &host(1),
                false,
                vec![traversal(
                    Some("managedEntityToParent"),
                    "ManagedEntity",
                    "parent",
                    vec![named("managedEntityToParent")],
                )],
                vec![paths("ComputeResource", &["name"])],
            ),
            vec!["domain-c1"],
        ),
        (
            "a reference inside of a property",
            spec(
                &vm(1),
                true,
                vec![traversal(None, "VirtualMachine", "runtime.host", vec![])],
                vec![paths("HostSystem", &["name"])],
            ),
            vec!["host-1"],
        ),
    ];
    for (what, spec, expected) in cases {
        let got = retrieve(&toy, spec).await;
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(ids(&got), expected, "{what}");
    }
}

#[tokio::test]
async fn a_skipped_object_is_still_passed_through() {
    let toy = Toy::new();
    let skipping: Object = vim!(TraversalSpec {
        name: "down",
        type: "Folder",
        path: "childEntity",
        skip: true,
        selectSet: [SelectionSpec { name: "take" }],
    })
    .into();
    let take = traversal(Some("take"), "Datacenter", "vmFolder", vec![]);
    let all = vec![paths("ManagedEntity", &["name"])];
    let got = retrieve(&toy, spec(&toy.ids.root_folder, true, vec![skipping, take], all)).await;
    assert_eq!(ids(&got), ["group-v1"]);
}

#[tokio::test]
async fn an_object_that_is_skipped_on_one_way_is_reported_on_another() {
    let toy = Toy::new();
    let skipping: Object = vim!(TraversalSpec { type: "HostSystem", path: "vm", skip: true }).into();
    let set = || vec![paths("VirtualMachine", &["name"])];
    let got = retrieve(&toy, spec(&host(1), false, vec![skipping.clone()], set())).await;
    assert!(got.is_empty());
    let both = vec![skipping, traversal(None, "HostSystem", "vm", vec![])];
    assert_eq!(ids(&retrieve(&toy, spec(&host(1), false, both, set())).await), VMS);
}
