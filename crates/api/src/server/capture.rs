//! Frames that pass network ports, on `/capture?port={interface}`: pcapng for as long as the client listens and its session lasts.
//!
//! `port` may be repeated, and so may `point` (`fromPort`, `toPort`, `uplinkIn`, `uplinkOut`, `dropped`; by default all of them). `length`
//! is the number of bytes to keep of each frame.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode, Uri, header};
use vim::data_id;

use super::CaptureQuery;
use super::app::{App, Remote};
use super::auth::Refusal;
use super::query::{parameter, parameters};

/// Seeing others' frames takes more than reading the configuration.
const PRIVILEGE: &str = "Host.Config.Network";

pub(super) async fn handle(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Remote>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let captures = app.site.captures.clone().ok_or_else(|| {
        Refusal::Because(StatusCode::NOT_FOUND, "this server does not capture frames".into())
    })?;
    let (who, _) = app.admit_to(&remote, &headers, &uri, PRIVILEGE, |_| Ok(captures.object())).await?;
    let query = read(uri.query().unwrap_or_default())
        .map_err(|message| Refusal::Because(StatusCode::BAD_REQUEST, message))?;
    let frames = captures.capture(query).await.map_err(|fault| {
        let status = match fault.is_a(data_id!(NotFound)) || fault.is_a(data_id!(InvalidArgument)) {
            true => StatusCode::BAD_REQUEST,
            false => StatusCode::CONFLICT,
        };
        Refusal::Because(status, fault.to_string())
    })?;
    // The capture ends with the session.
    let (shutdown, ended) = (app.shutdown.clone(), who.ended());
    let end = async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = ended => {}
        }
    };
    let frames = frames.take_until(Box::pin(end)).map(move |frame| {
        // The session is in use for as long as the client listens.
        let _ = &who;
        Ok::<_, std::convert::Infallible>(frame)
    });
    Ok(([(header::CONTENT_TYPE, "application/x-pcapng")], Body::from_stream(frames)).into_response())
}

fn read(query: &str) -> Result<CaptureQuery, String> {
    let ports = parameters(query, "port");
    if ports.is_empty() {
        return Err("name an interface with the parameter port".into());
    }
    let length = match parameter(query, "length") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| format!("\"{text}\" is not a number of bytes"))?),
    };
    Ok(CaptureQuery { ports, points: parameters(query, "point"), length })
}
