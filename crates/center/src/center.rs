//! The center as a whole: opened, served, and given hosts.

use std::sync::Arc;

use api::accounts::{self, Accounts, Realm};
use api::managers::{self, Common, Facts, Singletons};
use api::server::Site;
use api::tls::{Renewing, center_uri};
use api::{Core, Methods, Service};
use store::{Batch, Collection};
use vim::{MoRef, managed_id, prop};

use crate::forward::{self, CenterFiles, CenterScreens};
use crate::hosts::{Hosts, NoNetwork, Place, RemoteConnector, supervise};
use crate::inventory::{self, Inventory};
use crate::link::HostLink;
use crate::ops::{self, Table};
use crate::options::{Network, Options};
use crate::records::Record;
use crate::state::{Expected, State};
use crate::{Error, about, names, objects};

const IDENTITY: Collection<String> = Collection::new("center");
const UUID: &str = "uuid";

/// A running center.
pub struct Center {
    state: Arc<State>,
    service: Arc<Service>,
    accounts: Arc<Accounts>,
    uuid: String,
}

impl Center {
    /// Opens the center: reads its state, ends truthfully what a restart interrupted, and begins to connect its hosts.
    /// It can be served at once; hosts that are not reached yet are shown so.
    ///
    /// # Errors
    /// [`Error`] if its state cannot be read or written.
    pub async fn open(options: Options) -> Result<Arc<Self>, Error> {
        let Options { store, durable, address, administrator, password, network } = options;
        let uuid = identity(&store).await?;
        let core = Arc::new(Core::new(store.clone()));
        let inventory = Inventory::open(core.tree.clone(), store.clone(), durable).await?;
        let connector = match network {
            Network::None => Arc::new(NoNetwork),
            Network::Connector(connector) => connector,
            Network::Authority(authority) => {
                let address = address.as_deref().unwrap_or("unknown");
                let certificate = Renewing::client(*authority, "client", &center_uri(&uuid))?;
                Arc::new(RemoteConnector::new(certificate, &uuid, address))
            }
        };
        let expected = Expected::open(&store)?;
        expected.prune(&inventory).await?;
        let hosts = Hosts::default();
        let state = Arc::new(State { core, inventory, hosts, connector, expected, address });
        let accounts = Accounts::open(store, Realm::vsphere_local(), inventory::root(), about::owner).await?;
        accounts.ensure_administrator(&administrator, "Administrator", password.as_deref()).await?;
        let facts = Facts {
            about: about::about(&uuid),
            capability: about::capability(),
            settings: about::settings(&uuid, state.address.as_deref()),
            extensible: true,
        };
        let common = Arc::new(Common { core: state.core.clone(), ids: Singletons::center(), facts });
        let service = Arc::new(service(&state, &common, &accounts));
        managers::create(&common)?;
        accounts::create(&state.core, &accounts)?;
        managers::add(&state.core, &forward::MANAGERS, &state)?;
        let known = state.manage_all()?;
        let interrupted = forward::recover(&state).await?;
        if interrupted > 0 {
            tracing::warn!(interrupted, "ended tasks that were under way when the center stopped");
        }
        for host in known {
            let wanted = matches!(
                state.inventory.record(&host.me),
                Some(Record::Host(record)) if !record.disconnected && !record.fingerprint.is_empty()
            );
            if wanted {
                supervise::start(&state, &host);
            }
        }
        Ok(Arc::new(Self { state, service, accounts, uuid }))
    }

    /// What answers the API.
    pub fn service(&self) -> Arc<Service> {
        self.service.clone()
    }

    /// What is served over HTTP: the API, files, screenshots.
    pub fn site(&self) -> Site {
        let files = CenterFiles { state: self.state.clone(), authority: self.accounts.clone() };
        let screens = CenterScreens { state: self.state.clone() };
        Site {
            service: self.service.clone(),
            files: Some(Arc::new(files)),
            screens: Some(Arc::new(screens)),
            captures: None,
        }
    }

    pub fn accounts(&self) -> Arc<Accounts> {
        self.accounts.clone()
    }

    /// The center's identity, made once.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Brings in a host that runs in this process, and returns when all its objects are shown. The center keeps its
    /// link; a host with the UUID of one that was attached before is that host again.
    ///
    /// # Errors
    /// [`Error::Attach`].
    pub async fn attach(&self, link: Arc<dyn HostLink>, place: &Place) -> Result<MoRef, Error> {
        self.state.attach(link, place).await
    }

    /// Makes a datacenter in the root folder; gives it and its host folder.
    ///
    /// # Errors
    /// [`Error::Start`] with the fault, such as `DuplicateName`.
    pub async fn add_datacenter(&self, name: &str) -> Result<(MoRef, MoRef), Error> {
        let name = names::parse(name, None).map_err(Error::Start)?;
        let made = self.state.inventory.change(|plan| {
            plan.free_name(&inventory::root(), &name, None)?;
            let datacenter = plan.add_datacenter(&inventory::root(), &name);
            let hosts = plan.datacenter(&datacenter)?.host_folder.clone();
            Ok((datacenter, hosts))
        });
        made.await.map_err(Error::Start)
    }

    /// Makes an empty cluster in a host folder.
    ///
    /// # Errors
    /// [`Error::Start`] with the fault, such as `DuplicateName`.
    pub async fn add_cluster(&self, folder: &MoRef, name: &str) -> Result<MoRef, Error> {
        let name = names::parse(name, None).map_err(Error::Start)?;
        let config = crate::stored::encode(&Arc::new(objects::compute::new_cluster_config()));
        let made = self.state.inventory.change(|plan| {
            plan.free_name(folder, &name, None)?;
            Ok(plan.add_compute(managed_id!(ClusterComputeResource), folder, &name, config))
        });
        made.await.map_err(Error::Start)
    }
}

impl Drop for Center {
    fn drop(&mut self) {
        for host in self.state.hosts.all() {
            host.halt();
        }
    }
}

/// The center's UUID.
async fn identity(store: &store::Store) -> Result<String, Error> {
    if let Some(uuid) = IDENTITY.get(store, UUID)? {
        return Ok(uuid);
    }
    let uuid = uuid::Uuid::new_v4().to_string();
    let mut batch = Batch::new();
    IDENTITY.put(&mut batch, UUID, &uuid)?;
    store.commit(batch).await?;
    Ok(uuid)
}

fn service(state: &Arc<State>, common: &Arc<Common>, accounts: &Arc<Accounts>) -> Service {
    let mut methods = Methods::default();
    managers::register(&mut methods, common);
    accounts::register(&mut methods, accounts);
    let mut table = Table { methods: &mut methods, daemon: state };
    table.register(&forward::MANAGERS);
    forward::register(&mut table);
    ops::register(&mut table);
    let pool = managed_id!(ResourcePool);
    methods.compute(pool, prop!(ResourcePool.runtime).number(), objects::pool::runtime);
    methods.compute(pool, prop!(ResourcePool.summary).number(), objects::pool::summary);
    Service::new(state.core.clone(), accounts.clone(), methods)
}
