//! The queues of traffic shaping, one for each port and direction, on one of the switch's internal interfaces. They
//! exist before a port is told to use them, and go after it has been told otherwise.

use std::collections::BTreeMap;

use super::Switching;
use crate::kernel::Program;
use crate::layout::WayKey;
use crate::plan::{Queue, Queues, place};
use crate::{Error, Result};

/// The queues that exist.
#[derive(Debug, Default)]
pub(super) struct Queueing {
    /// The interface that has them.
    interface: u32,
    made: BTreeMap<WayKey, Queue>,
    /// The kernel does not support them: shaping then drops frames instead of delaying them.
    is_refused: bool,
}

impl Switching {
    /// Makes missing queues.
    pub(super) async fn prepare_queues(&mut self, wanted: &Queues) -> Result<()> {
        if wanted.is_empty() || self.queueing.is_refused {
            return Ok(());
        }
        let pair = self.own.queue.clone();
        self.prepare_pair(&pair).await?;
        let Some(index) = self.links.get(&pair.near).map(|link| link.index) else { return Ok(()) };
        if self.queueing.interface != index {
            if let Err(error) = self.netlink.begin_queues(&self.own.queue.near, index).await {
                self.queueing.is_refused = true;
                tracing::warn!(%error, "traffic shaping drops frames instead of delaying them, which slows TCP");
                self.netlink.remove_pair(&self.own.queue, index).await?;
                self.links = self.netlink.all().await?;
                return Ok(());
            }
            self.queueing = Queueing { interface: index, ..Queueing::default() };
            self.attach_own(Program::FromQueue).await?;
        }
        let mut first = Ok(());
        for (key, queue) in wanted {
            if self.queueing.made.get(key) == Some(queue) {
                continue;
            }
            match self.netlink.set_queue(&self.own.queue.near, index, place(*key), queue).await {
                Ok(()) => {
                    self.queueing.made.insert(*key, *queue);
                    first = first.and(self.kernel.empty_queue(place(*key)));
                }
                Err(error) => first = first.and(Err::<(), Error>(error)),
            }
        }
        first
    }

    /// Removes unneeded queues, and with the last of them the interface.
    pub(super) async fn tidy_queues(&mut self, wanted: &Queues) -> Result<()> {
        let Some(index) = self.links.get(&self.own.queue.near).map(|link| link.index) else { return Ok(()) };
        if wanted.is_empty() {
            self.netlink.remove_pair(&self.own.queue, index).await?;
            self.queueing = Queueing::default();
            self.links = self.netlink.all().await?;
            return Ok(());
        }
        let unused: Vec<WayKey> =
            self.queueing.made.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        for key in unused {
            self.netlink.remove_queue(&self.own.queue.near, index, place(key)).await?;
            self.queueing.made.remove(&key);
        }
        Ok(())
    }
}
