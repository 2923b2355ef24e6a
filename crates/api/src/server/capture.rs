//! Frames that pass network ports, on `/capture?port={interface}`: pcapng for as long as the client listens.
//!
//! `port` may be repeated; `point` (`fromPort`, `toPort`, `uplinkIn`, `uplinkOut`, `dropped`) too, all of them unless it is said;
//! `length` is how many bytes of a frame are kept.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use vim::data_id;

use super::CaptureQuery;
use super::connection::Remote;
use super::folder::{parameter, parameters};
use super::routes::App;

/// Seeing others' frames is more than reading a configuration.
const PRIVILEGE: &str = "Host.Config.Network";

pub(super) async fn handle(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Remote>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(captures) = app.site.captures.clone() else { return StatusCode::NOT_FOUND.into_response() };
    let whole = uri.path_and_query().map_or("/", |whole| whole.as_str());
    let Some((account, session)) = app.account(&remote, &headers, &Method::GET, whole).await else {
        let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"Esfera\"")];
        return (StatusCode::UNAUTHORIZED, ask, "log in first\n").into_response();
    };
    let service = &app.site.service;
    let state = service.core.tree.snapshot();
    if !service.authority.allows(&account, &captures.object(), PRIVILEGE, &state) {
        return (StatusCode::FORBIDDEN, format!("the privilege {PRIVILEGE} is missing\n")).into_response();
    }
    let query = match read(uri.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(message) => return (StatusCode::BAD_REQUEST, format!("{message}\n")).into_response(),
    };
    match captures.capture(query).await {
        Ok(frames) => {
            // The session is in use for as long as somebody listens.
            let active = session.as_ref().map(crate::Session::begin);
            let shutdown = app.shutdown.clone();
            let frames = frames.take_until(async move { shutdown.cancelled().await }).map(move |frame| {
                let _ = &active;
                Ok::<_, std::convert::Infallible>(frame)
            });
            ([(header::CONTENT_TYPE, "application/x-pcapng")], Body::from_stream(frames)).into_response()
        }
        Err(fault) => {
            let status = match fault.is_a(data_id!(NotFound)) || fault.is_a(data_id!(InvalidArgument)) {
                true => StatusCode::BAD_REQUEST,
                false => StatusCode::CONFLICT,
            };
            (status, format!("{fault}\n")).into_response()
        }
    }
}

fn read(query: &str) -> Result<CaptureQuery, String> {
    let ports = parameters(query, "port");
    if ports.is_empty() {
        return Err("name an interface with port".into());
    }
    let length = match parameter(query, "length") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| format!("\"{text}\" is no number of bytes"))?),
    };
    Ok(CaptureQuery { ports, points: parameters(query, "point"), length })
}
