//! `/folder` over the datastores of a host.

#![allow(clippy::unwrap_used)]

mod common;

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use api::files::{ByteRange, FileError, Files, Target, Written};
use api::{Account, Authority, Snapshot};
use async_trait::async_trait;
use common::{Site, simulated, simulated_with, small};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use vim::{Fault, MoRef};

/// Everybody may do everything but what is named here.
#[derive(Default)]
struct Denied(Mutex<Vec<&'static str>>);

#[async_trait]
impl Authority for Denied {
    async fn login(&self, _user: &str, _password: &str) -> Result<Account, Fault> {
        unreachable!("nobody logs in")
    }

    async fn login_by_certificate(&self, _certificate: &api::tls::Chain) -> Result<Account, Fault> {
        unreachable!("nobody logs in")
    }

    fn allows(&self, _account: &Account, _object: &MoRef, privilege: &str, _state: &Snapshot) -> bool {
        !self.0.lock().unwrap().contains(&privilege)
    }

    fn roles(&self, _account: &Account, _object: &MoRef, _state: &Snapshot) -> Vec<i32> {
        Vec::new()
    }
}

fn who() -> Account {
    Account { name: "root".into(), ..Account::default() }
}

fn target(path: &str) -> Target {
    Target { datacenter: None, datastore: "ds".into(), path: path.into() }
}

async fn put(files: &dyn Files, path: &str, content: &[u8]) -> Result<Written, FileError> {
    let body = Box::new(io::Cursor::new(content.to_vec()));
    files.write(&who(), &target(path), Some(content.len() as u64), body).await
}

async fn get(files: &dyn Files, path: &str, range: Option<ByteRange>) -> Result<Vec<u8>, FileError> {
    let mut download = files.read(&who(), &target(path), range).await?;
    let mut content = Vec::new();
    download.body.read_to_end(&mut content).await?;
    assert_eq!(content.len() as u64, download.range.end - download.range.start);
    Ok(content)
}

/// A client that hangs up after some bytes.
struct HangsUp(usize);

impl AsyncRead for HangsUp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.0 == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let count = out.remaining().min(self.0);
        out.put_slice(&vec![7; count]);
        self.0 -= count;
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn what_is_written_is_read_in_whole_and_in_parts() {
    let (c, site) = (simulated().await, Site::new());
    let real = site.open().await;
    for host in [&c.host, &real.host] {
        let files = host.storage().files(Arc::new(Denied::default()));
        let content: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        assert_eq!(put(&*files, "a.iso", &content).await.unwrap(), Written::Created);
        assert_eq!(put(&*files, "a.iso", &content).await.unwrap(), Written::Replaced);
        assert_eq!(get(&*files, "a.iso", None).await.unwrap(), content);
        let range = ByteRange::From { first: 1_000_000, last: Some(1_999_999) };
        assert_eq!(get(&*files, "a.iso", Some(range)).await.unwrap(), content[1_000_000..2_000_000]);
        assert_eq!(get(&*files, "a.iso", Some(ByteRange::Last(5))).await.unwrap(), content[2_999_995..]);
        let behind = get(&*files, "a.iso", Some(ByteRange::From { first: 3_000_000, last: None })).await;
        assert!(matches!(behind, Err(FileError::BadRange { size: 3_000_000 })));
        let facts = files.facts(&who(), &target("a.iso")).await.unwrap();
        assert_eq!((facts.size, facts.directory), (3_000_000, false));
        let listed = files.list(&who(), &target("")).await.unwrap();
        assert_eq!(listed.iter().map(|entry| &*entry.name).collect::<Vec<_>>(), ["a.iso"]);
        files.delete(&who(), &target("a.iso")).await.unwrap();
        assert!(matches!(files.delete(&who(), &target("a.iso")).await, Err(FileError::NotFound)));
        assert!(matches!(get(&*files, "a.iso", None).await, Err(FileError::NotFound)));
        assert!(matches!(put(&*files, "no/a.iso", b"x").await, Err(FileError::NotFound)));
    }
}

#[tokio::test]
async fn an_upload_that_breaks_leaves_the_file_as_it_was() {
    let site = Site::new();
    let c = site.open().await;
    let files = c.host.storage().files(Arc::new(Denied::default()));
    put(&*files, "a", b"old").await.unwrap();
    for (path, length) in [("a", None), ("a", Some(5_000_000)), ("b", None)] {
        let broken = files.write(&who(), &target(path), length, Box::new(HangsUp(2_000_000))).await;
        assert!(matches!(broken, Err(FileError::Io(_))), "{broken:?}");
    }
    let short = files.write(&who(), &target("a"), Some(10), Box::new(io::Cursor::new(b"short"))).await;
    assert!(matches!(short, Err(FileError::Io(_))), "{short:?}");
    assert_eq!(get(&*files, "a", None).await.unwrap(), b"old");
    assert_eq!(files.list(&who(), &target("")).await.unwrap().len(), 1);
    assert_eq!(std::fs::read_dir(site.datastore().join(".esfera-tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_full_datastore_says_so() {
    let c = simulated_with(1 << 20).await;
    let files = c.host.storage().files(Arc::new(Denied::default()));
    put(&*files, "a", b"old").await.unwrap();
    assert!(matches!(put(&*files, "a", &vec![1; 2 << 20]).await, Err(FileError::NoSpace)));
    let body = Box::new(io::Cursor::new(vec![1; 2 << 20]));
    assert!(matches!(files.write(&who(), &target("a"), None, body).await, Err(FileError::NoSpace)));
    assert_eq!(get(&*files, "a", None).await.unwrap(), b"old");
}

#[tokio::test]
async fn nothing_leads_out_of_a_datastore() {
    let site = Site::new();
    let c = site.open().await;
    let files = c.host.storage().files(Arc::new(Denied::default()));
    std::fs::write(site.root.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(site.root.path(), site.datastore().join("out")).unwrap();
    std::os::unix::fs::symlink("../secret", site.datastore().join("link")).unwrap();
    for path in [
        "../secret",
        "a/../../secret",
        "/etc/passwd",
        "out/secret",
        "link",
        ".esfera-datastore",
        "a\0b",
        "a//b",
        "./a",
    ] {
        let read = get(&*files, path, None).await;
        assert!(matches!(read, Err(FileError::BadPath(_))), "{path}: {read:?}");
        let facts = files.facts(&who(), &target(path)).await;
        assert!(matches!(facts, Err(FileError::BadPath(_))), "{path}: {facts:?}");
        let written = put(&*files, path, b"x").await;
        assert!(matches!(written, Err(FileError::BadPath(_))), "{path}: {written:?}");
        let deleted = files.delete(&who(), &target(path)).await;
        assert!(matches!(deleted, Err(FileError::BadPath(_))), "{path}: {deleted:?}");
    }
    assert_eq!(std::fs::read(site.root.path().join("secret")).unwrap(), b"secret");
    assert!(files.list(&who(), &target("")).await.unwrap().is_empty(), "links are not shown");
}

#[tokio::test]
async fn privileges_decide_and_what_nobody_may_see_does_not_exist() {
    let c = simulated().await;
    let denied = Arc::new(Denied::default());
    let files = c.host.storage().files(denied.clone());
    put(&*files, "a", b"x").await.unwrap();
    denied.0.lock().unwrap().push("Datastore.FileManagement");
    let written = put(&*files, "a", b"y").await;
    assert!(matches!(written, Err(FileError::NoPermission("Datastore.FileManagement"))), "{written:?}");
    let deleted = files.delete(&who(), &target("a")).await;
    assert!(matches!(deleted, Err(FileError::NoPermission("Datastore.FileManagement"))), "{deleted:?}");
    assert_eq!(get(&*files, "a", None).await.unwrap(), b"x");
    denied.0.lock().unwrap().push("Datastore.Browse");
    let read = get(&*files, "a", None).await;
    assert!(matches!(read, Err(FileError::NoPermission("Datastore.Browse"))), "{read:?}");
    assert!(files.datastores(&who(), None).await.unwrap().is_empty());
    denied.0.lock().unwrap().push("System.View");
    assert!(matches!(get(&*files, "a", None).await, Err(FileError::NotFound)));
}

#[tokio::test]
async fn a_file_that_a_machine_has_open_is_not_replaced() {
    let c = simulated().await;
    let files = c.host.storage().files(Arc::new(Denied::default()));
    let vm = c.create(small("web")).await.unwrap();
    c.power_on(&vm).await.unwrap();
    assert!(matches!(put(&*files, "web/web.vmx", b"x").await, Err(FileError::Conflict)));
    assert!(matches!(files.delete(&who(), &target("web")).await, Err(FileError::Conflict)));
    assert!(
        get(&*files, "web/web.vmx", None).await.unwrap().starts_with(b".encoding"),
        "reading harms nothing"
    );
    c.power_off(&vm).await.unwrap();
    files.delete(&who(), &target("web")).await.unwrap();
}

/// A client during whose upload another host opens the machine.
struct MeanwhileOpened {
    store: Arc<datastore::Datastore>,
    lock: Arc<Mutex<Option<datastore::VmLock>>>,
    sent: bool,
}

impl AsyncRead for MeanwhileOpened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.sent {
            out.put_slice(b"late");
            let vmx = datastore::FilePath::parse("web/web.vmx").unwrap();
            *self.lock.lock().unwrap() = Some(self.store.lock_vm(&vmx, "elsewhere").unwrap());
            self.sent = true;
        }
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_file_that_is_opened_while_its_replacement_arrives_is_not_replaced() {
    let c = simulated().await;
    let files = c.host.storage().files(Arc::new(Denied::default()));
    c.create(small("web")).await.unwrap();
    let store = c.host.datastores.by_name("ds").unwrap().store;
    let lock = Arc::new(Mutex::new(None));
    let body = Box::new(MeanwhileOpened { store, lock: lock.clone(), sent: false });
    let written = files.write(&who(), &target("web/web.vmx"), None, body).await;
    assert!(matches!(written, Err(FileError::Conflict)), "{written:?}");
    assert!(get(&*files, "web/web.vmx", None).await.unwrap().starts_with(b".encoding"));
    lock.lock().unwrap().take();
    put(&*files, "web/web.vmx", b"now").await.unwrap();
}
