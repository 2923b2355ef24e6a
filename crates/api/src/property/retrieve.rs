//! RetrieveProperties, RetrievePropertiesEx and what continues them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use vim::{
    Fault, Kind, List, ManagedId, Object as Data, Value, arg, data_id, fault, field, managed_id, method, vim,
};

use super::select::{not_found, select};
use super::spec::{Plan, Spec};
use super::{MAX_FILTER_SPECS, MAX_TOKENS};
use crate::call::invalid_argument;
use crate::service::Object;
use crate::session::random_uuid;
use crate::{Call, Methods, Snapshot};

type Reply = Result<Option<Value>, Fault>;

const COLLECTOR: ManagedId = managed_id!(PropertyCollector);
const CONTENT: Kind = Kind::Data(data_id!(ObjectContent));

pub(super) fn register(methods: &mut Methods) {
    methods.on(COLLECTOR, method!(RetrieveProperties), |call| async move { retrieve(&call) });
    methods.on(COLLECTOR, method!(RetrievePropertiesEx), |call| async move { retrieve_ex(&call) });
    methods.on(
        COLLECTOR,
        method!(ContinueRetrievePropertiesEx),
        |call| async move { proceed(&call).map(Some) },
    );
    methods.on(COLLECTOR, method!(CancelRetrievePropertiesEx), |call| async move {
        take(&call, call.required(arg!(CancelRetrievePropertiesEx.token))?)?;
        Ok(None)
    });
}

/// What is left of a retrieval, in the state in which it began.
struct Rest {
    state: Arc<Snapshot>,
    objects: VecDeque<(Object, Arc<Plan>)>,
    page: usize,
}

/// The retrievals of a session that are to be continued, oldest first.
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
                &format!("At most {MAX_FILTER_SPECS} specifications fit into a call"),
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
    fn next_page(&mut self, call: &Call) -> Result<Vec<Value>, Fault> {
        let state = self.state.clone();
        let reader = call.reader(&state);
        let count = self.page.min(self.objects.len());
        self.objects.drain(..count).map(|(object, plan)| reader.content(&object, &plan)).collect()
    }
}

fn retrieve(call: &Call) -> Reply {
    let specs = call.required(arg!(RetrieveProperties.specSet))?;
    let contents = begin(call, call.state(), specs.iter(), usize::MAX)?.next_page(call)?;
    Ok((!contents.is_empty()).then(|| Value::List(List::new(CONTENT, contents))))
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
    // Without a session there is nowhere to keep the rest; it is small then.
    let page = if call.session.is_some() { page } else { usize::MAX };
    let rest = begin(call, call.state(), specs.iter(), page)?;
    if rest.objects.is_empty() {
        return Ok(None);
    }
    reply(call, rest).map(Some)
}

/// The next page, and a token if there is more.
fn reply(call: &Call, mut rest: Rest) -> Result<Value, Fault> {
    let contents = rest.next_page(call)?;
    let mut token = None;
    if !rest.objects.is_empty() {
        let tokens = call.session()?.local::<Tokens>();
        let mut tokens = tokens.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= MAX_TOKENS {
            tokens.pop_front();
        }
        let name = random_uuid();
        tokens.push_back((name.clone(), rest));
        token = Some(name);
    }
    Ok(vim!(RetrieveResult { token: token, objects: List::new(CONTENT, contents) }).into())
}

fn take(call: &Call, token: &str) -> Result<Rest, Fault> {
    let tokens = call.session()?.local::<Tokens>();
    let mut tokens = tokens.0.lock().unwrap_or_else(PoisonError::into_inner);
    let at = tokens.iter().position(|(known, _)| known == token);
    at.and_then(|at| tokens.remove(at)).map(|(_, rest)| rest).ok_or_else(|| {
        fault!(
            InvalidProperty { name: "token" },
            "The token is unknown: it was used or cancelled, or has been forgotten"
        )
    })
}

fn proceed(call: &Call) -> Result<Value, Fault> {
    let rest = take(call, call.required(arg!(ContinueRetrievePropertiesEx.token))?)?;
    reply(call, rest)
}
