//! The automation API as a protocol of the server: from requests to operations and back.

use api::managers::Singletons;
use api::server::{Door, Protocol};
use async_trait::async_trait;
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::Value as Json;
use vapi::{Error, ErrorKind, Form, OperationId, Value, Verb, schema, write};

use crate::families;
use crate::input::{Given, gather};
use crate::operation::{Ask, Operations};
use crate::route::{Found, Missing, Routes};
use crate::rpc::{self, Refused};
use crate::web::{answer, decode, failed, invalid, pairs};

/// Serves the automation API.
pub struct Automation {
    ids: Singletons,
    routes: Routes,
    operations: Operations,
}

impl Automation {
    /// The automation API beside a vSphere API that has these managers.
    pub fn new(ids: Singletons) -> Self {
        Self { ids, routes: Routes::new(), operations: Operations::new(families::ALL) }
    }
}

#[async_trait]
impl Protocol for Automation {
    fn serves(&self, path: &str) -> bool {
        ["/api", "/rest"]
            .iter()
            .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    async fn answer(&self, door: &Door, request: &Parts, body: &[u8]) -> Response<Vec<u8>> {
        if request.uri.path() == "/api" && request.method == http::Method::POST {
            return self.rpc(door, body).await;
        }
        let form = if request.uri.path().starts_with("/rest") { Form::Rest } else { Form::Api };
        match self.rest(form, door, request, body).await {
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
        form: Form,
        door: &Door,
        request: &Parts,
        body: &[u8],
    ) -> Result<(OperationId, Value), Error> {
        let path = request.uri.path();
        let below =
            path.split_once('/').and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, below)| below);
        let segments: Vec<&str> = below.split('/').filter(|segment| !segment.is_empty()).collect();
        let query = pairs(request.uri.query().unwrap_or_default())?;
        let method = Verb::read(request.method.as_str());
        let found = method.ok_or(Missing::Method).and_then(|verb| match form {
            Form::Rest => self
                .routes
                .rest(verb, &segments, &query)
                .or_else(|_| self.routes.api(verb, &segments, &query)),
            Form::Api | Form::Rpc => self.routes.api(verb, &segments, &query),
        });
        let Found { operation: id, parameters } = found.map_err(|missing| not_served(&missing, request))?;
        let parameters = parameters.into_iter().map(|(number, text)| Some((number, decode(text, false)?)));
        let Some(path) = parameters.collect::<Option<Vec<_>>>() else {
            return Err(invalid("the path is not UTF-8"));
        };
        let body: Option<Json> = match body {
            [] => None,
            body => Some(
                serde_json::from_slice(body)
                    .map_err(|error| invalid(format!("the body is not JSON: {error}")))?,
            ),
        };
        let session = door.session();
        let credentials = door.credentials();
        let given = Given { form, path, query: &query, headers: &request.headers, body };
        // A client without a session learns nothing of what its parameters lack.
        let input = match (&session, &credentials) {
            (None, None) => Vec::new(),
            _ => gather(schema().at(id), &given)?,
        };
        let ask = Ask { door, ids: &self.ids, input, session, credentials };
        Ok((id, self.operations.answer(id, ask).await?))
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
        let credentials = invocation.credentials;
        let outcome = async {
            let input = match (&session, &credentials) {
                (None, None) => Vec::new(),
                _ => rpc::input(operation, &invocation.input)?,
            };
            self.operations
                .answer(invocation.operation, Ask { door, ids: &self.ids, input, session, credentials })
                .await
        };
        match outcome.await {
            Ok(value) => rpc::answer(&invocation.id, Ok((operation, &value))),
            Err(error) => rpc::answer(&invocation.id, Err(&error)),
        }
    }
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
