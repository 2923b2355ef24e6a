//! The center as a whole: opened, served, and given hosts.

use std::sync::Arc;

use api::accounts::{self, Accounts, AccountsDoor, Realm};
use api::managers::{self, Common, Facts, Singletons};
use api::server::Site;
use api::tls::{Renewing, center_uri};
use api::{Core, Methods, Service, Table};
use rest::Automation;
use store::{Batch, Collection, Store};
use sts::{TokenService, Tokens};
use tags::Tags;
use vim::{MoRef, managed_id};

use crate::carry::{CarriedTasks, Carrier, CenterFiles, CenterScreens, NewVms};
use crate::error::Error;
use crate::estate::show::compute;
use crate::estate::{Expected, Inventory, names, stored};
use crate::hosts::{Announcer, Membership, Place, Supervisor};
use crate::link::connector::Connector;
use crate::link::{HostLink, NoNetwork, RemoteConnector};
use crate::mirror::{Hosts, Mirror};
use crate::options::{Network, Options};
use crate::policies::{self, Policies};
use crate::schedule::{self, Schedule};
use crate::{about, access, carry, cluster, estate, hosts};

const IDENTITY: Collection<String> = Collection::new("center");
const UUID: &str = "uuid";

/// A running center.
pub struct Center {
    inventory: Arc<Inventory>,
    supervisor: Arc<Supervisor>,
    membership: Arc<Membership>,
    carrier: Arc<Carrier>,
    service: Arc<Service>,
    accounts: Arc<Accounts>,
    schedule: Arc<Schedule>,
    tokens: Arc<Tokens>,
    tags: Arc<Tags>,
    uuid: String,
}

impl Center {
    /// Opens the center: reads its state, ends the tasks that a restart interrupted by their true outcome, and starts to
    /// connect its hosts. It can be served at once; it shows which hosts are not connected yet.
    ///
    /// # Errors
    /// [`Error`] if its state cannot be read or written.
    pub async fn open(options: Options) -> Result<Arc<Self>, Error> {
        let Options { store, durable, address, administrator, password, uuid, network, clock } = options;
        let uuid = identity(&store, uuid).await?;
        let connector = connector(network, &uuid, address.as_deref())?;
        let core = Arc::new(Core::new(store.clone()));
        let inventory = Inventory::open(core.tree.clone(), store.clone(), durable).await?;
        inventory.told_by(&core);
        let tags = Tags::open(store.clone()).map_err(Error::Tags)?;
        inventory.tagged_by(&tags).await.map_err(Error::Tags)?;
        let expected = Arc::new(Expected::open(store.clone())?);
        expected.prune(&inventory).await?;
        let parts = inventory.clone();
        let owner = move |object: &MoRef, state: &api::Snapshot| access::owner(&parts, object, state);
        let accounts = Accounts::open(store.clone(), Realm::vsphere_local(), estate::root(), owner).await?;
        accounts.ensure_administrator(&administrator, "Administrator", password.as_deref()).await?;

        let managed = Arc::new(Hosts::default());
        let mirror = Arc::new(Mirror::new(
            core.clone(),
            inventory.clone(),
            managed.clone(),
            expected.clone(),
            address.clone(),
        ));
        let announcer = Arc::new(Announcer::new(core.clone(), inventory.clone()));
        let supervisor = Arc::new(Supervisor::new(
            inventory.clone(),
            managed.clone(),
            mirror.clone(),
            connector.clone(),
            announcer.clone(),
        ));
        let membership = Arc::new(Membership::new(
            inventory.clone(),
            managed.clone(),
            mirror,
            connector.clone(),
            supervisor.clone(),
            announcer,
        ));
        let carried = CarriedTasks::new(store);
        let carrier =
            Arc::new(Carrier::new(core.clone(), inventory.clone(), managed, carried, address.clone()));
        let new_vms = Arc::new(NewVms::new(carrier.clone(), expected));

        let facts = Facts {
            about: about::about(&uuid),
            capability: about::capability(),
            settings: about::settings(&uuid, address.as_deref()),
            extensible: true,
        };
        let common = Arc::new(Common { core: core.clone(), ids: Singletons::center(), facts });
        let schedule = Schedule::open(core.clone(), accounts.clone(), clock)?;
        let mut methods = Methods::default();
        managers::register(&mut methods, &common);
        accounts::register(&mut methods, &accounts);
        estate::register(&mut methods, &inventory);
        cluster::register(&mut methods, &inventory);
        hosts::register(&mut methods, &membership);
        carry::register(&mut methods, &carrier, &new_vms);
        schedule::register(&mut methods, &schedule);
        let tokens = Tokens::open(&core.store, accounts.clone(), &uuid).await?;
        sts::register(&mut methods, &tokens);
        let policies = Policies::new(core.clone(), tags.clone(), &uuid);
        Table { methods: &mut methods, daemon: &policies }.register(&policies::MANAGERS);
        let service = Arc::new(Service::new(core.clone(), accounts.clone(), methods));
        managers::create(&common)?;
        accounts::create(&core, &accounts)?;
        managers::add(&core, &carry::MANAGERS, &carrier)?;
        managers::add(&core, &[estate::pods::ROW], &inventory)?;
        managers::add(&core, &schedule::MANAGERS, &schedule)?;
        managers::add(&core, &policies::MANAGERS, &policies)?;

        supervisor.manage_all()?;
        let interrupted = carry::recover(&carrier, &connector).await?;
        if interrupted > 0 {
            tracing::warn!(interrupted, "ended tasks that were running when the center stopped");
        }
        schedule.start(&service).await?;
        supervisor.start_all();
        Ok(Arc::new(Self {
            inventory,
            supervisor,
            membership,
            carrier,
            service,
            accounts,
            schedule,
            tokens,
            tags,
            uuid,
        }))
    }

    /// The service that answers the API.
    pub fn service(&self) -> Arc<Service> {
        self.service.clone()
    }

    /// Everything that is served over HTTP: the API, files, screenshots.
    pub fn site(&self) -> Site {
        let files = CenterFiles { carrier: self.carrier.clone(), authority: self.accounts.clone() };
        let screens = CenterScreens { carrier: self.carrier.clone() };
        Site {
            service: self.service.clone(),
            files: Some(Arc::new(files)),
            screens: Some(Arc::new(screens)),
            captures: None,
            protocols: vec![
                Arc::new(Automation::new(Singletons::center(), self.accounts.clone(), self.tags.clone())),
                Arc::new(AccountsDoor(self.accounts.clone())),
                Arc::new(TokenService::new(self.tokens.clone(), &self.uuid)),
            ],
        }
    }

    pub fn accounts(&self) -> Arc<Accounts> {
        self.accounts.clone()
    }

    /// The center's identity, which its first start creates.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Adds a host that runs in this process, and returns when all its objects are shown. The center keeps the link. A
    /// host with the UUID of one that was attached before is that host again.
    ///
    /// # Errors
    /// [`Error::Attach`].
    pub async fn attach(&self, link: Arc<dyn HostLink>, place: &Place) -> Result<MoRef, Error> {
        self.membership.attach(link, place).await
    }

    /// Creates a datacenter in the root folder; returns it and its host folder.
    ///
    /// # Errors
    /// [`Error::Inventory`] with the fault, such as `DuplicateName`.
    pub async fn add_datacenter(&self, name: &str) -> Result<(MoRef, MoRef), Error> {
        let name = names::parse(name, None).map_err(Error::Inventory)?;
        let made = self.inventory.change(|plan| {
            plan.free_name(&estate::root(), &name, None)?;
            let datacenter = plan.add_datacenter(&estate::root(), &name);
            let hosts = plan.datacenter(&datacenter)?.host_folder.clone();
            Ok((datacenter, hosts))
        });
        made.await.map_err(Error::Inventory)
    }

    /// Creates an empty cluster in a host folder.
    ///
    /// # Errors
    /// [`Error::Inventory`] with the fault, such as `DuplicateName`.
    pub async fn add_cluster(&self, folder: &MoRef, name: &str) -> Result<MoRef, Error> {
        let name = names::parse(name, None).map_err(Error::Inventory)?;
        let config = stored::encode(&Arc::new(compute::new_cluster_config()));
        let made = self.inventory.change(|plan| {
            plan.free_name(folder, &name, None)?;
            Ok(plan.add_compute(managed_id!(ClusterComputeResource), folder, &name, config))
        });
        made.await.map_err(Error::Inventory)
    }
}

impl Drop for Center {
    fn drop(&mut self) {
        self.schedule.halt();
        self.supervisor.halt_all();
    }
}

/// The center's UUID.
async fn identity(store: &Store, wanted: Option<String>) -> Result<String, Error> {
    if let Some(uuid) = IDENTITY.get(store, UUID)? {
        return Ok(uuid);
    }
    let uuid = wanted.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut batch = Batch::new();
    IDENTITY.put(&mut batch, UUID, &uuid)?;
    store.commit(batch).await?;
    Ok(uuid)
}

fn connector(network: Network, uuid: &str, address: Option<&str>) -> Result<Arc<dyn Connector>, Error> {
    Ok(match network {
        Network::None => Arc::new(NoNetwork),
        Network::Connector(connector) => connector,
        Network::Authority(authority) => {
            let certificate = Renewing::client(*authority, "client", &center_uri(uuid))?;
            Arc::new(RemoteConnector::new(certificate, uuid, address.unwrap_or("unknown")))
        }
    })
}
