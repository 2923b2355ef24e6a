//! Task history that one session reads.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use vim::{DateTime, Fault, MoRef, Object, Value, arg, data_id, field, prop, vim_enum};

use super::{Reach, not_by_alarm, texts};
use crate::history::{Cursor, LatestPage, Sight, list};
use crate::service::invalid_argument;
use crate::session::SessionObject;
use crate::task::{INFO, TaskLog};
use crate::{Authority, Call, Session, Snapshot};

type Reply = Result<Option<Value>, Fault>;

pub(super) struct TaskCollector {
    me: MoRef,
    spec: Arc<Object>,
    filter: Filter,
    log: TaskLog,
    authority: Arc<dyn Authority>,
    cursor: Mutex<Cursor>,
    latest: LatestPage,
}

/// A `TaskFilterSpec`, checked.
struct Filter {
    entity: Option<(MoRef, Reach)>,
    time: Option<Period>,
    users: Option<(bool, Vec<String>)>,
    states: Vec<&'static str>,
    chains: Vec<i32>,
    activations: Vec<String>,
    parents: Vec<String>,
    roots: Vec<String>,
    tags: Vec<String>,
    scheduled: Option<MoRef>,
}

struct Period {
    of: vim::Field<vim::kind::Date>,
    begin_us: i64,
    end_us: i64,
}

impl Filter {
    fn parse(spec: &Object, state: &Snapshot) -> Result<Self, Fault> {
        let entity = match spec.get(field!(TaskFilterSpec.entity)) {
            None => None,
            Some(by) => {
                let top = by
                    .get(field!(TaskFilterSpecByEntity.entity))
                    .ok_or_else(|| invalid_argument("filter.entity", "The filter's entity is missing"))?;
                let reach = match by.get(field!(TaskFilterSpecByEntity.recursion)) {
                    Some(r) if r == vim_enum!(TaskFilterSpecRecursionOption.children) => Reach::Children,
                    Some(r) if r == vim_enum!(TaskFilterSpecRecursionOption.all) => Reach::All,
                    _ => Reach::Itself,
                };
                Some((state.require(top)?.me().clone(), reach))
            }
        };
        let time = spec.get(field!(TaskFilterSpec.time)).map(|time| {
            let of = match time.get(field!(TaskFilterSpecByTime.timeType)) {
                Some(t) if t == vim_enum!(TaskFilterSpecTimeOption.startedTime) => field!(TaskInfo.startTime),
                Some(t) if t == vim_enum!(TaskFilterSpecTimeOption.completedTime) => {
                    field!(TaskInfo.completeTime)
                }
                _ => field!(TaskInfo.queueTime),
            };
            let begin =
                time.get(field!(TaskFilterSpecByTime.beginTime)).map_or(i64::MIN, DateTime::as_micros);
            let end = time.get(field!(TaskFilterSpecByTime.endTime)).map_or(i64::MAX, DateTime::as_micros);
            Period { of, begin_us: begin, end_us: end }
        });
        if let Some(alarm) = spec.get(field!(TaskFilterSpec.alarm)) {
            state.require(alarm)?;
            return Err(not_by_alarm());
        }
        let scheduled = spec.get(field!(TaskFilterSpec.scheduledTask));
        let scheduled = scheduled.map(|task| state.require(task)).transpose()?;
        Ok(Self {
            entity,
            time,
            users: spec.get(field!(TaskFilterSpec.userName)).map(|users| {
                let system = users.get(field!(TaskFilterSpecByUsername.systemUser)).unwrap_or_default();
                (system, texts(users.get(field!(TaskFilterSpecByUsername.userList)).map(|list| list.iter())))
            }),
            states: spec
                .get(field!(TaskFilterSpec.state))
                .map(|states| states.iter().map(vim::EnumOf::name).collect())
                .unwrap_or_default(),
            chains: spec
                .get(field!(TaskFilterSpec.eventChainId))
                .map(|l| l.iter().collect())
                .unwrap_or_default(),
            activations: texts(spec.get(field!(TaskFilterSpec.activationId)).map(|list| list.iter())),
            parents: texts(spec.get(field!(TaskFilterSpec.parentTaskKey)).map(|list| list.iter())),
            roots: texts(spec.get(field!(TaskFilterSpec.rootTaskKey)).map(|list| list.iter())),
            tags: texts(spec.get(field!(TaskFilterSpec.tag)).map(|list| list.iter())),
            scheduled: scheduled.map(|task| task.me().clone()),
        })
    }

    fn matches(&self, info: &Object, state: &Snapshot) -> bool {
        let reason = info.get(field!(TaskInfo.reason)).filter(|reason| reason.is_a(data_id!(TaskReasonUser)));
        let user = reason.and_then(|reason| reason.get(field!(TaskReasonUser.userName)));
        let among = |wanted: &[String], value: Option<&str>| {
            wanted.is_empty() || value.is_some_and(|value| wanted.iter().any(|wanted| wanted == value))
        };
        self.scheduled.as_ref().is_none_or(|task| by_schedule(info) == Some(task))
            && self.time.as_ref().is_none_or(|period| {
                let at = info.get(period.of).map(DateTime::as_micros);
                at.is_some_and(|at| (period.begin_us..=period.end_us).contains(&at))
            })
            && self.users.as_ref().is_none_or(|(system, users)| match user {
                Some(user) => users.iter().any(|known| known.eq_ignore_ascii_case(user)),
                None => *system,
            })
            && (self.states.is_empty()
                || info.get(field!(TaskInfo.state)).is_some_and(|state| self.states.contains(&state.name())))
            && (self.chains.is_empty()
                || info.get(field!(TaskInfo.eventChainId)).is_some_and(|chain| self.chains.contains(&chain)))
            && among(&self.activations, info.get(field!(TaskInfo.activationId)))
            && among(&self.parents, info.get(field!(TaskInfo.parentTaskKey)))
            && among(&self.roots, info.get(field!(TaskInfo.rootTaskKey)))
            && among(&self.tags, info.get(field!(TaskInfo.changeTag)))
            && self.entity.as_ref().is_none_or(|(top, reach)| {
                info.get(field!(TaskInfo.entity)).is_some_and(|entity| reach.covers(top, entity, state))
            })
    }
}

/// The scheduled task that began a task.
fn by_schedule(info: &Object) -> Option<&MoRef> {
    let reason =
        info.get(field!(TaskInfo.reason)).filter(|reason| reason.is_a(data_id!(TaskReasonSchedule)))?;
    reason.get(field!(TaskReasonSchedule.scheduledTask))
}

impl TaskCollector {
    /// The collector with this reference for the call that makes it.
    pub fn new(me: MoRef, spec: Arc<Object>, log: TaskLog, call: &Call) -> Result<Self, Fault> {
        let filter = Filter::parse(&spec, &call.state())?;
        let authority = call.service.authority.clone();
        Ok(Self { me, spec, filter, log, authority, cursor: Mutex::default(), latest: LatestPage::default() })
    }

    fn cursor(&self) -> MutexGuard<'_, Cursor> {
        self.cursor.lock()
    }
}

impl SessionObject for TaskCollector {
    fn me(&self) -> &MoRef {
        &self.me
    }

    fn property(&self, number: u16, session: &Session, state: &Snapshot) -> Option<Value> {
        if number == prop!(TaskHistoryCollector.filter).number() {
            return Some(Value::Object(self.spec.clone()));
        }
        if number != prop!(TaskHistoryCollector.latestPage).number() {
            return None;
        }
        let size = self.cursor().page_size();
        let sight = Sight { authority: &*self.authority, account: &session.account, state };
        let matches = |info: &Object| self.filter.matches(info, state);
        let version = self.authority.version();
        self.latest.get(&self.log, version, INFO, size, &matches, &|info| sight.of_task(info))
    }
}

fn own(call: &Call) -> Result<Arc<TaskCollector>, Fault> {
    call.session()?.object_as(&call.this)
}

pub(super) fn read(call: &Call, forward: bool) -> Reply {
    let (collector, state) = (own(call)?, call.state());
    let sight = call.sight(&state)?;
    let matches = |info: &Object| collector.filter.matches(info, &state) && sight.of_task(info);
    let tasks = if forward {
        let size = call.required(arg!(ReadNextTasks.maxCount))?;
        collector.cursor().next(&collector.log, size, &matches)?
    } else {
        let size = call.required(arg!(ReadPreviousTasks.maxCount))?;
        collector.cursor().previous(&collector.log, size, &matches)?
    };
    Ok(list(INFO, tasks.into_iter()))
}

pub(super) fn rewind(call: &Call) -> Reply {
    own(call)?.cursor().rewind();
    Ok(None)
}

pub(super) fn reset(call: &Call) -> Reply {
    let (collector, state) = (own(call)?, call.state());
    let sight = call.sight(&state)?;
    let matches = |info: &Object| collector.filter.matches(info, &state) && sight.of_task(info);
    collector.cursor().reset(&collector.log, &matches)?;
    Ok(None)
}

pub(super) fn resize(call: &Call) -> Reply {
    own(call)?.cursor().resize(call.required(arg!(SetCollectorPageSize.maxCount))?)?;
    Ok(None)
}
