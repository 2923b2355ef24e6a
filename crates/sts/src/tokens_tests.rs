use std::time::Duration;

use api::accounts::Realm;
use vim::{MoRef, managed_id};

use super::*;
use crate::read::read;
use crate::xml::parse;

const PASSWORD: &str = "Blue-whale-7x";

struct World {
    _directory: tempfile::TempDir,
    store: Store,
    accounts: Arc<Accounts>,
    tokens: Arc<Tokens>,
}

async fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("center.db")).unwrap();
    let root = MoRef::new(managed_id!(Folder), "group-d1");
    let accounts = Accounts::open(store.clone(), Realm::vsphere_local(), root, |_, _| None).await.unwrap();
    accounts.create("eve", "Eve", Some(PASSWORD)).await.unwrap();
    let tokens = Tokens::open(&store, accounts.clone(), "a-center").await.unwrap();
    World { _directory: directory, store, accounts, tokens }
}

fn shown(text: &str) -> Presented {
    read(parse(text).unwrap().root_element()).unwrap()
}

impl World {
    fn issue(&self, lifetime: Option<i64>, renewable: bool) -> String {
        let eve = self.accounts.find("eve").unwrap();
        self.tokens.issue(&eve, lifetime, renewable).unwrap().text
    }
}

#[tokio::test]
async fn a_token_is_its_user_also_after_a_restart_and_for_no_other_center() {
    let world = world().await;
    let text = world.issue(None, false);
    let user = world.tokens.accept(&shown(&text)).unwrap();
    assert_eq!(user.name, "VSPHERE.LOCAL\\eve");

    let again = Tokens::open(&world.store, world.accounts.clone(), "a-center").await.unwrap();
    assert_eq!(again.accept(&shown(&text)).unwrap(), user);
    let other = self::world().await;
    assert_eq!(other.tokens.accept(&shown(&text)).unwrap_err(), Unacceptable::Foreign);
}

#[tokio::test]
async fn a_token_with_any_other_value_or_signature_is_refused() {
    let world = world().await;
    let good = shown(&world.issue(None, false));
    let changes: [fn(&mut Presented); 7] = [
        |token| token.assertion.subject = "administrator@VSPHERE.LOCAL".into(),
        |token| token.assertion.ends = DateTime::from_micros(token.assertion.ends.as_micros() + 1),
        |token| token.assertion.issued = DateTime::from_micros(token.assertion.issued.as_micros() - 1),
        |token| token.assertion.authenticated = DateTime::now(),
        |token| token.assertion.renewable = true,
        |token| token.assertion.id = "_1".into(),
        |token| token.signature[5] ^= 1,
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut token = Presented { assertion: good.assertion.clone(), signature: good.signature.clone() };
        change(&mut token);
        assert_eq!(world.tokens.accept(&token).unwrap_err(), Unacceptable::Foreign, "{number}");
    }
    world.tokens.accept(&good).unwrap();
}

#[tokio::test]
async fn a_token_ends_with_its_time_its_users_password_and_its_user() {
    let world = world().await;
    let issued = |authenticated, lifetime: i64| {
        let token = Assertion {
            id: "_1".into(),
            issuer: world.tokens.issuer.clone(),
            subject: "eve@VSPHERE.LOCAL".into(),
            issued: authenticated,
            ends: DateTime::from_micros(authenticated.as_micros() + lifetime),
            authenticated,
            renewable: false,
        };
        let signature = world.tokens.signer.sign(&token.signed_info()).unwrap();
        Presented { assertion: token, signature }
    };
    let past = DateTime::from_micros(DateTime::now().as_micros() - 2 * SECOND);
    let refused = |token: &Presented| world.tokens.accept(token).unwrap_err();
    assert_eq!(refused(&issued(past, SECOND)), Unacceptable::Expired);
    // Eve's password is younger than that.
    assert_eq!(refused(&issued(past, 60 * SECOND)), Unacceptable::User);

    let token = shown(&world.issue(None, false));
    world.tokens.accept(&token).unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    world.accounts.set_password("eve", "Green-whale-8y").await.unwrap();
    assert_eq!(refused(&token), Unacceptable::User);

    tokio::time::sleep(Duration::from_millis(2)).await;
    let token = shown(&world.issue(None, false));
    world.tokens.accept(&token).unwrap();
    world.accounts.remove("eve").await.unwrap();
    assert_eq!(refused(&token), Unacceptable::User);
}

#[tokio::test]
async fn a_token_is_renewed_if_it_says_so_and_keeps_the_time_of_the_password() {
    let world = world().await;
    let fixed = shown(&world.issue(None, false));
    assert_eq!(world.tokens.renew(&fixed, None).unwrap_err(), Unacceptable::Renewal);

    let first = shown(&world.issue(Some(5 * SECOND), true));
    let second = shown(&world.tokens.renew(&first, Some(60 * SECOND)).unwrap().unwrap().text);
    world.tokens.accept(&second).unwrap();
    assert_eq!(second.assertion.authenticated, first.assertion.authenticated);
    assert!(second.assertion.ends > first.assertion.ends && second.assertion.id != first.assertion.id);
}

#[tokio::test]
async fn nobody_gets_a_token_for_longer_than_an_hour() {
    let world = world().await;
    for (asked, given) in
        [(None, 600), (Some(-5), 1), (Some(30), 1), (Some(60 * SECOND), 60), (Some(i64::MAX), 3600)]
    {
        let token = shown(&world.issue(asked, false)).assertion;
        assert_eq!(token.ends.as_micros() - token.issued.as_micros(), given * SECOND, "{asked:?}");
    }
}
