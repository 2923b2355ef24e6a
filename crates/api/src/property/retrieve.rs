//! RetrieveProperties and RetrievePropertiesEx, with the methods that continue and cancel them.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use vim::encode::{Encode, Encoder};
use vim::{Fault, ManagedId, Object as Data, Value, arg, data_id, fault, field, managed_id, method};

use super::read::{CONTENT, Content, Denied, Reader};
use super::select::select;
use super::spec::{Plan, Spec};
use super::{MAX_FILTER_SPECS, MAX_TOKENS};
use crate::service::Object;
use crate::service::invalid_argument;
use crate::session::random_uuid;
use crate::tree::not_found;
use crate::{Answer, Call, Methods, Service, Session, Snapshot};

type Reply = Result<Option<Answer>, Fault>;

const COLLECTOR: ManagedId = managed_id!(PropertyCollector);

pub(super) fn register(methods: &mut Methods) {
    methods.answer(COLLECTOR, method!(RetrieveProperties), |call| async move {
        call.take_turn().await;
        retrieve(&call)
    });
    methods.answer(COLLECTOR, method!(RetrievePropertiesEx), |call| async move {
        call.take_turn().await;
        retrieve_ex(&call)
    });
    methods.answer(COLLECTOR, method!(ContinueRetrievePropertiesEx), |call| async move {
        call.take_turn().await;
        proceed(&call).map(Some)
    });
    methods.on(COLLECTOR, method!(CancelRetrievePropertiesEx), |call| async move {
        take(&call, call.required(arg!(CancelRetrievePropertiesEx.token))?)?;
        Ok(None)
    });
}

/// The rest of a retrieval, in the state in which it began.
struct Rest {
    state: Arc<Snapshot>,
    objects: VecDeque<(Object, Arc<Plan>)>,
    page: usize,
}

/// The unfinished retrievals of a session, oldest first.
#[derive(Default)]
struct Tokens(Mutex<VecDeque<(String, Rest)>>);

fn begin<'a>(
    call: &Call,
    state: Arc<Snapshot>,
    specs: impl Iterator<Item = &'a Arc<Data>>,
    page: usize,
) -> Result<Rest, Fault> {
    let mut objects = VecDeque::new();
    for (number, spec) in specs.enumerate() {
        if number >= MAX_FILTER_SPECS {
            return Err(invalid_argument(
                "specSet",
                &format!("A call may have at most {MAX_FILTER_SPECS} specifications"),
            ));
        }
        let spec = Spec::compile(spec)?;
        let selected = select(&spec, call.reader(&state))?;
        if let Some(missing) = selected.missing.first().filter(|_| !spec.report_missing) {
            return Err(not_found(missing));
        }
        objects.extend(selected.objects);
    }
    Ok(Rest { state, objects, page })
}

impl Rest {
    fn next_page(&mut self, call: &Call) -> Result<Page, Fault> {
        let state = self.state.clone();
        let reader = call.reader(&state);
        let count = self.page.min(self.objects.len());
        let objects = self.objects.drain(..count).map(|(object, plan)| {
            let denied = reader.denied(&object, &plan)?;
            Ok((object, plan, denied))
        });
        let objects = objects.collect::<Result<_, Fault>>()?;
        Ok(Page { service: call.service.clone(), session: call.session.clone(), state, objects })
    }
}

/// Objects whose properties are read while the answer is written: an answer about thousands never exists as values.
struct Page {
    service: Arc<Service>,
    session: Option<Arc<Session>>,
    state: Arc<Snapshot>,
    objects: Vec<(Object, Arc<Plan>, Denied)>,
}

impl Encode for Page {
    fn encode(&self, to: &mut dyn Encoder) {
        let reader = Reader { service: &self.service, session: self.session.as_deref(), state: &self.state };
        to.list(CONTENT, &mut |items| {
            for (object, plan, denied) in &self.objects {
                Content { reader, object, plan, denied: *denied }.encode(items);
            }
        });
    }
}

/// A `RetrieveResult`.
struct Retrieved {
    page: Page,
    /// Set if objects remain.
    token: Option<Value>,
}

impl Encode for Retrieved {
    fn encode(&self, to: &mut dyn Encoder) {
        to.object(data_id!(RetrieveResult), &mut |fields| {
            if let Some(token) = &self.token {
                fields.field(field!(RetrieveResult.token).number(), token);
            }
            fields.field(field!(RetrieveResult.objects).number(), &self.page);
        });
    }
}

fn retrieve(call: &Call) -> Reply {
    let specs = call.required(arg!(RetrieveProperties.specSet))?;
    let page = begin(call, call.state(), specs.iter(), usize::MAX)?.next_page(call)?;
    Ok(if page.objects.is_empty() { None } else { Some(Box::new(page)) })
}

fn retrieve_ex(call: &Call) -> Reply {
    let specs = call.required(arg!(RetrievePropertiesEx.specSet))?;
    let options = call.arg(arg!(RetrievePropertiesEx.options));
    let page = match options.and_then(|options| options.get(field!(RetrieveOptions.maxObjects))) {
        None => usize::MAX,
        Some(most) => usize::try_from(most)
            .ok()
            .filter(|most| *most > 0)
            .ok_or_else(|| invalid_argument("options.maxObjects", "maxObjects must be at least 1"))?,
    };
    // Without a session the rest cannot be kept; it is small then.
    let page = if call.session.is_some() { page } else { usize::MAX };
    let rest = begin(call, call.state(), specs.iter(), page)?;
    if rest.objects.is_empty() {
        return Ok(None);
    }
    reply(call, rest).map(Some)
}

/// The next page, with a token if objects remain.
fn reply(call: &Call, mut rest: Rest) -> Result<Answer, Fault> {
    let page = rest.next_page(call)?;
    let mut token = None;
    if !rest.objects.is_empty() {
        let tokens = call.session()?.local::<Tokens>();
        let mut tokens = tokens.0.lock();
        if tokens.len() >= MAX_TOKENS {
            tokens.pop_front();
        }
        let name = random_uuid();
        tokens.push_back((name.clone(), rest));
        token = Some(name.into());
    }
    Ok(Box::new(Retrieved { page, token }))
}

fn take(call: &Call, token: &str) -> Result<Rest, Fault> {
    let tokens = call.session()?.local::<Tokens>();
    let mut tokens = tokens.0.lock();
    let at = tokens.iter().position(|(known, _)| known == token);
    at.and_then(|at| tokens.remove(at)).map(|(_, rest)| rest).ok_or_else(|| {
        fault!(
            InvalidProperty { name: "token" },
            "The token is unknown: it was used or cancelled, or newer ones have displaced it"
        )
    })
}

fn proceed(call: &Call) -> Result<Answer, Fault> {
    let rest = take(call, call.required(arg!(ContinueRetrievePropertiesEx.token))?)?;
    reply(call, rest)
}
