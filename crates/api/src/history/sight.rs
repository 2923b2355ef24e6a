//! The part of the history that a user may see: events and tasks of entities that he may view, and his own where the entity no longer
//! exists.

use vim::{MoRef, Object, Value, data_id, field, managed_id, schema};

use crate::tree::root_folder;
use crate::{Account, Authority, Snapshot};

const VIEW: &str = "System.View";

/// One user's sight of the history, in one state of the tree.
pub(crate) struct Sight<'a> {
    pub authority: &'a dyn Authority,
    pub account: &'a Account,
    pub state: &'a Snapshot,
}

impl Sight<'_> {
    /// Whether the user may see this event.
    pub fn of_event(&self, event: &Object) -> bool {
        match subject(event).and_then(|subject| self.there(subject)).or_else(|| self.named(event)) {
            Some(entity) => self.views(&entity),
            None => self.views_all() || event.get(field!(Event.userName)).is_some_and(|user| self.is(user)),
        }
    }

    /// Whether the user may see this task's information. He may always see his own tasks.
    pub fn of_task(&self, info: &Object) -> bool {
        let reason = info.get(field!(TaskInfo.reason)).filter(|reason| reason.is_a(data_id!(TaskReasonUser)));
        let user = reason.and_then(|reason| reason.get(field!(TaskReasonUser.userName)));
        if user.is_some_and(|user| self.is(user)) {
            return true;
        }
        let entity = info.get(field!(TaskInfo.entity)).and_then(|entity| self.there(entity));
        entity.map_or_else(|| self.views_all(), |entity| self.views(&entity))
    }

    fn views(&self, entity: &MoRef) -> bool {
        self.authority.allows(self.account, entity, VIEW, self.state)
    }

    /// Items without an entity, or with one that no longer exists, are for users who may view everything.
    fn views_all(&self) -> bool {
        root_folder(self.state).is_some_and(|root| self.views(&root))
    }

    fn is(&self, user: &str) -> bool {
        self.account.name.eq_ignore_ascii_case(user)
    }

    fn there(&self, entity: &MoRef) -> Option<MoRef> {
        self.state.find(entity).map(|node| node.me().clone())
    }

    /// The object that an extended event names by its id alone.
    fn named(&self, event: &Object) -> Option<MoRef> {
        if !event.is_a(data_id!(EventEx)) || subject(event).is_some() {
            return None;
        }
        let node = self.state.find_id(event.get(field!(EventEx.objectId))?)?;
        Some(node.me().clone())
    }
}

/// The entity that the event is about. The other entities that it names only say where that one is: a VM's event names its host, and a
/// user who may view the VM may see the event.
fn subject(event: &Object) -> Option<&MoRef> {
    let common = schema().data(data_id!(Event)).fields.len();
    let of = |numbers: std::ops::Range<usize>| {
        event.fields().iter().filter(move |(number, _)| numbers.contains(&usize::from(*number)))
    };
    let vm = event.get(field!(Event.vm)).and_then(|vm| vm.get(field!(VmEventArgument.vm)));
    // The fields that a type adds are narrower than those of all events; of the latter, the last are the narrowest.
    vm.or_else(|| of(common..usize::MAX).find_map(|(_, value)| entity(value)))
        .or_else(|| of(0..common).rev().find_map(|(_, value)| entity(value)))
}

/// The entity in an event's argument.
fn entity(argument: &Value) -> Option<&MoRef> {
    let argument = argument.as_object().filter(|object| object.is_a(data_id!(EntityEventArgument)))?;
    let references = argument.fields().iter().filter_map(|(_, value)| Value::as_ref(value));
    references.into_iter().find(|reference| reference.is_a(managed_id!(ManagedEntity)))
}

#[cfg(test)]
mod tests {
    use vim::vim;

    use super::*;
    use crate::testing::{cluster, datacenter, folder, host, pool, vm};

    #[test]
    fn an_event_is_about_the_narrowest_entity_that_it_names() {
        let datacenter = || vim!(DatacenterEventArgument { name: "DC1", datacenter: datacenter() });
        let compute = || vim!(ComputeResourceEventArgument { name: "C1", computeResource: cluster() });
        let host_argument = || vim!(HostEventArgument { name: "h1", host: host(1) });
        let cases: [(Object, Option<MoRef>); 6] = [
            (
                vim!(VmPoweredOnEvent {
                    vm: VmEventArgument { name: "web1", vm: vm(1) },
                    host: host_argument(),
                    computeResource: compute(),
                    datacenter: datacenter(),
                })
                .into(),
                Some(vm(1)),
            ),
            (
                vim!(HostConnectedEvent {
                    host: host_argument(),
                    computeResource: compute(),
                    datacenter: datacenter()
                })
                .into(),
                Some(host(1)),
            ),
            (
                vim!(ResourcePoolCreatedEvent {
                    resourcePool: ResourcePoolEventArgument { name: "p", resourcePool: pool() },
                    parent: ResourcePoolEventArgument { name: "r", resourcePool: pool() },
                    computeResource: compute(),
                    datacenter: datacenter(),
                })
                .into(),
                Some(pool()),
            ),
            (
                vim!(GeneralUserEvent {
                    message: "m",
                    entity: ManagedEntityEventArgument { name: "f", entity: folder("group-v1") },
                    datacenter: datacenter(),
                })
                .into(),
                Some(folder("group-v1")),
            ),
            (vim!(EventEx { eventTypeId: "x", objectId: "vm-2" }).into(), None),
            (vim!(UserLogoutSessionEvent { userName: "eve" }).into(), None),
        ];
        for (event, expected) in cases {
            assert_eq!(subject(&event), expected.as_ref(), "{}", event.type_name());
        }
    }
}
