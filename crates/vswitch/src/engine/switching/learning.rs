//! MAC learning: the data plane learns; the engine removes old MACs and reports counts.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Switching;
use crate::Result;
use crate::engine::options::Timing;
use crate::engine::state::Learned;
use crate::kernel::Kernel;
use crate::layout::{Learner, PORT_CAPTURED, StationKey};
use crate::limits::{LEARNED_PORTIONS, LEARNED_WAIT};

/// Learned MACs expire with a precision of the age divided by this.
const PARTS: u32 = 10;
/// The shortest pause between two sweeps.
const SHORTEST: Duration = Duration::from_millis(100);

/// The pause between two sweeps.
pub(super) fn pause(timing: &Timing) -> Duration {
    (timing.learned_age / PARTS).max(SHORTEST)
}

/// A sweep over all learned MACs: another thread reads the keys in portions, and the engine checks a portion when it
/// has nothing else to do.
#[derive(Default)]
pub(super) struct Sweep {
    /// The portions to come, while a sweep is under way.
    portions: Option<mpsc::Receiver<Vec<StationKey>>>,
    /// Another sweep must follow, since ports changed during this one.
    again: bool,
}

impl Sweep {
    /// Begins a sweep, unless one is under way.
    fn begin(&mut self, kernel: &Kernel) {
        if self.portions.is_some() {
            return;
        }
        let keys = match kernel.learned_keys() {
            Ok(keys) => keys,
            Err(error) => return tracing::error!(%error, "cannot read learned MACs; old ones stay"),
        };
        let (sender, portions) = mpsc::channel(LEARNED_PORTIONS);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = keys.read(|portion| sender.blocking_send(portion).is_ok()) {
                tracing::error!(%error, "cannot read learned MACs; old ones stay");
            }
        });
        self.portions = Some(portions);
    }

    /// The next portion, or `None` at the end; waits for ever if no sweep is under way. Dropping the future loses
    /// nothing.
    pub(super) async fn next(&mut self) -> Option<Vec<StationKey>> {
        match &mut self.portions {
            Some(portions) => portions.recv().await,
            None => std::future::pending().await,
        }
    }
}

/// The ports that learn, and where. Captures make no difference.
pub(super) fn who_learns(learners: &BTreeMap<u32, Learner>) -> BTreeMap<u32, Learner> {
    let mut learners = learners.clone();
    learners.values_mut().for_each(|learner| learner.target.flags &= !PORT_CAPTURED);
    learners
}

impl Switching {
    /// Begins to remove old MACs, if any port learns.
    pub(super) fn forget_learned(&mut self) {
        if !self.actual.extras.learners.is_empty() {
            self.sweep.begin(&self.kernel);
        }
    }

    /// Removes MACs that no longer belong to their ports. Waits for a limited time only, since all other work waits
    /// too.
    pub(super) async fn forget_gone(&mut self) {
        self.sweep.again = self.sweep.portions.is_some();
        self.sweep.begin(&self.kernel);
        let all = async {
            while self.sweep.portions.is_some() {
                let portion = self.sweep.next().await;
                self.forget_portion(portion);
            }
        };
        // The rest is removed portion by portion.
        let _ = timeout(LEARNED_WAIT, all).await;
    }

    /// Checks a portion of learned MACs, or ends the sweep.
    pub(super) fn forget_portion(&mut self, portion: Option<Vec<StationKey>>) {
        let Some(keys) = portion else {
            self.sweep.portions = None;
            if std::mem::take(&mut self.sweep.again) {
                self.sweep.begin(&self.kernel);
            }
            return;
        };
        if let Err(error) = self.kernel.forget_learned(self.timing.learned_age, &keys) {
            tracing::error!(%error, "cannot remove old learned MACs");
        }
    }

    pub(super) fn learned(&self, interface: &str) -> Result<Option<Learned>> {
        let number = self.links.get(interface).and_then(|link| self.numbers.get(&link.index));
        let learner = number.and_then(|number| Some((number, self.actual.extras.learners.get(number)?)));
        let Some((number, learner)) = learner else { return Ok(None) };
        Ok(Some(Learned { count: self.kernel.learned_by(*number)?, limit: learner.limit }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Target;

    #[test]
    fn a_capture_changes_no_learned_mac_of_a_port() {
        let learners = |flags, vlan| {
            let target = Target { number: 1, flags, vlan, ..Target::default() };
            who_learns(&[(1, Learner { target, ..Learner::default() })].into())
        };
        assert_eq!(learners(0, 10), learners(PORT_CAPTURED, 10));
        assert_ne!(learners(0, 10), learners(0, 20));
    }
}
