//! The managers of accounts: `AuthorizationManager`, `UserDirectory`, `HostLocalAccountManager`, and on a host `ExtensionManager`.

use std::sync::Arc;

use vim::{managed_id, prop, props, ty, vim};

use super::{Accounts, Realm, authorization, directory, local, trust};
use crate::managers::Singletons;
use crate::{Core, Manager, Methods, Table, managers};

/// On every daemon.
const MANAGERS: [Manager<Arc<Accounts>>; 3] = [authorization::ROW, directory::ROW, local::ROW];
/// On a host beside them. A center leaves its certificate with the host's ExtensionManager.
const OF_HOST: [Manager<Arc<Accounts>>; 1] = [trust::ROW];

/// Enters the managers' methods and computed properties.
pub fn register(methods: &mut Methods, accounts: &Arc<Accounts>) {
    let mut table = Table { methods, daemon: accounts };
    table.register(&MANAGERS);
    if accounts.realm == Realm::Host {
        table.register(&OF_HOST);
    }
    let permission = prop!(ManagedEntity.permission).number();
    methods.compute(managed_id!(ManagedEntity), permission, |service, _, node, _| {
        let permissions = service.authority.permissions(node.me());
        let items: Vec<_> = permissions.into_iter().map(Into::into).collect();
        let kind = vim::Kind::Data(vim::data_id!(Permission));
        (!items.is_empty()).then(|| vim::Value::List(vim::List::new(kind, items)))
    });
}

/// Makes the managers' objects; to be called after [`crate::managers::create`].
///
/// # Errors
/// The store's.
pub fn create(core: &Arc<Core>, accounts: &Arc<Accounts>) -> store::Result<()> {
    managers::add(core, &MANAGERS, accounts)?;
    if accounts.realm == Realm::Host {
        managers::add(core, &OF_HOST, accounts)?;
    }
    // Only the first call counts: a daemon has one tree.
    let _ = accounts.shown.set((core.tree.clone(), accounts.ids().authorization_manager));
    let _ = accounts.core.set(Arc::downgrade(core));
    let _ = accounts.session_times.set(core.sessions.times());
    accounts.time_sessions();
    if accounts.realm != Realm::Host {
        let _ = core.owned_settings.set(accounts.clone());
        managers::show_owned(core, &accounts.ids().setting);
    }
    accounts.show();
    Ok(())
}

impl Accounts {
    /// The references of the daemon whose accounts these are.
    pub(super) fn ids(&self) -> Singletons {
        match self.realm {
            Realm::Host => Singletons::host(),
            Realm::Center { .. } => Singletons::center(),
        }
    }

    /// Writes the roles into the tree.
    pub(super) fn show(&self) {
        let Some((tree, manager)) = self.shown.get() else { return };
        let policy = self.policy.load();
        let domains = self.domains(&policy);
        let directory = self.ids().user_directory;
        let roles: Vec<ty!(AuthorizationRole)> = policy
            .roles
            .values()
            .map(|role| {
                vim!(AuthorizationRole {
                    roleId: role.id,
                    system: role.is_system(),
                    name: &role.name,
                    info: Description { label: &role.label, summary: &role.label },
                    privilege: role.privileges.iter().cloned().collect::<Vec<_>>(),
                })
            })
            .collect();
        tree.write(|w| {
            w.set(manager, props!(AuthorizationManager { roleList: roles }));
            w.set(&directory, props!(UserDirectory { domainList: domains }));
        });
    }
}
