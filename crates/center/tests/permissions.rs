//! A user without all privileges cannot get round the checks by a detour.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use api::managers::Singletons;
use center::{Center, Place};
use common::toy::Toy;
use common::{Client, center, root};
use vim::{MoRef, Value, call, field, managed_id, prop, vim, vim_enum};

/// A center with a datacenter, a host in it, and a user without any permission yet.
struct Stage {
    center: Arc<Center>,
    admin: Client,
    user: Client,
    vms: MoRef,
    toy: Arc<Toy>,
}

fn authorization() -> MoRef {
    MoRef::new(managed_id!(AuthorizationManager), "AuthorizationManager")
}

impl Stage {
    async fn new() -> Self {
        let center = center().await;
        let admin = Client::of(&center);
        let dc = admin.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
        let vms = admin.reference(&dc, prop!(Datacenter.vmFolder).number());
        let folder = admin.reference(&dc, prop!(Datacenter.hostFolder).number());
        let toy = Toy::new("h1");
        toy.add_vm("1", "web", "aaaa");
        center.attach(toy.link(), &Place::Standalone { folder }).await.expect("the host comes in");
        center.accounts().create("user", "", Some("Test!123")).await.unwrap();
        let user = Client::new(center.service(), center.accounts().find("user").unwrap());
        Self { center, admin, user, vms, toy }
    }

    /// Gives the user these privileges, and no others, on an entity and what is below it.
    async fn grant(&self, entity: &MoRef, privileges: &[&str]) {
        let name = format!("role for {entity} {}", privileges.len());
        let ids: Vec<String> = privileges.iter().map(|id| (*id).to_owned()).collect();
        let add = call!(AddAuthorizationRole { name: name, privIds: ids });
        let Some(Value::Int(role)) = self.admin.call(&authorization(), add).await.unwrap() else {
            panic!("a role's number")
        };
        let rule =
            vim!(Permission { principal: self.user_name(), group: false, roleId: role, propagate: true });
        let set = call!(SetEntityPermissions { entity: entity, permission: [rule] });
        self.admin.call(&authorization(), set).await.unwrap();
    }

    fn user_name(&self) -> String {
        self.center.accounts().find("user").unwrap().name
    }

    /// The privilege that is missing for a call.
    async fn missing(&self, object: &MoRef, args: vim::Args) -> (MoRef, String) {
        let method = args.method_name();
        let fault = self.user.task(object, args).await.expect_err(method);
        assert_eq!(fault.type_name(), "NoPermission", "{method}: {fault}");
        let object = fault.object().get(field!(NoPermission.object)).unwrap().clone();
        let privilege = fault.object().get(field!(NoPermission.privilegeId)).unwrap().to_owned();
        (object, privilege)
    }
}

#[tokio::test]
async fn a_folder_takes_along_only_what_its_destroyer_may_destroy() {
    let stage = Stage::new().await;
    let folder = stage.admin.make(&stage.vms, call!(CreateFolder { name: "a" })).await;
    let below = stage.admin.make(&folder, call!(CreateFolder { name: "b" })).await;
    let vm = stage.admin.find(managed_id!(VirtualMachine), "web");
    stage.admin.task(&below, call!(MoveIntoFolder_Task { list: [vm.clone()] })).await.unwrap();
    stage.grant(&root(), &["Folder.Delete"]).await;
    let tasks = || stage.admin.all(managed_id!(Task)).len();
    let before = tasks();
    for (by, privilege) in [
        (call!(Destroy_Task {}), "VirtualMachine.Inventory.Delete"),
        (call!(UnregisterAndDestroy_Task {}), "VirtualMachine.Inventory.Unregister"),
    ] {
        assert_eq!(stage.missing(&folder, by).await, (vm.clone(), privilege.to_owned()));
    }
    assert_eq!(tasks(), before, "no task begins");
    stage.grant(&below, &["VirtualMachine.Inventory.Delete"]).await;
    let missing = stage.missing(&folder, call!(Destroy_Task {})).await;
    assert_eq!(missing, (below.clone(), "Folder.Delete".to_owned()));
    assert!(stage.admin.exists(&vm) && stage.admin.exists(&folder));
    stage.grant(&below, &["VirtualMachine.Inventory.Delete", "Folder.Delete"]).await;
    stage.user.task(&folder, call!(Destroy_Task {})).await.unwrap();
    assert!(!stage.admin.exists(&vm) && !stage.admin.exists(&folder));
    assert!(stage.toy.core().tree.snapshot().find(&common::toy::vm_ref("1")).is_none());
}

fn disk(path: &str, creates: bool) -> vim::Object {
    let mut change = vim!(VirtualDeviceConfigSpec {
        operation: "add",
        device: VirtualDisk {
            key: -1,
            capacityInKB: 1i64,
            backing: VirtualDiskFlatVer2BackingInfo { fileName: path, diskMode: "persistent" },
        },
    });
    if creates {
        change.set(
            field!(VirtualDeviceConfigSpec.fileOperation),
            vim_enum!(VirtualDeviceConfigSpecFileOperation.create),
        );
    }
    change.into()
}

#[tokio::test]
async fn a_specification_reaches_only_datastores_that_its_author_may_use() {
    let stage = Stage::new().await;
    let vm = stage.admin.find(managed_id!(VirtualMachine), "web");
    let (shared, own) =
        (stage.admin.find(managed_id!(Datastore), "ds"), stage.admin.find(managed_id!(Datastore), "own-h1"));
    let pool = stage.admin.find(managed_id!(ResourcePool), "Resources");
    let devices = [
        "VirtualMachine.Config.AddExistingDisk",
        "VirtualMachine.Config.AddRemoveDevice",
        "VirtualMachine.Inventory.Create",
        "VirtualMachine.Inventory.Register",
        "Resource.AssignVMToPool",
    ];
    stage.grant(&root(), &devices).await;
    stage.grant(&shared, &["Datastore.AllocateSpace"]).await;
    let create = |home: &str, change: vim::Object| {
        let files = vim!(VirtualMachineFileInfo { vmPathName: home });
        let spec = vim!(VirtualMachineConfigSpec { name: "new", files: files, deviceChange: [change] });
        call!(CreateVM_Task { config: spec, pool: &pool })
    };
    let change = |change: vim::Object| {
        call!(ReconfigVM_Task { spec: vim!(VirtualMachineConfigSpec { deviceChange: [change] }) })
    };
    let serial = || {
        vim!(VirtualDeviceConfigSpec {
            operation: "add",
            device: VirtualSerialPort {
                key: -1,
                yieldOnPoll: true,
                backing: VirtualSerialPortFileBackingInfo { fileName: "[own-h1] log" },
            },
        })
    };
    let iso = || {
        vim!(VirtualDeviceConfigSpec {
            operation: "add",
            device: VirtualCdrom { key: -1, backing: VirtualCdromIsoBackingInfo { fileName: "[ds] x.iso" } },
        })
    };
    let existing = "[own-h1] secret/secret.vmdk";
    for (object, args, at, privilege) in [
        (&stage.vms, create("[own-h1]", disk(existing, false)), &own, "Datastore.AllocateSpace"),
        (&stage.vms, create("[ds]", disk(existing, false)), &own, "Datastore.Browse"),
        (&stage.vms, create("[ds]", disk(existing, true)), &stage.vms, "VirtualMachine.Config.AddNewDisk"),
        (&vm, change(disk(existing, false)), &own, "Datastore.Browse"),
        (&vm, change(serial().into()), &own, "Datastore.FileManagement"),
        (&vm, change(iso().into()), &shared, "Datastore.Browse"),
        (
            &stage.vms,
            call!(RegisterVM_Task { path: "[own-h1] a/a.vmx", asTemplate: false, pool: &pool }),
            &own,
            "Datastore.Browse",
        ),
    ] {
        assert_eq!(stage.missing(object, args).await, (at.clone(), privilege.to_owned()));
    }
    for path in ["/etc/shadow", "[elsewhere] a.vmdk", "[ds"] {
        let fault = stage.user.task(&vm, change(disk(path, false))).await.unwrap_err();
        assert_eq!(fault.type_name(), "InvalidDatastorePath", "{path}");
    }
    stage.grant(&own, &["Datastore.Browse"]).await;
    stage.user.task(&stage.vms, create("[ds]", disk(existing, false))).await.unwrap();
}

#[tokio::test]
async fn a_registered_vm_reaches_only_datastores_that_its_registrar_may_use() {
    let stage = Stage::new().await;
    let (shared, own) =
        (stage.admin.find(managed_id!(Datastore), "ds"), stage.admin.find(managed_id!(Datastore), "own-h1"));
    let pool = stage.admin.find(managed_id!(ResourcePool), "Resources");
    stage.grant(&root(), &["VirtualMachine.Inventory.Register", "Resource.AssignVMToPool"]).await;
    stage.grant(&shared, &["Datastore.Browse", "Datastore.AllocateSpace"]).await;
    // Only the host knows the contents of the file.
    let register = || call!(RegisterVM_Task { path: "[ds] a/a.vmx", asTemplate: false, pool: &pool });
    let missing = stage.missing(&stage.vms, register()).await;
    assert_eq!(missing, (own.clone(), "Datastore.AllocateSpace".to_owned()), "in the center's terms");
    stage.grant(&own, &["Datastore.AllocateSpace"]).await;
    stage.user.task(&stage.vms, register()).await.unwrap();
    stage.admin.find(managed_id!(VirtualMachine), "registered");
}

#[tokio::test]
async fn a_path_that_does_not_name_a_datastore_does_not_reach_a_browser() {
    let stage = Stage::new().await;
    stage.grant(&root(), &[]).await;
    let shared = stage.admin.find(managed_id!(Datastore), "ds");
    let browser = stage.admin.reference(&shared, prop!(Datastore.browser).number());
    let search = |path: &str| call!(SearchDatastore_Task { datastorePath: path });
    for path in ["", "ds", "/vmfs/volumes/ds", "[elsewhere] a", "[ds", "[] a"] {
        let fault = stage.user.task(&browser, search(path)).await.unwrap_err();
        assert_eq!(fault.type_name(), "InvalidDatastorePath", "{path:?}");
    }
    let missing = stage.missing(&browser, search("[ds] a")).await;
    assert_eq!(missing, (shared, "Datastore.Browse".to_owned()));
}

#[tokio::test]
async fn the_history_of_a_vm_is_shown_to_users_who_may_view_the_vm() {
    let stage = Stage::new().await;
    let (web, other) = (stage.admin.find(managed_id!(VirtualMachine), "web"), {
        stage.toy.add_vm("2", "other", "bbbb");
        stage.admin.until(|admin| admin.all(managed_id!(VirtualMachine)).len() == 2).await;
        stage.admin.find(managed_id!(VirtualMachine), "other")
    });
    for vm in [&web, &other] {
        stage.admin.task(vm, call!(Rename_Task { newName: format!("{}-2", vm.id()) })).await.unwrap();
        let log = call!(LogUserEvent { entity: vm, msg: "look" });
        stage.admin.call(&MoRef::new(managed_id!(EventManager), "EventManager"), log).await.unwrap();
    }
    // Two permissions make the decision differ by entity.
    stage.grant(&web, &["System.View"]).await;
    let dc = stage.admin.reference(&stage.vms, prop!(Folder.parent).number());
    stage.grant(&dc, &["System.View"]).await;
    stage
        .admin
        .call(
            &authorization(),
            call!(RemoveEntityPermission { entity: &dc, user: stage.user_name(), isGroup: false }),
        )
        .await
        .unwrap();
    let entities = async |client: &Client| -> Vec<MoRef> {
        let manager = MoRef::new(managed_id!(TaskManager), "TaskManager");
        let recent = client.refs(&manager, prop!(TaskManager.recentTask).number());
        let collector =
            client.make(&manager, call!(CreateCollectorForTasks { filter: TaskFilterSpec {} })).await;
        let read = client.call(&collector, call!(ReadNextTasks { maxCount: 100 })).await.unwrap();
        let tasks = read.iter().flat_map(Value::items).filter_map(Value::as_object);
        let of: Vec<MoRef> = tasks.filter_map(|info| info.get(field!(TaskInfo.entity)).cloned()).collect();
        assert_eq!(recent.len(), of.len(), "history and recent tasks agree");
        of
    };
    assert_eq!(entities(&stage.admin).await, [web.clone(), other.clone()]);
    assert_eq!(entities(&stage.user).await, std::slice::from_ref(&web));
    let manager = MoRef::new(managed_id!(EventManager), "EventManager");
    let query = call!(QueryEvents { filter: EventFilterSpec { type: ["GeneralUserEvent"] } });
    let seen = stage.user.call(&manager, query).await.unwrap();
    let about = seen.iter().flat_map(Value::items).filter_map(Value::as_object).map(|event| {
        let entity = event.get(field!(GeneralUserEvent.entity)).unwrap();
        entity.get(field!(ManagedEntityEventArgument.entity)).unwrap().clone()
    });
    assert_eq!(about.collect::<Vec<_>>(), [web]);
}

#[tokio::test]
async fn a_hosts_network_is_changed_only_by_users_who_may_configure_it() {
    let stage = Stage::new().await;
    stage.grant(&root(), &["System.View", "System.Read"]).await;
    let system = stage.admin.all(managed_id!(HostNetworkSystem)).pop().unwrap().1;
    let nic = || vim!(HostVirtualNicSpec { mtu: 9000 });
    let config = vim!(HostNetworkConfig {});
    for change in [
        call!(AddVirtualNic { portgroup: "pg", nic: nic() }),
        call!(UpdateVirtualNic { device: "vmk0", nic: nic() }),
        call!(UpdateNetworkConfig { config: config, changeMode: "modify" }),
    ] {
        let missing = stage.missing(&system, change).await;
        assert_eq!(missing.1, "Host.Config.Network");
    }
    let of_host = |(_, manager): &(_, MoRef)| *manager != Singletons::center().setting;
    let mut options = stage.admin.all(managed_id!(OptionManager)).into_iter().filter(of_host);
    let (options, host) =
        (options.next().unwrap().1, stage.admin.all(managed_id!(HostSystem)).pop().unwrap().1);
    let change = || call!(UpdateOptions { changedValue: [OptionValue { key: "a", value: Value::Int(1) }] });
    stage.grant(&root(), &["System.View", "System.Read", "Global.Settings"]).await;
    assert_eq!(stage.missing(&options, change()).await.1, "Host.Config.AdvancedConfig");
    let compute = stage.admin.reference(&host, prop!(HostSystem.parent).number());
    stage.grant(&compute, &["System.View", "Host.Config.AdvancedConfig"]).await;
    let fault = stage.user.call(&options, change()).await.unwrap_err();
    assert_eq!(fault.type_name(), "NotSupported", "the answer of this host");
}

#[tokio::test]
async fn a_command_takes_the_privilege_of_the_centers_user_that_the_host_asks_for() {
    let stage = Stage::new().await;
    let host = stage.admin.find(managed_id!(HostSystem), "h1");
    let compute = stage.admin.reference(&host, prop!(HostSystem.parent).number());
    stage.grant(&root(), &["System.Read"]).await;
    let executer = stage.user.make(&host, call!(RetrieveManagedMethodExecuter {})).await;
    let execute = |privilege: &str| {
        call!(ExecuteSoap { moid: privilege, version: "urn:vim25/5.0", method: "vim.EsxCLI.x.list" })
    };
    let said = stage.user.call(&executer, execute("System.Read")).await.unwrap().unwrap();
    let said = said.as_object().unwrap().get(field!(ReflectManagedMethodExecuterSoapResult.response));
    assert_eq!(said.map(str::to_owned), Some(format!("vpxuser:{}", stage.user_name())));
    assert_eq!(
        stage.missing(&executer, execute("Host.Config.Network")).await,
        (host.clone(), "Host.Config.Network".to_owned())
    );
    stage.grant(&compute, &["Host.Config.Network"]).await;
    stage.user.call(&executer, execute("Host.Config.Network")).await.unwrap();
}

#[tokio::test]
async fn a_property_of_a_command_takes_the_privilege_to_read_its_host() {
    let stage = Stage::new().await;
    let host = stage.admin.find(managed_id!(HostSystem), "h1");
    let compute = stage.admin.reference(&host, prop!(HostSystem.parent).number());
    let executer = stage.admin.make(&host, call!(RetrieveManagedMethodExecuter {})).await;
    let fetch = || call!(FetchSoap { moid: "a", version: "urn:vim25/5.0", prop: "b" });
    // The role that only sees that objects are there.
    let view = vim!(Permission { principal: stage.user_name(), group: false, roleId: -3, propagate: true });
    let set = call!(SetEntityPermissions { entity: root(), permission: [view] });
    stage.admin.call(&authorization(), set).await.unwrap();
    assert_eq!(stage.missing(&executer, fetch()).await, (executer.clone(), "System.Read".to_owned()));
    stage.grant(&compute, &["System.Read"]).await;
    let fault = stage.user.call(&executer, fetch()).await.unwrap_err();
    assert_eq!(fault.type_name(), "NotSupported", "the answer of this host");
}

#[tokio::test]
async fn a_ticket_for_a_file_of_a_host_comes_from_that_host_and_takes_the_privilege_on_the_datastore() {
    let stage = Stage::new().await;
    stage.grant(&root(), &["System.View"]).await;
    let sessions = Singletons::center().session_manager;
    let acquire = async |client: &Client, url: &str, method: &str| {
        let spec = vim!(SessionManagerHttpServiceRequestSpec { url: url, method: method });
        let ticket = client.call(&sessions, call!(AcquireGenericServiceTicket { spec: spec })).await?;
        let ticket = ticket.as_ref().and_then(Value::as_object).unwrap().clone();
        Ok::<_, vim::Fault>(ticket.get(field!(SessionManagerGenericServiceTicket.id)).unwrap().to_owned())
    };
    let (of_host, own) =
        ("https://H1/folder/a.iso?dcPath=DC&dsName=own-h1", "https://center/folder/a.iso?dsName=ds");
    let missing = async |method: &str| {
        let fault = acquire(&stage.user, of_host, method).await.unwrap_err();
        fault.object().get(field!(NoPermission.privilegeId)).unwrap().to_owned()
    };
    assert_eq!(missing("httpGet").await, "Datastore.Browse");
    assert_eq!(missing("httpPut").await, "Datastore.FileManagement");
    let datastore = stage.admin.find(managed_id!(Datastore), "own-h1");
    stage.grant(&datastore, &["Datastore.Browse"]).await;
    let got = acquire(&stage.user, of_host, "httpGet").await.unwrap();
    assert_eq!(got, format!("of vpxuser:{}", stage.user_name()));
    assert_eq!(missing("httpPut").await, "Datastore.FileManagement");
    assert!(!acquire(&stage.user, own, "httpGet").await.unwrap().starts_with("of "), "the center's own");
    for url in ["https://h1/screen?id=1", "https://h1/folder/a?dsName=elsewhere", "https://h1/folder/a"] {
        let fault = acquire(&stage.admin, url, "httpGet").await.unwrap_err();
        assert_eq!(fault.type_name(), "InvalidArgument", "{url}");
    }
}
