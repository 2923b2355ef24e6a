//! Multicast filtering: the programs' reports of IGMP and MLD become memberships, and these filters. Changes are
//! batched, so that guests can cause only a limited amount of work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::Switching;
use crate::Result;
use crate::engine::clock::monotonic;
use crate::engine::rings::portion;
use crate::kernel::{Kernel, Ring};
use crate::layout::{Heard, Listening as Missed, PORT_LISTENED, PORT_UPLINK, Port, VLAN_ANY, VLAN_TRUNK};
use crate::limits::{
    FILTERS_HOLD, SNOOP_BATCH, SNOOP_LONGEST_PAUSE, SNOOP_PAUSE, SNOOP_PORTIONS, SNOOP_REST,
};
use crate::plan::{self, Links, Tables};
use crate::snoop::{self, Memberships, Origin, Place};

pub(super) struct Listening {
    ring: Ring,
    /// Times on the monotonic clock, which the programs use.
    memberships: Memberships,
    /// Messages known to be lost.
    missed: Missed,
    /// Messages were lost lately; logged once.
    is_losing: bool,
    /// When filters are to change, if they are.
    due: Option<Instant>,
    /// When filters last changed, and how long they must rest after that.
    changed: Instant,
    pause: Duration,
    /// Until when the kernel's filters hold.
    held: Duration,
    /// Places that do not fit into the maps; logged once.
    crowded: BTreeSet<Place>,
    /// The kernel has the planned filters.
    holds: bool,
    /// Some switch filters.
    active: bool,
}

impl Listening {
    /// Discards messages from before the start, since some of them may have been lost.
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

    /// The ring, for [`filled`].
    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Whether any port is snooped.
    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// Waits until filters are to change.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Schedules a change of the filters: soon, but not for each message.
    fn change(&mut self) {
        self.due.get_or_insert_with(|| Instant::now().max(self.changed + self.pause));
    }

    /// Filters are planned afresh from here on, until [`Self::know`].
    pub(super) fn begin(&mut self) {
        (self.due, self.changed) = (None, Instant::now());
    }

    /// Adds filters to the planned tables.
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

    /// Records the present ports, once their programs run, and whether the kernel has the planned filters.
    pub(super) fn know(&mut self, ports: &BTreeMap<u32, Port>, holds: bool) {
        self.pause = pause(self.changed.elapsed());
        self.holds = holds;
        self.active = ports.values().any(|port| port.flags & PORT_LISTENED != 0);
        self.memberships.know_ports(monotonic(), &places(ports));
    }
}

/// How long filters rest after a change that took this long to plan and apply, so that guests' messages use only a part
/// of the engine's time.
fn pause(took: Duration) -> Duration {
    (took * SNOOP_REST).clamp(SNOOP_PAUSE, SNOOP_LONGEST_PAUSE)
}

fn is_uplink(port: &Port) -> bool {
    port.flags & PORT_UPLINK != 0
}

/// The snooped ports, by number, and their places.
fn places(ports: &BTreeMap<u32, Port>) -> BTreeMap<u32, Place> {
    let place = |port: &Port| {
        let vlan = if port.vlan == VLAN_TRUNK { VLAN_ANY } else { port.vlan };
        (port.number, Place { network: port.network, vlan })
    };
    ports.values().filter(|port| port.flags & PORT_LISTENED != 0 && !is_uplink(port)).map(place).collect()
}

impl Switching {
    /// Reads a portion of the messages.
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
                tracing::debug!(port = port.number, "a port has joined more multicast groups than the limit");
            }
        });
        if is_empty {
            // A message that arrives after the guard was taken makes it ready again.
            guard.clear_ready();
        }
        drop(guard);
        if changes {
            self.listening.change();
        }
        // Otherwise a ring that is never empty would starve all other work.
        tokio::task::yield_now().await;
    }

    /// Ends expired memberships, and extends the filters' hold. About once a second.
    pub(super) fn listen_on(&mut self) {
        match self.kernel.listening() {
            Ok(missed) => self.miss(missed),
            Err(error) => tracing::warn!(%error, "cannot read how many IGMP and MLD messages were lost"),
        }
        if self.listening.memberships.expire(monotonic()) {
            self.listening.change();
        }
        self.hold_filters();
    }

    /// Distrusts the memberships of ports whose messages were lost.
    fn miss(&mut self, missed: Missed) {
        let before = std::mem::replace(&mut self.listening.missed, missed);
        if missed.lost != before.lost {
            if !self.listening.is_losing {
                tracing::warn!("too many IGMP and MLD messages; multicast is flooded");
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
                // Messages from before the port existed were another port's.
                Ok(at) => {
                    if self.listening.memberships.doubt(at, port.number) {
                        tracing::debug!(
                            port = port.number,
                            "a port exceeds its limit of IGMP and MLD messages"
                        );
                        self.listening.change();
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot read which port exceeds its limit of IGMP and MLD messages")
                }
            }
        }
    }

    /// Extends the filters' hold, if the kernel has the planned filters.
    pub(super) fn hold_filters(&mut self) {
        if !(self.listening.holds && self.listening.active) {
            return;
        }
        let now = monotonic();
        if now > self.listening.held {
            // While filters did not hold, ports received each other's reports, and may have suppressed their own.
            self.listening.memberships.doubt_all(now);
            self.listening.change();
        }
        match self.kernel.hold_filters(now + FILTERS_HOLD) {
            Ok(()) => self.listening.held = now + FILTERS_HOLD,
            Err(error) => tracing::warn!(%error, "cannot hold multicast filters; multicast is flooded"),
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
