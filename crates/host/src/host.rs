//! The host as a whole: opens the services of its slices and hands each what it needs. Nothing below uses [`Host`].

use std::path::PathBuf;
use std::sync::Arc;

use api::Core;
use api::server::Screens;
use datastore::Datastore;
use hostnet::{HostNetwork, NetworkOptions};
use store::{Batch, Collection, Store};
use uuid::Uuid;
use vim::{DateTime, Fault, MoRef, Object};

use crate::datastores::{Datastores, remembered};
use crate::engine::{Engine, QemuEngine, QemuOptions, SimulatedEngine};
use crate::events::Events;
use crate::network::Network;
use crate::statistics::{self, Looked};
use crate::storage::{InUse, Storage};
use crate::subsystems::Subsystems;
use crate::system::hardware::Hardware;
use crate::system::{Clock, System};
use crate::users;
use crate::vms::{self, Environment, Identity, Parts, Register, Screenshots, Vm, Vms};
use crate::{Error, Result};

/// How a host is opened.
pub struct HostOptions {
    /// Directory of the host's own state.
    pub data: PathBuf,
    /// Its name in the inventory: a DNS name or an address.
    pub name: String,
    /// Datastores by name and directory.
    pub datastores: Vec<(String, PathBuf)>,
    /// The beginning of its network, and the fabric that connects it.
    pub network: NetworkOptions,
    /// The way guests are run.
    pub qemu: QemuOptions,
    /// Directory of the operating system's settings of time: `/etc`. A host with another one does not own the clock.
    pub etc: PathBuf,
}

/// How a simulated host is made.
pub struct SimulatedOptions {
    pub name: String,
    /// Datastores by name. Hosts that are given the same one share it.
    pub datastores: Vec<(String, Arc<Datastore>)>,
    pub networks: Vec<String>,
    pub threads: u16,
    pub memory_bytes: u64,
    /// Its identity; a new one if unset.
    pub uuid: Option<Uuid>,
    /// A number that its cards and the address of its management adapter are derived from; without it the host has no such adapter.
    pub number: Option<u32>,
}

impl SimulatedOptions {
    /// A host of 16 processors and 64 GiB with the network `VM Network`.
    pub fn new(name: impl Into<String>, datastores: Vec<(String, Arc<Datastore>)>) -> Self {
        Self {
            name: name.into(),
            datastores,
            networks: vec![DEFAULT_NETWORK.into()],
            threads: 16,
            memory_bytes: 64 << 30,
            uuid: None,
            number: None,
        }
    }
}

/// The network that every host has unless it is told otherwise.
pub const DEFAULT_NETWORK: &str = "VM Network";

const IDENTITY: Collection<Uuid> = Collection::new("host");
const IDENTITY_KEY: &str = "uuid";

/// One host.
pub struct Host {
    /// The tree, the sessions, the tasks and the durable state.
    pub core: Arc<Core>,
    pub datastores: Arc<Datastores>,
    pub engine: Arc<dyn Engine>,
    pub network: Arc<HostNetwork>,
    /// Identity of the host, made once.
    pub uuid: Uuid,
    pub name: String,
    pub hardware: Hardware,
    pub(crate) vms: Arc<Vms>,
    pub(crate) environment: Arc<Environment>,
    pub(crate) subsystems: Subsystems,
}

impl Host {
    /// Opens a host that runs guests: mounts its datastores as far as their storage is there, reads its VMs, adopts those that run, and finishes or removes
    /// whatever was interrupted.
    ///
    /// # Errors
    /// If the state or a datastore cannot be opened. A VM that cannot be read does not count: it is shown as inaccessible.
    pub async fn open(options: HostOptions) -> Result<Arc<Self>> {
        let io = |what: String| move |source| Error::Io { what, source };
        for directory in [&options.data, &options.qemu.runtime] {
            std::fs::create_dir_all(directory).map_err(io(format!("make {}", directory.display())))?;
        }
        let store = Store::open(options.data.join("host.db"))?;
        let datastores = Arc::new(Datastores::default());
        let (opened, over, named) = (store.clone(), datastores.clone(), options.datastores);
        let mounting =
            tokio::task::spawn_blocking(move || remembered::mount_all(&opened, &named, &over)).await;
        let mounted =
            mounting.map_err(std::io::Error::other).map_err(io("mount the datastores".into()))??;
        for (datastore, known) in mounted {
            remembered::put(&store, &datastore, Some(&known)).await?;
        }
        let qemu = options.qemu;
        let is_new = IDENTITY.get(&store, IDENTITY_KEY)?.is_none();
        let uuid = identity(&store).await?;
        let users = match qemu.first_user {
            Some(common) => users::first(&store, uuid, (!is_new).then_some(common)).await?,
            None => 0,
        };
        let (over, hardware) = (datastores.clone(), Hardware::detect());
        let mhz = hardware.cpu.mhz;
        let engine = tokio::task::spawn_blocking(move || QemuEngine::new(qemu, users, over, mhz)).await;
        let engine = engine.map_err(|error| Error::Io {
            what: "look for an accelerator".into(),
            source: std::io::Error::other(error),
        })?;
        let parts = Opened {
            store,
            datastores,
            engine: Arc::new(engine),
            network: options.network,
            name: options.name,
            hardware,
            clock: Clock::linux(options.etc),
        };
        Self::assemble(parts).await
    }

    /// Makes a host without guests, in memory; all services are the same.
    ///
    /// # Errors
    /// If two datastores have the same name.
    pub async fn simulated(options: SimulatedOptions) -> Result<Arc<Self>> {
        let datastores = Arc::new(Datastores::default());
        for (name, store) in options.datastores {
            datastores.add(&name, store)?;
        }
        let store = Store::in_memory()?;
        if let Some(uuid) = options.uuid {
            keep_identity(&store, uuid).await?;
        }
        let parts = Opened {
            store,
            engine: Arc::new(SimulatedEngine::new(datastores.clone())),
            datastores,
            network: NetworkOptions::simulated(options.networks, options.number),
            name: options.name,
            hardware: Hardware::simulated(options.threads, options.memory_bytes, DateTime::now()),
            clock: Clock::simulated(),
        };
        Self::assemble(parts).await
    }

    async fn assemble(parts: Opened) -> Result<Arc<Self>> {
        let Opened { store, datastores, engine, network, name, hardware, clock } = parts;
        let uuid = identity(&store).await?;
        let network = Arc::new(HostNetwork::open(&store, network).await?);
        let register = Arc::new(Register::new(store.clone()));
        let core = Arc::new(Core::new(store));
        let info = engine.info();
        let simulated = info.simulated;
        let system = Arc::new(System::new(core.clone(), name.clone(), uuid, hardware.clone(), info, clock));
        let in_use = Arc::new(InUse::new(datastores.clone(), register.clone()));
        let images = engine.images();
        let events = Arc::new(Events::new(core.clone(), &name));
        let storage =
            Storage::new(core.clone(), datastores.clone(), images, simulated, in_use.clone(), events.clone());
        let storage = Arc::new(storage);
        let networking = Network::new(core.clone(), network.clone(), system.clone(), register.clone());
        let environment =
            Environment { datastores: datastores.clone(), network: network.clone(), system: system.clone() };
        let vms = Vms::new(Parts {
            core: core.clone(),
            register: register.clone(),
            engine: engine.clone(),
            datastores: datastores.clone(),
            network: network.clone(),
            in_use,
            events,
            host: Identity { name: name.clone(), uuid },
            mhz: hardware.cpu.mhz,
            capacity: system.capacity(),
        });
        let host = Arc::new(Self {
            core,
            datastores,
            engine,
            network,
            uuid,
            name,
            hardware,
            vms,
            environment: Arc::new(environment),
            subsystems: Subsystems::new(system.clone(), storage.clone(), Arc::new(networking))?,
        });
        host.subsystems.create(&host.core)?;
        let networking = &host.subsystems.network;
        networking.show_groups();
        vms::recover(&host.vms).await?;
        networking.show();
        storage.tell_users(vms::storage_users(&host.vms));
        storage.tell_absent().await;
        networking.tell_unread().await;
        networking.watch(host.vms.closing());
        statistics::watch(Looked { register, storage, system, simulated }, host.vms.closing());
        Ok(host)
    }

    /// The host as a whole.
    pub fn system(&self) -> &Arc<System> {
        &self.subsystems.system
    }

    /// The datastores and the files on them.
    pub fn storage(&self) -> &Arc<Storage> {
        &self.subsystems.storage
    }

    /// The network as clients change it.
    pub fn networking(&self) -> &Arc<Network> {
        &self.subsystems.network
    }

    /// The VM that an object stands for.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    pub fn vm(&self, me: &MoRef) -> Result<Arc<Vm>, Fault> {
        self.vms.register.find(me)
    }

    /// All VMs.
    pub fn all_vms(&self) -> Vec<Arc<Vm>> {
        self.vms.register.all()
    }

    /// Makes many VMs of a simulated host at once and turns them on, if `turn_on`: nothing of it is in the history.
    ///
    /// # Errors
    /// Those of their specifications and files. The host is of no use then.
    pub async fn populate(&self, specs: &[Arc<Object>], turn_on: bool) -> Result<Vec<MoRef>, Fault> {
        debug_assert!(self.engine.info().simulated, "an interrupted creation is not recovered");
        vms::populate(&self.vms, specs, turn_on).await
    }

    /// Pictures of the screens of VMs.
    pub fn screens(&self) -> Arc<dyn Screens> {
        Arc::new(Screenshots(self.vms.register.clone()))
    }
}

/// The parts that real and simulated hosts open in their own ways.
struct Opened {
    store: Store,
    datastores: Arc<Datastores>,
    engine: Arc<dyn Engine>,
    network: NetworkOptions,
    name: String,
    hardware: Hardware,
    clock: Clock,
}

/// The host's identity, made when it is first opened. That of the firmware will not do, because several hosts of a lab share
/// it.
async fn identity(store: &Store) -> Result<Uuid> {
    if let Some(uuid) = IDENTITY.get(store, IDENTITY_KEY)? {
        return Ok(uuid);
    }
    let uuid = Uuid::new_v4();
    keep_identity(store, uuid).await?;
    Ok(uuid)
}

async fn keep_identity(store: &Store, uuid: Uuid) -> Result<()> {
    let mut batch = Batch::new();
    IDENTITY.put(&mut batch, IDENTITY_KEY, &uuid)?;
    store.commit(batch).await?;
    Ok(())
}
