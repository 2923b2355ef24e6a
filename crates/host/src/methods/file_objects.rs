//! The objects through which clients reach datastores: the browsers, and the system that knows which datastores there are. Their
//! methods are in `browser` and `datastore_system`.

use vim::{MoRef, Object, field, prop, props};

use super::{browser, datastore_system};
use crate::datastores::Mounted;
use crate::{Host, ids};

/// Puts them into the tree.
pub(crate) fn create(host: &Host) {
    let datastores: Vec<MoRef> = host.datastores.all().iter().map(Mounted::me).collect();
    host.core.tree.write(|w| {
        w.create(&ids::datastore_browser(), browser::props(datastores.clone()));
        for datastore in &datastores {
            w.create(&ids::browser_of(datastore), browser::props(vec![datastore.clone()]));
        }
        w.create(&ids::datastore_system(), datastore_system::props(datastores.clone()));
        let managers =
            w.find(&ids::host()).and_then(|node| node.get(prop!(HostSystem.configManager)).cloned());
        if let Some(managers) = managers {
            let mut managers = Object::clone(&managers);
            managers.set(field!(HostConfigManager.datastoreSystem), ids::datastore_system());
            w.set(&ids::host(), props!(HostSystem { configManager: managers }));
        }
    });
}
