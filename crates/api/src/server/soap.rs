//! SOAP on `/sdk`.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use vim::soap::{self, Call};
use vim::{Fault, Release, fault, version};

use super::app::{App, Remote};
use super::auth::{peer, set_cookie, unquoted};
use super::body::{self, Refused};
use super::invoke::{Asked, operation_id};
use crate::Session;

const XML: &str = "text/xml; charset=utf-8";

pub(super) async fn call(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Remote>,
    request: axum::extract::Request,
) -> Response {
    let (head, body) = request.into_parts();
    let headers = head.headers;
    let action = headers.get("soapaction").and_then(|value| value.to_str().ok());
    let release = version::release_of_soap_action(action);
    let body = match body::read(&headers, body).await {
        Ok(body) => body,
        Err(Refused { status, why }) => {
            return refuse(&headers, status, &fault!(InvalidRequest {}, "{why}"), release).await;
        }
    };
    let request = match soap::read_request(&body) {
        Ok(request) => request,
        Err(error) => {
            tracing::debug!(address = %remote.address, %error, "a request that cannot be read");
            return refuse(&headers, StatusCode::INTERNAL_SERVER_ERROR, &error.to_fault(), release).await;
        }
    };
    drop(body);
    let session = app.session(&headers).or_else(|| {
        let cookie = request.header.session_cookie.as_deref()?;
        app.site.service.core.sessions.find(unquoted(cookie))
    });
    let operation_id = request.header.operation_id.as_deref().map(operation_id);
    // A center speaks VI-JSON.
    let (peer, acting) = (peer(&remote, &headers), None);
    let asked = Asked { peer, remote, session, this: request.this, release, operation_id, acting };
    let mut out = Vec::new();
    let mut begun: Option<Arc<Session>> = None;
    let status = match request.call {
        Call::Method(args) => {
            let method = args.method;
            match app.invoke(asked, args).await {
                Ok(done) => {
                    let result = done.result.as_deref().map(|result| result as _);
                    soap::write_response(&mut out, method, result, release);
                    begun = done.begun;
                    StatusCode::OK
                }
                Err(fault) => write_fault(&mut out, &fault, release),
            }
        }
        Call::Fetch { property } => match app.fetch(&asked, &property) {
            Ok(value) => {
                soap::write_fetch_response(&mut out, value.as_ref().map(|value| value as _), release);
                StatusCode::OK
            }
            Err(fault) => write_fault(&mut out, &fault, release),
        },
    };
    let mut response = body::answer(&headers, status, XML, out).await;
    if let Some(session) = begun
        && let Ok(cookie) = set_cookie(&session.key, app.tls).parse()
    {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn write_fault(out: &mut Vec<u8>, fault: &Fault, release: Release) -> StatusCode {
    soap::write_fault(out, fault, release, false);
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn refuse(headers: &HeaderMap, status: StatusCode, fault: &Fault, release: Release) -> Response {
    let mut out = Vec::new();
    soap::write_fault(&mut out, fault, release, true);
    body::answer(headers, status, XML, out).await
}
