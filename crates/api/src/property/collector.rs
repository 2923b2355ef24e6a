//! Property collectors with their filters, on which a session waits for changes.
//!
//! A collector's version counts its replies. The collector keeps the last reply, so a client that has lost it asks again with the
//! previous version and gets the same reply again. Once a client has said that it has a large reply, the collector drops it: a client
//! that waits costs no more than what it has not been sent.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vim::{
    Fault, Kind, List, ManagedId, MoRef, Object as Data, Value, arg, fault, field, managed_id, method, prop,
};

use super::read::Reader;
use super::share::{Keeps, Unconfirmed};
use super::spec::Spec;
use super::updates::{Active, Ask, Inner, MAX_KEPT_UPDATES};
use super::walks;
use crate::service::invalid_argument;
use crate::service::not_authenticated;
use crate::session::SessionObject;
use crate::tree::not_found;
use crate::{Call, Guard, Methods, Session, Snapshot};

type Reply = Result<Option<Value>, Fault>;

const COLLECTOR: ManagedId = managed_id!(PropertyCollector);
const FILTER: ManagedId = managed_id!(PropertyFilter);
/// The longest wait with a limit; a longer one never times out.
const MAX_WAIT: Duration = Duration::from_secs(366 * 24 * 3600);

pub(super) fn register(methods: &mut Methods) {
    methods.on(COLLECTOR, method!(CreateFilter), |call| async move { create_filter(&call) });
    methods.guarded(FILTER, method!(DestroyPropertyFilter), Guard::Open, |call| async move {
        destroy_filter(&call)
    });
    methods.on(COLLECTOR, method!(CreatePropertyCollector), |call| async move { create(&call) });
    methods.on(COLLECTOR, method!(DestroyPropertyCollector), |call| async move { destroy(&call) });
    methods.on(COLLECTOR, method!(CancelWaitForUpdates), |call| async move {
        of(&call)?.end_wait();
        Ok(None)
    });
    methods.on(COLLECTOR, method!(WaitForUpdates), |call| async move {
        let version = call.arg(arg!(WaitForUpdates.version)).unwrap_or_default().to_owned();
        of(&call)?.wait(&call, &version, None, usize::MAX).await
    });
    methods.on(COLLECTOR, method!(CheckForUpdates), |call| async move {
        let version = call.arg(arg!(CheckForUpdates.version)).unwrap_or_default().to_owned();
        of(&call)?.wait(&call, &version, Some(Duration::ZERO), usize::MAX).await
    });
    methods.on(COLLECTOR, method!(WaitForUpdatesEx), |call| async move { wait_ex(&call).await });
    methods.compute(COLLECTOR, prop!(PropertyCollector.filter).number(), |_, session, node, _| {
        session.local::<SessionCollector>().of(node.me()).filters()
    });
}

/// Wakes the waits of a session when one of its own objects has changed.
#[derive(Default)]
pub struct OwnChanges(watch::Sender<u64>);

impl OwnChanges {
    pub(crate) fn tell(session: &Session) {
        session.local::<Self>().0.send_modify(|count| *count += 1);
    }
}

/// The session's part of the collector that every session has without creating it.
#[derive(Default)]
struct SessionCollector(OnceLock<Arc<Collector>>);

impl SessionCollector {
    fn of(&self, me: &MoRef) -> Arc<Collector> {
        self.0.get_or_init(|| Arc::new(Collector::new(me.clone()))).clone()
    }
}

/// The collector whose method is called.
fn of(call: &Call) -> Result<Arc<Collector>, Fault> {
    let session = call.session()?;
    if session.object(&call.this).is_some() {
        return session.object_as(&call.this);
    }
    Ok(session.local::<SessionCollector>().of(&call.this))
}

struct Collector {
    me: MoRef,
    inner: Mutex<Inner>,
    /// Ends the wait that is under way.
    waiting: Mutex<Option<CancellationToken>>,
}

pub(super) struct Filter {
    pub me: MoRef,
    shown: Arc<Data>,
    pub spec: Spec,
    partial: bool,
    collector: Weak<Collector>,
}

impl SessionObject for Filter {
    fn me(&self) -> &MoRef {
        &self.me
    }

    fn property(&self, number: u16, _: &Session, _: &Snapshot) -> Option<Value> {
        if number == prop!(PropertyFilter.spec).number() {
            return Some(Value::Object(self.shown.clone()));
        }
        (number == prop!(PropertyFilter.partialUpdates).number()).then_some(Value::Boolean(self.partial))
    }
}

impl SessionObject for Collector {
    fn me(&self) -> &MoRef {
        &self.me
    }

    fn property(&self, number: u16, _: &Session, _: &Snapshot) -> Option<Value> {
        if number == prop!(PropertyCollector.filter).number() { self.filters() } else { None }
    }
}

fn create(call: &Call) -> Reply {
    let session = call.session()?;
    let collector = Arc::new(Collector::new(MoRef::new(COLLECTOR, session.new_object_id())));
    let me = collector.me.clone();
    session.add(collector)?;
    Ok(Some(Value::Ref(me)))
}

fn destroy(call: &Call) -> Reply {
    let session = call.session()?;
    if session.object(&call.this).is_none() {
        return Err(fault!(
            NotSupported {},
            "Only a collector made by CreatePropertyCollector can be destroyed"
        ));
    }
    let collector: Arc<Collector> = session.object_as(&call.this)?;
    session.remove(&call.this);
    collector.end_wait();
    for active in collector.inner().filters.drain(..) {
        session.remove(&active.filter.me);
    }
    Ok(None)
}

fn create_filter(call: &Call) -> Reply {
    let session = call.session()?;
    let collector = of(call)?;
    let shown = call.required(arg!(CreateFilter.spec))?.clone();
    let mut spec = Spec::compile(&shown)?;
    spec.text = walks::text(&spec, &shown, session);
    if !spec.report_missing {
        let state = call.state();
        let missing = spec.starts.iter().find(|start| call.reader(&state).find(&start.object).is_none());
        if let Some(missing) = missing {
            return Err(not_found(&missing.object));
        }
    }
    let me = MoRef::new(FILTER, session.new_object_id());
    let partial = call.required(arg!(CreateFilter.partialUpdates))?;
    let collector_ref = Arc::downgrade(&collector);
    let filter = Arc::new(Filter { me: me.clone(), shown, spec, partial, collector: collector_ref });
    session.add(filter.clone())?;
    collector.inner().filters.push_back(Active::new(filter));
    OwnChanges::tell(session);
    Ok(Some(Value::Ref(me)))
}

fn destroy_filter(call: &Call) -> Reply {
    let session = call.session()?;
    let filter: Arc<Filter> = session.object_as(&call.this)?;
    session.remove(&call.this);
    if let Some(collector) = filter.collector.upgrade() {
        collector.inner().filters.retain(|active| active.filter.me != call.this);
    }
    OwnChanges::tell(session);
    Ok(None)
}

async fn wait_ex(call: &Call) -> Reply {
    let version = call.arg(arg!(WaitForUpdatesEx.version)).unwrap_or_default();
    let options = call.arg(arg!(WaitForUpdatesEx.options));
    let most = match options.and_then(|options| options.get(field!(WaitOptions.maxObjectUpdates))) {
        None => usize::MAX,
        Some(most) => usize::try_from(most).ok().filter(|most| *most > 0).ok_or_else(|| {
            invalid_argument("options.maxObjectUpdates", "maxObjectUpdates must be at least 1")
        })?,
    };
    let longest = match options.and_then(|options| options.get(field!(WaitOptions.maxWaitSeconds))) {
        None => None,
        Some(seconds) => Some(Duration::from_secs(u64::try_from(seconds).map_err(|_| {
            invalid_argument("options.maxWaitSeconds", "maxWaitSeconds must not be negative")
        })?)),
    };
    of(call)?.wait(call, version, longest, most).await
}

/// Ends its wait when it is dropped: the client has its answer, or has hung up.
struct Turn<'a> {
    collector: &'a Collector,
    ended: CancellationToken,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // No other wait is under way: one that began later would have ended this one first.
        let mut waiting = self.collector.waiting.lock();
        if !self.ended.is_cancelled() {
            *waiting = None;
        }
    }
}

impl Keeps for Collector {
    fn forget_reply(&self) {
        self.inner().last = None;
    }
}

impl Collector {
    fn new(me: MoRef) -> Self {
        Self { me, inner: Mutex::default(), waiting: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    fn filters(&self) -> Option<Value> {
        let filters: Vec<Value> =
            self.inner().filters.iter().map(|active| Value::Ref(active.filter.me.clone())).collect();
        (!filters.is_empty()).then(|| Value::List(List::new(Kind::Ref(FILTER), filters)))
    }

    fn end_wait(&self) {
        let mut waiting = self.waiting.lock();
        if let Some(token) = waiting.take() {
            token.cancel();
        }
    }

    /// Begins a wait, and ends the one that is under way.
    fn turn(&self) -> Turn<'_> {
        let ended = CancellationToken::new();
        let mut waiting = self.waiting.lock();
        if let Some(before) = waiting.replace(ended.clone()) {
            before.cancel();
        }
        drop(waiting);
        Turn { collector: self, ended }
    }

    /// The next reply. One that the client confirms by asking for it counts no more.
    fn updates(self: &Arc<Self>, session: &Session, reader: Reader<'_>, ask: Ask, most: usize) -> Reply {
        let (reply, confirmed) = {
            let mut inner = self.inner();
            let reply = inner.updates(reader, ask, most);
            (reply, std::mem::take(&mut inner.confirmed))
        };
        if confirmed {
            let me: Arc<dyn Keeps> = self.clone();
            session.local::<Unconfirmed>().release(&me);
        }
        reply
    }

    /// Waits until a client with `version` has something to learn; none if that takes longer than `longest`.
    async fn wait(
        self: Arc<Self>,
        call: &Call,
        version: &str,
        longest: Option<Duration>,
        most: usize,
    ) -> Reply {
        let session = call.session()?;
        let mut ask = Ask::parse(version)?;
        let turn = self.turn();
        let tree = &call.service.core.tree;
        let mut own = session.local::<OwnChanges>().0.subscribe();
        let deadline = longest.filter(|longest| *longest < MAX_WAIT).map(|longest| Instant::now() + longest);
        loop {
            own.mark_unchanged();
            tokio::select! {
                biased;
                () = session.ended().cancelled() => return Err(not_authenticated(&self.me, "System.View")),
                () = turn.ended.cancelled() => return Err(cancelled()),
                () = call.take_turn() => {}
            }
            let state = tree.snapshot();
            let reply = self.updates(session, call.reader(&state), ask, most)?;
            if let Some(reply) = reply {
                let kept = self.inner().last.as_ref().map_or(0, |last| last.updates);
                if kept > MAX_KEPT_UPDATES {
                    let me: Arc<dyn Keeps> = self.clone();
                    session.local::<Unconfirmed>().keep(&me, kept);
                }
                return Ok(Some(reply));
            }
            call.give_turn();
            ask = Ask::Again;
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(None);
            }
            let waiting = tree.wait(self.inner().interest());
            if tree.snapshot().version() != state.version() {
                // A commit came before the place was taken.
                continue;
            }
            // The wait keeps no old state alive.
            drop(state);
            let timeout = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = session.ended().cancelled() => return Err(not_authenticated(&self.me, "System.View")),
                () = turn.ended.cancelled() => return Err(cancelled()),
                () = waiting.changed() => {}
                _ = own.changed() => {}
                () = timeout => {}
            }
        }
    }
}

fn cancelled() -> Fault {
    fault!(RequestCanceled {}, "The wait was cancelled, or another one began on the same collector")
}

/// The objects in the kept replies of the session's own collector.
#[cfg(test)]
pub(super) fn kept_updates(session: &Session, me: &MoRef) -> usize {
    session.local::<SessionCollector>().of(me).inner().last.as_ref().map_or(0, |last| last.updates)
}

/// The members of the filters of the session's own collector, and the number of objects that these filters keep for themselves.
#[cfg(test)]
pub(super) fn members(session: &Session, me: &MoRef) -> (Vec<Arc<super::members::Members>>, usize) {
    let collector = session.local::<SessionCollector>().of(me);
    let inner = collector.inner();
    let members = inner.filters.iter().map(|active| active.known.members().clone()).collect();
    (members, inner.filters.iter().map(|active| active.known.kept_objects()).sum())
}

/// The nodes that the session's own collector keeps though the tree has newer ones.
#[cfg(test)]
pub(super) fn outdated_nodes(session: &Session, me: &MoRef, state: &Snapshot) -> usize {
    let collector = session.local::<SessionCollector>().of(me);
    let inner = collector.inner();
    inner.filters.iter().map(|active| active.known.outdated_nodes(state)).sum()
}
