//! The streams below HTTP: one that bounds what a client sends before its TLS handshake ends, and the room that TLS takes for answers.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::limits::{MAX_HANDSHAKE_BYTES, MAX_STRANGE_UNSENT_BYTES};

/// A stream that ends if more bytes come than it may read.
pub(super) struct Bounded<S> {
    stream: S,
    /// None without a bound.
    left: Option<usize>,
}

impl<S> Bounded<S> {
    /// A stream whose handshake has not ended.
    pub(super) fn handshake(stream: S) -> Self {
        Self { stream, left: Some(MAX_HANDSHAKE_BYTES) }
    }

    /// The handshake has ended.
    pub(super) fn release(&mut self) {
        self.left = None;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        if let Some(left) = &mut self.left {
            match left.checked_sub(read) {
                Some(rest) => *left = rest,
                None => return Poll::Ready(Err(io::Error::other("the TLS handshake is too long"))),
            }
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A stream that may keep bytes which the client has not read.
pub(super) trait Keeps {
    /// Says whether the client is a stranger, for whom little is kept.
    fn keep_little(&mut self, little: bool);
}

impl Keeps for TcpStream {
    /// The kernel keeps them.
    fn keep_little(&mut self, _: bool) {}
}

/// The room for an answer's encrypted bytes that rustls takes by default.
const USUAL_BYTES: usize = 64 << 10;

impl<S> Keeps for TlsStream<S> {
    fn keep_little(&mut self, little: bool) {
        let bytes = if little { MAX_STRANGE_UNSENT_BYTES } else { USUAL_BYTES };
        self.get_mut().1.set_buffer_limit(Some(bytes));
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_stream_ends_where_its_handshake_is_too_long_and_goes_on_after_it() {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        client.write_all(&vec![0; MAX_HANDSHAKE_BYTES + 1]).await.unwrap();
        let mut server = Bounded::handshake(server);
        let mut bytes = vec![0; MAX_HANDSHAKE_BYTES];
        server.read_exact(&mut bytes).await.unwrap();
        assert!(server.read_exact(&mut [0]).await.is_err());
        server.release();
        client.write_all(&vec![0; MAX_HANDSHAKE_BYTES]).await.unwrap();
        server.read_exact(&mut bytes).await.unwrap();
    }
}
