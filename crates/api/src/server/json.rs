//! VI-JSON on `/sdk/vim25/{release}/{type}/{id}/{member}`: POST calls a method, GET reads a property.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use vim::{Encode, Fault, MoRef, Record, Release, api_release, data_id, fault, json, managed_id, schema};

use super::SESSION_HEADER;
use super::answer;
use super::app::{App, Remote};
use super::auth::{Named, peer};
use super::body;
use super::invoke::{Asked, operation_id};
use crate::budget::Share;
use crate::service::not_authenticated;

const JSON: &str = "application/json";

pub(super) async fn call(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Remote>,
    Path((release, ty, id, member)): Path<(String, String, String, String)>,
    request: axum::extract::Request,
) -> Response {
    let (head, body) = request.into_parts();
    let headers = head.headers;
    let Some(release) = schema().release(&release).filter(|release| *release <= api_release()) else {
        let instance = MoRef::new(managed_id!(ServiceInstance), "ServiceInstance");
        let unknown =
            fault!(ManagedObjectNotFound { obj: instance }, "The release {release} is not supported");
        return failed(&headers, StatusCode::NOT_FOUND, &unknown, api_release()).await;
    };
    let Some(ty) = schema().find_managed(&ty) else {
        let unknown = fault!(InvalidType { argument: ty.as_str() }, "The managed type {ty} does not exist");
        return failed(&headers, StatusCode::NOT_FOUND, &unknown, release).await;
    };
    let this = MoRef::new(ty, id);
    let operation_id = headers.get("x-request-id").and_then(|value| value.to_str().ok()).map(operation_id);
    let acting = headers.get(crate::acting::HEADER);
    let acting = acting.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let named = app.named(&remote, &headers);
    let session = named.session();
    let peer = peer(&remote, &headers);
    let asked =
        Asked { peer, remote, session, this: this.clone(), release, operation_id, token: None, acting };
    if head.method == Method::GET {
        return property(&app, &headers, &asked, &member).await;
    }
    let method = schema().find_method(&member).filter(|method| this.is_a(schema().method(*method).owner));
    let Some(method) = method else {
        let unknown = fault!(
            MethodNotFound { receiver: &this, method: member.as_str() },
            "{} has no method {member}",
            this.type_name()
        );
        return failed(&headers, StatusCode::NOT_FOUND, &unknown, release).await;
    };
    let body = match body::read(&headers, body, &named, None).await {
        Ok(body) => body,
        Err(refused) if refused.is_ended() => {
            let fault = not_authenticated(&asked.this, "System.View");
            return failed(&headers, status_of(&fault), &fault, release).await;
        }
        Err(refused) => {
            let fault = fault!(InvalidRequest {}, "{}", refused.why);
            return failed(&headers, refused.status, &fault, release).await;
        }
    };
    let args = match json::read_args(method, &body) {
        Ok(args) => args,
        Err(error) => {
            return failed(&headers, StatusCode::BAD_REQUEST, &error.to_fault(), release).await;
        }
    };
    drop(body);
    let caller = asked.session.clone();
    match app.invoke(asked, args).await {
        Ok(done) => {
            let returns = schema().method(method).returns.as_ref();
            let result = returns.zip(done.result.as_deref());
            let result = result.map(|(member, value)| (member.kind, member.list, value as _));
            let text = result.map(|result| written(result, release));
            let share =
                answer::share_of(caller.as_ref(), text.as_deref().unwrap_or_default(), done.turn).await;
            let mut response = text_answer(&headers, text, share).await;
            if let Some(key) = done.begun.and_then(|session| HeaderValue::from_str(&session.key).ok()) {
                response.headers_mut().insert(SESSION_HEADER, key);
            }
            response
        }
        Err(fault) => failed(&headers, status_of(&fault), &fault, release).await,
    }
}

async fn property(app: &App, headers: &HeaderMap, asked: &Asked, name: &str) -> Response {
    // The object may be of a type derived from the one in the path: its members have the same numbers.
    let ty = schema().managed(asked.this.ty());
    let Some(number) = ty.member(name) else {
        let unknown = fault!(InvalidProperty { name: name }, "{} has no property {name}", ty.name);
        return failed(headers, StatusCode::NOT_FOUND, &unknown, asked.release).await;
    };
    match app.fetch(asked, name) {
        Ok(value) => {
            let turn = match &asked.session {
                Some(session) => Some(session.budget.turn().await),
                None => None,
            };
            let member = &ty.properties[usize::from(number)];
            let text = value.map(|value| written((member.kind, member.list, &value), asked.release));
            let share =
                answer::share_of(asked.session.as_ref(), text.as_deref().unwrap_or_default(), turn).await;
            text_answer(headers, text, share).await
        }
        Err(fault) => failed(headers, status_of(&fault), &fault, asked.release).await,
    }
}

/// A value of the declared kind (list or not) as text.
fn written((kind, list, value): (vim::Kind, bool, &dyn Encode), release: Release) -> Vec<u8> {
    let mut out = Vec::new();
    json::write_value(&mut out, kind, list, value, release);
    out
}

async fn text_answer(headers: &HeaderMap, text: Option<Vec<u8>>, share: Option<Share>) -> Response {
    match text {
        Some(text) => answer::answer(headers, StatusCode::OK, JSON, text, share).await,
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn failed(headers: &HeaderMap, status: StatusCode, fault: &Fault, release: Release) -> Response {
    let mut out = Vec::new();
    json::write_fault(&mut out, fault, release);
    answer::answer(headers, status, JSON, out, None).await
}

fn status_of(fault: &Fault) -> StatusCode {
    if fault.is_a(data_id!(NotAuthenticated)) {
        StatusCode::UNAUTHORIZED
    } else if fault.is_a(data_id!(ManagedObjectNotFound)) || fault.is_a(data_id!(MethodNotFound)) {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    }
}

#[derive(Deserialize)]
struct Hello {
    api_releases: Vec<String>,
}

/// `POST /api/vcenter/system?action=hello`: the first of the client's releases that this server supports.
pub(super) async fn hello(uri: http::Uri, headers: HeaderMap, body: Body) -> Response {
    if uri.query() != Some("action=hello") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let body = match body::read(&headers, body, &Named::Nothing, None).await {
        Ok(body) => body,
        Err(refused) => return (refused.status, refused.why).into_response(),
    };
    let Ok(hello) = serde_json::from_slice::<Hello>(&body) else {
        return (StatusCode::BAD_REQUEST, "write {\"api_releases\": [\"8.0.3.0\"]}").into_response();
    };
    let known = |release: &&String| schema().release(release).is_some_and(|known| known <= api_release());
    let chosen = hello.api_releases.iter().find(known).map_or("", String::as_str);
    let text = serde_json::json!({ "api_release": chosen }).to_string().into_bytes();
    answer::answer(&headers, StatusCode::OK, JSON, text, None).await
}
