//! A console over WebSocket, as a stream of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio_tungstenite::tungstenite::{self, Message};

use super::{CallError, Client};

/// Bytes that wait between the WebSocket and the reader.
const BUFFER_BYTES: usize = 64 * 1024;

/// An open console. Dropping it closes it.
pub struct ConsoleStream(DuplexStream);

impl Client {
    /// Opens the console that a ticket (of `AcquireTicket`) stands for.
    ///
    /// # Errors
    /// [`CallError::Http`] with 404 if the ticket was used or has expired; or another [`CallError`].
    pub async fn console(&self, ticket: &str) -> Result<ConsoleStream, CallError> {
        let wire = &self.0.wire;
        let scheme = if wire.address.tls { "wss" } else { "ws" };
        let url = format!("{scheme}://{}/ticket/{}", wire.address.authority(), crate::files::escape(ticket));
        let mut request = tungstenite::client::IntoClientRequest::into_client_request(url)
            .map_err(|e| CallError::Usage(format!("cannot ask for the console: {e}")))?;
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", http::HeaderValue::from_static("binary"));
        if let Ok(agent) = wire.user_agent.parse() {
            headers.insert(http::header::USER_AGENT, agent);
        }
        let stream = wire.dial().await?;
        let within = wire.timeouts.connect;
        let opened = tokio::time::timeout(within, tokio_tungstenite::client_async(request, stream)).await;
        let timed_out = CallError::TimedOut { peer: wire.peer(), seconds: within.as_secs() };
        let socket = match opened.map_err(|_| timed_out)? {
            Ok((socket, _)) => socket,
            Err(tungstenite::Error::Http(answer)) => {
                let message = answer.body().as_deref().map(super::wire::shown).unwrap_or_default();
                let status = answer.status().as_u16();
                return Err(CallError::Http { peer: wire.peer(), status, message });
            }
            Err(e) => {
                let reason = e.to_string();
                return Err(CallError::Unreachable { peer: wire.peer(), reason, maybe_done: true });
            }
        };
        let (ours, theirs) = tokio::io::duplex(BUFFER_BYTES);
        let (mut out, mut incoming) = socket.split();
        let (mut read, mut write) = tokio::io::split(theirs);
        tokio::spawn(async move {
            let up = async {
                let mut buffer = vec![0; BUFFER_BYTES];
                loop {
                    match read.read(&mut buffer).await {
                        Ok(0) | Err(_) => break,
                        Ok(n) => {
                            let message = Message::binary(bytes::Bytes::copy_from_slice(&buffer[..n]));
                            if out.send(message).await.is_err() {
                                break;
                            }
                        }
                    }
                }
                // The other side may have closed already.
                let _ = out.close().await;
            };
            let down = async {
                while let Some(Ok(message)) = incoming.next().await {
                    let written = match message {
                        Message::Binary(bytes) => write.write_all(&bytes).await,
                        Message::Text(text) => write.write_all(text.as_bytes()).await,
                        Message::Close(_) => break,
                        _ => Ok(()),
                    };
                    if written.is_err() {
                        break;
                    }
                }
            };
            tokio::select! { () = up => {}, () = down => {} }
        });
        Ok(ConsoleStream(ours))
    }
}

impl AsyncRead for ConsoleStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for ConsoleStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
