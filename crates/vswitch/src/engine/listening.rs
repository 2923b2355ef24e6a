//! Multicast filtering: what the programs tell of IGMP and MLD becomes memberships, and these filters, in bursts, so that what guests say
//! makes no more work than so much.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::captures::portion;
use super::monotonic;
use super::run::Switching;
use crate::Result;
use crate::kernel::layout::{
    Heard, Listening as Missed, PORT_LISTENED, PORT_UPLINK, Port, VLAN_ANY, VLAN_TRUNK,
};
use crate::kernel::{Kernel, Ring};
use crate::limits::{
    FILTERS_HOLD, SNOOP_BATCH, SNOOP_LONGEST_PAUSE, SNOOP_PAUSE, SNOOP_PORTIONS, SNOOP_REST,
};
use crate::plan::{self, Links, Tables};
use crate::snoop::{self, Memberships, Origin, Place};

pub(super) struct Listening {
    ring: Ring,
    /// Times on the monotonic clock, as the programs have them.
    memberships: Memberships,
    /// What was lost, as far as is known.
    missed: Missed,
    /// It has lost some lately; said once.
    is_losing: bool,
    /// Filters are to change, and then.
    due: Option<Instant>,
    /// When all was last planned, and how long from then filters are not to change again.
    changed: Instant,
    pause: Duration,
    /// Until when filters hold.
    held: Duration,
    /// Places that there is no room for; said once.
    crowded: BTreeSet<Place>,
    /// The kernel has the filters that it is to have.
    holds: bool,
    /// Some switch filters.
    active: bool,
}

impl Listening {
    /// What was said while nobody listened is forgotten: it is not known what of it was lost.
    pub(super) fn new(kernel: &mut Kernel) -> Result<Self> {
        let mut ring = kernel.take_ring("heard")?;
        for _ in 0..SNOOP_PORTIONS {
            if portion(ring.get_mut(), SNOOP_BATCH, |_| ()) {
                break;
            }
        }
        let missed = kernel.listening()?;
        let (memberships, crowded) = (Memberships::default(), BTreeSet::new());
        Ok(Self {
            ring,
            memberships,
            missed,
            is_losing: false,
            due: None,
            changed: Instant::now(),
            pause: SNOOP_PAUSE,
            held: Duration::ZERO,
            crowded,
            holds: false,
            active: false,
        })
    }

    /// For [`super::captures::filled`].
    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Whether anybody is listened to.
    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// Returns when filters are to change.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Filters are to change: soon, but not for each message.
    fn change(&mut self) {
        self.due.get_or_insert_with(|| Instant::now().max(self.changed + self.pause));
    }

    /// All is planned anew from here on, until [`Self::know`].
    pub(super) fn begin(&mut self) {
        (self.due, self.changed) = (None, Instant::now());
    }

    /// Puts filters on top of what is declared.
    pub(super) fn filter(&mut self, tables: &mut Tables, links: &Links) {
        let running: BTreeSet<u32> =
            links.values().filter(|link| link.running).map(|link| link.index).collect();
        let uplinks = tables.ports.iter().filter(|(index, port)| is_uplink(port) && running.contains(index));
        self.memberships.know_uplinks(&uplinks.map(|(_, port)| port.number).collect());
        self.memberships.keep_ports(&places(&tables.ports));
        let crowded = plan::filter_multicast(tables, &self.memberships);
        for place in crowded.difference(&self.crowded) {
            let Place { network, vlan } = place;
            tracing::warn!(network, vlan, "too many multicast groups to filter; all of them are flooded");
        }
        self.crowded = crowded;
    }

    /// Takes note of the ports that there are, once their programs run, and whether the kernel has the filters that it is to have.
    pub(super) fn know(&mut self, ports: &BTreeMap<u32, Port>, holds: bool) {
        self.pause = pause(self.changed.elapsed());
        self.holds = holds;
        self.active = ports.values().any(|port| port.flags & PORT_LISTENED != 0);
        self.memberships.know_ports(monotonic(), &places(ports));
    }
}

/// How long filters are not to change after a change that took so long to plan and to apply: what guests say takes a part of the
/// engine's time only.
fn pause(took: Duration) -> Duration {
    (took * SNOOP_REST).clamp(SNOOP_PAUSE, SNOOP_LONGEST_PAUSE)
}

fn is_uplink(port: &Port) -> bool {
    port.flags & PORT_UPLINK != 0
}

/// The ports that are listened to, by number, and where they are.
fn places(ports: &BTreeMap<u32, Port>) -> BTreeMap<u32, Place> {
    let place = |port: &Port| {
        let vlan = if port.vlan == VLAN_TRUNK { VLAN_ANY } else { port.vlan };
        (port.number, Place { network: port.network, vlan })
    };
    ports.values().filter(|port| port.flags & PORT_LISTENED != 0 && !is_uplink(port)).map(place).collect()
}

impl Switching {
    /// Takes a portion of what was said.
    pub(super) async fn hear(&mut self) {
        let Some(Ok(mut guard)) = self.listening.ring.readable_mut().now_or_never() else { return };
        let ports: BTreeMap<u32, &Port> =
            self.actual.ports.values().map(|port| (port.number, port)).collect();
        let (memberships, mut changes) = (&mut self.listening.memberships, false);
        let is_empty = portion(guard.get_inner_mut(), SNOOP_BATCH, |entry| {
            let Some((head, frame)) = Heard::read(entry) else { return };
            let (Some(port), Some(message)) = (ports.get(&head.number), snoop::read(frame)) else { return };
            let place = Place { network: port.network, vlan: head.vlan };
            let origin =
                if is_uplink(port) { Origin::Uplink(port.number) } else { Origin::Port(port.number) };
            let effect = memberships.hear(Duration::from_nanos(head.time_ns), place, origin, &message);
            changes |= effect.changes;
            if !effect.fits {
                tracing::debug!(port = port.number, "a port is in more multicast groups than are counted");
            }
        });
        if is_empty {
            // Ready again at the next message, also at one that came after the guard.
            guard.clear_ready();
        }
        drop(guard);
        if changes {
            self.listening.change();
        }
        // A ring that is never empty would be all that the thread sees.
        tokio::task::yield_now().await;
    }

    /// Ends what has ended, and lets filters hold for a while longer. About once a second.
    pub(super) fn listen_on(&mut self) {
        match self.kernel.listening() {
            Ok(missed) => self.miss(missed),
            Err(error) => tracing::warn!(%error, "cannot see what was lost of multicast memberships"),
        }
        if self.listening.memberships.expire(monotonic()) {
            self.listening.change();
        }
        self.hold_filters();
    }

    /// Nothing is kept from whom something was lost of.
    fn miss(&mut self, missed: Missed) {
        let before = std::mem::replace(&mut self.listening.missed, missed);
        if missed.lost != before.lost {
            if !self.listening.is_losing {
                tracing::warn!("more is said about multicast groups than can be heard; they are flooded");
            }
            self.listening.memberships.doubt_all(monotonic());
            self.listening.change();
        }
        self.listening.is_losing = missed.lost != before.lost;
        if missed.ignored == before.ignored {
            return;
        }
        let ports = self.actual.ports.values().filter(|port| port.flags & PORT_LISTENED != 0);
        for port in ports {
            match self.kernel.muted(port.number) {
                // What it said before it was there was another's.
                Ok(at) => {
                    if self.listening.memberships.doubt(at, port.number) {
                        tracing::debug!(port = port.number, "a port says more about groups than is heard");
                        self.listening.change();
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot see who says too much about multicast groups"),
            }
        }
    }

    /// Lets filters hold for a while longer, if the kernel has what it is to have.
    pub(super) fn hold_filters(&mut self) {
        if !(self.listening.holds && self.listening.active) {
            return;
        }
        let now = monotonic();
        if now > self.listening.held {
            // Ports heard each other's reports meanwhile, and may have kept theirs back.
            self.listening.memberships.doubt_all(now);
            self.listening.change();
        }
        match self.kernel.hold_filters(now + FILTERS_HOLD) {
            Ok(()) => self.listening.held = now + FILTERS_HOLD,
            Err(error) => tracing::warn!(%error, "multicast is flooded"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_a_change_takes_the_longer_the_next_one_waits() {
        let ms = Duration::from_millis;
        for (took, expected) in [(ms(3), SNOOP_PAUSE), (ms(100), ms(400)), (ms(60_000), SNOOP_LONGEST_PAUSE)]
        {
            assert_eq!(pause(took), expected);
        }
    }
}
