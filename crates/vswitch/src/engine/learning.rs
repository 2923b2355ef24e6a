//! MAC learning: the data plane learns, the engine has what is old forgotten, and tells.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::run::Switching;
use super::{Learned, Timing};
use crate::Result;
use crate::kernel::Kernel;
use crate::kernel::layout::{Learner, PORT_CAPTURED, StationKey};
use crate::limits::{LEARNED_PORTIONS, LEARNED_WAIT};

/// What is not used is forgotten at an age that is exact to one part in this.
const PARTS: u32 = 10;
/// The shortest pause between two looks.
const SHORTEST: Duration = Duration::from_millis(100);

/// How often it is looked for what is old.
pub(super) fn pause(timing: &Timing) -> Duration {
    (timing.learned_age / PARTS).max(SHORTEST)
}

/// A look at all that was learned: another thread reads the keys, and the engine has the entries of a portion looked at when it has
/// nothing else to do.
#[derive(Default)]
pub(super) struct Sweep {
    /// If one is under way.
    portions: Option<mpsc::Receiver<Vec<StationKey>>>,
    /// What was looked at already may have changed.
    again: bool,
}

impl Sweep {
    /// Begins, unless one is under way.
    fn begin(&mut self, kernel: &Kernel) {
        if self.portions.is_some() {
            return;
        }
        let keys = match kernel.learned_keys() {
            Ok(keys) => keys,
            Err(error) => return tracing::error!(%error, "learned MACs grow old"),
        };
        let (sender, portions) = mpsc::channel(LEARNED_PORTIONS);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = keys.read(|portion| sender.blocking_send(portion).is_ok()) {
                tracing::error!(%error, "learned MACs grow old");
            }
        });
        self.portions = Some(portions);
    }

    /// The next portion, or none at the end. Never, if no sweep is under way. Nothing is lost when the call is dropped.
    pub(super) async fn next(&mut self) -> Option<Vec<StationKey>> {
        match &mut self.portions {
            Some(portions) => portions.recv().await,
            None => std::future::pending().await,
        }
    }
}

/// Who learns, and where. Whether somebody looks at a port is no part of that.
pub(super) fn who_learns(learners: &BTreeMap<u32, Learner>) -> BTreeMap<u32, Learner> {
    let mut learners = learners.clone();
    learners.values_mut().for_each(|learner| learner.target.flags &= !PORT_CAPTURED);
    learners
}

impl Switching {
    /// Has forgotten what is old, if there is anything.
    pub(super) fn forget_learned(&mut self) {
        if !self.actual.extras.learners.is_empty() {
            self.sweep.begin(&self.kernel);
        }
    }

    /// Has forgotten what is not its port's any more: at once as far as that goes, for all else waits meanwhile.
    pub(super) async fn forget_gone(&mut self) {
        self.sweep.again = self.sweep.portions.is_some();
        self.sweep.begin(&self.kernel);
        let all = async {
            while self.sweep.portions.is_some() {
                let portion = self.sweep.next().await;
                self.forget_portion(portion);
            }
        };
        // What is left is forgotten bit by bit.
        let _ = timeout(LEARNED_WAIT, all).await;
    }

    /// Looks at a portion of what was learned, or ends the sweep.
    pub(super) fn forget_portion(&mut self, portion: Option<Vec<StationKey>>) {
        let Some(keys) = portion else {
            self.sweep.portions = None;
            if std::mem::take(&mut self.sweep.again) {
                self.sweep.begin(&self.kernel);
            }
            return;
        };
        if let Err(error) = self.kernel.forget_learned(self.timing.learned_age, &keys) {
            tracing::error!(%error, "learned MACs grow old");
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
    use crate::kernel::layout::Target;

    #[test]
    fn whoever_looks_at_a_port_changes_nothing_of_what_it_has_learned() {
        let learners = |flags, vlan| {
            let target = Target { number: 1, flags, vlan, ..Target::default() };
            who_learns(&[(1, Learner { target, ..Learner::default() })].into())
        };
        assert_eq!(learners(0, 10), learners(PORT_CAPTURED, 10));
        assert_ne!(learners(0, 10), learners(0, 20));
    }
}
