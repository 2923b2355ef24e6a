//! Decisions over a small inventory: root / folder / vm-1, and vm-2 under the root.

use std::sync::Arc;

use store::Store;
use vim::{MoRef, managed_id, props, vim};

use super::authorization::MAX_DECISIONS;
use super::change::Rule;
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
    accounts.set_permissions(entity, &[rule], false).await.unwrap();
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
    accounts.remove_permission(&vm(1), "vsphere.local\\USER", false).await.unwrap();
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
    accounts.remove_permission(&folder("root"), "administrator", false).await.unwrap();
    last(accounts.remove_permission(&folder("root"), "administrators", true).await);
    last(accounts.set_permissions(&folder("root"), &[], true).await);
    set(&accounts, &folder("root"), "user", ADMIN, true).await;
    accounts.remove("administrator").await.unwrap();
    assert!(accounts.login("administrator", "a").await.is_err());
    last(accounts.remove("user").await);
}

#[tokio::test]
async fn roles_are_made_changed_and_removed_and_those_of_the_system_are_not() {
    let (accounts, tree) = (accounts().await, tree());
    let powers = || [POWER_ON.to_owned()].into();
    let id = accounts.add_role("Operator", powers()).await.unwrap();
    assert!(id > 0);
    assert!(matches!(accounts.add_role("Operator", powers()).await, Err(AccountError::RoleExists(_))));
    let unknown = accounts.add_role("Other", ["No.Such".to_owned()].into()).await;
    assert!(matches!(unknown, Err(AccountError::UnknownPrivilege(_))));
    set(&accounts, &folder("root"), "user", id, true).await;
    assert!(may(&accounts, &tree, &vm(1), POWER_ON) && may(&accounts, &tree, &vm(1), "System.Read"));
    accounts.update_role(id, "Operator 2", [].into()).await.unwrap();
    assert!(!may(&accounts, &tree, &vm(1), POWER_ON));
    assert!(matches!(accounts.remove_role(id, true).await, Err(AccountError::RoleInUse(_))));
    accounts.remove_role(id, false).await.unwrap();
    assert!(!may(&accounts, &tree, &vm(1), "System.Read"));
    assert!(matches!(accounts.remove_role(ADMIN, false).await, Err(AccountError::SystemRole(_))));
    assert!(matches!(accounts.update_role(77, "x", [].into()).await, Err(AccountError::UnknownRole(77))));
}

#[tokio::test]
async fn everything_is_still_there_after_a_restart() {
    let store = Store::in_memory().unwrap();
    let first = accounts_in(store.clone()).await;
    assert!(first.is_empty());
    first.ensure_administrator("Administrator", "The boss", Some("a")).await.unwrap();
    first.create("user", "", Some("u")).await.unwrap();
    let id = first.add_role("Operator", [POWER_ON.to_owned()].into()).await.unwrap();
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
    assert_eq!(second.add_role("Another", [].into()).await.unwrap(), id + 1, "ids are not used again");
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
