//! Observing the addresses behind uplinks: the programs' reports of ARP are read once a second, so that a storm of ARP
//! costs no more than one full ring.

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::VlanId;
use crate::declare::Declaration;
use crate::engine::rings::portion;
use crate::kernel::Ring;
use crate::layout::Sighted;
use crate::limits::{OBSERVED_BATCH, OBSERVED_PAUSE};
use crate::observed::Observed;
use crate::plan::Links;
use crate::vmkernel::Arp;

/// The task runs until this is dropped.
pub(in crate::engine) struct Observing {
    observed: watch::Sender<Observed>,
    task: JoinHandle<()>,
}

impl Observing {
    /// Times count from `began`. The runtime that the thread has entered drives it.
    pub(in crate::engine) fn start(ring: Ring, observed: watch::Sender<Observed>, began: Instant) -> Self {
        let task = tokio::spawn(observe(ring, observed.clone(), began));
        Self { observed, task }
    }

    /// Sets the uplinks that have a link.
    pub(in crate::engine) fn see(&self, declared: &Declaration, links: &Links) {
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
            Err(error) => return tracing::warn!(%error, "IP ranges behind uplinks are not observed any more"),
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
            // A packet that arrives after the guard was taken makes it ready again.
            guard.clear_ready();
        }
        drop(guard);
        sleep(OBSERVED_PAUSE).await;
    }
}
