//! Users, groups, locks and tokens over a small inventory: root / vm.

use std::sync::Arc;

use store::Store;
use vim::{MoRef, Value, managed_id, props};

use super::groups::Member;
use super::people::Edit;
use super::permissions::{Place, Rule, Wanted};
use super::records::StoredRules;
use super::{ADMIN, AccountError, Accounts, READ_ONLY, Realm};
use crate::{Account, Authority, OwnedSettings, Tree};

const POWER_ON: &str = "VirtualMachine.Interact.PowerOn";

fn root() -> MoRef {
    MoRef::new(managed_id!(Folder), "root")
}

fn vm() -> MoRef {
    MoRef::new(managed_id!(VirtualMachine), "vm-1")
}

fn tree() -> Tree {
    let tree = Tree::new();
    tree.write(|w| {
        w.create(&root(), props!(Folder {}));
        w.create(&vm(), props!(VirtualMachine { parent: root() }));
    });
    tree
}

async fn accounts() -> Arc<Accounts> {
    let store = Store::in_memory().unwrap();
    let accounts = Accounts::open(store, Realm::vsphere_local(), root(), |_, _| None).await.unwrap();
    accounts.ensure_administrator("Administrator", "", Some("a")).await.unwrap();
    for name in ["eve", "bob"] {
        accounts.create(name, "", Some("x")).await.unwrap();
    }
    accounts
}

async fn permit(accounts: &Accounts, principal: &str, group: bool, role: i32) {
    let rule = Rule { principal: principal.into(), group, role, propagate: true };
    accounts.set_permissions(Place::Entity(&root()), &[rule], false, None).await.unwrap();
}

fn may(accounts: &Accounts, user: &str, privilege: &str) -> bool {
    accounts.allows(&accounts.find(user).unwrap(), &vm(), privilege, &tree().snapshot())
}

/// Two days pass for a password.
async fn age(accounts: &Accounts) {
    let aged = accounts.change(|policy, _| {
        let eve = policy.accounts.get_mut("eve").unwrap();
        eve.password_set_ms = eve.password_set_ms.map(|set| set - 2 * 24 * 3600 * 1000);
        Ok(())
    });
    aged.await.unwrap();
}

fn user(key: &str) -> Member {
    Member::User(key.into())
}

fn group(key: &str) -> Member {
    Member::Group(key.into())
}

#[tokio::test]
async fn a_permission_of_a_group_holds_for_members_of_its_inner_groups() {
    let accounts = accounts().await;
    for name in ["Outer", "Middle", "Inner"] {
        accounts.create_group(name, "").await.unwrap();
    }
    accounts.add_member("outer", &group("middle")).await.unwrap();
    accounts.add_member("MIDDLE", &group("inner")).await.unwrap();
    accounts.add_member("inner", &user("eve")).await.unwrap();
    permit(&accounts, "Outer", true, ADMIN).await;
    assert!(may(&accounts, "eve", POWER_ON) && !may(&accounts, "bob", POWER_ON));
    for inner in ["outer", "middle"] {
        let circle = accounts.add_member("inner", &group(inner)).await;
        assert!(matches!(circle, Err(AccountError::CircleOfGroups { .. })), "{inner}");
    }
    let again = accounts.add_member("inner", &user("eve")).await;
    assert!(matches!(again, Err(AccountError::MemberExists(_))));
    accounts.remove_group("middle").await.unwrap();
    assert!(!may(&accounts, "eve", POWER_ON), "the way to the outer group is cut");
    accounts.add_member("outer", &group("inner")).await.unwrap();
    assert!(may(&accounts, "eve", POWER_ON));
    accounts.remove_group("outer").await.unwrap();
    accounts.create_group("Outer", "").await.unwrap();
    accounts.add_member("outer", &user("bob")).await.unwrap();
    assert!(
        !may(&accounts, "bob", POWER_ON),
        "the permission of a removed group does not come back with its name"
    );
}

#[tokio::test]
async fn a_removed_user_leaves_his_groups_and_a_new_one_of_his_name_does_not_inherit_them() {
    let accounts = accounts().await;
    accounts.add_member("Administrators", &user("eve")).await.unwrap();
    assert!(may(&accounts, "eve", POWER_ON));
    accounts.remove("eve").await.unwrap();
    accounts.create("Eve", "", Some("x")).await.unwrap();
    assert!(!may(&accounts, "eve", POWER_ON));
}

#[tokio::test]
async fn the_last_administrator_is_neither_disabled_nor_taken_out_of_the_last_group() {
    let accounts = accounts().await;
    let last =
        |result: Result<(), AccountError>| assert!(matches!(result, Err(AccountError::LastAdministrator)));
    let disable = Edit { enabled: Some(false), ..Edit::default() };
    last(accounts.edit_person("administrator", &disable).await);
    accounts.add_member("administrators", &user("eve")).await.unwrap();
    accounts.edit_person("administrator", &disable).await.unwrap();
    assert!(accounts.login("administrator", "a").await.is_err());
    assert!(!may(&accounts, "administrator", "System.View"), "his sessions may do nothing");
    last(accounts.remove_member("administrators", &user("eve")).await);
    last(accounts.remove("eve").await);
    assert!(matches!(accounts.remove_group("Administrators").await, Err(AccountError::BuiltInGroup(_))));
}

#[tokio::test]
async fn a_permission_for_the_group_users_is_for_everybody() {
    let accounts = accounts().await;
    assert!(!may(&accounts, "eve", "System.Read"));
    permit(&accounts, "Users", true, READ_ONLY).await;
    assert!(may(&accounts, "eve", "System.Read") && may(&accounts, "bob", "System.Read"));
    assert!(may(&accounts, "administrator", POWER_ON));
}

#[tokio::test]
async fn wrong_passwords_lock_a_user_and_never_an_administrator() {
    let accounts = accounts().await;
    let few = [("Security.AccountLockFailures".to_owned(), Value::Long(2))];
    accounts.set(&few).await.unwrap();
    for _ in 0..3 {
        assert!(accounts.login("eve", "wrong").await.is_err());
        assert!(accounts.login("administrator", "wrong").await.is_err());
    }
    assert!(accounts.login("eve", "x").await.is_err() && accounts.person("eve").unwrap().locked);
    assert!(accounts.login("administrator", "a").await.is_ok());
    let told = accounts.unposted_events();
    assert_eq!(told.len(), 1, "one lock, one event");
    assert!(accounts.unlock("eve").unwrap());
    assert!(accounts.login("eve", "x").await.is_ok());
}

#[tokio::test]
async fn an_old_password_lets_nobody_in_and_can_still_be_changed_into_a_new_one() {
    let accounts = accounts().await;
    accounts.set(&[("Security.PasswordMaxDays".to_owned(), Value::Long(1))]).await.unwrap();
    assert!(accounts.login("eve", "x").await.is_ok());
    age(&accounts).await;
    assert_eq!(accounts.login("eve", "x").await.unwrap_err().type_name(), "PasswordExpired");
    assert_eq!(accounts.login("eve", "wrong").await.unwrap_err().type_name(), "InvalidLogin");
    assert!(accounts.verified("eve", "x").await.is_ok(), "for ChangePassword");
    accounts.choose_password("eve", "pass-Word-1").await.unwrap();
    assert!(accounts.login("eve", "pass-Word-1").await.is_ok());
    for (password, used) in
        [("pass-Word-1", "the present one"), ("short", "a weak one"), ("my-Eve-1x", "his name")]
    {
        let refused = accounts.choose_password("eve", password).await;
        assert!(matches!(refused, Err(AccountError::WeakPassword(_))), "{used}");
    }
    accounts.choose_password("eve", "pass-Word-2").await.unwrap();
    let former = accounts.choose_password("eve", "pass-Word-1").await;
    assert!(matches!(former, Err(AccountError::WeakPassword(_))), "a former one");
    age(&accounts).await;
    let stays = Edit { password_stays: Some(true), ..Edit::default() };
    accounts.edit_person("eve", &stays).await.unwrap();
    assert!(accounts.login("eve", "pass-Word-2").await.is_ok(), "whatever its age");
}

#[tokio::test]
async fn a_token_has_the_rights_that_both_its_user_and_its_role_have() {
    let accounts = accounts().await;
    let state = tree().snapshot();
    permit(&accounts, "eve", false, READ_ONLY).await;
    let wanted = Wanted { name: "Operator".into(), label: None, privileges: [POWER_ON.to_owned()].into() };
    let operator = accounts.add_role(wanted, None).await.unwrap();
    let allows = |account: &Account, privilege: &str| accounts.allows(account, &vm(), privilege, &state);
    let (id, strong) = accounts.add_token("administrator", "ci", operator, 1).await.unwrap();
    let (_, weak) = accounts.add_token("eve", "ci", operator, 1).await.unwrap();
    let admin = accounts.login("administrator", &strong).await.unwrap();
    assert!(
        allows(&admin, POWER_ON) && !allows(&admin, "VirtualMachine.Inventory.Delete"),
        "the role limits him"
    );
    let eve = accounts.login("eve", &weak).await.unwrap();
    assert!(allows(&eve, "System.Read") && !allows(&eve, POWER_ON), "the user limits the role");
    assert!(accounts.login("eve", &strong).await.is_err(), "a token of another user");
    assert!(accounts.login("administrator", &format!("{strong}0")).await.is_err());
    accounts.remove_token(&id).await.unwrap();
    assert!(!allows(&admin, POWER_ON), "at once");
    assert!(accounts.login("administrator", &strong).await.is_err());
    assert!(matches!(accounts.remove_role(operator, true, None).await, Err(AccountError::RoleInUse(_))));
    accounts.remove_role(operator, false, None).await.unwrap();
    assert!(accounts.login("eve", &weak).await.is_err(), "it ends with its role");
    for (name, days) in [("", 1), ("a\nb", 1), ("x", 0), ("x", 100_000)] {
        assert!(accounts.add_token("eve", name, READ_ONLY, days).await.is_err(), "{name:?} {days}");
    }
}

#[tokio::test]
async fn settings_out_of_range_are_refused_and_good_ones_survive_a_restart() {
    let store = Store::in_memory().unwrap();
    let open = || Accounts::open(store.clone(), Realm::Host, root(), |_, _| None);
    let first = open().await.unwrap();
    let text = |text: &str| Value::from(text);
    for (key, value, fault) in [
        ("Security.PasswordHistory", Value::Long(25), "InvalidArgument"),
        ("Security.PasswordMaxDays", Value::Long(0), "InvalidArgument"),
        ("Security.PasswordQualityControl", text("min=1"), "InvalidArgument"),
        ("Security.Nothing", Value::Long(1), "InvalidName"),
    ] {
        assert_eq!(first.set(&[(key.into(), value)]).await.unwrap_err().type_name(), fault, "{key}");
    }
    assert_eq!(first.policy.load().rules, StoredRules::default());
    let quality = ("Security.PasswordQualityControl".to_owned(), text("min=8,8,8,8,8"));
    first.set(&[quality.clone(), ("Security.AccountLockFailures".into(), Value::Long(7))]).await.unwrap();
    drop(first);
    let second = open().await.unwrap();
    assert!(second.values().contains(&quality));
    assert_eq!(second.policy.load().rules.lock().failures, 7);
    let (good, weak) = (
        Edit { password: Some("abcdefgh"), ..Edit::default() },
        Edit { password: Some("abc"), ..Edit::default() },
    );
    assert!(matches!(second.add_person("zoe", &weak).await, Err(AccountError::WeakPassword(_))));
    second.add_person("zoe", &good).await.unwrap();
}
