//! The automation API as a protocol of the server: from requests to operations and back.

use std::sync::{Arc, LazyLock};

use api::accounts::Accounts;
use api::files::unescape;
use api::managers::Singletons;
use api::server::{Door, Protocol, SessionFinder};
use async_trait::async_trait;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde_json::Value as Json;
use tags::Tags;
use vapi::{Error, ErrorKind, Form, OperationId, Value, Verb, schema, write};

use crate::families;
use crate::input::{Given, gather};
use crate::openapi;
use crate::operation::{Asker, Operations, unauthenticated};
use crate::route::{Found, Missing, routes};
use crate::rpc::{self, Refused};
use crate::web::{self, MAX_LOGIN_BYTES, answer, bound, failed, invalid, pairs, root};

/// Serves the automation API.
pub struct Automation {
    ids: Singletons,
    accounts: Arc<Accounts>,
    tags: Arc<Tags>,
}

/// The families' operations, found in the table at first use.
fn operations() -> &'static Operations {
    static OPERATIONS: LazyLock<Operations> = LazyLock::new(|| Operations::new(families::PARTS));
    &OPERATIONS
}

/// The operations of the table that are done here, in the order of the table.
pub fn served() -> Vec<OperationId> {
    let mut all: Vec<OperationId> = operations().served().collect();
    all.sort();
    all
}

/// The OpenAPI document, made at first use.
fn described() -> &'static Vec<u8> {
    static DOCUMENT: LazyLock<Vec<u8>> =
        LazyLock::new(|| openapi::document(served().into_iter()).to_string().into_bytes());
    &DOCUMENT
}

/// Whether a request is one of JSON-RPC.
fn is_rpc(request: &Parts) -> bool {
    root(request.uri.path()) == Some((Form::Api, "")) && request.method == Method::POST
}

impl Automation {
    /// The automation API beside a vSphere API that has these managers, these roles and permissions, and these tags.
    pub fn new(ids: Singletons, accounts: Arc<Accounts>, tags: Arc<Tags>) -> Self {
        Self { ids, accounts, tags }
    }
}

#[async_trait]
impl Protocol for Automation {
    fn serves(&self, path: &str) -> bool {
        root(path).is_some()
    }

    fn session_finder(&self, request: &Parts) -> Option<SessionFinder> {
        is_rpc(request).then_some(rpc::session_key)
    }

    fn unauthenticated(&self, request: &Parts, beginning: &[u8]) -> Response<Vec<u8>> {
        if is_rpc(request) {
            return rpc::ended(beginning);
        }
        let (form, _) = root(request.uri.path()).unwrap_or((Form::Api, ""));
        failed(form, &unauthenticated())
    }

    async fn answer(&self, door: &Door, request: &Parts, body: &[u8]) -> Response<Vec<u8>> {
        if is_rpc(request) {
            return self.rpc(door, body).await;
        }
        let (form, below) = root(request.uri.path()).unwrap_or((Form::Api, ""));
        if form == Form::Api && below == openapi::PATH && request.method == Method::GET {
            // Nobody learns before login which operations are there.
            return match door.session() {
                Some(_) => web::plain(described().clone()),
                None => failed(form, &unauthenticated()),
            };
        }
        match self.rest((form, below), door, request, body).await {
            Ok((id, value)) => shown(form, id, &value),
            Err(error) => failed(form, &error),
        }
    }
}

/// The answer with what an operation gave.
fn shown(form: Form, id: OperationId, value: &Value) -> Response<Vec<u8>> {
    let operation = schema().at(id);
    let json = write(form, &operation.output, value);
    let created = form == Form::Api && operation.name == "create" && operation.verb == Some(Verb::Post);
    match (form, *value == Value::Unset) {
        (Form::Api, true) => answer(StatusCode::NO_CONTENT, None),
        (Form::Api, false) => answer(if created { StatusCode::CREATED } else { StatusCode::OK }, Some(&json)),
        (_, true) => answer(StatusCode::OK, None),
        (_, false) => answer(StatusCode::OK, Some(&serde_json::json!({ "value": json }))),
    }
}

impl Automation {
    async fn rest(
        &self,
        (form, below): (Form, &str),
        door: &Door,
        request: &Parts,
        body: &[u8],
    ) -> Result<(OperationId, Value), Error> {
        let segments: Vec<&str> = below.split('/').filter(|segment| !segment.is_empty()).collect();
        let query = pairs(request.uri.query().unwrap_or_default())?;
        let method = Verb::read(request.method.as_str());
        let found = method.ok_or(Missing::Method).and_then(|verb| match form {
            Form::Rest => {
                routes().rest(verb, &segments, &query).or_else(|_| routes().api(verb, &segments, &query))
            }
            Form::Api | Form::Rpc => routes().api(verb, &segments, &query),
        });
        let Found { operation: id, parameters } = found.map_err(|missing| not_served(&missing, request))?;
        let input = || {
            let texts = parameters.into_iter().map(|(number, text)| Some((number, unescape(text)?)));
            let path = texts.collect::<Option<_>>().ok_or_else(|| invalid("the path is not UTF-8"))?;
            let given = Given { form, path, query: &query, headers: &request.headers, body: json(body)? };
            gather(schema().at(id), &given)
        };
        let asker = Asker {
            door,
            ids: &self.ids,
            accounts: &self.accounts,
            tags: &self.tags,
            session: door.session(),
            credentials: door.credentials(),
        };
        Ok((id, operations().answer(id, asker, input).await?))
    }

    async fn rpc(&self, door: &Door, body: &[u8]) -> Response<Vec<u8>> {
        let invocation = match rpc::decode(body) {
            Ok(invocation) => invocation,
            Err(Refused::Protocol(response)) => return *response,
            Err(Refused::Raised(id, error)) => return rpc::answer(&id, Err(&error)),
        };
        let operation = schema().at(invocation.operation);
        let session = match &invocation.session {
            Some(key) => door.session_of(key),
            None => door.session(),
        };
        if session.is_none() && body.len() > MAX_LOGIN_BYTES {
            let error = match &invocation.session {
                Some(_) => unauthenticated(),
                None => invalid(format!("a request without a session has at most {MAX_LOGIN_BYTES} bytes")),
            };
            return rpc::answer(&invocation.id, Err(&error));
        }
        let credentials = invocation.credentials;
        let (accounts, tags) = (&self.accounts, &self.tags);
        let asker = Asker { door, ids: &self.ids, accounts, tags, session, credentials };
        let input = || rpc::input(operation, invocation.input);
        match operations().answer(invocation.operation, asker, input).await {
            Ok(value) => rpc::answer(&invocation.id, Ok((operation, &value))),
            Err(error) => rpc::answer(&invocation.id, Err(&error)),
        }
    }
}

/// The body as JSON; none if it is empty.
fn json(body: &[u8]) -> Result<Option<Json>, Error> {
    if body.is_empty() {
        return Ok(None);
    }
    bound(body)?;
    serde_json::from_slice(body).map(Some).map_err(|error| invalid(format!("the body must be JSON: {error}")))
}

fn not_served(missing: &Missing, request: &Parts) -> Error {
    let (method, path) = (&request.method, request.uri.path());
    let text = match missing {
        Missing::Path => format!("The automation API has no path {path}"),
        Missing::Method => format!("The automation API does not take {method} for {path}"),
        Missing::Query => format!("The query does not say which operation of {method} {path} is meant"),
    };
    Error::new(ErrorKind::OperationNotFound, "com.vmware.vapi.rest.operationNotFound", text)
}
