//! Methods of the EventManager and of event history collectors.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use vim::{
    Fault, Kind, ManagedId, MoRef, Object, Value, arg, data_id, fault, field, managed_id, method, prop,
    props, schema, vim,
};

use super::event_filter::EventFilter;
use super::{blocking, too_many_collectors};
use crate::common::Common;
use crate::event::{EVENT, EventLog, catalog, in_language};
use crate::history::{Cursor, LatestPage, MAX_COLLECTORS, MAX_PAGE, MAX_SCANNED, Sight, backward, list};
use crate::service::invalid_argument;
use crate::session::SessionObject;
use crate::stored::{self, store_fault};
use crate::{Authority, Call, Guard, Manager, Methods, Node, Service, Session, Snapshot};

type Reply = Result<Option<Value>, Fault>;

const MANAGER: ManagedId = managed_id!(EventManager);
const COLLECTOR: ManagedId = managed_id!(EventHistoryCollector);
/// Bytes of an event that a client posts.
const MAX_POSTED_BYTES: usize = 64 << 10;

/// The EventManager.
pub(crate) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.event_manager.clone(),
    named: Some(field!(ServiceContent.eventManager).number()),
    properties: |_| {
        Ok(props!(EventManager {
            description: catalog::description("en"),
            maxCollector: i32::try_from(MAX_COLLECTORS).unwrap_or(i32::MAX),
        }))
    },
    register: |table| {
        let methods = &mut *table.methods;
        methods.on(MANAGER, method!(QueryEvents), |call| blocking(call, query));
        methods.on(MANAGER, method!(CreateCollectorForEvents), |call| async move { create_collector(&call) });
        methods.on(MANAGER, method!(PostEvent), post_event);
        methods.guarded(MANAGER, method!(LogUserEvent), Guard::Privilege("Global.LogEvent"), log_user_event);
        let describe = method!(RetrieveArgumentDescription);
        methods.on(MANAGER, describe, |call| async move { argument_description(&call) });
        methods.compute(MANAGER, prop!(EventManager.latestEvent).number(), latest);
        let described = prop!(EventManager.description).number();
        methods.compute(MANAGER, described, |_, session, _, _| {
            Some(catalog::description(&session.locale()).into())
        });
        register_collector(methods);
    },
};

fn register_collector(methods: &mut Methods) {
    let mut own = |method, handler: fn(&Call) -> Reply| {
        methods.guarded(COLLECTOR, method, Guard::Open, move |call| blocking(call, handler));
    };
    own(method!(ReadNextEvents), |call| read(call, true));
    own(method!(ReadPreviousEvents), |call| read(call, false));
    own(method!(RewindCollector), |call| {
        own_collector(call)?.cursor().rewind();
        Ok(None)
    });
    own(method!(ResetCollector), |call| {
        let (collector, state) = (own_collector(call)?, call.state());
        let sight = call.sight(&state)?;
        let matches = |event: &Object| collector.filter.matches(event, &state) && sight.of_event(event);
        collector.cursor().reset(&collector.log, &matches)?;
        Ok(None)
    });
    own(method!(SetCollectorPageSize), |call| {
        own_collector(call)?.cursor().resize(call.required(arg!(SetCollectorPageSize.maxCount))?)?;
        Ok(None)
    });
    own(method!(DestroyCollector), |call| {
        call.session()?.remove(&call.this);
        Ok(None)
    });
}

/// `latestEvent`; none for a session that may not see the latest event.
fn latest(service: &Service, session: &Session, node: &Node, state: &Snapshot) -> Option<Value> {
    let event = node.get(prop!(EventManager.latestEvent))?;
    let sight = Sight { authority: &*service.authority, account: &session.account, state };
    sight.of_event(event).then(|| Value::Object(in_language(event.clone(), &session.locale())))
}

/// Event history that one session reads.
pub(crate) struct EventCollector {
    me: MoRef,
    spec: Arc<Object>,
    filter: EventFilter,
    log: EventLog,
    authority: Arc<dyn Authority>,
    cursor: Mutex<Cursor>,
    latest: LatestPage,
}

impl EventCollector {
    fn cursor(&self) -> MutexGuard<'_, Cursor> {
        self.cursor.lock()
    }
}

impl SessionObject for EventCollector {
    fn me(&self) -> &MoRef {
        &self.me
    }

    fn property(&self, number: u16, session: &Session, state: &Snapshot) -> Option<Value> {
        if number == prop!(EventHistoryCollector.filter).number() {
            return Some(Value::Object(self.spec.clone()));
        }
        if number == prop!(EventHistoryCollector.initialized).number() {
            return Some(Value::Boolean(true));
        }
        if number != prop!(EventHistoryCollector.latestPage).number() {
            return None;
        }
        let size = self.cursor().page_size();
        let sight = Sight { authority: &*self.authority, account: &session.account, state };
        let matches = |event: &Object| self.filter.matches(event, state);
        let version = self.authority.version();
        let page =
            self.latest.get(&self.log, version, EVENT, size, &matches, &|event| sight.of_event(event))?;
        let locale = session.locale();
        let events = page.items().iter().filter_map(Value::as_object).cloned();
        list(EVENT, events.map(|event| self.filter.shown(event, &locale)))
    }
}

fn query(call: &Call) -> Reply {
    let state = call.state();
    let filter = EventFilter::parse(call.required(arg!(QueryEvents.filter))?, &state)?;
    let most =
        filter.max_count.map_or(MAX_PAGE, |count| usize::try_from(count).unwrap_or(MAX_PAGE).min(MAX_PAGE));
    let log = call.service.core.events.source();
    let sight = call.sight(&state)?;
    let matches = |event: &Object| filter.matches(event, &state) && sight.of_event(event);
    let page = backward(&log, u64::MAX, most, MAX_SCANNED, &matches).map_err(|error| store_fault(&error))?;
    let locale = call.session()?.locale();
    let events = page.items.into_iter().map(|(_, event)| filter.shown(event, &locale));
    Ok(list(EVENT, events))
}

fn create_collector(call: &Call) -> Reply {
    let session = call.session()?;
    let spec = call.required(arg!(CreateCollectorForEvents.filter))?.clone();
    let filter = EventFilter::parse(&spec, &call.state())?;
    if session.objects_as::<EventCollector>().len() >= MAX_COLLECTORS {
        return Err(too_many_collectors());
    }
    let me = MoRef::new(COLLECTOR, session.new_object_id());
    let log = call.service.core.events.source();
    session.add(Arc::new(EventCollector {
        me: me.clone(),
        spec,
        filter,
        log,
        authority: call.service.authority.clone(),
        cursor: Mutex::default(),
        latest: LatestPage::default(),
    }))?;
    Ok(Some(Value::Ref(me)))
}

fn own_collector(call: &Call) -> Result<Arc<EventCollector>, Fault> {
    call.session()?.object_as(&call.this)
}

fn read(call: &Call, forward: bool) -> Reply {
    let (collector, state) = (own_collector(call)?, call.state());
    let sight = call.sight(&state)?;
    let matches = |event: &Object| collector.filter.matches(event, &state) && sight.of_event(event);
    let events = if forward {
        let size = call.required(arg!(ReadNextEvents.maxCount))?;
        collector.cursor().next(&collector.log, size, &matches)?
    } else {
        let size = call.required(arg!(ReadPreviousEvents.maxCount))?;
        collector.cursor().previous(&collector.log, size, &matches)?
    };
    let locale = call.session()?.locale();
    Ok(list(EVENT, events.into_iter().map(|event| collector.filter.shown(event, &locale))))
}

async fn post_event(call: Call) -> Reply {
    let event = call.required(arg!(PostEvent.eventToPost))?;
    if !event.is_a(data_id!(EventEx))
        && !event.is_a(data_id!(ExtendedEvent))
        && !event.is_a(data_id!(GeneralEvent))
    {
        return Err(fault!(
            InvalidEvent {},
            "Only EventEx, ExtendedEvent and GeneralEvent can be posted, not {}",
            event.type_name()
        ));
    }
    if stored::encode(EVENT, event).len() > MAX_POSTED_BYTES {
        return Err(too_long("eventToPost"));
    }
    let mut event = Object::clone(event);
    // Nobody speaks for another user, but for a solution that has an account of its own.
    let is_solution = call.session()?.account.extension;
    if !is_solution || event.get(field!(Event.userName)).is_none_or(str::is_empty) {
        event.set(field!(Event.userName), call.user());
    }
    event.set(field!(Event.createdTime), None::<vim::DateTime>);
    call.service.core.events.post(event).await;
    Ok(None)
}

fn too_long(argument: &str) -> Fault {
    invalid_argument(argument, &format!("An event has at most {MAX_POSTED_BYTES} bytes"))
}

async fn log_user_event(call: Call) -> Reply {
    let entity = call.required(arg!(LogUserEvent.entity))?;
    let message = call.required(arg!(LogUserEvent.msg))?;
    if message.len() > MAX_POSTED_BYTES {
        return Err(too_long("msg"));
    }
    let state = call.state();
    let entity = state.require(entity)?;
    let name = entity.get(prop!(ManagedEntity.name)).unwrap_or_default();
    let event = vim!(GeneralUserEvent {
        userName: call.user(),
        message: message,
        entity: ManagedEntityEventArgument { name: name, entity: entity.me() },
    });
    call.service.core.events.post(event).await;
    Ok(None)
}

/// The fields that an event type adds to those of all events.
fn argument_description(call: &Call) -> Reply {
    let id = call.required(arg!(RetrieveArgumentDescription.eventTypeId))?;
    let name = id.strip_prefix("vim.event.").unwrap_or(id);
    let Some(ty) =
        schema().find_data(name).map(|id| schema().data(id)).filter(|ty| ty.is_a(schema().data(EVENT)))
    else {
        return Err(invalid_argument("eventTypeId", &format!("The event type {id} does not exist")));
    };
    let own = &ty.fields[schema().data(EVENT).fields.len()..];
    let described = own.iter().filter_map(|field| {
        match field.kind {
            Kind::String => Some("string"),
            Kind::Int => Some("int"),
            Kind::Long => Some("long"),
            Kind::Boolean => Some("bool"),
            Kind::DateTime => Some("datetime"),
            Kind::Data(_) => Some("moid"),
            _ => None,
        }
        .map(|ty| Object::from(vim!(EventArgDesc { name: field.name, type: ty })))
    });
    Ok(list(data_id!(EventArgDesc), described.map(Arc::new)))
}
