//! The protocols that the control half speaks on uplinks: who hears what, and when.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::discovery::Discovery;
use super::ears::{Ears, Heard};
use crate::declare::Declaration;
use crate::discovery::{Neighbours, System};
use crate::packet::PacketSocket;
use crate::plan::Links;

/// The longest that nothing is looked at.
const LONGEST: Duration = Duration::from_secs(3600);

pub(super) struct Control {
    /// All times count from then.
    began: Instant,
    ears: Ears,
    discovery: Discovery,
}

/// Why there is something to do.
pub(super) enum Wake {
    Heard(Heard),
    Time,
}

impl Control {
    pub(super) fn new(began: Instant, system: System, publish: watch::Sender<Neighbours>) -> Self {
        Self { began, ears: Ears::new(), discovery: Discovery::new(system, publish) }
    }

    /// Speaks as is declared, on the uplinks that have a link.
    pub(super) fn listen(&mut self, declared: &Declaration, links: &Links) {
        self.discovery.see(self.began.elapsed(), declared, links);
        let wanted: BTreeSet<_> = self.discovery.ears().collect();
        self.ears.listen(&wanted);
    }

    /// Returns when there is something to do; nothing is lost when the call is dropped.
    pub(super) async fn next(&mut self) -> Wake {
        let due = self.began + self.discovery.next().unwrap_or_else(|| self.began.elapsed() + LONGEST);
        tokio::select! {
            Some(heard) = self.ears.next() => Wake::Heard(heard),
            () = sleep_until(due) => Wake::Time,
        }
    }

    /// Does it.
    pub(super) fn act(&mut self, wake: Wake, packets: &PacketSocket, management: Option<IpAddr>) {
        let now = self.began.elapsed();
        match wake {
            Wake::Heard((index, frame)) => self.discovery.hear(now, index, &frame),
            Wake::Time => self.discovery.tick(now, packets, management),
        }
    }
}
