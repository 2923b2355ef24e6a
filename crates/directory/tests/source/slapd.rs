//! An identity source that is a real OpenLDAP server.

use super::support::{PASSWORD, Slapd};
use directory::{Directory, Endpoint, Error};

fn names<'a>(groups: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    groups.into_iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_logs_in_over_tls_and_his_groups_in_groups_are_known() {
    let slapd = Slapd::start();
    let directory = Directory::new(slapd.tls_source()).unwrap();
    directory.probe().await.unwrap();
    let alice = directory.login("alice", PASSWORD).await.unwrap().unwrap();
    assert_eq!((alice.name.as_str(), alice.full_name.as_str()), ("Alice", "Alice Example"));
    assert_eq!(alice.mail.as_deref(), Some("alice@example.org"));
    assert_eq!(names(&alice.groups), ["everybody", "operators", "staff", "unix"]);
    for (name, password) in
        [("alice", "wrong"), ("alice", ""), ("nobody", PASSWORD), ("*", PASSWORD), ("", PASSWORD)]
    {
        assert!(directory.login(name, password).await.unwrap().is_none(), "{name}");
    }
    // A name with everything that a distinguished name and a filter escape.
    let bob = directory.login("bob", PASSWORD).await.unwrap().unwrap();
    assert_eq!(bob.full_name, "Bob (x), *");
    assert_eq!(names(&bob.groups), ["everybody", "operators", "staff"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_groups_are_found_by_parts_of_their_names() {
    let slapd = Slapd::start();
    let directory =
        Directory::new(slapd.source(&format!("ldap+starttls://localhost:{}", slapd.plain))).unwrap();
    let users = directory.users_like("LIC").await.unwrap();
    assert_eq!(users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["Alice"]);
    assert_eq!(directory.users_like("").await.unwrap().len(), 4);
    assert!(directory.users_like("*)(uid=").await.unwrap().is_empty());
    let groups = directory.groups_like("f").await.unwrap();
    assert_eq!(groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["staff"]);
    let group = directory.group("OPERATORS").await.unwrap().unwrap();
    assert_eq!((group.name.as_str(), group.description.as_str()), ("operators", "They operate"));
    assert!(directory.group("none").await.unwrap().is_none());
    assert!(matches!(directory.person("twin").await, Err(Error::Ambiguous { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_account_an_unknown_base_and_a_foreign_authority_are_said() {
    let slapd = Slapd::start();
    let wrong = directory::Source { password: "wrong".into(), ..slapd.tls_source() };
    let error = Directory::new(wrong).unwrap().probe().await.unwrap_err();
    assert!(matches!(error, Error::Account { .. }), "{error}");
    let nowhere = directory::Source { groups: "ou=none,dc=example,dc=org".into(), ..slapd.tls_source() };
    let error = Directory::new(nowhere).unwrap().probe().await.unwrap_err();
    assert!(matches!(error, Error::Source { field: "groups", .. }), "{error}");
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let foreign = directory::Source { authorities: other.cert.pem(), ..slapd.tls_source() };
    let error = Directory::new(foreign).unwrap().login("alice", PASSWORD).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let none = directory::Source { authorities: String::new(), ..slapd.tls_source() };
    assert!(matches!(Directory::new(none), Err(Error::Source { field: "authorities", .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_answers_while_the_first_is_away() {
    let (mut first, second) = (Slapd::start(), Slapd::start());
    let mut source = first.tls_source();
    source.endpoints.push(Endpoint::parse(&format!("ldaps://localhost:{}", second.tls)).unwrap());
    source.authorities.push_str(&second.authority);
    let directory = Directory::new(source).unwrap();
    assert!(directory.login("alice", PASSWORD).await.unwrap().is_some());
    first.kill();
    assert!(directory.login("alice", PASSWORD).await.unwrap().is_some());
    drop(second);
    assert!(matches!(directory.login("alice", PASSWORD).await, Err(Error::Unreachable { .. })));
}
