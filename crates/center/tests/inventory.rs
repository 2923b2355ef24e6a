//! Folders, datacenters, clusters and pools: the effect of each operation, its refusals, and its traces after a restart.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, center, center_in, root};
use vim::{MoRef, Value, call, field, managed_id, prop, vim};

fn children(client: &Client, folder: &MoRef) -> Vec<String> {
    let children = client.refs(folder, prop!(Folder.childEntity).number());
    children.iter().map(|child| client.name(child)).collect()
}

#[tokio::test]
async fn containers_are_made_with_what_belongs_to_them() {
    let center = center().await;
    let client = Client::of(&center);
    let folder = client.make(&root(), call!(CreateFolder { name: "north" })).await;
    let dc = client.make(&folder, call!(CreateDatacenter { name: "DC" })).await;
    assert!(dc.id().starts_with("datacenter-") && folder.id().starts_with("group-d"));
    for (property, prefix, name) in [
        (prop!(Datacenter.vmFolder).number(), "group-v", "vm"),
        (prop!(Datacenter.hostFolder).number(), "group-h", "host"),
        (prop!(Datacenter.datastoreFolder).number(), "group-s", "datastore"),
        (prop!(Datacenter.networkFolder).number(), "group-n", "network"),
    ] {
        let inner = client.reference(&dc, property);
        assert!(inner.id().starts_with(prefix), "{inner}");
        assert_eq!(client.name(&inner), name);
        assert_eq!(client.reference(&inner, prop!(Folder.parent).number()), dc);
    }
    let hosts = client.reference(&dc, prop!(Datacenter.hostFolder).number());
    let spec =
        vim!(ClusterConfigSpecEx { drsConfig: ClusterDrsConfigInfo { enabled: false, vmotionRate: 5 } });
    let cluster = client.make(&hosts, call!(CreateClusterEx { name: "C", spec: spec })).await;
    assert!(cluster.id().starts_with("domain-c"));
    let config = client.get(&cluster, prop!(ComputeResource.configurationEx).number()).unwrap();
    let drs = config.as_object().unwrap().get(field!(ClusterConfigInfoEx.drsConfig)).unwrap();
    assert_eq!(drs.get(field!(ClusterDrsConfigInfo.vmotionRate)), Some(5));
    assert!(
        drs.get(field!(ClusterDrsConfigInfo.defaultVmBehavior)).is_some(),
        "fields that were not given are filled in"
    );
    let pool = client.reference(&cluster, prop!(ComputeResource.resourcePool).number());
    assert_eq!(client.name(&pool), "Resources");
    assert_eq!(client.reference(&pool, prop!(ResourcePool.owner).number()), cluster);
    let runtime = client.get(&pool, prop!(ResourcePool.runtime).number());
    assert!(runtime.is_some() && client.get(&pool, prop!(ResourcePool.summary).number()).is_some());
}

#[tokio::test]
async fn each_impossible_operation_is_refused_with_the_right_fault() {
    let center = center().await;
    let client = Client::of(&center);
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    let vms = client.reference(&dc, prop!(Datacenter.vmFolder).number());
    let hosts = client.reference(&dc, prop!(Datacenter.hostFolder).number());
    let inner = client.make(&vms, call!(CreateFolder { name: "a" })).await;
    let below = client.make(&inner, call!(CreateFolder { name: "b" })).await;
    let other = client.make(&root(), call!(CreateDatacenter { name: "DC2" })).await;
    let other_vms = client.reference(&other, prop!(Datacenter.vmFolder).number());
    let cluster =
        client.make(&hosts, call!(CreateClusterEx { name: "C", spec: vim!(ClusterConfigSpecEx {}) })).await;
    let pool = client.reference(&cluster, prop!(ComputeResource.resourcePool).number());
    let spec = || vim!(ClusterConfigSpecEx {});
    let allocation = || vim!(ResourceAllocationInfo {});
    let config = || vim!(ResourceConfigSpec { cpuAllocation: allocation(), memoryAllocation: allocation() });
    let child = client.make(&pool, call!(CreateResourcePool { name: "p", spec: config() })).await;
    let refused = [
        (&vms, call!(CreateFolder { name: "a" }), "DuplicateName"),
        (&vms, call!(CreateFolder { name: "" }), "InvalidName"),
        (&vms, call!(CreateDatacenter { name: "x" }), "NotSupported"),
        (&root(), call!(CreateDatacenter { name: "DC" }), "DuplicateName"),
        (&vms, call!(CreateClusterEx { name: "x", spec: spec() }), "NotSupported"),
        (&hosts, call!(CreateClusterEx { name: "C", spec: spec() }), "DuplicateName"),
        (&vms, call!(Rename_Task { newName: "x" }), "NotSupported"),
        (&inner, call!(Rename_Task { newName: "x".repeat(200) }), "InvalidName"),
        (&inner, call!(MoveIntoFolder_Task { list: vec![inner.clone()] }), "InvalidFolder"),
        (&below, call!(MoveIntoFolder_Task { list: vec![inner.clone()] }), "InvalidFolder"),
        (&hosts, call!(MoveIntoFolder_Task { list: vec![inner.clone()] }), "NotSupported"),
        (&other_vms, call!(MoveIntoFolder_Task { list: vec![inner.clone()] }), "InvalidFolder"),
        (&root(), call!(MoveIntoFolder_Task { list: vec![vms.clone()] }), "NotSupported"),
        (&vms, call!(Destroy_Task {}), "NotSupported"),
        (&root(), call!(Destroy_Task {}), "NotSupported"),
        (&pool, call!(Destroy_Task {}), "NotSupported"),
        (&pool, call!(UpdateConfig { name: "x" }), "NotSupported"),
        (&pool, call!(CreateResourcePool { name: "p", spec: config() }), "DuplicateName"),
        (&child, call!(MoveIntoResourcePool { list: vec![child.clone()] }), "InvalidArgument"),
        (&child, call!(MoveIntoResourcePool { list: vec![pool.clone()] }), "NotSupported"),
        (&child, call!(MoveIntoResourcePool { list: vec![vms.clone()] }), "InvalidArgument"),
    ];
    for (object, call, expected) in refused {
        let method = call.method_name();
        let answer = match client.call(object, call).await {
            Ok(Some(Value::Ref(task))) if task.is_a(managed_id!(Task)) => client.end(&task).await,
            other => other,
        };
        let fault = answer.expect_err(method);
        assert_eq!(fault.type_name(), expected, "{method} on {object}: {fault}");
    }
    let gone = MoRef::new(managed_id!(Folder), "group-v999");
    let fault = client.call(&gone, call!(CreateFolder { name: "x" })).await.unwrap_err();
    assert_eq!(fault.type_name(), "ManagedObjectNotFound");
}

#[tokio::test]
async fn moving_renaming_and_removing_keep_lists_and_parents_in_step() {
    let center = center().await;
    let client = Client::of(&center);
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    let vms = client.reference(&dc, prop!(Datacenter.vmFolder).number());
    let a = client.make(&vms, call!(CreateFolder { name: "a" })).await;
    let b = client.make(&vms, call!(CreateFolder { name: "b/1" })).await;
    assert_eq!(children(&client, &vms), ["a", "b%2f1"]);
    client.task(&a, call!(MoveIntoFolder_Task { list: vec![b.clone()] })).await.unwrap();
    assert_eq!(
        (children(&client, &vms), children(&client, &a)),
        (vec!["a".to_owned()], vec!["b%2f1".to_owned()])
    );
    assert_eq!(client.reference(&b, prop!(Folder.parent).number()), a);
    client.task(&b, call!(Rename_Task { newName: "c" })).await.unwrap();
    assert_eq!(children(&client, &a), ["c"]);
    client.task(&a, call!(Destroy_Task {})).await.unwrap();
    assert!(!client.exists(&a) && !client.exists(&b));
    assert!(children(&client, &vms).is_empty());
    client.task(&dc, call!(Destroy_Task {})).await.unwrap();
    assert!(!client.exists(&dc) && !client.exists(&vms));
    assert!(children(&client, &root()).is_empty());
}

#[tokio::test]
async fn pools_are_configured_moved_and_dissolved() {
    let center = center().await;
    let client = Client::of(&center);
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    let hosts = client.reference(&dc, prop!(Datacenter.hostFolder).number());
    let cluster =
        client.make(&hosts, call!(CreateClusterEx { name: "C", spec: vim!(ClusterConfigSpecEx {}) })).await;
    let root_pool = client.reference(&cluster, prop!(ComputeResource.resourcePool).number());
    let spec = |limit: i64| {
        vim!(ResourceConfigSpec {
            cpuAllocation: ResourceAllocationInfo {
                limit: limit,
                shares: SharesInfo { shares: 7, level: "custom" }
            },
            memoryAllocation: ResourceAllocationInfo {},
        })
    };
    let a = client.make(&root_pool, call!(CreateResourcePool { name: "a", spec: spec(100) })).await;
    let b = client.make(&root_pool, call!(CreateResourcePool { name: "b", spec: spec(-1) })).await;
    client.call(&a, call!(MoveIntoResourcePool { list: vec![b.clone()] })).await.unwrap();
    assert_eq!(client.refs(&a, prop!(ResourcePool.resourcePool).number()), vec![b.clone()]);
    let limit = |pool: &MoRef| {
        let config = client.get(pool, prop!(ResourcePool.config).number()).unwrap();
        let cpu = config.as_object().unwrap().get(field!(ResourceConfigSpec.cpuAllocation)).unwrap().clone();
        cpu.get(field!(ResourceAllocationInfo.limit)).unwrap()
    };
    assert_eq!(limit(&a), 100);
    client.call(&a, call!(UpdateConfig { name: "a2", config: spec(200) })).await.unwrap();
    assert_eq!((limit(&a), client.name(&a)), (200, "a2".to_owned()));
    let mut stale = spec(1);
    stale.set(field!(ResourceConfigSpec.changeVersion), "0");
    let fault = client.call(&a, call!(UpdateConfig { config: stale })).await.unwrap_err();
    assert_eq!(fault.type_name(), "ConcurrentAccess");
    let fault = client.call(&a, call!(UpdateConfig { config: spec(-2) })).await.unwrap_err();
    assert_eq!(fault.type_name(), "InvalidArgument");
    client.call(&root_pool, call!(DestroyChildren {})).await.unwrap();
    assert!(!client.exists(&a) && !client.exists(&b));
    assert!(client.refs(&root_pool, prop!(ResourcePool.resourcePool).number()).is_empty());
}

#[tokio::test]
async fn everything_is_there_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let open = || center_in(directory.path());
    let (uuid, seen, last) = {
        let center = open().await;
        let client = Client::of(&center);
        let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
        let vms = client.reference(&dc, prop!(Datacenter.vmFolder).number());
        let hosts = client.reference(&dc, prop!(Datacenter.hostFolder).number());
        let gone = client.make(&vms, call!(CreateFolder { name: "gone" })).await;
        client.make(&vms, call!(CreateFolder { name: "kept" })).await;
        client.task(&gone, call!(Destroy_Task {})).await.unwrap();
        let fields = MoRef::new(managed_id!(CustomFieldsManager), "CustomFieldsManager");
        let add = call!(AddCustomFieldDef { name: "owner", moType: "Datacenter" });
        let definition = client.call(&fields, add).await.unwrap().unwrap();
        let key = definition.as_object().unwrap().get(field!(CustomFieldDef.key)).unwrap();
        client.call(&fields, call!(SetField { entity: &dc, key: key, value: "me" })).await.unwrap();
        let spec = vim!(ClusterConfigSpecEx { dasConfig: ClusterDasConfigInfo { failoverLevel: 2 } });
        client.make(&hosts, call!(CreateClusterEx { name: "C", spec: spec })).await;
        (center.uuid().to_owned(), client.all(managed_id!(ManagedEntity)), gone)
    };
    let center = open().await;
    let client = Client::of(&center);
    assert_eq!(center.uuid(), uuid);
    assert_eq!(client.all(managed_id!(ManagedEntity)), seen);
    let dc = client.find(managed_id!(Datacenter), "DC");
    let custom = client.get(&dc, prop!(Datacenter.customValue).number());
    assert_eq!(custom.iter().flat_map(Value::items).count(), 1, "values of custom fields");
    let cluster = client.find(managed_id!(ClusterComputeResource), "C");
    let config = client.get(&cluster, prop!(ComputeResource.configurationEx).number()).unwrap();
    let das = config.as_object().unwrap().get(field!(ClusterConfigInfoEx.dasConfig)).unwrap();
    assert_eq!(das.get(field!(ClusterDasConfigInfo.failoverLevel)), Some(2));
    let next = client.make(&root(), call!(CreateFolder { name: "later" })).await;
    let number =
        |at: &MoRef| at.id().trim_start_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap();
    assert!(number(&next) > number(&last), "an id is never used twice");
}

#[tokio::test]
async fn a_cluster_has_one_group_of_a_name() {
    let center = center().await;
    let client = Client::of(&center);
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    let hosts = client.reference(&dc, prop!(Datacenter.hostFolder).number());
    let cluster =
        client.make(&hosts, call!(CreateClusterEx { name: "C", spec: ClusterConfigSpecEx {} })).await;
    let group = |operation: &str| {
        let group = vim!(ClusterGroupSpec {
            operation: vim::EnumOf::parse(operation).unwrap(),
            info: ClusterHostGroup { name: "rack 1" }
        });
        call!(ReconfigureComputeResource_Task {
            spec: ClusterConfigSpecEx { groupSpec: [group] },
            modify: true,
        })
    };
    client.task(&cluster, group("add")).await.unwrap();
    assert_eq!(client.task(&cluster, group("add")).await.unwrap_err().type_name(), "InvalidArgument");
    client.task(&cluster, group("edit")).await.unwrap();
}

#[tokio::test]
async fn a_cluster_does_not_claim_what_nothing_does() {
    let center = center().await;
    let client = Client::of(&center);
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    let hosts = client.reference(&dc, prop!(Datacenter.hostFolder).number());
    let off = vim!(ClusterConfigSpecEx {
        dasConfig: ClusterDasConfigInfo { enabled: false },
        vmSwapPlacement: "vmDirectory",
        spbmEnabled: false,
        vsanConfig: VsanClusterConfigInfo { enabled: false },
    });
    let cluster = client.make(&hosts, call!(CreateClusterEx { name: "C", spec: off })).await;
    for (spec, property) in [
        (
            vim!(ClusterConfigSpecEx { dasConfig: ClusterDasConfigInfo { enabled: true } }),
            "spec.dasConfig.enabled",
        ),
        (
            vim!(ClusterConfigSpecEx { drsConfig: ClusterDrsConfigInfo { enabled: true } }),
            "spec.drsConfig.enabled",
        ),
        (vim!(ClusterConfigSpecEx { vmSwapPlacement: "hostLocal" }), "spec.vmSwapPlacement"),
        (vim!(ClusterConfigSpecEx { spbmEnabled: true }), "spec.spbmEnabled"),
        (
            vim!(ClusterConfigSpecEx { vsanConfig: VsanClusterConfigInfo { enabled: true } }),
            "spec.vsanConfig",
        ),
    ] {
        let made = client.call(&hosts, call!(CreateClusterEx { name: "D", spec: spec.clone() })).await;
        let args = call!(ReconfigureComputeResource_Task { spec: spec, modify: true });
        for fault in [made.unwrap_err(), client.task(&cluster, args).await.unwrap_err()] {
            let named = fault.object().named("invalidProperty").and_then(Value::as_str);
            assert_eq!((fault.type_name(), named), ("InvalidArgument", Some(property)));
        }
    }
}
