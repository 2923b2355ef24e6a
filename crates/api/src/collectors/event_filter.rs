//! A client's filter for events.

use std::sync::Arc;

use vim::{Fault, MoRef, Object, Value, data_id, fault, field, schema, vim_enum};

use super::{Reach, not_by_alarm, texts};
use crate::Snapshot;
use crate::event::{catalog, in_language};
use crate::service::invalid_argument;

/// An `EventFilterSpec`, checked.
pub(super) struct EventFilter {
    entity: Option<(MoRef, Reach)>,
    begin_us: i64,
    end_us: i64,
    users: Option<(bool, Vec<String>)>,
    chain: Option<i32>,
    categories: Vec<String>,
    types: Vec<vim::DataId>,
    type_ids: Vec<String>,
    tags: Vec<String>,
    scheduled: Option<MoRef>,
    pub max_count: Option<i32>,
    full_message: bool,
}

impl EventFilter {
    /// # Errors
    /// `InvalidArgument` for a malformed filter, `ManagedObjectNotFound` for an entity that does not exist.
    pub fn parse(spec: &Object, state: &Snapshot) -> Result<Self, Fault> {
        let entity = spec.get(field!(EventFilterSpec.entity)).map(|entity| {
            let top = entity.get(field!(EventFilterSpecByEntity.entity)).cloned();
            let reach = match entity.get(field!(EventFilterSpecByEntity.recursion)) {
                Some(r) if r == vim_enum!(EventFilterSpecRecursionOption.children) => Reach::Children,
                Some(r) if r == vim_enum!(EventFilterSpecRecursionOption.all) => Reach::All,
                _ => Reach::Itself,
            };
            (top, reach)
        });
        let entity = match entity {
            Some((Some(top), reach)) => Some((state.require(&top)?.me().clone(), reach)),
            Some((None, _)) => {
                return Err(invalid_argument("filter.entity", "The filter's entity is missing"));
            }
            None => None,
        };
        let time = spec.get(field!(EventFilterSpec.time));
        let begin = time.and_then(|time| time.get(field!(EventFilterSpecByTime.beginTime)));
        let end = time.and_then(|time| time.get(field!(EventFilterSpecByTime.endTime)));
        let mut types = Vec::new();
        for name in texts(spec.get(field!(EventFilterSpec.type)).map(|names| names.iter())) {
            let ty = schema().find_data(&name).ok_or_else(|| {
                fault!(InvalidType { argument: "filter.type" }, "The event type {name} does not exist")
            })?;
            types.push(ty);
        }
        if let Some(alarm) = spec.get(field!(EventFilterSpec.alarm)) {
            state.require(alarm)?;
            return Err(not_by_alarm());
        }
        let scheduled = spec.get(field!(EventFilterSpec.scheduledTask));
        let scheduled = scheduled.map(|task| state.require(task)).transpose()?;
        let max_count = spec.get(field!(EventFilterSpec.maxCount));
        if max_count.is_some_and(|count| count < 1) {
            return Err(invalid_argument("filter.maxCount", "maxCount must be at least 1"));
        }
        Ok(Self {
            entity,
            begin_us: begin.map_or(i64::MIN, vim::DateTime::as_micros),
            end_us: end.map_or(i64::MAX, vim::DateTime::as_micros),
            users: spec.get(field!(EventFilterSpec.userName)).map(|users| {
                let system = users.get(field!(EventFilterSpecByUsername.systemUser)).unwrap_or_default();
                (system, texts(users.get(field!(EventFilterSpecByUsername.userList)).map(|list| list.iter())))
            }),
            chain: spec.get(field!(EventFilterSpec.eventChainId)),
            categories: texts(spec.get(field!(EventFilterSpec.category)).map(|list| list.iter())),
            types,
            type_ids: texts(spec.get(field!(EventFilterSpec.eventTypeId)).map(|list| list.iter())),
            tags: texts(spec.get(field!(EventFilterSpec.tag)).map(|list| list.iter())),
            scheduled: scheduled.map(|task| task.me().clone()),
            max_count,
            full_message: !spec.get(field!(EventFilterSpec.disableFullMessage)).unwrap_or_default(),
        })
    }

    /// The event as the filter's client reads it.
    pub fn shown(&self, event: Arc<Object>, locale: &str) -> Arc<Object> {
        if self.full_message {
            return in_language(event, locale);
        }
        let mut event = Object::clone(&event);
        event.set(field!(Event.fullFormattedMessage), None::<&str>);
        Arc::new(event)
    }

    pub fn matches(&self, event: &Object, state: &Snapshot) -> bool {
        let time = event.get(field!(Event.createdTime)).map_or(0, vim::DateTime::as_micros);
        let user = event.get(field!(Event.userName)).unwrap_or_default();
        (self.begin_us..=self.end_us).contains(&time)
            && self.scheduled.as_ref().is_none_or(|task| {
                event.is_a(data_id!(ScheduledTaskEvent))
                    && event
                        .get(field!(ScheduledTaskEvent.scheduledTask))
                        .and_then(|argument| argument.get(field!(ScheduledTaskEventArgument.scheduledTask)))
                        == Some(task)
            })
            && self.chain.is_none_or(|chain| event.get(field!(Event.chainId)) == Some(chain))
            && self.users.as_ref().is_none_or(|(system, users)| {
                if user.is_empty() {
                    *system
                } else {
                    users.iter().any(|known| known.eq_ignore_ascii_case(user))
                }
            })
            && (self.types.is_empty() || self.types.iter().any(|ty| event.is_a(*ty)))
            && (self.type_ids.is_empty() || self.type_ids.iter().any(|id| is_type_id(event, id)))
            && (self.categories.is_empty()
                || self.categories.iter().any(|category| category == catalog::category(event)))
            && (self.tags.is_empty()
                || event.get(field!(Event.changeTag)).is_some_and(|tag| self.tags.iter().any(|t| t == tag)))
            && self.entity.as_ref().is_none_or(|(top, reach)| {
                entities(event).iter().any(|entity| reach.covers(top, entity, state))
                    || object_id(event).is_some_and(|id| match state.find_id(id) {
                        Some(node) => reach.covers(top, node.me(), state),
                        None => *reach != Reach::Children && id == top.id(),
                    })
            })
    }
}

/// `VmPoweredOnEvent`, `vim.event.VmPoweredOnEvent`, or the id that an `EventEx` carries.
fn is_type_id(event: &Object, id: &str) -> bool {
    let carried = if event.is_a(data_id!(EventEx)) {
        event.get(field!(EventEx.eventTypeId))
    } else if event.is_a(data_id!(ExtendedEvent)) {
        event.get(field!(ExtendedEvent.eventTypeId))
    } else {
        None
    };
    carried == Some(id)
        || schema().find_data(id.strip_prefix("vim.event.").unwrap_or(id)).is_some_and(|ty| event.is_a(ty))
}

fn object_id(event: &Object) -> Option<&str> {
    event.is_a(data_id!(EventEx)).then(|| event.get(field!(EventEx.objectId))).flatten()
}

/// The objects that the event is about: the references in its arguments.
fn entities(event: &Object) -> Vec<&MoRef> {
    let arguments = event.fields().iter().filter_map(|(_, value)| value.as_object());
    let arguments = arguments.filter(|object| object.is_a(data_id!(EntityEventArgument)));
    arguments.flat_map(|argument| argument.fields()).filter_map(|(_, value)| Value::as_ref(value)).collect()
}
