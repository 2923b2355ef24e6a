//! Echo requests that wait for every answer. The command `ping` waits for the last answers only twice as long as the
//! slowest one before, whatever its `-W` says, so a pause of the whole system looks like loss.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, ipproto, socket};

use super::wait::until_so;
use super::{Network, PATIENCE};

/// How many missed requests a paused thread catches up on.
const LATE: u32 = 20;
/// In each request, to be found in captures.
pub const MARK: &[u8] = b"<ping>";

static IDENTIFIERS: AtomicU16 = AtomicU16::new(1);

/// The requests to send.
#[derive(Debug, Clone, Copy)]
pub struct Requests {
    pub every: Duration,
    /// Bytes behind the ICMP header.
    pub size: usize,
    pub count: u32,
}

impl Requests {
    /// This many requests, of 64 bytes.
    pub fn new(every_ms: u64, count: u32) -> Self {
        Self { every: Duration::from_millis(every_ms), size: 56, count }
    }

    pub fn of_size(self, size: usize) -> Self {
        Self { size, ..self }
    }

    /// Until they are stopped.
    pub fn without_end(every_ms: u64) -> Self {
        Self::new(every_ms, u32::MAX)
    }
}

/// Requests that are being sent.
pub struct Pinging {
    thread: Option<JoinHandle<Answers>>,
    control: Arc<Control>,
}

#[derive(Debug, Default)]
struct Control {
    stop: AtomicBool,
    sent: AtomicU32,
}

/// The results of requests.
#[derive(Debug)]
pub struct Answers {
    pub sent: u32,
    /// The numbers of unanswered requests, from 0.
    pub lost: BTreeSet<u32>,
    /// How many were answered more than once.
    pub doubled: usize,
}

impl Answers {
    /// Expects that none was lost and none answered twice.
    pub fn lost_nothing(&self, what: &str) {
        assert!(self.sent > 0 && self.lost.is_empty() && self.doubled == 0, "{what}: {self:?}");
    }
}

impl Pinging {
    pub fn start(net: &Network, from: &str, to: &str, requests: Requests) -> Self {
        let to: IpAddr = to.parse().unwrap();
        let (family, protocol) = match to {
            IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
            IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
        };
        let socket = net.within(from, move || {
            // `UdpSocket` sends and receives on any datagram socket.
            let socket = UdpSocket::from(socket(family, SocketType::RAW, Some(protocol)).unwrap());
            socket.connect(SocketAddr::from((to, 0))).unwrap();
            socket
        });
        let control = Arc::new(Control::default());
        let shared = control.clone();
        let thread = std::thread::spawn(move || ping(&socket, to.is_ipv6(), requests, &shared));
        Self { thread: Some(thread), control }
    }

    /// How many are sent, which is the number of the next one.
    pub fn sent(&self) -> u32 {
        self.control.sent.load(Ordering::SeqCst)
    }

    /// Waits until this many more are sent.
    pub async fn sends(&self, more: u32) {
        let until = self.sent() + more;
        until_so(&format!("{more} more requests are sent"), async || self.sent() >= until).await;
    }

    /// Waits until all are sent, and for their answers.
    pub fn end(mut self) -> Answers {
        self.thread.take().expect("it ends once").join().unwrap()
    }

    /// Sends no more, and waits for the answers.
    pub fn stop(self) -> Answers {
        self.control.stop.store(true, Ordering::SeqCst);
        self.end()
    }
}

impl Drop for Pinging {
    /// A failed test does not wait.
    fn drop(&mut self) {
        self.control.stop.store(true, Ordering::SeqCst);
    }
}

fn ping(socket: &UdpSocket, is_ipv6: bool, requests: Requests, control: &Control) -> Answers {
    let identifier = IDENTIFIERS.fetch_add(1, Ordering::Relaxed);
    let (mut sent, mut open, mut answered, mut doubled) = (0, BTreeSet::new(), BTreeSet::new(), 0);
    let mut due = Instant::now();
    let mut late = None;
    while late.is_none_or(|late| !open.is_empty() && Instant::now() < late) {
        let now = Instant::now();
        if late.is_none() && (sent == requests.count || control.stop.load(Ordering::SeqCst)) {
            late = Some(now + PATIENCE);
        } else if late.is_none() && now >= due {
            let request = request(is_ipv6, identifier, sent, requests.size);
            open.insert(sent);
            // A request that cannot be sent counts as lost.
            let _ = socket.send(&request);
            sent += 1;
            control.sent.store(sent, Ordering::SeqCst);
            due = (due + requests.every).max(now.checked_sub(LATE * requests.every).unwrap_or(now));
        }
        let pause = due.saturating_duration_since(Instant::now());
        let pause = if late.is_some() { Duration::from_millis(100) } else { pause };
        // A zero timeout would mean for ever.
        socket.set_read_timeout(Some(pause.max(Duration::from_micros(1)))).unwrap();
        let mut packet = [0; 10_000];
        let Ok(length) = socket.recv(&mut packet) else { continue };
        let Some(number) = answer(is_ipv6, identifier, &packet[..length]) else { continue };
        if !open.remove(&number) {
            doubled += usize::from(answered.contains(&number));
        }
        answered.insert(number);
    }
    Answers { sent, lost: open, doubled }
}

/// An echo request; the kernel adds the checksum of ICMPv6.
fn request(is_ipv6: bool, identifier: u16, number: u32, size: usize) -> Vec<u8> {
    let mut request = vec![if is_ipv6 { 128 } else { 8 }, 0, 0, 0];
    request.extend(identifier.to_be_bytes());
    request.extend(u16::try_from(number & 0xffff).unwrap().to_be_bytes());
    request.extend(number.to_be_bytes());
    while request.len() < 8 + size.max(4) {
        request.push(MARK[(request.len() - 12) % MARK.len()]);
    }
    if !is_ipv6 {
        let sum = vswitch::frame::Sum::default().with(&request).checksum().to_be_bytes();
        request[2..4].copy_from_slice(&sum);
    }
    request
}

/// The number of the request that this answers, if it is one of ours.
fn answer(is_ipv6: bool, identifier: u16, packet: &[u8]) -> Option<u32> {
    // IPv4 packets come with their header.
    let head = if is_ipv6 { 0 } else { usize::from(packet.first()? & 0xf) * 4 };
    let message = packet.get(head..)?;
    let kind = if is_ipv6 { 129 } else { 0 };
    let is_ours = *message.first()? == kind && message.get(4..6)? == identifier.to_be_bytes();
    is_ours.then(|| u32::from_be_bytes(message[8..12].try_into().unwrap()))
}
