//! The managed objects of which a host has one each: the managers that `ServiceContent` names, and the subsystems that
//! `HostConfigManager` names. Each slice has a row for each of its own; here the rows come together.

use api::managers;
use api::{Core, Manager, Methods, Table};
use std::sync::Arc;
use vim::{Object, data_id};

use crate::network::{self, Network};
use crate::storage::{self, Storage};
use crate::system::access::{self, Access};
use crate::system::settings::{self, Settings};
use crate::system::{self, System};

/// The services of the slices that have rows.
pub(crate) struct Subsystems {
    pub(crate) system: Arc<System>,
    pub(crate) storage: Arc<Storage>,
    pub(crate) network: Arc<Network>,
    settings: Arc<Settings>,
    pub(crate) access: Arc<Access>,
}

impl Subsystems {
    /// # Errors
    /// The store's.
    pub(crate) fn new(
        system: Arc<System>,
        storage: Arc<Storage>,
        network: Arc<Network>,
    ) -> store::Result<Self> {
        let settings = Settings::new(system.clone(), vec![network.clone()]);
        let access = Access::open(&system)?;
        Ok(Self { system, storage, network, settings, access })
    }

    /// Puts the fixed objects of the host, the subsystems and the datastores into the tree.
    ///
    /// # Errors
    /// The store's, if a subsystem cannot read what it has kept there.
    pub(crate) fn create(&self, core: &Core) -> store::Result<()> {
        core.tree.write(|w| {
            self.system.create_inventory(w);
            let mut named = Object::new(data_id!(HostConfigManager));
            Manager::create_all(&system::SUBSYSTEMS, &self.system, w, &mut named)?;
            Manager::create_all(&[settings::ROW], &self.settings, w, &mut named)?;
            Manager::create_all(&[access::ROW], &self.access, w, &mut named)?;
            Manager::create_all(&storage::SUBSYSTEMS, &self.storage, w, &mut named)?;
            Manager::create_all(&network::SUBSYSTEMS, &self.network, w, &mut named)?;
            self.system.show_subsystems(w, named);
            self.storage.show_all(w);
            Ok(())
        })
    }

    /// Makes the managers that `ServiceContent` names, once that is in the tree.
    ///
    /// # Errors
    /// The store's, if a manager cannot read what it has kept there.
    pub(crate) fn create_managers(&self, core: &Core) -> store::Result<()> {
        managers::add(core, &storage::MANAGERS, &self.storage)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Enters the methods of all of them.
    pub(crate) fn register(&self, methods: &mut Methods) {
        Table { methods, daemon: &self.system }.register(&system::SUBSYSTEMS);
        Table { methods, daemon: &self.settings }.register(&[settings::ROW]);
        Table { methods, daemon: &self.access }.register(&[access::ROW]);
        Table { methods, daemon: &self.network }.register(&network::SUBSYSTEMS);
        let mut table = Table { methods, daemon: &self.storage };
        table.register(&storage::MANAGERS);
        table.register(&storage::SUBSYSTEMS);
        storage::register(&mut table);
    }
}
