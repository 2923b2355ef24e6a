//! A host in the test's own process, driven through its service as any client would.
#![allow(dead_code, clippy::unwrap_used)]

pub mod anybody;
pub mod serial;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anybody::{Anybody, root};
use api::session::Peer;
use api::{Call, Service, Session};
use datastore::Datastore;
use host::engine::{AccelPolicy, QemuOptions};
use host::{DEFAULT_NETWORK, Host, HostOptions, SimulatedOptions, ids};
use hostnet::NetworkOptions;
use vim::{Args, Data, Fault, Kind, List, MoRef, Object, Value, call, field, managed_id, prop, vim};

/// A host with one session.
pub struct Client {
    pub host: Arc<Host>,
    pub service: Arc<Service>,
    pub session: Arc<Session>,
    pub peer: Arc<Peer>,
}

impl Client {
    pub fn of(host: Arc<Host>) -> Self {
        let service = host.service_for(Arc::new(Anybody), &[]).unwrap();
        let peer = Arc::new(Peer {
            address: std::net::IpAddr::from([127, 0, 0, 1]),
            user_agent: "test".into(),
            certificate: None,
        });
        let session = host.core.sessions.open(root(), &peer, "en").unwrap();
        Self { host, service, session, peer }
    }

    /// Lets go of the host as a daemon that ends does, and returns when all of it has ended; machines go on.
    pub async fn close(self) {
        // Every service and every watcher holds the core.
        let core = Arc::downgrade(&self.host.core);
        drop(self);
        for _ in 0..1200 {
            if core.strong_count() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("something still holds the host");
    }

    /// Calls a method.
    pub async fn invoke(&self, this: &MoRef, args: Args) -> Result<Option<Value>, Fault> {
        let (session, service) = (Some(self.session.clone()), self.service.clone());
        let call = Call::new(service, self.peer.clone(), session, this.clone(), args);
        self.service.invoke(call).await
    }

    /// Calls a method that makes a task, and waits for how it ends.
    pub async fn task(&self, this: &MoRef, args: Args) -> Result<Option<Value>, Fault> {
        let task = self.invoke(this, args).await?.expect("a task");
        self.wait(task.as_ref().expect("a reference")).await
    }

    /// Waits for a task.
    pub async fn wait(&self, task: &MoRef) -> Result<Option<Value>, Fault> {
        let mut versions = self.host.core.tree.versions();
        loop {
            let info = self.get(task, prop!(Task.info)).expect("the task is there");
            let state = info.get(field!(TaskInfo.state)).expect("a state");
            match vim::EnumValue::from(state).name() {
                "success" => return Ok(info.get(field!(TaskInfo.result)).cloned()),
                "error" => {
                    let fault = info.get(field!(TaskInfo.error)).and_then(|e| Fault::from_localized(e));
                    return Err(fault.expect("a fault"));
                }
                _ => versions.changed().await.unwrap(),
            }
        }
    }

    /// A property as it is now.
    pub fn get<K>(&self, me: &MoRef, property: vim::Field<K>) -> Option<Owned<K>>
    where
        K: OwnedMarker,
    {
        let state = self.host.core.tree.snapshot();
        K::own(state.find(me)?.at(property.number())?)
    }

    /// Makes a machine.
    pub async fn create(&self, spec: impl Into<Object>) -> Result<MoRef, Fault> {
        let spec: Object = spec.into();
        let args = call!(CreateVM_Task { config: spec, pool: ids::root_pool() });
        let made = self.task(&ids::vm_folder(), args).await?;
        Ok(made.and_then(|me| me.as_ref().cloned()).expect("the machine"))
    }

    pub async fn power_on(&self, vm: &MoRef) -> Result<(), Fault> {
        self.task(vm, call!(PowerOnVM_Task {})).await.map(drop)
    }

    pub async fn power_off(&self, vm: &MoRef) -> Result<(), Fault> {
        self.task(vm, call!(PowerOffVM_Task {})).await.map(drop)
    }

    pub async fn destroy(&self, vm: &MoRef) -> Result<(), Fault> {
        self.task(vm, call!(Destroy_Task {})).await.map(drop)
    }

    /// `poweredOn` and so on.
    pub fn power(&self, vm: &MoRef) -> &'static str {
        let runtime = self.get(vm, prop!(VirtualMachine.runtime)).expect("a runtime");
        let power = runtime.get(field!(VirtualMachineRuntimeInfo.powerState)).expect("a power state");
        vim::EnumValue::from(power).name()
    }

    /// Types of the events so far, oldest first.
    pub async fn events(&self) -> Vec<&'static str> {
        let manager = MoRef::new(managed_id!(EventManager), "ha-eventmgr");
        let args = call!(QueryEvents { filter: vim!(EventFilterSpec {}) });
        let found = self.invoke(&manager, args).await.unwrap();
        let found = found.map(|list| list.items().to_vec()).unwrap_or_default();
        found.iter().filter_map(|event| Some(event.as_object()?.type_name())).collect()
    }

    /// The newest event that is shown, which is after it was written: its type, and what it says.
    pub fn latest_event(&self) -> (&'static str, String) {
        let manager = MoRef::new(managed_id!(EventManager), "ha-eventmgr");
        let latest = self.get(&manager, prop!(EventManager.latestEvent)).expect("an event");
        (latest.type_name(), latest.get(field!(Event.fullFormattedMessage)).unwrap_or_default().to_owned())
    }

    /// Waits until something is so.
    pub async fn until(&self, mut is: impl FnMut(&Self) -> bool) {
        let mut versions = self.host.core.tree.versions();
        let wait = async {
            while !is(self) {
                versions.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(180), wait).await.expect("it becomes so in time");
    }
}

/// Values that outlive the state of the tree.
pub trait OwnedMarker: vim::kind::Marker {
    type Owned;
    fn own(value: &Value) -> Option<Self::Owned>;
}

pub type Owned<K> = <K as OwnedMarker>::Owned;

impl<const B: u16, const END: u16> OwnedMarker for vim::kind::Obj<B, END> {
    type Owned = Arc<Object>;
    fn own(value: &Value) -> Option<Arc<Object>> {
        value.as_object().cloned()
    }
}

impl OwnedMarker for vim::kind::Text {
    type Owned = String;
    fn own(value: &Value) -> Option<String> {
        value.as_str().map(ToOwned::to_owned)
    }
}

impl<K: vim::kind::Marker> OwnedMarker for vim::kind::ListOf<K> {
    type Owned = Vec<Value>;
    fn own(value: &Value) -> Option<Vec<Value>> {
        Some(value.items().to_vec())
    }
}

/// A simulated host with the datastore `ds`.
pub async fn simulated() -> Client {
    simulated_with(64 << 30).await
}

/// The same with a datastore of so many bytes.
pub async fn simulated_with(capacity_bytes: u64) -> Client {
    let store = Arc::new(Datastore::memory(uuid::Uuid::new_v4(), capacity_bytes));
    let options = SimulatedOptions::new("sim.test", vec![("ds".into(), store)]);
    Client::of(Host::simulated(options).await.unwrap())
}

/// Where a host with real guests keeps everything.
pub struct Site {
    pub root: tempfile::TempDir,
    /// Directory of the cgroup that machines are put under.
    pub cgroup: Option<PathBuf>,
}

impl Site {
    pub fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        drop(tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init());
        let root = tempfile::Builder::new().prefix("esf").tempdir().unwrap();
        // Machines run as users of their own.
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir(root.path().join("ds")).unwrap();
        Self { root, cgroup: None }
    }

    pub fn datastore(&self) -> PathBuf {
        self.root.path().join("ds")
    }

    /// Opens the host, again if it was open before.
    pub async fn open(&self) -> Client {
        Client::of(self.open_host().await)
    }

    pub async fn open_host(&self) -> Arc<Host> {
        self.open_host_with(|| NetworkOptions::simulated(vec![DEFAULT_NETWORK.into()], None)).await
    }

    pub async fn open_host_with(&self, network: impl Fn() -> NetworkOptions) -> Arc<Host> {
        // A host that was just let go of may still be closing its store, or be asking a machine something.
        for _ in 0..1200 {
            match Host::open(self.options(network())).await {
                Err(host::Error::Store(store::Error::InUse(_))) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                opened => return opened.unwrap(),
            }
        }
        panic!("another host has the state open");
    }

    fn options(&self, network: NetworkOptions) -> HostOptions {
        HostOptions {
            data: self.root.path().join("data"),
            name: "host.test".into(),
            datastores: vec![("ds".into(), self.datastore())],
            network,
            qemu: QemuOptions {
                runtime: self.root.path().join("run"),
                accel: AccelPolicy::Tcg,
                first_user: Some(210_000),
                cgroup: self.cgroup.clone(),
            },
            etc: self.root.path().join("etc"),
        }
    }
}

/// A test that fails leaves no machine running.
impl Drop for Site {
    fn drop(&mut self) {
        let Ok(machines) = std::fs::read_dir(self.root.path().join("run")) else { return };
        for machine in machines.flatten() {
            let pid = std::fs::read_to_string(machine.path().join("pid")).unwrap_or_default();
            let command = std::fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
            let ours = String::from_utf8_lossy(&command).contains(&*self.root.path().to_string_lossy());
            let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid.filter(|_| ours) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// The bootable guest that `cargo xtask guest` makes; tests that need it end early where it is not there.
pub fn guest_image() -> Option<PathBuf> {
    let named = std::env::var_os("ESFERA_GUEST_IMAGE").map(PathBuf::from);
    let cached = || Some(Path::new(&std::env::var_os("HOME")?).join(".cache/esfera/guest.qcow2"));
    named.or_else(cached).filter(|path| path.exists())
}

/// A small machine without disks.
pub fn small(name: &str) -> Data<{ vim::data_id!(VirtualMachineConfigSpec).0 }> {
    vim!(VirtualMachineConfigSpec {
        name: name,
        guestId: "otherLinux64Guest",
        memoryMB: 128i64,
        numCPUs: 1,
        files: VirtualMachineFileInfo { vmPathName: "[ds]" },
    })
}

/// The same with these changes of devices.
pub fn small_with(name: &str, changes: Vec<Object>) -> Object {
    let mut spec: Object = small(name).into();
    let changes = List::new(
        Kind::Data(vim::data_id!(VirtualDeviceConfigSpec)),
        changes.into_iter().map(Value::from).collect::<Vec<_>>(),
    );
    spec.set(field!(VirtualMachineConfigSpec.deviceChange), changes);
    spec
}

/// The change that adds a device.
pub fn added(device: impl Into<Object>) -> Object {
    vim!(VirtualDeviceConfigSpec { operation: "add", device: device.into() }).into()
}

/// The changes that add a SCSI controller, with the key -1, and a disk on it, with the key -2.
pub fn disk_on_scsi(kib: i64, backing: impl Into<Object>) -> Vec<Object> {
    let controller = vim!(ParaVirtualSCSIController { key: -1, busNumber: 0, sharedBus: "noSharing" });
    let disk = vim!(VirtualDisk {
        key: -2,
        controllerKey: -1,
        unitNumber: 0,
        capacityInKB: kib,
        backing: backing.into(),
    });
    let disk = vim!(VirtualDeviceConfigSpec { operation: "add", fileOperation: "create", device: disk });
    vec![added(controller), disk.into()]
}
