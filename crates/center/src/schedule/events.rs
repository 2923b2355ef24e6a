//! Events about scheduled tasks.

use api::Snapshot;
use vim::{DataId, Fault, MoRef, Object, data_id, field, managed_id, prop, vim};

use super::records::Stored;

/// An occurrence in the life of a scheduled task.
#[derive(Clone, Copy)]
pub(super) enum Occasion<'a> {
    Created,
    Reconfigured,
    Removed,
    Started(Option<i32>),
    Completed(Option<i32>),
    Failed(Option<i32>, &'a Fault),
}

impl Occasion<'_> {
    fn ty(self) -> DataId {
        match self {
            Self::Created => data_id!(ScheduledTaskCreatedEvent),
            Self::Reconfigured => data_id!(ScheduledTaskReconfiguredEvent),
            Self::Removed => data_id!(ScheduledTaskRemovedEvent),
            Self::Started(_) => data_id!(ScheduledTaskStartedEvent),
            Self::Completed(_) => data_id!(ScheduledTaskCompletedEvent),
            Self::Failed(..) => data_id!(ScheduledTaskFailedEvent),
        }
    }

    /// The chain of the task that the run became.
    fn chain(self) -> Option<i32> {
        match self {
            Self::Started(chain) | Self::Completed(chain) | Self::Failed(chain, _) => chain,
            _ => None,
        }
    }
}

pub(super) fn event(
    occasion: Occasion<'_>,
    me: &MoRef,
    stored: &Stored,
    user: &str,
    state: &Snapshot,
) -> Object {
    let mut event = Object::new(occasion.ty());
    let spec = stored.spec();
    let name = spec.get(field!(ScheduledTaskSpec.name)).unwrap_or_default();
    event.set(field!(Event.userName), user);
    event.set(field!(Event.chainId), occasion.chain());
    event.set(
        field!(ScheduledTaskEvent.scheduledTask),
        vim!(ScheduledTaskEventArgument { name: name, scheduledTask: me }),
    );
    let entity = &stored.entity;
    let node = state.find(entity);
    let entity_name = node.and_then(|node| node.get(prop!(ManagedEntity.name))).unwrap_or(entity.id());
    event.set(
        field!(ScheduledTaskEvent.entity),
        vim!(ManagedEntityEventArgument { name: entity_name, entity: entity }),
    );
    if entity.is_a(managed_id!(VirtualMachine)) {
        event.set(field!(Event.vm), vim!(VmEventArgument { name: entity_name, vm: entity }));
    }
    if let Occasion::Failed(_, fault) = occasion {
        event.set(field!(ScheduledTaskFailedEvent.reason), fault.localized());
    }
    event
}
