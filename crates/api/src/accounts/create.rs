//! The managers' objects in the tree: `AuthorizationManager`, `UserDirectory`, `HostLocalAccountManager`.

use std::sync::Arc;

use vim::{field, managed_id, prop, props, ty, vim};

use super::privileges::{description, listed};
use super::{Accounts, Realm};
use crate::managers::{Singletons, content};
use crate::{Core, Service};

/// Makes the objects and names them in `ServiceInstance.content`; call it after [`crate::managers::create`].
pub fn create(core: &Core, ids: &Singletons, accounts: &Arc<Accounts>) {
    let domains = match &accounts.realm {
        Realm::Host => Vec::new(),
        Realm::Center { domain } => vec![domain.to_uppercase()],
    };
    let is_host = accounts.realm == Realm::Host;
    core.tree.write(|w| {
        w.create(
            &ids.authorization_manager,
            props!(AuthorizationManager { privilegeList: listed(), description: description() }),
        );
        w.create(&ids.user_directory, props!(UserDirectory { domainList: domains }));
        if is_host {
            w.create(&ids.account_manager, props!(HostLocalAccountManager {}));
            w.create(&ids.extension_manager, props!(ExtensionManager {}));
        }
    });
    content(core, |content| {
        content.set(field!(ServiceContent.authorizationManager), &ids.authorization_manager);
        content.set(field!(ServiceContent.userDirectory), &ids.user_directory);
        if is_host {
            content.set(field!(ServiceContent.accountManager), &ids.account_manager);
        }
    });
    // Only the first call counts: a daemon has one tree.
    let _ = accounts.shown.set((core.tree.clone(), ids.authorization_manager.clone()));
    accounts.show();
}

/// Makes `ManagedEntity.permission` a computed property.
pub fn compute(service: &mut Service) {
    service.compute(
        managed_id!(ManagedEntity),
        prop!(ManagedEntity.permission).number(),
        |service, _, node, _| {
            let permissions = service.authority.permissions(node.me());
            let items: Vec<_> = permissions.into_iter().map(Into::into).collect();
            let kind = vim::Kind::Data(vim::data_id!(Permission));
            (!items.is_empty()).then(|| vim::Value::List(vim::List::new(kind, items)))
        },
    );
}

impl Accounts {
    /// Writes the roles into the tree.
    pub(super) fn show(&self) {
        let Some((tree, manager)) = self.shown.get() else { return };
        let policy = self.policy.load();
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
        tree.write(|w| w.set(manager, props!(AuthorizationManager { roleList: roles })));
    }
}
