//! A small inventory behind a whole service, for tests in this crate.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use vim::{Args, Fault, MoRef, Object, Value, fault, managed_id, prop, props, vim};

use crate::managers::{self, Common, Facts, Singletons};
use crate::session::Peer;
use crate::tls::{CertificateDer, Chain};
use crate::{Account, Authority, Call, Core, Methods, Service, Session, Snapshot, Writer};

/// Knows one password, and permits everything that a test has not denied.
#[derive(Default)]
pub struct Permissive {
    /// Ids of objects, each with a privilege that is missing there.
    pub denied: Mutex<Vec<(String, String)>>,
}

#[async_trait]
impl Authority for Permissive {
    async fn login(&self, user: &str, password: &str) -> Result<Account, Fault> {
        if password == "secret" { Ok(account(user)) } else { Err(fault!(InvalidLogin {}, "no")) }
    }

    async fn login_by_certificate(&self, chain: &Chain) -> Result<Account, Fault> {
        if chain[0].as_ref() == b"ours" { Ok(account("center")) } else { Err(fault!(InvalidLogin {}, "no")) }
    }

    fn allows(&self, _: &Account, object: &MoRef, privilege: &str, _: &Snapshot) -> bool {
        !self.denied.lock().iter().any(|(id, missing)| id == object.id() && missing == privilege)
    }

    fn roles(&self, _: &Account, _: &MoRef, _: &Snapshot) -> Vec<i32> {
        vec![-1]
    }
}

fn account(name: &str) -> Account {
    Account { name: name.into(), ..Account::default() }
}

pub fn peer(certificate: Option<&[u8]>) -> Arc<Peer> {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Arc::new(Peer {
        address,
        user_agent: "test".into(),
        certificate: certificate.map(|own| Arc::from([CertificateDer::from(own.to_vec())])),
    })
}

/// A service with the managers of a center, and a session on it.
pub struct Toy {
    pub service: Arc<Service>,
    pub guard: Arc<Permissive>,
    pub session: Arc<Session>,
    pub ids: Singletons,
}

impl Toy {
    pub fn new() -> Self {
        Self::over(store::Store::in_memory().unwrap())
    }

    pub fn over(store: store::Store) -> Self {
        let core = Arc::new(Core::new(store));
        let ids = Singletons::center();
        let facts = Facts {
            about: vim!(AboutInfo {
                name: "Toy",
                apiType: "VirtualCenter",
                apiVersion: "8.0.3.0",
                instanceUuid: "toy"
            }),
            capability: vim!(Capability { provisioningSupported: true, multiHostSupported: true }),
            settings: vec![("a.number".into(), Value::Int(1)), ("a.text".into(), Value::from("x"))],
            extensible: true,
        };
        let common = Arc::new(Common { core: core.clone(), ids: ids.clone(), facts });
        managers::create(&common).unwrap();
        core.tree.write(|w| inventory(w, &ids.root_folder));
        let mut methods = Methods::default();
        managers::register(&mut methods, &common);
        let guard = Arc::new(Permissive::default());
        let service = Service::new(core, guard.clone(), methods);
        let session = service.core.sessions.open(account("root"), &peer(None), "en").unwrap();
        Self { service: Arc::new(service), guard, session, ids }
    }

    /// Another session on the same service.
    pub fn other_session(&self, user: &str) -> Self {
        let session = self.service.core.sessions.open(account(user), &peer(None), "en").unwrap();
        Self { service: self.service.clone(), guard: self.guard.clone(), session, ids: self.ids.clone() }
    }

    pub fn state(&self) -> Arc<Snapshot> {
        self.service.core.tree.snapshot()
    }

    pub fn write<R>(&self, change: impl FnOnce(&mut Writer) -> R) -> R {
        self.service.core.tree.write(change)
    }

    pub fn make_call(&self, this: &MoRef, args: Args) -> Call {
        Call::new(self.service.clone(), peer(None), Some(self.session.clone()), this.clone(), args)
    }

    pub async fn call(&self, this: &MoRef, args: Args) -> Result<Option<Value>, Fault> {
        self.service.invoke(self.make_call(this, args)).await
    }

    /// The result of a call that returns one.
    pub async fn get(&self, this: &MoRef, args: Args) -> Value {
        self.call(this, args).await.unwrap().expect("a result")
    }

    pub async fn object(&self, this: &MoRef, args: Args) -> Arc<Object> {
        self.get(this, args).await.as_object().unwrap().clone()
    }

    pub async fn reference(&self, this: &MoRef, args: Args) -> MoRef {
        self.get(this, args).await.as_ref().unwrap().clone()
    }

    pub fn deny(&self, id: &str, privilege: &str) {
        self.guard.denied.lock().push((id.into(), privilege.into()));
    }

    /// Reads a property like `Fetch`.
    pub fn fetch(&self, this: &MoRef, path: &str) -> Option<Value> {
        crate::property::fetch(&self.service, Some(&self.session), this, path).unwrap()
    }
}

pub fn vm(n: u32) -> MoRef {
    MoRef::new(managed_id!(VirtualMachine), format!("vm-{n}"))
}

pub fn folder(id: &str) -> MoRef {
    MoRef::new(managed_id!(Folder), id)
}

pub fn host(n: u32) -> MoRef {
    MoRef::new(managed_id!(HostSystem), format!("host-{n}"))
}

pub fn pool() -> MoRef {
    MoRef::new(managed_id!(ResourcePool), "resgroup-1")
}

pub fn cluster() -> MoRef {
    MoRef::new(managed_id!(ClusterComputeResource), "domain-c1")
}

pub fn datacenter() -> MoRef {
    MoRef::new(managed_id!(Datacenter), "datacenter-1")
}

/// Adds a VM to the folder, to host 1 and to the pool.
pub fn add_vm(w: &mut Writer, n: u32, parent: &MoRef) {
    let config = vim!(VirtualMachineConfigInfo {
        name: format!("web{n}"),
        uuid: format!("42000000-0000-0000-0000-{n:012}"),
        instanceUuid: format!("52000000-0000-0000-0000-{n:012}"),
        files: VirtualMachineFileInfo { vmPathName: format!("[ds] web{n}/web{n}.vmx") },
        hardware: VirtualHardware {
            numCPU: 2,
            memoryMB: 1024,
            device: [VirtualDisk { key: 2000, controllerKey: 1000 }, VirtualE1000 { key: 4000 }],
        },
    });
    w.create(
        &vm(n),
        props!(VirtualMachine {
            name: format!("web{n}"),
            parent: parent,
            config: config,
            runtime: VirtualMachineRuntimeInfo { powerState: "poweredOff", host: host(1) },
            guest: GuestInfo { hostName: format!("guest{n}.lab"), ipAddress: format!("10.0.0.{n}") },
            resourcePool: pool(),
        }),
    );
    w.add_ref(parent, prop!(Folder.childEntity), &vm(n));
    w.add_ref(&host(1), prop!(HostSystem.vm), &vm(n));
    w.add_ref(&pool(), prop!(ResourcePool.vm), &vm(n));
}

pub fn remove_vm(w: &mut Writer, n: u32) {
    let parent = w.find(&vm(n)).and_then(|node| node.get(prop!(ManagedEntity.parent)).cloned());
    if let Some(parent) = parent {
        w.remove_ref(&parent, prop!(Folder.childEntity), &vm(n));
    }
    w.remove_ref(&host(1), prop!(HostSystem.vm), &vm(n));
    w.remove_ref(&pool(), prop!(ResourcePool.vm), &vm(n));
    w.remove(&vm(n));
}

/// `DC1` with a cluster of two hosts, a pool, a folder `a/b` among the VMs, and `web1` to `web3`.
fn inventory(w: &mut Writer, root: &MoRef) {
    let [vms, hosts, stores, nets] = ["group-v1", "group-h1", "group-s1", "group-n1"].map(folder);
    let inner = folder("group-v2");
    w.create(root, props!(Folder { name: "Datacenters", childEntity: [datacenter()] }));
    w.create(
        &datacenter(),
        props!(Datacenter {
            name: "DC1",
            parent: root,
            vmFolder: &vms,
            hostFolder: &hosts,
            datastoreFolder: &stores,
            networkFolder: &nets
        }),
    );
    for (folder, name) in [(&vms, "vm"), (&hosts, "host"), (&stores, "datastore"), (&nets, "network")] {
        w.create(folder, props!(Folder { name: name, parent: datacenter() }));
    }
    w.create(&inner, props!(Folder { name: "a%2fb", parent: &vms }));
    w.add_ref(&vms, prop!(Folder.childEntity), &inner);
    w.add_ref(&hosts, prop!(Folder.childEntity), &cluster());
    w.create(
        &cluster(),
        props!(ClusterComputeResource {
            name: "C1",
            parent: &hosts,
            host: [host(1), host(2)],
            resourcePool: pool()
        }),
    );
    w.create(&pool(), props!(ResourcePool { name: "Resources", parent: cluster(), owner: cluster() }));
    for n in 1..=2 {
        let summary = vim!(HostListSummary {
            hardware: HostHardwareSummary { uuid: format!("62000000-0000-0000-0000-{n:012}") },
        });
        w.create(&host(n), props!(HostSystem { name: format!("h{n}"), parent: cluster(), summary: summary }));
    }
    add_vm(w, 1, &vms);
    add_vm(w, 2, &vms);
    add_vm(w, 3, &inner);
}
