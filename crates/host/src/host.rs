//! The host as a whole: its parts, how it is opened, and the register of its virtual machines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use api::Core;
use datastore::Datastore;
use hostnet::{HostNetwork, NetworkOptions};
use serde::{Deserialize, Serialize};
use store::{Batch, Collection, Store};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use vim::{DateTime, Fault, MoRef, fault};

use crate::datastores::{Datastores, remembered};
use crate::engine::{Engine, QemuEngine, QemuOptions, SimulatedEngine};
use crate::network::Network;
use crate::storage::{InUse, Storage};
use crate::subsystems::Subsystems;
use crate::system::hardware::Hardware;
use crate::system::{Clock, System};
use crate::users::Users;
use crate::vms::Vm;
use crate::{Error, Result};

/// How a host is opened.
pub struct HostOptions {
    /// Directory of the host's own state.
    pub data: PathBuf,
    /// Its name in the inventory: a DNS name or an address.
    pub name: String,
    /// Datastores by name and directory.
    pub datastores: Vec<(String, PathBuf)>,
    /// How its network begins, and who connects it.
    pub network: NetworkOptions,
    /// How guests are run.
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
        }
    }
}

/// The network that every host has unless it is told otherwise.
pub const DEFAULT_NETWORK: &str = "VM Network";

/// What the register keeps of a virtual machine; the rest is in its `.vmx`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Registered {
    /// Datastore of the `.vmx`.
    pub(crate) datastore: Uuid,
    /// Path of the `.vmx`.
    pub(crate) path: String,
    /// Resource pool; none for the root pool.
    #[serde(default)]
    pub(crate) pool: Option<String>,
    /// Number of the user that its machine runs as.
    pub(crate) user: u32,
    /// The machine is being made or destroyed: whoever finds this after a crash removes these files and directories,
    /// by datastore and path.
    #[serde(default)]
    pub(crate) unfinished: Option<Vec<(Uuid, String)>>,
    /// The machine is being suspended to this file: if it is there and whole, the machine is suspended.
    #[serde(default)]
    pub(crate) suspending: Option<String>,
    /// A layer of a disk is being merged: whoever finds this after a crash finishes what is left to do, if all was
    /// merged.
    #[serde(default)]
    pub(crate) merging: Option<crate::ops::merge::Merging>,
    /// The task that made it.
    #[serde(default)]
    pub(crate) task: Option<String>,
}

pub(crate) const VMS: Collection<Registered> = Collection::new("vms");
const IDENTITY: Collection<Uuid> = Collection::new("host");
/// Counter of the numbers of virtual machines.
pub(crate) const VM_NUMBERS: &str = "vm";

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
    pub(crate) in_use: Arc<InUse>,
    pub(crate) vms: RwLock<BTreeMap<String, Arc<Vm>>>,
    /// Names of machines that are being made.
    pub(crate) making: Mutex<BTreeSet<String>>,
    /// Held by whoever finds and takes a place for a machine.
    pub(crate) placing: tokio::sync::Mutex<()>,
    pub(crate) closing: CancellationToken,
    pub(crate) subsystems: Subsystems,
}

impl Host {
    /// Opens a host that runs guests: mounts its datastores, finds its virtual machines, adopts those that run and
    /// clears up after whatever was interrupted.
    ///
    /// # Errors
    /// If the state or a datastore cannot be opened. A virtual machine that cannot be read is no error: it is shown
    /// as inaccessible.
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
        mounting.map_err(std::io::Error::other).map_err(io("mount the datastores".into()))??;
        let (qemu, over, hardware) = (options.qemu, datastores.clone(), Hardware::detect());
        let mhz = hardware.cpu.mhz;
        let engine = tokio::task::spawn_blocking(move || QemuEngine::new(qemu, over, mhz)).await;
        let engine = engine.map_err(|error| Error::Io {
            what: "look for an accelerator".into(),
            source: std::io::Error::other(error),
        })?;
        let parts = Parts {
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

    /// A host without guests, in memory: everything else is the same.
    ///
    /// # Errors
    /// If two datastores have the same name.
    pub async fn simulated(options: SimulatedOptions) -> Result<Arc<Self>> {
        let datastores = Arc::new(Datastores::default());
        for (name, store) in options.datastores {
            datastores.add(&name, store)?;
        }
        let parts = Parts {
            store: Store::in_memory()?,
            engine: Arc::new(SimulatedEngine::new(datastores.clone())),
            datastores,
            network: NetworkOptions::simulated(options.networks),
            name: options.name,
            hardware: Hardware::simulated(options.threads, options.memory_bytes, DateTime::now()),
            clock: Clock::simulated(),
        };
        Self::assemble(parts).await
    }

    async fn assemble(parts: Parts) -> Result<Arc<Self>> {
        let uuid = identity(&parts.store).await?;
        let network = Arc::new(HostNetwork::open(&parts.store, parts.network).await?);
        let core = Arc::new(Core::new(parts.store));
        let (name, hardware, engine) = (parts.name, parts.hardware, parts.engine);
        let info = engine.info();
        let simulated = info.simulated;
        let system = System::new(core.clone(), name.clone(), uuid, hardware.clone(), info, parts.clock);
        let system = Arc::new(system);
        let host = Arc::new_cyclic(|host| {
            let users = Arc::new(Users(host.clone()));
            let in_use = Arc::new(InUse::new(parts.datastores.clone(), users.clone()));
            let storage = Storage::new(
                core.clone(),
                parts.datastores.clone(),
                engine.images(),
                simulated,
                in_use.clone(),
            );
            let networking = Network::new(core.clone(), network.clone(), system.clone(), users);
            Self {
                core,
                datastores: parts.datastores,
                engine,
                network,
                uuid,
                name,
                hardware,
                in_use,
                vms: RwLock::default(),
                making: Mutex::default(),
                placing: tokio::sync::Mutex::default(),
                closing: CancellationToken::new(),
                subsystems: Subsystems::new(system, Arc::new(storage), Arc::new(networking)),
            }
        });
        host.subsystems.create(&host.core)?;
        host.recover().await?;
        let networking = &host.subsystems.network;
        networking.show();
        networking.tell_unread().await;
        networking.watch(host.closing.clone());
        host.watch_statistics();
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

    /// The virtual machine that an object stands for.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    pub fn vm(&self, me: &MoRef) -> Result<Arc<Vm>, Fault> {
        let vms = self.vms.read().unwrap_or_else(PoisonError::into_inner);
        vms.get(me.id()).cloned().ok_or_else(|| {
            fault!(ManagedObjectNotFound { obj: me }, "There is no {me}; it may have been removed")
        })
    }

    /// All virtual machines.
    pub fn all_vms(&self) -> Vec<Arc<Vm>> {
        self.vms.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

struct Parts {
    store: Store,
    datastores: Arc<Datastores>,
    engine: Arc<dyn Engine>,
    network: NetworkOptions,
    name: String,
    hardware: Hardware,
    clock: Clock,
}

/// The host's identity, made when it is first opened. The one of the firmware will not do: several hosts of a lab
/// share it.
async fn identity(store: &Store) -> Result<Uuid> {
    const KEY: &str = "uuid";
    if let Some(uuid) = IDENTITY.get(store, KEY)? {
        return Ok(uuid);
    }
    let uuid = Uuid::new_v4();
    let mut batch = Batch::new();
    IDENTITY.put(&mut batch, KEY, &uuid)?;
    store.commit(batch).await?;
    Ok(uuid)
}
