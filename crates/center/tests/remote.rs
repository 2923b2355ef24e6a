//! A host behind a real API server on the loopback: added by password, then followed over mutual TLS.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use api::accounts::{self, Accounts, Realm};
use api::files::{FileError, Target};
use api::managers::{self, Common, Facts, Singletons};
use api::server::{Site, serve};
use api::tls::{CertificateAuthority, Renewing};
use api::{Core, Methods, Service};
use center::{Center, Network, Options};
use common::toy::{self, vm_ref};
use common::{Client, root, store_in};
use store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use vim::{MoRef, Value, call, field, managed_id, prop, vim};

struct Served {
    core: Arc<Core>,
    service: Arc<Service>,
    accounts: Arc<Accounts>,
    port: u16,
    certificate: Arc<Renewing>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn start(directory: &Path, name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::start_at(directory, name, listener).await
    }

    async fn start_at(directory: &Path, name: &str, listener: TcpListener) -> Self {
        let store = Store::open(directory.join("host.db")).unwrap();
        let core = Arc::new(Core::new(store.clone()));
        toy::create_objects(&core, name);
        let accounts =
            Accounts::open(store, Realm::Host, Singletons::host().root_folder, |_, _| None).await.unwrap();
        accounts.ensure_administrator("root", "root", Some("secret!1A")).await.unwrap();
        let about = vim!(AboutInfo {
            name: "Toy",
            fullName: "Toy",
            vendor: "Esfera",
            version: "8.0.3",
            build: "1",
            osType: "linux",
            productLineId: "embeddedEsx",
            apiType: "HostAgent",
            apiVersion: "8.0.3.0",
        });
        let capability = vim!(Capability {
            provisioningSupported: true,
            multiHostSupported: false,
            userShellAccessSupported: false,
        });
        let facts = Facts { about, capability, settings: Vec::new(), extensible: false };
        let common = Arc::new(Common { core: core.clone(), ids: Singletons::host(), facts });
        let mut methods = Methods::default();
        managers::register(&mut methods, &common);
        accounts::register(&mut methods, &accounts);
        toy::register(&mut methods, Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)));
        let service = Service::new(core.clone(), accounts.clone(), methods);
        managers::create(&common).unwrap();
        accounts::create(&core, &accounts).unwrap();
        let authority = CertificateAuthority::open(&directory.join("tls"), name).unwrap();
        let certificate = Renewing::new(authority, "server", Vec::new()).unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = Arc::new(service);
        let (stop, task) = Self::serve(&service, listener, &certificate);
        Self { core, service, accounts, port, certificate, stop, task }
    }

    fn serve(
        service: &Arc<Service>,
        listener: TcpListener,
        certificate: &Arc<Renewing>,
    ) -> (CancellationToken, tokio::task::JoinHandle<()>) {
        let site = Site {
            service: service.clone(),
            files: None,
            screens: None,
            captures: None,
            protocols: Vec::new(),
        };
        let stop = CancellationToken::new();
        let serving = serve(site, listener, Some(certificate.clone()), stop.clone());
        (stop, tokio::spawn(async move { serving.await.unwrap() }))
    }

    /// Stops serving for a moment, and keeps all sessions.
    async fn interrupt(&mut self, lost: impl AsyncFnOnce()) {
        self.stop.cancel();
        (&mut self.task).await.unwrap();
        lost().await;
        let listener = listen_at(self.port).await;
        (self.stop, self.task) = Self::serve(&self.service, listener, &self.certificate);
    }

    /// Waits until the center has this many sessions on the host.
    async fn until_sessions(&self, wanted: usize) {
        let centers = || {
            let all = self.core.sessions.all().into_iter();
            all.filter(|session| session.account.name == "vpxuser").count()
        };
        while centers() != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn thumbprint(&self) -> String {
        self.certificate.identity().thumbprint_sha1()
    }
}

fn authority(directory: &Path) -> CertificateAuthority {
    CertificateAuthority::open(directory, "center").unwrap()
}

async fn center_at(directory: &Path) -> Arc<Center> {
    let mut options = Options::new(store_in(directory).await);
    options.password = Some("Test!123".into());
    options.address = Some(directory.file_name().unwrap().to_string_lossy().into_owned());
    options.network = Network::Authority(Box::new(authority(&directory.join("tls"))));
    Center::open(options).await.unwrap()
}

fn spec(port: u16, thumbprint: Option<&str>, password: &str, force: bool) -> vim::Object {
    vim!(HostConnectSpec {
        hostName: "127.0.0.1",
        port: i32::from(port),
        sslThumbprint: thumbprint,
        userName: "root",
        password: password,
        force: force,
    })
    .into_object()
}

fn add(spec: vim::Object) -> vim::Args {
    call!(AddStandaloneHost_Task { spec: spec, addConnected: true })
}

async fn host_folder(client: &Client) -> MoRef {
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    client.reference(&dc, prop!(Datacenter.hostFolder).number())
}

fn power(client: &Client, vm: &MoRef) -> String {
    let runtime = client.get(vm, prop!(VirtualMachine.runtime).number()).unwrap();
    let runtime = runtime.as_object().unwrap();
    runtime.get(field!(VirtualMachineRuntimeInfo.powerState)).unwrap().name().to_owned()
}

/// A host with a VM, and a center that does not know it yet.
struct Pair {
    /// Contains `host` and `center`.
    directory: tempfile::TempDir,
    host: Served,
    center: Arc<Center>,
    client: Client,
    /// The folder that hosts are added to.
    hosts: MoRef,
    thumbprint: String,
}

impl Pair {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (host_dir, center_dir) = (directory.path().join("host"), directory.path().join("center"));
        std::fs::create_dir_all(&host_dir).unwrap();
        std::fs::create_dir_all(&center_dir).unwrap();
        let host = Served::start(&host_dir, "toy").await;
        toy::add_vm(&host.core, "1", "web", "uuid-1");
        let center = center_at(&center_dir).await;
        let client = Client::of(&center);
        let hosts = host_folder(&client).await;
        let thumbprint = host.thumbprint();
        Self { directory, host, center, client, hosts, thumbprint }
    }

    /// The same with the host added.
    async fn joined(self) -> Self {
        let wanted = spec(self.host.port, Some(&self.thumbprint), "secret!1A", false);
        self.client.task(&self.hosts, add(wanted)).await.unwrap();
        self
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_added_by_password_and_followed_by_certificate() {
    let Pair { directory, host, center, client, hosts, thumbprint: right } = Pair::new().await;
    let wrong = "00".repeat(20);
    for (thumbprint, password, expected) in [
        (None, "secret!1A", "SSLVerifyFault"),
        (Some(wrong.as_str()), "secret!1A", "SSLVerifyFault"),
        (Some(right.as_str()), "wrong", "InvalidLogin"),
    ] {
        let fault = client.task(&hosts, add(spec(host.port, thumbprint, password, false))).await.unwrap_err();
        assert_eq!(fault.type_name(), expected, "{fault}");
        if expected == "SSLVerifyFault" {
            let shown = fault.object().get(field!(SSLVerifyFault.thumbprint));
            assert_eq!(shown, Some(right.as_str()));
        }
    }
    let nobody = client.task(&hosts, add(spec(1, Some(&right), "secret!1A", false))).await.unwrap_err();
    assert_eq!(nobody.type_name(), "NoHost");
    assert!(client.all(managed_id!(HostSystem)).is_empty(), "a refused host leaves nothing behind");

    client.task(&hosts, add(spec(host.port, Some(&right), "secret!1A", false))).await.unwrap();
    let again =
        client.task(&hosts, add(spec(host.port, Some(&right), "secret!1A", false))).await.unwrap_err();
    assert_eq!(again.type_name(), "AlreadyConnected");
    let mut alias = spec(host.port, Some(&right), "secret!1A", false);
    alias.set(field!(HostConnectSpec.hostName), "localhost");
    let alias = client.task(&hosts, add(alias)).await.unwrap_err();
    assert_eq!(alias.type_name(), "AlreadyConnected");
    assert_eq!(host.accounts.trusted_certificates().len(), 1, "the host under its first name is kept");
    let vm = client.find(managed_id!(VirtualMachine), "web");
    client.task(&vm, call!(PowerOnVM_Task {})).await.unwrap();
    assert_eq!(power(&client, &vm), "poweredOn", "the effect of a task is shown when it has ended");
    toy::add_vm(&host.core, "2", "made there", "uuid-2");
    client.until(|client| client.all(managed_id!(VirtualMachine)).len() == 2).await;
    let other = client.find(managed_id!(VirtualMachine), "made there");
    client.call(&other, call!(UnregisterVM {})).await.unwrap();
    assert!(!client.exists(&other), "the effect of a call is shown when it has returned");
    let system = client.all(managed_id!(HostNetworkSystem));
    assert_eq!(system.len(), 1, "the host's parts are there");
    // The center does not keep the password: it reconnects although the host has a new one.
    host.accounts.set_password("root", "other!2B").await.unwrap();
    drop(client);
    drop(center);
    let center = center_at(&directory.path().join("center")).await;
    let client = Client::of(&center);
    assert_eq!(
        client.find(managed_id!(VirtualMachine), "web"),
        vm,
        "a VM is the same object after a restart"
    );
    client.until(|client| power(client, &vm) == "poweredOn").await;
    let host_ref = client.find(managed_id!(HostSystem), "127.0.0.1");
    assert_eq!(host.accounts.trusted_certificates().len(), 1);
    client.task(&host_ref, call!(Destroy_Task {})).await.unwrap();
    assert!(host.accounts.trusted_certificates().is_empty(), "a removed host forgets the center");
    host.stop.cancel();
    host.task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_of_another_center_is_taken_over_by_force_only() {
    let directory = tempfile::tempdir().unwrap();
    let dirs: Vec<_> = ["host", "one", "two"].iter().map(|name| directory.path().join(name)).collect();
    for dir in &dirs {
        std::fs::create_dir_all(dir).unwrap();
    }
    let host = Served::start(&dirs[0], "toy").await;
    let thumbprint = host.thumbprint();
    let (one, two) = (center_at(&dirs[1]).await, center_at(&dirs[2]).await);
    let (first, second) = (Client::of(&one), Client::of(&two));
    let (a, b) = (host_folder(&first).await, host_folder(&second).await);
    let wanted = |force| add(spec(host.port, Some(&thumbprint), "secret!1A", force));
    first.task(&a, wanted(false)).await.unwrap();
    let fault = second.task(&b, wanted(false)).await.unwrap_err();
    assert_eq!(fault.type_name(), "AlreadyBeingManaged");
    assert_eq!(fault.object().get(field!(AlreadyBeingManaged.ipAddress)), Some("one"));
    second.task(&b, wanted(true)).await.unwrap();
    assert_eq!(second.all(managed_id!(HostSystem)).len(), 1);
    host.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_restarts_is_found_again_as_it_is_then() {
    let Pair { directory, host, center, client, .. } = Pair::new().await.joined().await;
    let vm = client.find(managed_id!(VirtualMachine), "web");
    let host_ref = client.find(managed_id!(HostSystem), "127.0.0.1");
    let port = host.port;
    host.stop.cancel();
    host.task.await.unwrap();
    let state = |client: &Client| {
        let runtime = client.get(&host_ref, prop!(HostSystem.runtime).number()).unwrap();
        let runtime = runtime.as_object().unwrap();
        runtime.get(field!(HostRuntimeInfo.connectionState)).unwrap().name().to_owned()
    };
    client.until(|client| state(client) == "notResponding").await;
    assert_eq!(client.call(&vm, call!(PowerOnVM_Task {})).await.unwrap_err().type_name(), "HostNotConnected");
    drop(host.core);
    drop(host.service);
    drop(host.accounts);
    let listener = listen_at(port).await;
    // Another directory, since the store of the first is in use until its last connection has ended.
    let second_dir = directory.path().join("second");
    std::fs::create_dir_all(&second_dir).unwrap();
    copy_tls(&directory.path().join("host/tls"), &second_dir.join("tls"));
    let host = Served::start_at(&second_dir, "toy", listener).await;
    let authority = authority(&directory.path().join("center/tls"));
    let uri = api::tls::center_uri(center.uuid());
    host.accounts.ensure_administrator("vpxuser", "center", None).await.unwrap();
    host.accounts.trust_certificate(authority.certificate(), Some(&uri), "vpxuser", "center").await.unwrap();
    toy::add_vm(&host.core, "1", "renamed", "uuid-1");
    client.until(|client| state(client) == "connected").await;
    assert_eq!(client.name(&vm), "renamed");
    assert_eq!(client.get(&vm, prop!(VirtualMachine.name).number()), Some(Value::from("renamed")));
    assert!(host.core.tree.snapshot().find(&vm_ref("1")).is_some());
    host.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_center_leaves_no_session_behind_on_a_host() {
    let Pair { directory: _directory, mut host, center: _center, client, hosts, thumbprint } =
        Pair::new().await.joined().await;
    let host_ref = client.find(managed_id!(HostSystem), "127.0.0.1");
    host.until_sessions(1).await;
    let state = |client: &Client| {
        let runtime = client.get(&host_ref, prop!(HostSystem.runtime).number()).unwrap();
        let runtime = runtime.as_object().unwrap();
        runtime.get(field!(HostRuntimeInfo.connectionState)).unwrap().name().to_owned()
    };
    // The host is lost and returns.
    host.interrupt(async || client.until(|client| state(client) == "notResponding").await).await;
    client.until(|client| state(client) == "connected").await;
    host.until_sessions(1).await;
    // The host moves and is followed again.
    let cluster =
        client.make(&hosts, call!(CreateClusterEx { name: "C", spec: ClusterConfigSpecEx {} })).await;
    client.task(&host_ref, call!(EnterMaintenanceMode_Task { timeout: 0 })).await.unwrap();
    client.task(&cluster, call!(MoveInto_Task { host: [host_ref.clone()] })).await.unwrap();
    host.until_sessions(1).await;
    client.task(&host_ref, call!(ExitMaintenanceMode_Task { timeout: 0 })).await.unwrap();
    let vm = client.find(managed_id!(VirtualMachine), "web");
    client.task(&vm, call!(PowerOnVM_Task {})).await.unwrap();
    // The host is enrolled again and lost.
    let anew = spec(host.port, Some(&thumbprint), "secret!1A", false);
    client.task(&host_ref, call!(ReconnectHost_Task { cnxSpec: anew })).await.unwrap();
    host.until_sessions(1).await;
    client.task(&host_ref, call!(DisconnectHost_Task {})).await.unwrap();
    host.until_sessions(0).await;
    client.task(&host_ref, call!(ReconnectHost_Task {})).await.unwrap();
    host.until_sessions(1).await;
    client.task(&host_ref, call!(DisconnectHost_Task {})).await.unwrap();
    client.task(&host_ref, call!(Destroy_Task {})).await.unwrap();
    host.until_sessions(0).await;
    assert!(host.core.sessions.all().is_empty(), "nor an administrator's");
    host.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_reports_the_operations_of_a_user_under_the_users_name() {
    let Pair { directory: _directory, host, center, client, .. } = Pair::new().await.joined().await;
    center.accounts().create("zoë", "", Some("Test!123")).await.unwrap();
    let user = center.accounts().find("zoë").unwrap();
    let name = user.name.clone();
    let (who, rule) = (Client::new(center.service(), user), |role| {
        vim!(Permission { principal: &name, group: false, roleId: role, propagate: true })
    });
    let authorization = MoRef::new(managed_id!(AuthorizationManager), "AuthorizationManager");
    let set = call!(SetEntityPermissions { entity: root(), permission: [rule(-1)] });
    client.call(&authorization, set).await.unwrap();
    let vm = client.find(managed_id!(VirtualMachine), "web");
    who.task(&vm, call!(PowerOnVM_Task {})).await.unwrap();
    let latest = |client: &Client, manager: &str| {
        let manager = MoRef::new(managed_id!(EventManager), manager);
        let event = client.get(&manager, prop!(EventManager.latestEvent).number());
        let event = event.as_ref().and_then(|event| event.as_object()).cloned();
        event.filter(|event| event.type_name() == "VmPoweredOnEvent")
    };
    let by = |event: &vim::Object| event.get(field!(Event.userName)).unwrap().to_owned();
    client.until(|client| latest(client, "EventManager").is_some()).await;
    assert_eq!(by(&latest(&client, "EventManager").unwrap()), name);
    let there = host.core.tree.snapshot();
    let at_host = |id: &str| {
        let manager = there.find(&MoRef::new(managed_id!(EventManager), id)).unwrap();
        by(manager.get(prop!(EventManager.latestEvent)).unwrap())
    };
    assert_eq!(at_host("ha-eventmgr"), format!("vpxuser:{name}"));
    // Only a center acts on behalf of others.
    let mut options = api::client::Options::new(api::tls::Trust::Thumbprint(
        host.certificate.identity().thumbprint_sha256(),
    ));
    options.user_agent = "test".into();
    let root = api::client::Client::connect(&format!("127.0.0.1:{}", host.port), options).await.unwrap();
    root.login("root", "secret!1A").await.unwrap();
    let task =
        root.invoke_for(&api::Acting::new("eve"), &vm_ref("1"), &call!(PowerOnVM_Task {})).await.unwrap();
    let task = task.and_then(|task| task.as_ref().cloned()).unwrap();
    root.wait_for_task(&task, |_| ()).await.unwrap();
    let info = host.core.tree.snapshot().find(&task).and_then(|node| node.get(prop!(Task.info)).cloned());
    let reason = info.unwrap().get(field!(TaskInfo.reason)).cloned().unwrap();
    assert_eq!(reason.get(field!(TaskReasonUser.userName)), Some("root"));
    host.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_system_that_a_host_names_is_there_and_carries_its_methods_to_the_host() {
    let Pair { directory: _directory, host, center: _center, client, .. } = Pair::new().await.joined().await;
    let host_ref = client.find(managed_id!(HostSystem), "127.0.0.1");
    let manager = client.get(&host_ref, prop!(HostSystem.configManager).number()).unwrap();
    let manager = manager.as_object().unwrap().clone();
    let systems: Vec<&MoRef> = manager.fields().iter().filter_map(|(_, value)| value.as_ref()).collect();
    assert_eq!(systems.len(), 4);
    for system in systems {
        assert!(client.exists(system), "{system}");
    }
    let clock = manager.get(field!(HostConfigManager.dateTimeSystem)).unwrap();
    let zone = || {
        let info = client.get(clock, prop!(HostDateTimeSystem.dateTimeInfo).number())?;
        let zone = info.as_object()?.get(field!(HostDateTimeInfo.timeZone))?.clone();
        zone.get(field!(HostDateTimeSystemTimeZone.key)).map(str::to_owned)
    };
    assert_eq!(zone().as_deref(), Some("UTC"));
    let tokyo = vim!(HostDateTimeConfig { timeZone: "Asia/Tokyo" });
    client.call(clock, call!(UpdateDateTimeConfig { config: tokyo })).await.unwrap();
    assert_eq!(zone().as_deref(), Some("Asia/Tokyo"), "shown when the call returns");
    host.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_a_host_on_the_network_is_listed() {
    let Pair { directory: _directory, host, center, .. } = Pair::new().await.joined().await;
    let files = center.site().files.unwrap();
    let who = center.accounts().find("administrator").unwrap();
    let at = |path: &str| Target { datacenter: Some("DC".into()), datastore: "ds".into(), path: path.into() };
    let entries = files.list(&who, &at("dir/sub/")).await.unwrap();
    let [file, below] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((file.name.as_str(), file.facts.size, file.facts.directory), ("a.iso", 5, false));
    assert_eq!(file.facts.modified, Some(UNIX_EPOCH + Duration::from_secs(1)));
    assert_eq!((below.name.as_str(), below.facts.directory), ("below", true));
    assert!(matches!(files.list(&who, &at("other/")).await, Err(FileError::NotFound)));
    host.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_center_that_starts_without_its_host_names_nothing_that_is_not_there() {
    let Pair { directory, host, center, client, .. } = Pair::new().await.joined().await;
    assert_eq!(client.dangling(), Vec::<String>::new());
    host.stop.cancel();
    host.task.await.unwrap();
    drop((client, center));
    let center = center_at(&directory.path().join("center")).await;
    let client = Client::of(&center);
    client.find(managed_id!(VirtualMachine), "web");
    assert_eq!(client.dangling(), Vec::<String>::new());
}

async fn listen_at(port: u16) -> TcpListener {
    loop {
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn copy_tls(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
