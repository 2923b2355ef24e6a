//! Users of an identity source, asked of a real slapd.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use directory::{Endpoint, Schema, Source};
use store::Store;
use tempfile::TempDir;
use vim::{MoRef, managed_id, props};

use super::abroad::Abroad;
use super::permissions::{Place, Rule};
use super::records::SOURCES;
use super::{Accounts, READ_ONLY, Realm};
use crate::session::{Peer, Session, Sessions};
use crate::{Authority, Tree};

const PASSWORD: &str = "Secret-1";
const ENTRIES: &str = "\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: uid=alice,dc=example,dc=org
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: Example
userPassword: Secret-1

dn: cn=staff,dc=example,dc=org
objectClass: groupOfNames
cn: staff
member: uid=alice,dc=example,dc=org
";

/// A server that ends with the test.
struct Slapd {
    process: Child,
    port: u16,
    _files: TempDir,
}

impl Slapd {
    fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        let at = |name: &str| files.path().join(name).display().to_string();
        fs::create_dir(at("db")).unwrap();
        let schemas = ["core", "cosine", "nis", "inetorgperson"];
        let mut conf: String =
            schemas.iter().map(|name| format!("include /etc/ldap/schema/{name}.schema\n")).collect();
        conf += &format!("modulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {}\n", at("pid"));
        conf += "database mdb\nsuffix dc=example,dc=org\nrootdn cn=admin,dc=example,dc=org\n";
        conf += &format!("rootpw {PASSWORD}\ndirectory {}\n", at("db"));
        fs::write(at("slapd.conf"), conf).unwrap();
        fs::write(at("entries.ldif"), ENTRIES).unwrap();
        let added = Command::new("/usr/sbin/slapadd")
            .args(["-f", &at("slapd.conf"), "-l", &at("entries.ldif")])
            .output()
            .unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let process = Command::new("/usr/sbin/slapd")
            .args(["-d", "0", "-f", &at("slapd.conf"), "-h", &format!("ldap://127.0.0.1:{port}/")])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let slapd = Self { process, port, _files: files };
        for _ in 0..1_200 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return slapd;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("slapd does not answer within a minute");
    }

    fn change(&self, ldif: &str) {
        let mut modify = Command::new("ldapmodify")
            .args(["-x", "-H", &format!("ldap://127.0.0.1:{}", self.port)])
            .args(["-D", "cn=admin,dc=example,dc=org", "-w", PASSWORD])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        modify.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
        assert!(modify.wait().unwrap().success());
    }

    fn source(&self) -> Source {
        let base = "dc=example,dc=org".to_owned();
        Source {
            domain: "example.org".into(),
            alias: Some("EXAMPLE".into()),
            schema: Schema::OpenLdap,
            endpoints: vec![Endpoint::parse(&format!("ldap://127.0.0.1:{}", self.port)).unwrap()],
            authorities: String::new(),
            account: "cn=admin,dc=example,dc=org".into(),
            password: PASSWORD.into(),
            users: base.clone(),
            groups: base,
        }
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn root() -> MoRef {
    MoRef::new(managed_id!(Folder), "root")
}

async fn open(store: Store) -> Arc<Accounts> {
    let accounts = Accounts::open(store, Realm::vsphere_local(), root(), |_, _| None).await.unwrap();
    accounts.ensure_administrator("Administrator", "", Some("a")).await.unwrap();
    accounts
}

async fn with_source(store: Store, source: Source) -> Arc<Accounts> {
    let accounts = open(store).await;
    let added = accounts.change(|policy, batch| {
        SOURCES.put(batch, "example.org", &source)?;
        policy.sources.insert("example.org".into(), Arc::new(Abroad::new(source).unwrap()));
        Ok(())
    });
    added.await.unwrap();
    let rule = Rule { principal: "EXAMPLE\\staff".into(), group: true, role: READ_ONLY, propagate: true };
    accounts.set_permissions(Place::Entity(&root()), &[rule], false, None).await.unwrap();
    accounts
}

async fn session(accounts: &Accounts, sessions: &Sessions) -> Arc<Session> {
    let account = accounts.login("alice@example.org", PASSWORD).await.unwrap();
    let peer = Peer { address: Ipv4Addr::LOCALHOST.into(), user_agent: String::new(), certificate: None };
    sessions.open(account, &peer, "en").unwrap()
}

fn may_view(accounts: &Accounts, session: &Session) -> bool {
    let tree = Tree::new();
    tree.write(|w| w.create(&root(), props!(Folder {})));
    accounts.allows(&session.account, &root(), "System.View", &tree.snapshot())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_takes_rights_and_sessions_from_a_user_whom_his_directory_takes_out() {
    let slapd = Slapd::start();
    let store = Store::in_memory().unwrap();
    let (accounts, sessions) = (with_source(store.clone(), slapd.source()).await, Sessions::default());
    let alice = session(&accounts, &sessions).await;
    accounts.make_round(&sessions).await;
    assert!(may_view(&accounts, &alice) && !alice.ended().is_cancelled());

    // A daemon that starts again knows her without a question.
    let again = open(store).await;
    assert!(may_view(&again, &alice) && again.named("EXAMPLE\\Alice").is_some());

    slapd.change("dn: cn=staff,dc=example,dc=org\nchangetype: delete\n");
    accounts.make_round(&sessions).await;
    assert!(!may_view(&accounts, &alice), "she belongs to no group any more");
    assert!(!alice.ended().is_cancelled());

    slapd.change("dn: uid=alice,dc=example,dc=org\nchangetype: delete\n");
    accounts.make_round(&sessions).await;
    assert!(alice.ended().is_cancelled() && accounts.named("alice@example.org").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_away_leaves_sessions_as_they_are() {
    let mut slapd = Slapd::start();
    let accounts = with_source(Store::in_memory().unwrap(), slapd.source()).await;
    let sessions = Sessions::default();
    let alice = session(&accounts, &sessions).await;
    slapd.process.kill().unwrap();
    slapd.process.wait().unwrap();
    accounts.make_round(&sessions).await;
    assert!(may_view(&accounts, &alice) && !alice.ended().is_cancelled());
    assert!(accounts.login("alice@example.org", PASSWORD).await.is_err());
    assert!(accounts.login("Administrator", "a").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_of_namesakes_in_two_domains_count_apart() {
    let slapd = Slapd::start();
    let accounts = with_source(Store::in_memory().unwrap(), slapd.source()).await;
    let counted = |user| accounts.counted_as(user);
    assert_eq!(counted("EXAMPLE\\Administrator"), counted("Administrator@example.org"));
    assert!(!counted("EXAMPLE\\Administrator").starts_with("Administrator@"));
    assert_ne!(counted("EXAMPLE\\Administrator").split(['\\', '@']).next(), Some("Administrator"));
    assert_eq!(counted("Administrator"), "Administrator");
}
