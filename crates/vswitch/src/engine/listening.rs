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
use crate::kernel::layout::{Heard, PORT_LISTENED, PORT_UPLINK, Port, VLAN_ANY, VLAN_TRUNK};
use crate::kernel::{Kernel, Ring};
use crate::limits::{FILTERS_HOLD, SNOOP_BATCH, SNOOP_PAUSE, SNOOP_PORTIONS};
use crate::plan::{self, Links, Tables};
use crate::snoop::{self, Memberships, Origin, Place};

pub(super) struct Listening {
    ring: Ring,
    /// Times on the monotonic clock, as the programs have them.
    memberships: Memberships,
    /// Messages that the ring has lost, as far as is known.
    lost: u64,
    /// It has lost some lately; said once.
    is_losing: bool,
    /// Filters are to change, and then.
    due: Option<Instant>,
    changed: Instant,
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
        let lost = kernel.listening()?.lost;
        let (memberships, crowded) = (Memberships::default(), BTreeSet::new());
        Ok(Self {
            ring,
            memberships,
            lost,
            is_losing: false,
            due: None,
            changed: Instant::now(),
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
        self.due.get_or_insert_with(|| Instant::now().max(self.changed + SNOOP_PAUSE));
    }

    /// Puts filters on top of what is declared.
    pub(super) fn filter(&mut self, tables: &mut Tables, links: &Links) {
        (self.due, self.changed) = (None, Instant::now());
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
        self.holds = holds;
        self.active = ports.values().any(|port| port.flags & PORT_LISTENED != 0);
        self.memberships.know_ports(monotonic(), &places(ports));
    }
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
        let memberships = &mut self.listening.memberships;
        let is_empty = portion(guard.get_inner_mut(), SNOOP_BATCH, |entry| {
            let Some((head, frame)) = Heard::read(entry) else { return };
            let (Some(port), Some(message)) = (ports.get(&head.number), snoop::read(frame)) else { return };
            let place = Place { network: port.network, vlan: head.vlan };
            let origin =
                if is_uplink(port) { Origin::Uplink(port.number) } else { Origin::Port(port.number) };
            if !memberships.hear(Duration::from_nanos(head.time_ns), place, origin, &message) {
                tracing::debug!(port = port.number, "a port is in more multicast groups than are counted");
            }
        });
        if is_empty {
            // Ready again at the next message, also at one that came after the guard.
            guard.clear_ready();
        }
        drop(guard);
        self.listening.change();
        // A ring that is never empty would be all that the thread sees.
        tokio::task::yield_now().await;
    }

    /// Ends what has ended, and lets filters hold for a while longer. About once a second.
    pub(super) fn listen_on(&mut self) {
        match self.kernel.listening() {
            Ok(missed) if missed.lost != self.listening.lost => {
                if !self.listening.is_losing {
                    tracing::warn!("more is said about multicast groups than can be heard; they are flooded");
                }
                (self.listening.lost, self.listening.is_losing) = (missed.lost, true);
                self.listening.memberships.doubt_all(monotonic());
                self.listening.change();
            }
            Ok(_) => self.listening.is_losing = false,
            Err(error) => tracing::warn!(%error, "cannot see what was lost of multicast memberships"),
        }
        if self.listening.memberships.expire(monotonic()) {
            self.listening.change();
        }
        if self.listening.holds
            && let Err(error) = self.kernel.hold_filters(monotonic() + FILTERS_HOLD)
        {
            tracing::warn!(%error, "multicast is flooded");
        }
    }
}
