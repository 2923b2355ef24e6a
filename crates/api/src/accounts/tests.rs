//! Decisions over a small inventory: root / folder / vm-1, and vm-2 under the root.

use std::collections::BTreeSet;
use std::sync::Arc;

use store::Store;
use vim::{MoRef, managed_id, props, vim};

use super::authorization::MAX_DECISIONS;
use super::permissions::{Author, Place, Rule, Wanted};
use super::{ADMIN, AccountError, Accounts, NO_ACCESS, READ_ONLY, Realm};
use crate::{Account, Authority, Tree};

const POWER_ON: &str = "VirtualMachine.Interact.PowerOn";

fn folder(id: &str) -> MoRef {
    MoRef::new(managed_id!(Folder), id)
}

fn vm(n: u32) -> MoRef {
    MoRef::new(managed_id!(VirtualMachine), format!("vm-{n}"))
}

fn tree() -> Tree {
    let tree = Tree::new();
    tree.write(|w| {
        w.create(&folder("root"), props!(Folder {}));
        w.create(&folder("folder"), props!(Folder { parent: folder("root") }));
        w.create(&vm(1), props!(VirtualMachine { parent: folder("folder") }));
        w.create(&vm(2), props!(VirtualMachine { parent: folder("root") }));
    });
    tree
}

async fn accounts_in(store: Store) -> Arc<Accounts> {
    Accounts::open(store, Realm::vsphere_local(), folder("root"), |_, _| None).await.unwrap()
}

async fn accounts() -> Arc<Accounts> {
    let accounts = accounts_in(Store::in_memory().unwrap()).await;
    accounts.ensure_administrator("Administrator", "", Some("a")).await.unwrap();
    accounts.create("user", "", Some("u")).await.unwrap();
    accounts
}

async fn set(accounts: &Accounts, entity: &MoRef, principal: &str, role: i32, propagate: bool) {
    let rule = Rule { principal: principal.into(), group: false, role, propagate };
    accounts.set_permissions(Place::Entity(entity), &[rule], false, None).await.unwrap();
}

fn wanted(name: &str, privileges: BTreeSet<String>) -> Wanted {
    Wanted { name: name.into(), label: None, privileges }
}

async fn add_role(
    accounts: &Accounts,
    name: &str,
    privileges: BTreeSet<String>,
) -> Result<i32, AccountError> {
    accounts.add_role(wanted(name, privileges), None).await
}

fn may(accounts: &Accounts, tree: &Tree, object: &MoRef, privilege: &str) -> bool {
    let account = accounts.find("user").unwrap();
    accounts.allows(&account, object, privilege, &tree.snapshot())
}

#[tokio::test]
async fn the_nearest_permission_decides() {
    let (accounts, tree) = (accounts().await, tree());
    assert!(!may(&accounts, &tree, &vm(1), "System.View"), "without a permission the user has no access");
    set(&accounts, &folder("root"), "user", READ_ONLY, true).await;
    assert!(may(&accounts, &tree, &vm(1), "System.Read") && !may(&accounts, &tree, &vm(1), POWER_ON));
    set(&accounts, &folder("folder"), "user", ADMIN, true).await;
    assert!(may(&accounts, &tree, &vm(1), POWER_ON) && !may(&accounts, &tree, &vm(2), POWER_ON));
    set(&accounts, &vm(1), "user", NO_ACCESS, false).await;
    assert!(!may(&accounts, &tree, &vm(1), "System.View"));
    accounts.remove_permission(Place::Entity(&vm(1)), "vsphere.local\\USER", false, None).await.unwrap();
    assert!(may(&accounts, &tree, &vm(1), POWER_ON));
}

#[tokio::test]
async fn a_permission_that_does_not_propagate_holds_for_its_entity_only() {
    let (accounts, tree) = (accounts().await, tree());
    set(&accounts, &folder("folder"), "user", ADMIN, false).await;
    assert!(may(&accounts, &tree, &folder("folder"), POWER_ON));
    assert!(!may(&accounts, &tree, &vm(1), "System.View"));
}

#[tokio::test]
async fn a_moved_entity_is_decided_anew_and_an_old_snapshot_as_it_was() {
    let (accounts, tree) = (accounts().await, tree());
    set(&accounts, &folder("folder"), "user", ADMIN, true).await;
    assert!(may(&accounts, &tree, &vm(1), POWER_ON));
    let before = tree.snapshot();
    tree.write(|w| w.set(&vm(1), props!(VirtualMachine { parent: folder("root") })));
    assert!(!may(&accounts, &tree, &vm(1), POWER_ON));
    let account = accounts.find("user").unwrap();
    assert!(accounts.allows(&account, &vm(1), POWER_ON, &before));
    assert!(!may(&accounts, &tree, &vm(1), POWER_ON), "the old state has not been remembered");
}

#[tokio::test]
async fn managers_are_for_everybody_to_see_and_for_administrators_to_use() {
    let (accounts, tree) = (accounts().await, tree());
    let manager = MoRef::new(managed_id!(AuthorizationManager), "AuthorizationManager");
    assert!(may(&accounts, &tree, &manager, "System.View"));
    assert!(!may(&accounts, &tree, &manager, "Authorization.ModifyRoles"));
    let admin = accounts.find("administrator@vsphere.local").unwrap();
    assert!(accounts.allows(&admin, &manager, "Authorization.ModifyRoles", &tree.snapshot()));
    let gone = Account { name: "VSPHERE.LOCAL\\gone".into(), ..Account::default() };
    assert!(
        !accounts.allows(&gone, &manager, "System.View", &tree.snapshot()),
        "an account that was removed"
    );
}

#[tokio::test]
async fn somebody_stays_administrator() {
    let accounts = accounts().await;
    let last =
        |result: Result<(), AccountError>| assert!(matches!(result, Err(AccountError::LastAdministrator)));
    last(accounts.remove("administrator").await);
    accounts.remove_permission(Place::Entity(&folder("root")), "administrator", false, None).await.unwrap();
    last(accounts.remove_permission(Place::Entity(&folder("root")), "administrators", true, None).await);
    last(accounts.set_permissions(Place::Entity(&folder("root")), &[], true, None).await);
    set(&accounts, &folder("root"), "user", ADMIN, true).await;
    accounts.remove("administrator").await.unwrap();
    assert!(accounts.login("administrator", "a").await.is_err());
    last(accounts.remove("user").await);
}

#[tokio::test]
async fn roles_are_made_changed_and_removed_and_those_of_the_system_are_not() {
    let (accounts, tree) = (accounts().await, tree());
    let powers = || [POWER_ON.to_owned()].into();
    let id = add_role(&accounts, "Operator", powers()).await.unwrap();
    assert!(id > 0);
    assert!(matches!(add_role(&accounts, "Operator", powers()).await, Err(AccountError::RoleExists(_))));
    let unknown = add_role(&accounts, "Other", ["No.Such".to_owned()].into()).await;
    assert!(matches!(unknown, Err(AccountError::UnknownPrivilege(_))));
    set(&accounts, &folder("root"), "user", id, true).await;
    assert!(may(&accounts, &tree, &vm(1), POWER_ON) && may(&accounts, &tree, &vm(1), "System.Read"));
    accounts.update_role(id, wanted("Operator 2", [].into()), None).await.unwrap();
    assert!(!may(&accounts, &tree, &vm(1), POWER_ON));
    assert!(matches!(accounts.remove_role(id, true, None).await, Err(AccountError::RoleInUse(_))));
    accounts.remove_role(id, false, None).await.unwrap();
    assert!(!may(&accounts, &tree, &vm(1), "System.Read"));
    assert!(matches!(accounts.remove_role(ADMIN, false, None).await, Err(AccountError::SystemRole(_))));
    assert!(matches!(
        accounts.update_role(77, wanted("x", [].into()), None).await,
        Err(AccountError::UnknownRole(77))
    ));
}

#[tokio::test]
async fn everything_is_still_there_after_a_restart() {
    let store = Store::in_memory().unwrap();
    let first = accounts_in(store.clone()).await;
    assert!(first.is_empty());
    first.ensure_administrator("Administrator", "The boss", Some("a")).await.unwrap();
    first.create("user", "", Some("u")).await.unwrap();
    let id = add_role(&first, "Operator", [POWER_ON.to_owned()].into()).await.unwrap();
    set(&first, &folder("root"), "user", id, true).await;
    first.trust_certificate(b"certificate", None, "user", "x").await.unwrap();
    drop(first);

    let second = accounts_in(store).await;
    second.ensure_administrator("Administrator", "", Some("other")).await.unwrap();
    let boss = second.login("ADMINISTRATOR@vsphere.local", "a").await.unwrap();
    assert_eq!((boss.name.as_str(), boss.full_name.as_str()), ("VSPHERE.LOCAL\\Administrator", "The boss"));
    assert!(second.login("administrator", "other").await.is_err(), "the password is not set a second time");
    let tree = tree();
    assert!(may(&second, &tree, &vm(1), POWER_ON));
    assert_eq!(second.trusted_certificates().len(), 1);
    assert_eq!(add_role(&second, "Another", [].into()).await.unwrap(), id + 1, "ids are not used again");
}

#[tokio::test]
async fn passwords_are_hashed_with_a_salt_and_can_be_changed() {
    let accounts = accounts().await;
    accounts.create("twin", "", Some("u")).await.unwrap();
    let policy = accounts.policy.load_full();
    let hash = |key: &str| policy.accounts[key].hash.clone().unwrap();
    assert!(hash("user").starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash("user"));
    assert_ne!(hash("user"), hash("twin"));
    accounts.set_password("user", "new").await.unwrap();
    assert!(accounts.login("user", "u").await.is_err());
    assert!(accounts.login("user", "new").await.is_ok());
    assert!(matches!(accounts.set_password("user", "").await, Err(AccountError::BadPassword)));
    assert!(matches!(accounts.create("user", "", Some("x")).await, Err(AccountError::UserExists(_))));
    assert!(matches!(accounts.create("a\\b\\c", "", Some("x")).await, Err(AccountError::BadName(_))));
    accounts.create("keyless", "", None).await.unwrap();
    assert!(accounts.login("keyless", "").await.is_err());
}

#[tokio::test]
async fn a_task_shows_its_outcome_to_who_began_it_and_to_who_sees_its_entity() {
    let (accounts, tree) = (accounts().await, tree());
    accounts.create("other", "", Some("o")).await.unwrap();
    let task = |n: u32| MoRef::new(managed_id!(Task), format!("task-{n}"));
    let gone = vm(99);
    tree.write(|w| {
        for (n, entity, user) in [(1, vm(1), "VSPHERE.LOCAL\\user"), (2, vm(2), "x"), (3, gone.clone(), "x")]
        {
            let info = vim!(TaskInfo {
                key: task(n).id(),
                task: task(n),
                name: "x",
                descriptionId: "x",
                entity: entity,
                state: "running",
                cancelled: false,
                cancelable: false,
                reason: TaskReasonUser { userName: user },
                queueTime: vim::DateTime::now(),
                eventChainId: 1,
            });
            w.create(&task(n), props!(Task { info: info }));
        }
    });
    // More than one permission, so that the entity counts.
    set(&accounts, &vm(2), "user", READ_ONLY, true).await;
    set(&accounts, &vm(1), "other", READ_ONLY, true).await;
    assert!(may(&accounts, &tree, &task(1), "System.Read"), "its own");
    assert!(!may(&accounts, &tree, &task(1), "Global.CancelTask"));
    assert!(may(&accounts, &tree, &task(2), "System.Read"), "of an entity that it sees");
    assert!(!may(&accounts, &tree, &task(3), "System.Read"), "of a removed entity");
    let other = accounts.find("other").unwrap();
    assert!(!accounts.allows(&other, &task(2), "System.Read", &tree.snapshot()));
    set(&accounts, &folder("root"), "user", READ_ONLY, true).await;
    assert!(may(&accounts, &tree, &task(3), "System.Read"));
}

#[tokio::test]
async fn an_administrator_whose_permission_was_lost_at_the_first_start_gets_it_at_the_next() {
    let store = Store::in_memory().unwrap();
    let accounts = accounts_in(store).await;
    // A daemon that is killed between the two steps leaves this state.
    accounts.create("Administrator", "", Some("first")).await.unwrap();
    accounts.ensure_administrator("Administrator", "", Some("second")).await.unwrap();
    let account = accounts.find("Administrator").unwrap();
    assert!(accounts.allows(&account, &vm(1), POWER_ON, &tree().snapshot()));
    assert!(accounts.login("Administrator", "first").await.is_ok(), "the password stays");
    // Another account's permissions stay as they are if an administrator exists.
    accounts.create("user", "", Some("u")).await.unwrap();
    accounts.ensure_administrator("user", "", None).await.unwrap();
    assert!(!may(&accounts, &tree(), &vm(1), POWER_ON));
}

#[tokio::test]
async fn a_question_about_too_many_objects_is_refused_and_what_is_gone_has_no_answer() {
    let (accounts, tree) = (accounts().await, tree());
    let (account, state) = (accounts.find("user").unwrap(), tree.snapshot());
    let asked = [POWER_ON.to_owned()].into();
    let answers = accounts.availability(&account, [vm(1), vm(99), vm(2)].iter(), &asked, &state).unwrap();
    assert_eq!(answers.unwrap().items().len(), 2);
    let many = std::iter::repeat_n(vm(1), MAX_DECISIONS + 1).collect::<Vec<_>>();
    let fault = accounts.availability(&account, many.iter(), &asked, &state).unwrap_err();
    assert_eq!(fault.type_name(), "OutOfBounds");
}

/// A user whose role on the folder lets him set permissions there and power on VMs, and an account that is not his.
async fn delegate(accounts: &Accounts) -> i32 {
    let held = ["Authorization.ModifyPermissions", POWER_ON].map(str::to_owned);
    let role = add_role(accounts, "Delegate", held.into()).await.unwrap();
    set(accounts, &folder("folder"), "user", role, true).await;
    accounts.create("other", "", Some("o")).await.unwrap();
    role
}

fn rule(principal: &str, role: i32) -> Rule {
    Rule { principal: principal.into(), group: false, role, propagate: true }
}

#[tokio::test]
async fn nobody_gives_or_takes_away_what_he_does_not_hold() {
    let (accounts, tree) = (accounts().await, tree());
    let own = delegate(&accounts).await;
    let more =
        add_role(&accounts, "More", [POWER_ON, "VirtualMachine.Inventory.Delete"].map(String::from).into());
    let (more, state) = (more.await.unwrap(), tree.snapshot());
    let less = add_role(&accounts, "Less", [POWER_ON.to_owned()].into()).await.unwrap();
    let account = accounts.find("user").unwrap();
    let by = Some(Author { account: &account, state: &state });
    let at = folder("folder");
    let place = Place::Entity(&at);
    let refused = |result: Result<(), AccountError>, missing: &str| match result {
        Err(AccountError::NotHeld { privileges, .. }) => {
            assert!(privileges.iter().any(|id| id == missing), "{missing}: {privileges:?}");
        }
        other => panic!("{missing}: {other:?}"),
    };
    let removal = "VirtualMachine.Inventory.Delete";
    refused(accounts.set_permissions(place, &[rule("other", more)], false, by).await, removal);
    refused(accounts.set_permissions(place, &[rule("user", ADMIN)], false, by).await, removal);
    // The administrator's right comes from the root folder; a permission below it would end it.
    refused(accounts.set_permissions(place, &[rule("Administrator", NO_ACCESS)], false, by).await, removal);
    accounts.set_permissions(place, &[rule("other", less)], false, by).await.unwrap();
    accounts.set_permissions(place, &[rule("other", own)], false, by).await.unwrap();
    accounts.remove_permission(place, "other", false, by).await.unwrap();
    // He may not change the permissions that others have set.
    set(&accounts, &at, "other", more, true).await;
    refused(accounts.set_permissions(place, &[rule("other", less)], false, by).await, removal);
    refused(accounts.remove_permission(place, "other", false, by).await, removal);
    refused(accounts.set_permissions(place, &[rule("user", own)], true, by).await, removal);
    refused(accounts.merge_permissions(more, less, by).await, removal);
    refused(accounts.remove_role(more, false, by).await, removal);
    // The end of a denial gives what was denied.
    set(&accounts, &folder("root"), "other", ADMIN, true).await;
    set(&accounts, &at, "other", NO_ACCESS, true).await;
    refused(accounts.remove_permission(place, "other", false, by).await, removal);
    let fault = accounts.remove_permission(place, "other", false, by).await.unwrap_err().to_fault();
    assert_eq!(fault.type_name(), "NoPermission");
}

#[tokio::test]
async fn a_role_gets_and_loses_only_what_its_author_holds_on_the_root_folder() {
    let (accounts, tree) = (accounts().await, tree());
    let held = ["Authorization.ModifyRoles", POWER_ON].map(str::to_owned);
    let role = add_role(&accounts, "Author", held.into()).await.unwrap();
    set(&accounts, &folder("root"), "user", role, true).await;
    let (account, state) = (accounts.find("user").unwrap(), tree.snapshot());
    let by = Some(Author { account: &account, state: &state });
    let not_held =
        |result: Result<_, AccountError>| assert!(matches!(result, Err(AccountError::NotHeld { .. })));
    not_held(
        accounts.update_role(role, wanted("Author", ["Host.Config.Network".to_owned()].into()), by).await,
    );
    not_held(accounts.add_role(wanted("New", ["Host.Config.Network".to_owned()].into()), by).await.map(drop));
    let new = accounts.add_role(wanted("New", [POWER_ON.to_owned()].into()), by).await.unwrap();
    accounts.update_role(new, wanted("Newer", BTreeSet::new()), by).await.unwrap();
    let other = add_role(&accounts, "Other", ["Host.Config.Network".to_owned()].into()).await.unwrap();
    not_held(accounts.update_role(other, wanted("Other", BTreeSet::new()), by).await);
    accounts
        .update_role(other, wanted("Another", ["Host.Config.Network".to_owned()].into()), by)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_role_is_named_once_whatever_the_case_and_without_characters_that_deceive() {
    let accounts = accounts().await;
    add_role(&accounts, "Operator", BTreeSet::new()).await.unwrap();
    let exists = add_role(&accounts, " OPERATOR ", BTreeSet::new()).await;
    assert!(matches!(exists, Err(AccountError::RoleExists(_))));
    for name in ["", " ", "a\nb", "abc\u{202e}nimdA", "a\u{200b}", &"x".repeat(81)] {
        let bad = add_role(&accounts, name, BTreeSet::new()).await;
        assert!(matches!(bad, Err(AccountError::BadRoleName(_))), "{name:?}");
    }
    for name in ["a/b", "a%2fb", "Übersicht 1"] {
        add_role(&accounts, name, BTreeSet::new()).await.unwrap();
    }
}

#[tokio::test]
async fn a_vm_inherits_from_its_folder_and_from_its_pool() {
    let (accounts, tree) = (accounts().await, tree());
    let pool = MoRef::new(managed_id!(ResourcePool), "pool");
    tree.write(|w| {
        w.create(&pool, props!(ResourcePool { parent: folder("root") }));
        w.set(&vm(1), props!(VirtualMachine { resourcePool: pool.clone() }));
    });
    let role = add_role(&accounts, "Operator", [POWER_ON.to_owned()].into()).await.unwrap();
    set(&accounts, &pool, "user", role, true).await;
    assert!(may(&accounts, &tree, &vm(1), POWER_ON) && !may(&accounts, &tree, &vm(2), "System.View"));
    set(&accounts, &folder("folder"), "user", NO_ACCESS, true).await;
    assert!(may(&accounts, &tree, &vm(1), POWER_ON), "the roles add up");
    tree.write(|w| {
        w.set(&vm(1), props!(VirtualMachine { resourcePool: MoRef::new(managed_id!(ResourcePool), "gone") }))
    });
    assert!(!may(&accounts, &tree, &vm(1), "System.View"), "the VM has left the pool");
}

#[tokio::test]
async fn a_global_permission_lies_above_the_root_folder() {
    let (accounts, tree) = (accounts().await, tree());
    accounts.set_permissions(Place::Global, &[rule("user", ADMIN)], false, None).await.unwrap();
    assert!(may(&accounts, &tree, &vm(1), POWER_ON));
    let shown = accounts.permissions_on(&folder("root"));
    let principals = shown.iter().filter_map(|shown| shown.get(vim::field!(Permission.principal)));
    assert!(!principals.into_iter().any(|name| name.ends_with("user")), "the vSphere API does not show it");
    set(&accounts, &folder("root"), "user", READ_ONLY, true).await;
    assert!(!may(&accounts, &tree, &vm(1), POWER_ON), "the nearest decides");
    set(&accounts, &folder("folder"), "user", ADMIN, false).await;
    assert!(!may(&accounts, &tree, &vm(1), POWER_ON));
    accounts.remove_permission(Place::Entity(&folder("root")), "user", false, None).await.unwrap();
    assert!(may(&accounts, &tree, &vm(1), POWER_ON), "beside a permission below");
    let other = Rule { propagate: false, ..rule("user", ADMIN) };
    accounts.set_permissions(Place::Global, &[other], false, None).await.unwrap();
    assert!(!may(&accounts, &tree, &vm(1), POWER_ON), "it does not propagate");
}

#[tokio::test]
async fn permissions_of_a_role_go_to_another() {
    let (accounts, tree) = (accounts().await, tree());
    set(&accounts, &folder("root"), "user", READ_ONLY, true).await;
    let role = add_role(&accounts, "Operator", [POWER_ON.to_owned()].into()).await.unwrap();
    accounts.merge_permissions(READ_ONLY, role, None).await.unwrap();
    assert!(may(&accounts, &tree, &vm(1), POWER_ON));
    let lost = accounts.merge_permissions(ADMIN, role, None).await;
    assert!(matches!(lost, Err(AccountError::LastAdministrator)));
    assert!(matches!(accounts.merge_permissions(77, role, None).await, Err(AccountError::UnknownRole(77))));
}

#[tokio::test]
async fn an_entity_that_always_has_its_parents_permissions_takes_none() {
    let accounts = accounts().await;
    let tree = Tree::new();
    let reference = MoRef::new;
    let (dc, vms) = (reference(managed_id!(Datacenter), "dc"), folder("vms"));
    let (alone, cluster) = (
        reference(managed_id!(ComputeResource), "alone"),
        reference(managed_id!(ClusterComputeResource), "c"),
    );
    let host = |n: u32| MoRef::new(managed_id!(HostSystem), format!("host-{n}"));
    let pool = |n: u32| MoRef::new(managed_id!(ResourcePool), format!("pool-{n}"));
    tree.write(|w| {
        w.create(&folder("root"), props!(Folder {}));
        w.create(&dc, props!(Datacenter { parent: folder("root") }));
        w.create(&vms, props!(Folder { parent: dc.clone() }));
        w.create(&folder("below"), props!(Folder { parent: vms.clone() }));
        w.create(&alone, props!(ComputeResource { parent: vms.clone() }));
        w.create(&cluster, props!(ClusterComputeResource { parent: vms.clone() }));
        w.create(&host(1), props!(HostSystem { parent: alone.clone() }));
        w.create(&host(2), props!(HostSystem { parent: cluster.clone() }));
        w.create(&pool(1), props!(ResourcePool { parent: cluster.clone() }));
        w.create(&pool(2), props!(ResourcePool { parent: pool(1) }));
    });
    let (account, state) = (accounts.find("Administrator").unwrap(), tree.snapshot());
    let by = Some(Author { account: &account, state: &state });
    for (entity, takes) in [
        (folder("root"), true),
        (dc, true),
        (vms, false),
        (folder("below"), true),
        (alone, true),
        (host(1), false),
        (host(2), true),
        (pool(1), false),
        (pool(2), true),
    ] {
        let set =
            accounts.set_permissions(Place::Entity(&entity), &[rule("user", READ_ONLY)], false, by).await;
        match set {
            Ok(()) => assert!(takes, "{entity}"),
            Err(AccountError::TakesNone(_)) => assert!(!takes, "{entity}"),
            Err(other) => panic!("{entity}: {other}"),
        }
    }
}

#[tokio::test]
async fn a_global_permission_makes_an_administrator_unless_the_root_folder_says_otherwise() {
    let accounts = accounts().await;
    let is = |who: &str| accounts.policy.load().is_administrator(who, "root");
    let rule = |role| Rule { principal: "user".into(), group: false, role, propagate: true };
    assert!(is("administrator") && !is("user"));
    accounts.set_permissions(Place::Global, &[rule(ADMIN)], false, None).await.unwrap();
    assert!(is("user"));
    // Nearer permissions decide.
    let root = folder("root");
    let at_root = Place::Entity(&root);
    accounts.set_permissions(at_root, &[rule(READ_ONLY)], false, None).await.unwrap();
    assert!(!is("user"));
    accounts.remove_permission(at_root, "user", false, None).await.unwrap();
    assert!(is("user"));
    accounts.remove_permission(Place::Global, "user", false, None).await.unwrap();
    assert!(!is("user"));
}
