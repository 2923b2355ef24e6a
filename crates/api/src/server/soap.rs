//! SOAP on `/sdk`, and on `/pbm/sdk` for storage policies: the names of methods say which of the two is meant.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use vim::soap::{self, Call};
use vim::{Fault, MoRef, Release, fault, managed_id, method, version};

use super::answer;
use super::app::{App, Remote};
use super::auth::{peer, set_cookie, unquoted};
use super::body::{self, Refused};
use super::invoke::{Asked, operation_id};
use super::pbm;
use crate::Session;
use crate::service::not_authenticated;

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
    let named = app.named(&remote, &headers);
    // Some clients carry the session's key in the message instead.
    let inside = |begun: &[u8]| app.named_by(&remote, session_cookie(begun).as_deref().map(unquoted));
    let body = match body::read(&headers, body, &named, Some(&inside)).await {
        Ok(body) => body,
        Err(refused) => return refuse_body(&headers, &refused, release).await,
    };
    let request = match soap::read_request(&body) {
        Ok(request) => request,
        Err(error) => {
            tracing::debug!(address = %remote.address, %error, "a request that cannot be read");
            return refuse(&headers, StatusCode::INTERNAL_SERVER_ERROR, &error.to_fault(), release).await;
        }
    };
    let token = match &request.call {
        Call::Method(args) if request.header.security && args.method == method!(LoginByToken) => {
            std::str::from_utf8(&body).ok().map(Arc::from)
        }
        _ => None,
    };
    drop(body);
    let session = named.session().or_else(|| {
        let cookie = request.header.session_cookie.as_deref()?;
        app.session_of(&remote, unquoted(cookie))
    });
    let this = pbm::object(request.this);
    let operation_id = request.header.operation_id.as_deref().map(operation_id);
    // A center speaks VI-JSON.
    let (peer, acting) = (peer(&remote, &headers), None);
    let caller = session.clone();
    let asked = Asked { peer, remote, session, this, release, operation_id, token, acting };
    let mut out = Vec::new();
    let mut begun: Option<Arc<Session>> = None;
    let mut turn = None;
    let status = match request.call {
        Call::Method(args) => {
            let method = args.method;
            match app.invoke(asked, args).await {
                Ok(done) => {
                    let result = done.result.as_deref().map(|result| result as _);
                    soap::write_response(&mut out, method, result, release);
                    (begun, turn) = (done.begun, done.turn);
                    StatusCode::OK
                }
                Err(fault) => write_fault(&mut out, &pbm::fault(method, fault), release),
            }
        }
        Call::Fetch { property } => match app.fetch(&asked, &property) {
            Ok(value) => {
                if let Some(session) = &caller {
                    turn = Some(session.budget.turn().await);
                }
                soap::write_fetch_response(&mut out, value.as_ref().map(|value| value as _), release);
                StatusCode::OK
            }
            Err(fault) => write_fault(&mut out, &fault, release),
        },
    };
    let share = answer::share_of(caller.as_ref(), &out, turn).await;
    let mut response = answer::answer(&headers, status, XML, out, share).await;
    if let Some(session) = begun
        && let Ok(cookie) = set_cookie(&session.key, app.tls).parse()
    {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// The session's key in the beginning of a message, where it is not in the HTTP cookie.
fn session_cookie(begun: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(begun);
    let (_, after) = text.split_once("vcSessionCookie")?;
    let (_, value) = after.split_once('>')?;
    Some(value.split_once('<')?.0.to_owned())
}

fn write_fault(out: &mut Vec<u8>, fault: &Fault, release: Release) -> StatusCode {
    soap::write_fault(out, fault, release, false);
    StatusCode::INTERNAL_SERVER_ERROR
}

/// The answer to a request whose body is refused.
async fn refuse_body(headers: &HeaderMap, refused: &Refused, release: Release) -> Response {
    if !refused.is_ended() {
        let fault = fault!(InvalidRequest {}, "{}", refused.why);
        return refuse(headers, refused.status, &fault, release).await;
    }
    // The object of the call is in the body, which has not been read.
    let instance = MoRef::new(managed_id!(ServiceInstance), "ServiceInstance");
    let mut out = Vec::new();
    let status = write_fault(&mut out, &not_authenticated(&instance, "System.View"), release);
    answer::answer(headers, status, XML, out, None).await
}

async fn refuse(headers: &HeaderMap, status: StatusCode, fault: &Fault, release: Release) -> Response {
    let mut out = Vec::new();
    soap::write_fault(&mut out, fault, release, true);
    answer::answer(headers, status, XML, out, None).await
}
