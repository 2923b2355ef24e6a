//! The protocols that the control plane speaks on uplinks.

mod beacons;
mod discovery;
mod ears;
mod observing;

pub(super) use observing::Observing;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use self::beacons::Beacons;
use self::discovery::Discovery;
use self::ears::{Ears, Heard};
use crate::Result;
use crate::declare::Declaration;
use crate::discovery::{Neighbours, System};
use crate::frame::{ETHER_BEACON, Ethernet};
use crate::packet::PacketSocket;
use crate::plan::Links;

/// The longest time between two calls of [`Control::act`].
const LONGEST: Duration = Duration::from_secs(3600);

pub(super) struct Control {
    /// All times count from here.
    began: Instant,
    ears: Ears,
    discovery: Discovery,
    beacons: Beacons,
    observing: Observing,
}

/// The reason to act.
pub(super) enum Wake {
    Heard(Heard),
    Time,
}

impl Control {
    /// # Errors
    /// `Random`.
    pub(super) fn new(
        began: Instant,
        system: System,
        publish: watch::Sender<Neighbours>,
        observing: Observing,
    ) -> Result<Self> {
        let (discovery, beacons) = (Discovery::new(system, publish), Beacons::new()?);
        Ok(Self { began, ears: Ears::new(), discovery, beacons, observing })
    }

    /// Records the state of links before teams are planned.
    pub(super) fn see(&mut self, declared: &Declaration, links: &Links) {
        self.beacons.see(self.began.elapsed(), declared, links);
    }

    /// The time on the clock of this module.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A time of [`Self::now`] as an instant.
    pub(super) fn on_clock(&self, time: Duration) -> Instant {
        self.began + time
    }

    /// Sends and receives as declared, on the uplinks that have a link.
    pub(super) fn listen(&mut self, declared: &Declaration, links: &Links) {
        self.discovery.see(self.began.elapsed(), declared, links);
        self.observing.see(declared, links);
        let wanted: BTreeSet<_> = self.discovery.ears().chain(self.beacons.ears()).collect();
        self.ears.listen(&wanted);
    }

    /// Uplinks that are cut off although their link is up.
    pub(super) fn isolated(&self) -> &BTreeSet<String> {
        self.beacons.isolated()
    }

    /// Waits until there is something to do; dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Wake {
        let due = [self.discovery.next(), self.beacons.next()].into_iter().flatten().min();
        let due = self.began + due.unwrap_or_else(|| self.began.elapsed() + LONGEST);
        tokio::select! {
            Some(heard) = self.ears.next() => Wake::Heard(heard),
            () = sleep_until(due) => Wake::Time,
        }
    }

    /// Does it. True if the set of isolated uplinks changed.
    pub(super) fn act(&mut self, wake: Wake, packets: &PacketSocket, management: Option<IpAddr>) -> bool {
        let now = self.began.elapsed();
        let before = self.beacons.isolated().clone();
        match wake {
            Wake::Heard((index, frame)) => {
                let is_beacon = Ethernet::read(&frame).is_some_and(|it| it.ether_type == ETHER_BEACON);
                match is_beacon {
                    true => self.beacons.hear(now, index, &frame),
                    false => self.discovery.hear(now, index, &frame),
                }
            }
            Wake::Time => {
                self.beacons.tick(now, packets);
                self.discovery.tick(now, packets, management);
            }
        }
        before != *self.beacons.isolated()
    }
}
