//! Events about roles and permissions, made of the difference between two policies: whatever a user changes leaves them.

use std::collections::HashMap;
use std::sync::Arc;

use vim::{Object, field, prop, vim};

use super::Accounts;
use super::policy::{GLOBAL, Policy};
use super::records::StoredPermission;
use super::roles::Role;
use crate::Snapshot;

/// Events of one change. The last of more says how many others there are.
const MAX_TOLD: usize = 1_000;

/// A permission before and after a change, of which at least one is there.
type Change<'a> = (Option<&'a StoredPermission>, Option<&'a StoredPermission>);

impl Accounts {
    /// The events of a change.
    pub(super) fn told(&self, before: &Policy, now: &Policy, state: &Snapshot) -> Vec<Object> {
        let telling = Telling { accounts: self, before, now, state };
        let mut events: Vec<Object> = Vec::new();
        for (id, role) in &now.roles {
            match before.roles.get(id) {
                None => events.push(added(role)),
                Some(old) if old != role => events.push(updated(old, role)),
                Some(_) => {}
            }
        }
        let changes = changes(before, now);
        let left = MAX_TOLD.saturating_sub(events.len());
        events.extend(changes.iter().take(left).filter_map(|change| telling.permission(*change)));
        let removed = before.roles.iter().filter(|(id, _)| !now.roles.contains_key(*id));
        events.extend(removed.map(|(_, role)| vim!(RoleRemovedEvent { role: role_argument(role) }).into()));
        if changes.len() > left {
            let message = format!("The same change concerned {} more permissions", changes.len() - left);
            events.push(vim!(GeneralEvent { message: message }).into());
        }
        events
    }
}

/// The permissions that differ, in the order of their keys.
fn changes<'a>(before: &'a Policy, now: &'a Policy) -> Vec<Change<'a>> {
    let mut old: HashMap<String, &StoredPermission> =
        before.all_permissions().map(|permission| (permission.key(), permission)).collect();
    let mut found: Vec<(String, Change<'a>)> = Vec::new();
    for permission in now.all_permissions() {
        let key = permission.key();
        match old.remove(&key) {
            Some(known) if known == permission => {}
            known => found.push((key, (known, Some(permission)))),
        }
    }
    found.extend(old.into_iter().map(|(key, permission)| (key, (Some(permission), None))));
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found.into_iter().map(|(_, change)| change).collect()
}

fn role_argument(role: &Role) -> vim::ty!(RoleEventArgument) {
    vim!(RoleEventArgument { roleId: role.id, name: &role.name })
}

fn added(role: &Role) -> Object {
    let privileges: Vec<String> = role.privileges.iter().cloned().collect();
    vim!(RoleAddedEvent { role: role_argument(role), privilegeList: privileges }).into()
}

fn updated(old: &Role, role: &Role) -> Object {
    let list = |all: &mut dyn Iterator<Item = &String>| all.cloned().collect::<Vec<String>>();
    vim!(RoleUpdatedEvent {
        role: role_argument(role),
        privilegeList: list(&mut role.privileges.iter()),
        prevRoleName: &old.name,
        privilegesAdded: list(&mut role.privileges.difference(&old.privileges)),
        privilegesRemoved: list(&mut old.privileges.difference(&role.privileges)),
    })
    .into()
}

struct Telling<'a> {
    accounts: &'a Accounts,
    before: &'a Policy,
    now: &'a Policy,
    state: &'a Snapshot,
}

impl Telling<'_> {
    fn role(&self, permission: &StoredPermission) -> Option<&Arc<Role>> {
        self.now.roles.get(&permission.role).or_else(|| self.before.roles.get(&permission.role))
    }

    fn permission(&self, (old, new): Change<'_>) -> Option<Object> {
        let about = new.or(old)?;
        let principal = self.accounts.realm.canonical(&about.principal);
        let Some(entity) = about.entity() else { return self.global((old, new), &principal) };
        let node = self.state.find(&entity);
        let name = node.and_then(|node| node.get(prop!(ManagedEntity.name))).unwrap_or(entity.id());
        let mut event: Object = match (old, new) {
            (_, None) => vim!(PermissionRemovedEvent {}).into(),
            (None, Some(new)) => {
                vim!(PermissionAddedEvent { role: role_argument(self.role(new)?), propagate: new.propagate })
                    .into()
            }
            (Some(old), Some(new)) => vim!(PermissionUpdatedEvent {
                role: role_argument(self.role(new)?),
                propagate: new.propagate,
                prevRole: self.role(old).map(|role| role_argument(role)),
                prevPropagate: old.propagate,
            })
            .into(),
        };
        let argument = vim!(ManagedEntityEventArgument { name: name, entity: &entity });
        event.set(field!(PermissionEvent.entity), argument);
        event.set(field!(PermissionEvent.principal), principal.as_str());
        event.set(field!(PermissionEvent.group), about.group);
        Some(event)
    }

    /// An event about a global permission, for which vSphere has no type: it lies above the root folder.
    fn global(&self, (old, new): Change<'_>, principal: &str) -> Option<Object> {
        debug_assert!(new.or(old).is_some_and(|about| about.entity == GLOBAL));
        let root = &self.accounts.root;
        let (what, message) = match (old, new) {
            (_, None) => ("removed", format!("Removed the global permission of {principal}")),
            (None, Some(new)) => {
                ("added", format!("Gave {principal} the role {} globally", self.role(new)?.name))
            }
            (Some(_), Some(new)) => (
                "updated",
                format!("The global permission of {principal} is now the role {}", self.role(new)?.name),
            ),
        };
        let event = vim!(EventEx {
            eventTypeId: format!("esfera.globalpermission.{what}"),
            severity: "info",
            message: message,
            objectId: root.id(),
            objectType: root.type_name(),
        });
        Some(event.into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use store::Store;
    use vim::{DataId, MoRef, data_id, managed_id, props};

    use super::super::permissions::{Author, Place, Rule, Wanted};
    use super::super::{NO_ACCESS, READ_ONLY, Realm};
    use super::*;
    use crate::{Actor, Core};

    const ADMINISTRATOR: &str = "VSPHERE.LOCAL\\Administrator";

    /// The types of the events since the last time.
    fn types(core: &Core, known: &mut usize) -> Vec<DataId> {
        let all = core.events.newest(100);
        let new = all[*known..].iter().map(|(_, event)| event.ty()).collect();
        *known = all.len();
        new
    }

    #[tokio::test]
    async fn what_a_user_changes_leaves_events_and_what_the_daemon_does_itself_leaves_none() {
        let store = Store::in_memory().unwrap();
        let core = Arc::new(Core::new(store.clone()));
        let root = MoRef::new(managed_id!(Folder), "root");
        core.tree.write(|w| w.create(&root, props!(Folder { name: "Datacenters" })));
        let accounts =
            Accounts::open(store, Realm::vsphere_local(), root.clone(), |_, _| None).await.unwrap();
        let _ = accounts.core.set(Arc::downgrade(&core));
        accounts.ensure_administrator("Administrator", "", Some("a")).await.unwrap();
        accounts.create("ann", "", Some("a")).await.unwrap();
        let mut known = 0;
        assert_eq!(types(&core, &mut known), []);
        let (account, state) = (accounts.find("Administrator").unwrap(), core.tree.snapshot());
        let by = Some(Author { account: &account, state: &state });
        let wanted = |name: &str, privileges: &[&str]| Wanted {
            name: name.into(),
            label: None,
            privileges: privileges.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>(),
        };
        let rule = |role, propagate| Rule { principal: "ann".into(), group: false, role, propagate };
        let place = Place::Entity(&root);
        Actor::new(ADMINISTRATOR, None)
            .does(async {
                let role = accounts.add_role(wanted("starters", &["VirtualMachine.Interact.PowerOn"]), by);
                let role = role.await.unwrap();
                accounts
                    .update_role(role, wanted("stoppers", &["VirtualMachine.Interact.PowerOff"]), by)
                    .await
                    .unwrap();
                assert_eq!(types(&core, &mut known), [data_id!(RoleAddedEvent), data_id!(RoleUpdatedEvent)]);
                let event = core.events.newest(1).remove(0).1;
                assert_eq!(event.get(field!(RoleUpdatedEvent.prevRoleName)), Some("starters"));
                let gone = event.get(field!(RoleUpdatedEvent.privilegesRemoved)).unwrap();
                assert_eq!(gone.iter().collect::<Vec<_>>(), ["VirtualMachine.Interact.PowerOn"]);

                accounts.set_permissions(place, &[rule(READ_ONLY, true)], false, by).await.unwrap();
                accounts.set_permissions(place, &[rule(READ_ONLY, true)], false, by).await.unwrap();
                accounts.set_permissions(place, &[rule(role, false)], false, by).await.unwrap();
                let told = [data_id!(PermissionAddedEvent), data_id!(PermissionUpdatedEvent)];
                assert_eq!(types(&core, &mut known), told, "a permission that stays leaves no event");
                let event = core.events.newest(1).remove(0).1;
                assert_eq!(event.get(field!(Event.userName)), Some(ADMINISTRATOR));
                assert_eq!(event.get(field!(PermissionEvent.principal)), Some("VSPHERE.LOCAL\\ann"));
                let entity = event.get(field!(PermissionEvent.entity)).unwrap();
                assert_eq!(entity.get(field!(EntityEventArgument.name)), Some("Datacenters"));
                let roles = [field!(PermissionUpdatedEvent.prevRole), field!(PermissionUpdatedEvent.role)];
                let ids = roles.map(|field| event.get(field).unwrap().get(field!(RoleEventArgument.roleId)));
                assert_eq!(ids, [Some(READ_ONLY), Some(role)]);
                assert_eq!(event.get(field!(PermissionUpdatedEvent.prevPropagate)), Some(true));
                assert_eq!(event.get(field!(PermissionUpdatedEvent.propagate)), Some(false));

                // The permissions of a role go with it.
                accounts.remove_role(role, false, by).await.unwrap();
                let told = [data_id!(PermissionRemovedEvent), data_id!(RoleRemovedEvent)];
                assert_eq!(types(&core, &mut known), told);
                accounts.set_permissions(Place::Global, &[rule(NO_ACCESS, true)], false, by).await.unwrap();
                assert_eq!(types(&core, &mut known), [data_id!(EventEx)]);
            })
            .await;
    }

    #[tokio::test]
    async fn one_change_of_very_many_permissions_leaves_a_bounded_number_of_events() {
        let store = Store::in_memory().unwrap();
        let root = MoRef::new(managed_id!(Folder), "root");
        let accounts = Accounts::open(store, Realm::vsphere_local(), root, |_, _| None).await.unwrap();
        let before = accounts.policy.load_full();
        let mut now = Policy::clone(&before);
        for number in 0..MAX_TOLD + 5 {
            now.put_permission(StoredPermission {
                entity_type: "Folder".into(),
                entity: format!("group-{number}"),
                principal: "ann".into(),
                group: false,
                role: READ_ONLY,
                propagate: true,
            });
        }
        let state = Core::new(Store::in_memory().unwrap()).tree.snapshot();
        let events = accounts.told(&before, &now, &state);
        assert_eq!(events.len(), MAX_TOLD + 1);
        let last = events.last().unwrap();
        assert!(last.get(field!(GeneralEvent.message)).unwrap().contains(" 5 more"));
    }
}
