//! Observing which addresses there are behind uplinks: what the programs tell of ARP is read once a second, so that a storm of it costs no
//! more than what the ring holds.

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::captures::portion;
use crate::VlanId;
use crate::declare::Declaration;
use crate::kernel::Ring;
use crate::kernel::layout::Sighted;
use crate::limits::{OBSERVED_BATCH, OBSERVED_PAUSE};
use crate::observed::Observed;
use crate::plan::Links;
use crate::vmkernel::Arp;

/// Goes on by itself until it is dropped.
pub(super) struct Observing {
    observed: watch::Sender<Observed>,
    task: JoinHandle<()>,
}

impl Observing {
    /// Times count from `began`. Worked by the runtime that the thread has entered.
    pub(super) fn start(ring: Ring, observed: watch::Sender<Observed>, began: Instant) -> Self {
        let task = tokio::spawn(observe(ring, observed.clone(), began));
        Self { observed, task }
    }

    /// Takes note of the uplinks that have a link.
    pub(super) fn see(&self, declared: &Declaration, links: &Links) {
        let uplinks = declared.switches.iter().flat_map(|switch| &switch.uplinks);
        let running = uplinks.filter_map(|name| links.get(name)).filter(|link| link.running);
        let running = running.map(|link| link.index).collect();
        self.observed.send_if_modified(|observed| observed.know_uplinks(&running));
    }
}

impl Drop for Observing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn observe(mut ring: Ring, observed: watch::Sender<Observed>, began: Instant) {
    loop {
        let mut guard = match ring.readable_mut().await {
            Ok(guard) => guard,
            Err(error) => return tracing::warn!(%error, "what uplinks bring is not observed any more"),
        };
        let (now, mut is_empty) = (began.elapsed(), false);
        observed.send_modify(|observed| {
            is_empty = portion(guard.get_inner_mut(), OBSERVED_BATCH, |entry| {
                let Some(sighted) = Sighted::read(entry) else { return };
                let vlan = match sighted.vlan {
                    0 => None,
                    number => match VlanId::try_from(number) {
                        Ok(vlan) => Some(vlan),
                        Err(_) => return,
                    },
                };
                if let Some(packet) = Arp::read(&sighted.frame) {
                    observed.observe(now, sighted.ifindex, vlan, &packet);
                }
            });
        });
        if is_empty {
            // Ready again at the next packet, also at one that came after the guard.
            guard.clear_ready();
        }
        drop(guard);
        sleep(OBSERVED_PAUSE).await;
    }
}
