//! The times of a connection.
//!
//! hyper has only one time limit, so this module watches the times of an idle connection, of a request's head and of an answer that the
//! client does not read, by the bytes that pass through [`Watched`].

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::limits::{
    DRAIN_TIME, HEAD_TIME, IDLE_TIME, MAX_LINGER_BYTES, STALL_TIME, STRANGE_IDLE_TIME, STRANGE_READ_BYTES,
    STRANGE_TIME,
};
use super::places::Place;
use super::wire::Keeps;

/// The longest interval between two looks at a connection's times.
const WATCH_TIME: Duration = Duration::from_secs(5);

/// Milliseconds since the first use, never 0.
fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

/// The activity on a connection. Times are those of [`now_ms`]; 0 means none.
pub(super) struct Activity {
    place: Arc<Place>,
    under_way: AtomicUsize,
    /// When the last request ended, or the connection began.
    idle_since: AtomicU64,
    /// When the first byte of an incomplete head arrived.
    head_since: AtomicU64,
    /// When the client stopped reading.
    stalled_since: AtomicU64,
    /// Whether the client may still be sending a body that the server does not want.
    lingers: AtomicBool,
    lingers_since: AtomicU64,
}

impl Activity {
    pub(super) fn new(place: Arc<Place>) -> Self {
        Self {
            place,
            under_way: AtomicUsize::new(0),
            idle_since: AtomicU64::new(now_ms()),
            head_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(0),
            lingers: AtomicBool::new(false),
            lingers_since: AtomicU64::new(0),
        }
    }

    /// The server has answered without reading the whole request: when the connection ends, it reads on for a while, lest the client
    /// lose the answer.
    pub(super) fn linger(&self) {
        self.lingers.store(true, Ordering::Relaxed);
    }

    /// The reason to end the connection at this time, or the milliseconds until then if nothing happens.
    fn judge(&self, now: u64) -> Result<u64, &'static str> {
        let left = |since: u64, limit: Duration, why| {
            let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            limit.checked_sub(now.saturating_sub(since)).filter(|left| *left > 0).ok_or(why)
        };
        let lingers = self.lingers_since.load(Ordering::Relaxed);
        if lingers != 0 {
            return left(lingers, DRAIN_TIME, "the client goes on sending after its answer");
        }
        let (stall, idle) = match self.place.is_strange() {
            true => (STRANGE_TIME, STRANGE_IDLE_TIME),
            false => (STALL_TIME, IDLE_TIME),
        };
        let stalled = self.stalled_since.load(Ordering::Relaxed);
        if stalled != 0 {
            return left(stalled, stall, "the client does not read its answer");
        }
        if self.under_way.load(Ordering::Relaxed) > 0 {
            return Ok(u64::MAX);
        }
        match self.head_since.load(Ordering::Relaxed) {
            0 => left(self.idle_since.load(Ordering::Relaxed), idle, "idle"),
            since => left(since, HEAD_TIME, "the request's head did not arrive in time"),
        }
    }

    /// Completes with the reason when the connection must end.
    pub(super) async fn watch(&self) -> &'static str {
        loop {
            match self.judge(now_ms()) {
                Err(why) => return why,
                Ok(left) => tokio::time::sleep(Duration::from_millis(left).min(WATCH_TIME)).await,
            }
        }
    }
}

/// A request under way, from its head to the last byte of its answer.
pub(super) struct UnderWay(Arc<Activity>);

impl UnderWay {
    pub(super) fn new(activity: &Arc<Activity>) -> Self {
        activity.place.request_begins();
        activity.under_way.fetch_add(1, Ordering::Relaxed);
        activity.head_since.store(0, Ordering::Relaxed);
        Self(activity.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.idle_since.store(now_ms(), Ordering::Relaxed);
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
        self.0.place.request_ends();
    }
}

/// A connection's stream that records its activity.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    is_shut: bool,
    /// Whether the client was a stranger at the last look.
    is_strange: bool,
    lingered_bytes: usize,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity, is_shut: false, is_strange: true, lingered_bytes: 0 }
    }

    fn written<T>(&self, poll: Poll<T>) -> Poll<T> {
        match &poll {
            Poll::Ready(_) => self.activity.stalled_since.store(0, Ordering::Relaxed),
            Poll::Pending => {
                let _ = self.activity.stalled_since.compare_exchange(
                    0,
                    now_ms(),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
            }
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = if self.is_strange {
            // hyper makes as much room as it could fill before.
            let mut bytes = [MaybeUninit::uninit(); STRANGE_READ_BYTES];
            let most = buffer.remaining().min(STRANGE_READ_BYTES);
            let mut part = ReadBuf::uninit(&mut bytes[..most]);
            let poll = Pin::new(&mut self.stream).poll_read(context, &mut part);
            buffer.put_slice(part.filled());
            poll
        } else {
            Pin::new(&mut self.stream).poll_read(context, buffer)
        };
        let activity = &self.activity;
        if buffer.filled().len() > before
            && activity.under_way.load(Ordering::Relaxed) == 0
            && activity.head_since.load(Ordering::Relaxed) == 0
        {
            activity.head_since.store(now_ms(), Ordering::Relaxed);
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Reads what a client still sends after the last answer, until it stops or has sent enough.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.activity.lingers.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        let mut bytes = [MaybeUninit::uninit(); 8 << 10];
        while self.lingered_bytes < MAX_LINGER_BYTES {
            let mut buffer = ReadBuf::uninit(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.lingered_bytes += buffer.filled().len();
                }
                Poll::Ready(_) => break,
                Poll::Pending => {
                    let since = &self.activity.lingers_since;
                    let _ = since.compare_exchange(0, now_ms(), Ordering::Relaxed, Ordering::Relaxed);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Keeps + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_strange && !self.activity.place.is_strange() {
            self.is_strange = false;
            self.stream.keep_little(false);
        }
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.written(poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            let poll = Pin::new(&mut self.stream).poll_shutdown(context);
            match self.written(poll) {
                Poll::Ready(Ok(())) => self.is_shut = true,
                other => return other,
            }
        }
        self.poll_linger(context).map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::super::places::Places;
    use super::*;

    fn ms(time: Duration) -> u64 {
        u64::try_from(time.as_millis()).unwrap()
    }

    #[test]
    fn each_state_of_a_connection_has_its_own_time() {
        let place = Arc::new(Places::default()).enter([10, 0, 0, 1].into()).unwrap();
        place.admit("root");
        let activity = Arc::new(Activity::new(Arc::new(place)));
        let start = activity.idle_since.load(Ordering::Relaxed);
        assert_eq!(activity.judge(start + 1), Ok(ms(IDLE_TIME) - 1));
        assert_eq!(activity.judge(start + ms(IDLE_TIME)), Err("idle"));

        activity.head_since.store(start + 10, Ordering::Relaxed);
        assert!(activity.judge(start + 10 + ms(HEAD_TIME) - 1).is_ok());
        assert!(activity.judge(start + 10 + ms(HEAD_TIME)).is_err(), "a slow head");

        let request = UnderWay::new(&activity);
        assert_eq!(activity.judge(u64::MAX), Ok(u64::MAX), "a request may wait as long as it likes");
        activity.stalled_since.store(start + 20, Ordering::Relaxed);
        assert!(activity.judge(start + 20 + ms(STALL_TIME)).is_err(), "an answer that is not read");
        activity.stalled_since.store(0, Ordering::Relaxed);
        drop(request);
        let since = activity.idle_since.load(Ordering::Relaxed);
        assert_eq!(activity.judge(since + 5), Ok(ms(IDLE_TIME) - 5), "the time begins again");
    }

    #[test]
    fn a_stranger_has_less_time() {
        let place = Arc::new(Places::default()).enter([10, 0, 0, 1].into()).unwrap();
        let activity = Arc::new(Activity::new(Arc::new(place)));
        let start = activity.idle_since.load(Ordering::Relaxed);
        assert_eq!(activity.judge(start + 1), Ok(ms(STRANGE_IDLE_TIME) - 1));
        assert_eq!(activity.judge(start + ms(STRANGE_IDLE_TIME)), Err("idle"));
        let _request = UnderWay::new(&activity);
        activity.stalled_since.store(start + 20, Ordering::Relaxed);
        assert!(activity.judge(start + 20 + ms(STRANGE_TIME)).is_err(), "an answer that is not read");
    }
}
