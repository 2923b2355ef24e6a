//! Consoles on `/ticket/{id}`: a WebSocket that carries the bytes of the console for which the ticket stands.

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::app::{App, Remote};
use super::limits::{CONSOLE_PING_TIME, MAX_CONSOLE_MESSAGE_BYTES};
use crate::ticket::{ByteStream, Console};

/// Bytes that are read from a console at once.
const CHUNK_BYTES: usize = 64 << 10;

pub(super) async fn handle(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Remote>,
    Path(id): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Ok(place) = app.consoles.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many consoles are open; close some\n").into_response();
    };
    let Some((console, session)) = app.site.service.core.tickets.redeem_console(&id) else {
        return (StatusCode::NOT_FOUND, "the ticket is unknown, was used already, or has expired\n")
            .into_response();
    };
    let stream = match open(&*console).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(%error, "a console cannot be opened");
            return (StatusCode::BAD_GATEWAY, "the console cannot be reached\n").into_response();
        }
    };
    let shutdown = app.shutdown.clone();
    let upgrade = upgrade
        .protocols(["binary"])
        .max_message_size(MAX_CONSOLE_MESSAGE_BYTES)
        .max_frame_size(MAX_CONSOLE_MESSAGE_BYTES);
    upgrade.on_upgrade(move |socket| async move {
        tracing::info!(address = %remote.address, "a console was opened");
        // The session is in use while its console is open, and the console ends with it.
        let _active = session.begin();
        tokio::select! {
            () = bridge(socket, stream) => {}
            () = session.ended().cancelled() => {}
            () = shutdown.cancelled() => {}
        }
        tracing::info!(address = %remote.address, "a console was closed");
        drop(place);
    })
}

async fn open(console: &dyn Console) -> std::io::Result<Box<dyn ByteStream>> {
    console.open().await
}

/// Carries bytes until either side ends.
async fn bridge(mut socket: WebSocket, stream: Box<dyn ByteStream>) {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut ping = tokio::time::interval(CONSOLE_PING_TIME);
    let mut answered = true;
    loop {
        tokio::select! {
            bytes = read.read(&mut buffer) => match bytes {
                Ok(0) | Err(_) => break,
                Ok(n) => {
                    let message = Message::Binary(Bytes::copy_from_slice(&buffer[..n]));
                    if socket.send(message).await.is_err() {
                        return;
                    }
                }
            },
            message = socket.recv() => {
                answered = true;
                let written = match message {
                    Some(Ok(Message::Binary(bytes))) => write.write_all(&bytes).await,
                    Some(Ok(Message::Text(text))) => write.write_all(text.as_bytes()).await,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                };
                if written.is_err() {
                    break;
                }
            }
            _ = ping.tick() => {
                if !answered || socket.send(Message::Ping(Bytes::new())).await.is_err() {
                    return;
                }
                answered = false;
            }
        }
    }
    // The client may have closed already.
    let _ = socket.send(Message::Close(None)).await;
}
