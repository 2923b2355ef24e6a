//! Frames that pass network ports, on `/capture?port={interface}`: pcapng for as long as the client listens and its
//! session lasts.
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
use super::auth::Refusal;
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
) -> Result<Response, Refusal> {
    let captures = app
        .site
        .captures
        .clone()
        .ok_or_else(|| Refusal::Because(StatusCode::NOT_FOUND, "nothing is captured here".into()))?;
    let who = app.admit(&remote, &headers, &Method::GET, &uri).await?;
    let state = app.site.service.core.tree.snapshot();
    app.permit(&who, &captures.object(), PRIVILEGE, &state)?;
    drop(state);
    let query = read(uri.query().unwrap_or_default())
        .map_err(|message| Refusal::Because(StatusCode::BAD_REQUEST, message))?;
    let frames = captures.capture(query).await.map_err(|fault| {
        let status = match fault.is_a(data_id!(NotFound)) || fault.is_a(data_id!(InvalidArgument)) {
            true => StatusCode::BAD_REQUEST,
            false => StatusCode::CONFLICT,
        };
        Refusal::Because(status, fault.to_string())
    })?;
    // The right to listen ends with the session.
    let (shutdown, ended) = (app.shutdown.clone(), who.ended());
    let end = async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = ended => {}
        }
    };
    let frames = frames.take_until(Box::pin(end)).map(move |frame| {
        // The session is in use for as long as somebody listens.
        let _ = &who;
        Ok::<_, std::convert::Infallible>(frame)
    });
    Ok(([(header::CONTENT_TYPE, "application/x-pcapng")], Body::from_stream(frames)).into_response())
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
