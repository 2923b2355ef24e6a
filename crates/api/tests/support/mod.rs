//! A small daemon to talk to: a tree with a folder and VMs, a few toy methods, files in memory.
#![allow(dead_code, clippy::unwrap_used)]

mod files;
mod raw;

pub use files::ToyFiles;
pub use raw::{Answer, raw};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::accounts::{Accounts, Realm};
use api::managers::{self, Common, Facts, Singletons};
use api::server::{CaptureQuery, Captures, Screens, Site, serve};
use api::ticket::UnixConsole;
use api::tls::{CertificateAuthority, Renewing};
use api::{Account, Call, Core, Guard, Methods, Service, TaskOptions};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio_util::sync::CancellationToken;
use vim::{Fault, MoRef, Value, fault, managed_id, method, props, vim};

pub const PASSWORD: &str = "correct horse";

/// Counts the effects of the toy methods.
#[derive(Default)]
pub struct Seen {
    pub wait_begun: AtomicUsize,
    pub wait_dropped: AtomicUsize,
    pub change_begun: AtomicUsize,
    pub change_done: AtomicUsize,
    pub captures_ended: AtomicUsize,
}

pub struct Daemon {
    pub address: SocketAddr,
    pub core: Arc<Core>,
    pub service: Arc<Service>,
    pub accounts: Arc<Accounts>,
    pub files: Arc<ToyFiles>,
    pub seen: Arc<Seen>,
    pub certificate: Option<Arc<Renewing>>,
    pub directory: tempfile::TempDir,
    shutdown: CancellationToken,
    server: Option<tokio::task::JoinHandle<std::io::Result<()>>>,
}

pub fn vm(n: u32) -> MoRef {
    MoRef::new(managed_id!(VirtualMachine), n.to_string())
}

pub fn root() -> MoRef {
    Singletons::host().root_folder
}

pub fn vm_folder() -> MoRef {
    MoRef::new(managed_id!(Folder), "ha-folder-vm")
}

/// A daemon without TLS.
pub async fn plain() -> Daemon {
    start(false, false).await
}

/// A daemon without TLS whose property collector waits until the client hangs up.
pub async fn plain_that_waits() -> Daemon {
    start(false, true).await
}

/// A daemon with TLS and a certificate for 127.0.0.1.
pub async fn with_tls() -> Daemon {
    start(true, false).await
}

/// Captures one frame at once, and no other.
struct ToyCaptures(Arc<Seen>);

#[async_trait::async_trait]
impl Captures for ToyCaptures {
    fn object(&self) -> MoRef {
        root()
    }

    async fn capture(&self, query: CaptureQuery) -> Result<BoxStream<'static, Bytes>, Fault> {
        let counted = CountEnd(self.0.clone());
        let first = stream::once(async move { Bytes::from(format!("frame of {}", query.ports.join(" "))) });
        let endless = first.chain(stream::pending()).map(move |frame| {
            let _ = &counted;
            frame
        });
        Ok(endless.boxed())
    }
}

/// Counts the captures that ended.
struct CountEnd(Arc<Seen>);

impl Drop for CountEnd {
    fn drop(&mut self) {
        self.0.captures_ended.fetch_add(1, Ordering::SeqCst);
    }
}

struct ToyScreens;

#[async_trait::async_trait]
impl Screens for ToyScreens {
    async fn screenshot(&self, _who: &Account, vm: &MoRef) -> Result<Vec<u8>, Fault> {
        match vm.id() {
            "1" => Ok(b"\x89PNG".to_vec()),
            _ => Err(fault!(InvalidPowerState { existingState: "poweredOff" }, "The VM is off")),
        }
    }
}

async fn start(tls: bool, waits: bool) -> Daemon {
    let directory = tempfile::tempdir().unwrap();
    let store = store::Store::in_memory().unwrap();
    let core = Arc::new(Core::new(store.clone()));
    let common = Arc::new(Common { core: core.clone(), ids: Singletons::host(), facts: facts() });
    let accounts = Accounts::open(store, Realm::Host, root(), |_, _| None).await.unwrap();
    accounts.ensure_administrator("root", "Administrator", Some(PASSWORD)).await.unwrap();
    let seen = Arc::new(Seen::default());
    let mut methods = Methods::default();
    managers::register(&mut methods, &common);
    api::accounts::register(&mut methods, &accounts);
    toy_methods(&mut methods, &seen, directory.path().join("console.sock"));
    if waits {
        endless_wait(&mut methods, &seen);
    }
    let service = Arc::new(Service::new(core.clone(), accounts.clone(), methods));
    core.tree.write(|w| {
        w.create(&Singletons::host().extension_manager, props!(ExtensionManager {}));
        w.create(&root(), props!(Folder { name: "ha-folder-root", childEntity: [vm_folder()] }));
        w.create(&vm_folder(), props!(Folder { name: "vm", parent: root(), childEntity: [vm(1), vm(2)] }));
        for n in 1..=2 {
            w.create(&vm(n), props!(VirtualMachine { name: format!("VM {n} <&>"), parent: vm_folder() }));
        }
    });
    managers::create(&common).unwrap();
    api::accounts::create(&core, &accounts).unwrap();

    let certificate = tls.then(|| {
        let authority = CertificateAuthority::open(&directory.path().join("tls"), "toy CA").unwrap();
        Renewing::new(authority, "server", vec!["toy.test".into()]).unwrap()
    });
    let files = Arc::new(ToyFiles::default());
    let site = Site {
        service: service.clone(),
        files: Some(files.clone()),
        screens: Some(Arc::new(ToyScreens)),
        captures: Some(Arc::new(ToyCaptures(seen.clone()))),
        protocols: Vec::new(),
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(serve(site, listener, certificate.clone(), shutdown.clone()));
    let server = Some(server);
    Daemon { address, core, service, accounts, files, seen, certificate, directory, shutdown, server }
}

impl Daemon {
    /// Stops it like a signal.
    pub async fn stop(&mut self) {
        self.shutdown.cancel();
        self.server.take().unwrap().await.unwrap().unwrap();
    }

    /// Logs in over SOAP and returns the session's key.
    pub async fn login(&self, user: &str, password: &str) -> String {
        let answer = self.try_login(user, password).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cookie = answer.header("set-cookie").unwrap();
        cookie.split('"').nth(1).unwrap().to_owned()
    }

    pub async fn try_login(&self, user: &str, password: &str) -> Answer {
        let body = format!("<userName>{user}</userName><password>{password}</password>");
        self.soap("", "SessionManager", "ha-sessionmgr", "Login", &body).await
    }

    /// Calls a method over SOAP; `headers` are whole lines.
    pub async fn soap(&self, headers: &str, ty: &str, id: &str, method: &str, parameters: &str) -> Answer {
        let body = envelope(ty, id, method, parameters);
        self.post("/sdk", &format!("SOAPAction: \"urn:vim25/8.0.3.0\"\r\n{headers}"), body.as_bytes()).await
    }

    pub async fn post(&self, path: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: toy\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        raw(self.address, &[head.as_bytes(), body].concat()).await
    }

    /// A request without a body; `headers` are whole lines.
    pub async fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: toy\r\nConnection: close\r\n{headers}\r\n");
        raw(self.address, head.as_bytes()).await
    }
}

pub fn envelope(ty: &str, id: &str, method: &str, parameters: &str) -> String {
    format!(
        "<?xml version='1.0'?><e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body>\
         <{method} xmlns='urn:vim25'><_this type='{ty}'>{id}</_this>{parameters}</{method}>\
         </e:Body></e:Envelope>"
    )
}

pub fn cookie(key: &str) -> String {
    format!("Cookie: vmware_soap_session=\"{key}\"\r\n")
}

/// Waits for something that must happen, and gives up after far longer than it takes.
pub async fn until(what: impl Fn() -> bool) {
    let come = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), come).await.expect("it comes");
}

struct CountDrop(Arc<Seen>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.wait_dropped.fetch_add(1, Ordering::SeqCst);
    }
}

fn toy_methods(methods: &mut Methods, seen: &Arc<Seen>, console: PathBuf) {
    let vms = managed_id!(VirtualMachine);
    methods.on(vms, method!(PowerOnVM_Task), |call: Call| async move {
        let options = TaskOptions::exclusive(&call.this, "VM");
        call.task(options, |running| async move {
            running.progress(50);
            Ok(None)
        })
        .await
    });
    methods.on(vms, method!(PowerOffVM_Task), |call: Call| async move {
        let options = TaskOptions::exclusive(&call.this, "VM");
        call.task(options, |_| async move {
            Err(fault!(InvalidPowerState { existingState: "poweredOff" }, "The VM is off"))
        })
        .await
    });
    methods.on(vms, method!(MarkAsTemplate), |call: Call| async move {
        call.service.core.tree.write(|w| w.set(&call.this, props!(VirtualMachine { name: "template" })));
        Ok(None)
    });
    methods.on(vms, method!(ResetGuestInformation), |_| async move { panic!("a secret of the inside") });
    methods.guarded(vms, method!(AcquireTicket), Guard::Open, move |call: Call| {
        let console = console.clone();
        async move {
            let ticket =
                call.service.core.tickets.for_console(call.session()?, Arc::new(UnixConsole(console)))?;
            Ok(Some(vim!(VirtualMachineTicket { ticket: ticket, cfgFile: "" }).into()))
        }
    });
    let at = seen.clone();
    methods.on(vms, method!(StandbyGuest), move |_| {
        let at = at.clone();
        async move {
            at.change_begun.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(300)).await;
            at.change_done.fetch_add(1, Ordering::SeqCst);
            Ok(None)
        }
    });
}

/// Replaces the property collector's method.
fn endless_wait(methods: &mut Methods, seen: &Arc<Seen>) {
    let at = seen.clone();
    methods.on(managed_id!(PropertyCollector), method!(WaitForUpdates), move |_| {
        let at = at.clone();
        async move {
            let _dropped = CountDrop(at.clone());
            at.wait_begun.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<Result<Option<Value>, Fault>>().await
        }
    });
}

fn facts() -> Facts {
    Facts {
        about: vim!(AboutInfo {
            name: "Toy",
            fullName: "Toy <1>",
            vendor: "Esfera",
            version: "8.0.3",
            build: "1",
            osType: "linux-x64",
            productLineId: "embeddedEsx",
            apiType: "HostAgent",
            apiVersion: "8.0.3.0",
        }),
        capability: vim!(Capability {
            provisioningSupported: false,
            multiHostSupported: false,
            userShellAccessSupported: false,
        }),
        settings: Vec::new(),
        extensible: false,
    }
}
