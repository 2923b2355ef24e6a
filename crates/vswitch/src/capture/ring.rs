//! Captures: the filter, the stream of frames, and the engine's side, which hands out the entries of the kernel's ring.
//! Nothing waits for a reader: frames that find no room are lost, and the reader learns how many.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures_util::Stream;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::layout::{
    self, CAPTURED_TAG, Capture, Drop, POINT_DROPPED, POINT_FROM, POINT_TO, PORT_UPLINK, PointKey, Port,
};
use crate::limits::{CAPTURE_FRAMES, CAPTURE_LENGTH, CAPTURES};
use crate::plan::{Link, Links, Looks, Numbers};
use crate::{Error, Result};

/// A point where frames are captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// Sent by a port, before any decision.
    FromPort,
    /// Leaving for a port.
    ToPort,
    /// Arriving at an uplink, before any decision.
    UplinkIn,
    /// Leaving by an uplink.
    UplinkOut,
    /// Dropped. The frame counts for the port or uplink that it came from, or for the port whose inbound shaping
    /// dropped it.
    Dropped,
}

/// The selection of frames: points, interfaces and length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Ports and uplinks; one that does not exist yet is captured as soon as it does.
    pub interfaces: Vec<String>,
    pub points: BTreeSet<Point>,
    /// Most bytes to keep of a frame, up to [`CAPTURE_LENGTH`].
    pub length: u32,
}

impl Default for Filter {
    /// No interfaces, every point, 256 bytes of each frame.
    fn default() -> Self {
        let points = [Point::FromPort, Point::ToPort, Point::UplinkIn, Point::UplinkOut, Point::Dropped];
        Self { interfaces: Vec::new(), points: points.into(), length: 256 }
    }
}

/// A captured frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    pub time: SystemTime,
    /// The port or the uplink.
    pub interface: String,
    pub point: Point,
    /// Why it was dropped, if it was.
    pub reason: Option<Drop>,
    /// Length of the whole frame in bytes, without its tag.
    pub length: u32,
    /// Its 802.1Q tag (priority and VLAN), which is not in the bytes.
    pub tag: Option<u16>,
    /// The frame from its Ethernet header on, as far as it was captured.
    pub bytes: Vec<u8>,
    /// Frames lost since the one before.
    pub lost: u64,
}

/// A running capture. Dropping it ends it.
#[derive(Debug)]
pub struct Captures {
    frames: mpsc::Receiver<Captured>,
}

impl Stream for Captures {
    type Item = Captured;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Captured>> {
        self.frames.poll_recv(context)
    }
}

impl Captures {
    /// The next frame; `None` when the engine has ended.
    pub async fn next(&mut self) -> Option<Captured> {
        self.frames.recv().await
    }
}

/// A capture, as the engine knows it.
#[derive(Debug)]
struct Active {
    filter: Filter,
    frames: mpsc::Sender<Captured>,
    /// Since when it captures, on the monotonic clock: earlier frames under its bit belong to a capture that has ended.
    since: Option<Duration>,
    /// Lost, but not reported yet.
    lost: u64,
    /// Frames lost by the kernel, as far as reported.
    lost_in_ring: u64,
}

/// The name of each port's interface, and whether it is an uplink, by the port's number.
pub(crate) type Interfaces<'a> = BTreeMap<u32, (&'a str, bool)>;

pub(crate) fn interfaces<'a>(ports: &BTreeMap<u32, Port>, links: &'a Links) -> Interfaces<'a> {
    let of = |(name, link): (&'a String, &Link)| {
        let port = ports.get(&link.index)?;
        Some((port.number, (name.as_str(), port.flags & PORT_UPLINK != 0)))
    };
    links.iter().filter_map(of).collect()
}

/// All captures of an engine, by their bits.
#[derive(Debug, Default)]
pub(crate) struct Capturing {
    active: BTreeMap<u32, Active>,
    /// The ring was empty after the last capture had ended; false at first, since the ring outlives the daemon.
    is_empty: bool,
}

impl Capturing {
    /// Whether the ring must be read: a capture runs, or frames of ended ones may be left.
    pub fn is_active(&self) -> bool {
        !(self.active.is_empty() && self.is_empty)
    }

    /// The ring is now empty.
    pub fn emptied(&mut self) {
        self.is_empty = true;
    }

    /// Adds a capture, which captures nothing until it is started.
    pub fn add(&mut self, filter: Filter) -> Result<Captures> {
        let most = u32::try_from(CAPTURES).expect("is small");
        let free = (0..most).find(|bit| !self.active.contains_key(bit));
        let full = || Error::Limit { what: "captures", asked: CAPTURES + 1, most: CAPTURES };
        let bit = free.ok_or_else(full)?;
        let (sender, frames) = mpsc::channel(CAPTURE_FRAMES);
        self.active.insert(bit, Active { filter, frames: sender, since: None, lost: 0, lost_in_ring: 0 });
        Ok(Captures { frames })
    }

    /// Starts the captures that were added, once the kernel knows of them. `lost` tells how many frames the kernel had
    /// lost for each bit.
    pub fn start(&mut self, now: Duration, lost: impl Fn(u32) -> Result<u64>) -> Result<()> {
        for (bit, active) in self.active.iter_mut().filter(|(_, active)| active.since.is_none()) {
            (active.since, active.lost_in_ring) = (Some(now), lost(*bit)?);
        }
        Ok(())
    }

    /// Forgets captures without a reader; true if there were any.
    pub fn forget_ended(&mut self) -> bool {
        let before = self.active.len();
        self.active.retain(|_, active| !active.frames.is_closed());
        let any = self.active.len() != before;
        self.is_empty &= !any;
        any
    }

    /// The points to capture at.
    pub fn looks(&self, links: &Links, numbers: &Numbers, is_uplink: impl Fn(&str) -> bool) -> Looks {
        let mut looks = Looks::new();
        for (bit, active) in &self.active {
            for interface in &active.filter.interfaces {
                let number = links.get(interface).and_then(|link| numbers.get(&link.index));
                let Some(number) = number else { continue };
                let uplink = is_uplink(interface);
                for point in active.filter.points.iter().filter_map(|point| point.number(uplink)) {
                    let look: &mut Capture = looks.entry(PointKey { number: *number, point }).or_default();
                    look.captures |= 1 << bit;
                    look.snap = look.snap.max(active.filter.length.clamp(1, CAPTURE_LENGTH));
                }
            }
        }
        looks
    }

    /// Hands a frame to the captures that want it.
    pub fn hand_out(&mut self, entry: &[u8], interfaces: &Interfaces<'_>, lost: impl Fn(u32) -> u64) {
        let Some((head, bytes)) = layout::Captured::read(entry) else { return };
        let Some((interface, is_uplink)) = interfaces.get(&head.number) else { return };
        let Some(point) = Point::of(head.point, *is_uplink) else { return };
        let (time, seen) = (wall_clock(head.time_ns), Duration::from_nanos(head.time_ns));
        let looks = |(bit, active): &(&u32, &mut Active)| {
            head.captures & (1 << **bit) != 0 && active.since.is_some_and(|since| seen >= since)
        };
        for (bit, active) in self.active.iter_mut().filter(looks) {
            let lost_in_ring = lost(*bit);
            active.lost += lost_in_ring.saturating_sub(active.lost_in_ring);
            active.lost_in_ring = lost_in_ring;
            let most = usize::try_from(active.filter.length).unwrap_or(usize::MAX).min(bytes.len());
            let frame = Captured {
                time,
                interface: (*interface).into(),
                point,
                reason: if point == Point::Dropped { Drop::from_number(head.reason) } else { None },
                length: head.length,
                tag: (head.tag & CAPTURED_TAG != 0).then_some((head.tag & 0xffff) as u16),
                bytes: bytes[..most].to_vec(),
                lost: active.lost,
            };
            match active.frames.try_send(frame) {
                Ok(()) => active.lost = 0,
                Err(TrySendError::Full(_)) => active.lost += 1,
                Err(TrySendError::Closed(_)) => {}
            }
        }
    }
}

impl Point {
    /// Its number in the maps, if ports (or uplinks) have this point.
    fn number(self, is_uplink: bool) -> Option<u32> {
        match (self, is_uplink) {
            (Self::FromPort, false) | (Self::UplinkIn, true) => Some(POINT_FROM),
            (Self::ToPort, false) | (Self::UplinkOut, true) => Some(POINT_TO),
            (Self::Dropped, _) => Some(POINT_DROPPED),
            _ => None,
        }
    }

    fn of(number: u32, is_uplink: bool) -> Option<Self> {
        let all = [Self::FromPort, Self::ToPort, Self::UplinkIn, Self::UplinkOut, Self::Dropped];
        all.into_iter().find(|point| point.number(is_uplink) == Some(number))
    }
}

/// The time of day at this moment of the monotonic clock.
fn wall_clock(monotonic_ns: u64) -> SystemTime {
    let now = clock_gettime(ClockId::Monotonic);
    let now_ns =
        u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0);
    SystemTime::now() - Duration::from_nanos(now_ns.saturating_sub(monotonic_ns))
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
