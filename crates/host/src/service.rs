//! The host's objects and methods together with those that every server has, ready to be served.

use std::sync::Arc;

use api::accounts::{self, Accounts, Realm};
use api::managers::{self, Common, Facts, Singletons};
use api::{Authority, Methods, Service, Snapshot, Table};
use vim::{MoRef, managed_id, prop, vim};

use crate::{Host, Result, ids, vms};

/// Adds what the methods of further objects of a host do: how a crate above this one serves them.
pub type Subsystem = fn(&Arc<Host>, &mut Methods);

pub use crate::system::access::ADMINISTRATOR;

impl Host {
    /// The accounts of this host. While there are none, [`Accounts::is_empty`] says so, and
    /// [`Accounts::ensure_administrator`] makes the first: [`ADMINISTRATOR`].
    ///
    /// # Errors
    /// If the host's state cannot be read or written.
    pub async fn accounts(&self) -> Result<Arc<Accounts>> {
        let store = self.core.store.clone();
        let accounts = Accounts::open(store, Realm::Host, ids::root_folder(), owner).await;
        Ok(accounts.map_err(|error| error.to_fault())?)
    }

    /// The service of this host's API, with that of `subsystems`, for the users of these accounts. To be made once.
    ///
    /// # Errors
    /// If stored settings cannot be read.
    pub fn service(
        self: &Arc<Self>,
        accounts: &Arc<Accounts>,
        subsystems: &[Subsystem],
    ) -> Result<Arc<Service>> {
        let mut methods = Methods::default();
        subsystems.iter().for_each(|register| register(self, &mut methods));
        accounts::register(&mut methods, accounts);
        self.subsystems.access.know_accounts(accounts);
        let service = self.assemble_service(accounts.clone(), methods)?;
        accounts::create(&self.core, accounts)?;
        self.core.tree.write(|w| self.subsystems.system.name_accounts(w));
        self.subsystems.settings().take(&self.core, accounts.clone());
        Ok(Arc::new(service))
    }

    /// The service of this host's API for the users that `authority` admits, without accounts that clients could manage. To
    /// be made once.
    ///
    /// # Errors
    /// If stored settings cannot be read.
    pub fn service_for(
        self: &Arc<Self>,
        authority: Arc<dyn Authority>,
        subsystems: &[Subsystem],
    ) -> Result<Arc<Service>> {
        let mut methods = Methods::default();
        subsystems.iter().for_each(|register| register(self, &mut methods));
        Ok(Arc::new(self.assemble_service(authority, methods)?))
    }

    fn assemble_service(
        self: &Arc<Self>,
        authority: Arc<dyn Authority>,
        mut methods: Methods,
    ) -> Result<Service> {
        let facts = Facts {
            about: self.system().about(),
            capability: vim!(Capability {
                provisioningSupported: false,
                multiHostSupported: false,
                userShellAccessSupported: false,
            }),
            settings: Vec::new(),
            extensible: false,
        };
        let common = Arc::new(Common { core: self.core.clone(), ids: Singletons::host(), facts });
        managers::create(&common)?;
        managers::register(&mut methods, &common);
        self.subsystems.create_managers(&self.core)?;
        self.subsystems.register(&mut methods);
        vms::register_methods(&mut Table { methods: &mut methods, daemon: &self.vms });
        vms::register_environment(&mut Table { methods: &mut methods, daemon: &self.environment });
        Ok(Service::new(self.core.clone(), authority, methods))
    }
}

/// A snapshot belongs to its virtual machine, a browser to its datastore: permissions there hold for it.
fn owner(object: &MoRef, state: &Snapshot) -> Option<MoRef> {
    if object.is_a(managed_id!(VirtualMachineSnapshot)) {
        return state.find(object)?.get(prop!(VirtualMachineSnapshot.vm)).cloned();
    }
    if object.is_a(managed_id!(HostDatastoreBrowser)) {
        return state.find(object)?.get(prop!(HostDatastoreBrowser.datastore))?.iter().next().cloned();
    }
    None
}
